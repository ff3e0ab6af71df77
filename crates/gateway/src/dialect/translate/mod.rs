//! Ollama's dialect in front of servers that speak OpenAI's: the request is written anew, the
//! answer is written back chunk by chunk. Pure: it knows neither connections nor upstreams.
//! What becomes of each field and option stands in docs/ollama.md.
//!
//! Sources: Ollama's docs, "API reference"; OpenAI's API reference, "Chat", "Completions",
//! "Embeddings"; for the members beyond those, the READMEs of llama.cpp's server and of vLLM.

mod answer;

mod dropped;
mod error;
mod fault;
mod lines;
mod members;
mod messages;
mod options;
mod request;
mod shared_fields;
mod spelling;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests;

use std::time::Instant;

pub use answer::{Untranslatable, document};
pub use error::{error, words};
pub use lines::Lines;
pub use request::{Request, Target, request};

/// The version of Ollama's API that this room speaks: what `/api/version` tells where no Ollama
/// stands behind us.
pub const OLLAMA_VERSION: &str = "0.13.0";

/// What an answer is made of, and in which form the client waits for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// A chat completion, as `/api/chat` gives it.
    Chat,
    /// A chat completion, as `/api/generate` gives it.
    Generate,
    /// A completion of bare text, as `/api/generate` gives it.
    Text,
    Embed,
    /// The older `/api/embeddings`.
    Embeddings,
}

/// What of a request its answer must know.
#[derive(Clone, Debug)]
pub struct Asked {
    pub form: Form,
    /// How many vectors were asked for, where they were.
    pub vectors: Option<usize>,
    /// The model as the client named it, which is how Ollama names it in its answers.
    pub model: String,
    /// When the request came.
    pub started: Instant,
}
