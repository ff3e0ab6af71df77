//! The demo model: a small server without a neural network that speaks like a model server.
//!
//! `fluxgate up` runs it where no model server is at hand, so that a first request gets an answer; tests and
//! benchmarks run it as an upstream whose every word is known beforehand, and tell it to misbehave
//! ([`Behaviour`]). Each answer says in its text that it comes from the demo model, is the same for the same
//! prompt, streams at a set pace, and reports its true usage by its own [`tokens`] rule. It knows the dialects
//! of OpenAI, Anthropic and Ollama; a further one is a folder beside theirs and a variant in `route`.
//!
//! It must not know the gateway: no keys, no limits, no type of ours. It trusts whoever reaches it, so it
//! belongs on loopback.

mod answer;
mod anthropic;
mod ask;
mod behaviour;
mod block;
mod body;
mod cache;
mod catalogue;
mod embedding;
mod fields;
mod handle;
mod ollama;
mod openai;
mod prose;
mod reply;
mod route;
mod schema;
mod server;
mod stats;
pub mod tokens;
mod tool;
mod wire;

use std::net::{Ipv4Addr, SocketAddr};
use std::num::ParseIntError;
use std::str::FromStr;
use std::time::Duration;

pub use behaviour::{BEHAVIOURS, Behaviour, BehaviourError};
pub use server::DemoModel;
pub use stats::{Received, Stats};

/// How a demo model is set up. The default: a free port of 127.0.0.1, a pleasant pace, well-behaved,
/// all dialects.
#[derive(Debug, Clone)]
pub struct DemoConfig {
    pub addr: SocketAddr,
    pub pace: Pace,
    /// What it does on every model request; a request adds its own by the model's name (`demo!die-after=3`).
    pub behaviour: Behaviour,
    pub speaks: Speaks,
    /// Further names that are listed and served. One with a `!` misbehaves as it says.
    pub extra_models: Vec<String>,
}

impl Default for DemoConfig {
    fn default() -> Self {
        Self {
            addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            pace: Pace::default(),
            behaviour: Behaviour::default(),
            speaks: Speaks::default(),
            extra_models: Vec::new(),
        }
    }
}

/// The time one token takes. A whole answer takes as long as the same answer streamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace(pub Duration);

impl Pace {
    /// As fast as the socket takes it.
    pub const NONE: Self = Self(Duration::ZERO);
    /// About 40 tokens a second: a person can read along.
    pub const PLEASANT: Self = Self(Duration::from_millis(25));
}

impl Default for Pace {
    fn default() -> Self {
        Self::PLEASANT
    }
}

/// Microseconds per token.
impl FromStr for Pace {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        Ok(Self(Duration::from_micros(u64::from(text.parse::<u32>()?))))
    }
}

/// The dialects it admits to; routes of another are 404.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Speaks {
    OpenAi,
    Anthropic,
    Ollama,
    /// All of them; `GET /v1/models` lists as OpenAI does.
    #[default]
    All,
}

/// A name other than `openai`, `anthropic`, `ollama` or `all`.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is none of openai, anthropic, ollama, all")]
pub struct SpeaksError(String);

impl FromStr for Speaks {
    type Err = SpeaksError;

    fn from_str(text: &str) -> Result<Self, SpeaksError> {
        match text {
            "openai" => Ok(Self::OpenAi),
            "anthropic" => Ok(Self::Anthropic),
            "ollama" => Ok(Self::Ollama),
            "all" => Ok(Self::All),
            _ => Err(SpeaksError(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_server_speaks_what_it_is_named_after_or_everything() {
        let read = |text: &str| text.parse::<Speaks>();
        let names = ["openai", "anthropic", "ollama", "all"].map(|name| read(name).unwrap());
        assert_eq!(names, [Speaks::OpenAi, Speaks::Anthropic, Speaks::Ollama, Speaks::All]);
        assert_eq!(Speaks::default(), Speaks::All);
        let error = read("latin").unwrap_err();
        assert_eq!(error.to_string(), "`latin` is none of openai, anthropic, ollama, all");
    }
}
