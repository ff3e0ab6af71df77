//! Who is calling: the form of keys, what is known of each, and the look at a request's headers.
//! It knows no route and no model.

pub mod api_key;
pub mod cache;
pub mod directory;
mod guesses;
pub mod identify;
pub mod in_path;
pub mod last_used;
// Asked by the routes of sessions, which come next.
#[cfg_attr(not(test), expect(dead_code))]
pub mod login_throttle;
mod outage;
pub mod password;
pub mod principal;
pub mod pseudonym;
