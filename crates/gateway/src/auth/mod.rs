//! Who is calling: the form of keys, what is known of each, and the look at a request's headers.
//! It knows no route and no model.

pub mod api_key;
pub mod cache;
pub mod directory;
mod guesses;
pub mod identify;
mod outage;
pub mod password;
