//! Who is signed in, through the public door: by cookie, by bearer, on one replica and on two.

mod cross_origin;
mod ending;
mod guessing;
mod hostile_tokens;
mod leaks;
mod outage;
mod people;
mod refreshing;
mod registering;
mod rights;
mod signing_in;
mod written_down;
