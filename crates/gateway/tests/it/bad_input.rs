//! Bodies and credentials that can't be served, on every route: refused in the route's own dialect,
//! by name, and without a word to any model server.

mod bodies;
mod credentials;
mod fields;
mod ollama;
mod refusal;
mod room;
mod routes;
