//! Who is calling: the form of keys and tokens, what is known of each, and the look at a request's
//! headers. It knows no route and no model.

pub mod identify;

pub mod access_token;
pub mod api_key;
pub mod cookies;
pub mod credential;
pub mod in_path;
pub mod one_time;
pub mod origin;
pub mod refresh_token;
pub mod tagged;

pub mod cache;
pub mod directory;
pub mod principal;

mod guesses;
pub mod last_used;
pub mod login_throttle;
pub mod outage;
pub mod password;
pub mod pseudonym;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod masking;
mod purse;
