//! The dialects that clients speak: how each asks, how it is refused, how its answers are framed,
//! where its usage stands and how its streams end. One module each; a dialect knows neither keys
//! nor upstreams.

mod answer;
mod anthropic;
mod capture;
mod frames;
mod ollama;
mod openai;
pub mod outline;
mod responses;
pub mod translate;

use std::ops::Range;

use bytes::Bytes;
use fluxgate_core::{Reason, RequestId};
use http::HeaderValue;

pub use answer::{AnswerReader, Ending, Streamed};
pub use ollama::{canonical_name, loaded, tagged_name};
use outline::{Field, Kind, Outline};

use crate::refusal::Refusal;
use crate::router::Endpoint;

/// A closed list: matched exhaustively wherever a dialect makes a difference.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Dialect {
    OpenAi,
    /// OpenAI's Responses: the same errors, other streams.
    Responses,
    Anthropic,
    Ollama,
}

/// How an answer's body is cut into frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// Server-sent events (WHATWG HTML §9.2).
    Sse,
    /// One JSON value a line.
    Ndjson,
    /// No frames: one document.
    Whole,
}

/// What a request asks for, as far as we must know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ask {
    pub model: String,
    /// Where the model's name stands in the body, quotes included.
    pub model_at: Range<usize>,
    pub stream: bool,
    /// Asks the stream for its usage, where the upstream takes that.
    pub usage_edit: Option<Edit>,
    /// The usage frame of the stream is ours: the client didn't ask for it.
    pub withhold_usage: bool,
    /// Answers that were asked for in one: a stream isn't over before each of them is.
    pub choices: u32,
    /// Tokens of the prompt by our own estimate.
    pub prompt_estimate: u64,
    /// Answered here: the model is only to be loaded.
    pub load_only: bool,
}

impl Ask {
    /// A document from a model.
    fn of((model, model_at): (String, Range<usize>), prompt_estimate: u64) -> Self {
        Self {
            model,
            model_at,
            stream: false,
            usage_edit: None,
            withhold_usage: false,
            choices: 1,
            prompt_estimate,
            load_only: false,
        }
    }
}

/// One splice of the body: the bytes in `at..until` give way to `with`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Edit {
    pub at: usize,
    pub until: usize,
    pub with: Bytes,
}

impl Edit {
    /// Puts another model's name in the place of this one.
    #[must_use]
    pub fn model(at: &Range<usize>, name: &str) -> Self {
        let with = serde_json::to_vec(name).unwrap_or_default().into();
        Self { at: at.start, until: at.end, with }
    }
}

impl Dialect {
    /// The dialect that a path's callers expect, also where there is no such route.
    #[must_use]
    pub fn of_path(path: &str) -> Self {
        let under = |prefix: &str| {
            path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if under("/api") {
            Self::Ollama
        } else if under("/v1/messages") {
            Self::Anthropic
        } else if under("/v1/responses") {
            Self::Responses
        } else {
            Self::OpenAi
        }
    }

    /// Reads what the body asks for.
    ///
    /// # Errors
    /// A refusal that names the field.
    pub fn read(self, endpoint: Endpoint, outline: &Outline<'_>) -> Result<Ask, Refusal> {
        match self {
            Self::OpenAi => openai::read(endpoint, outline),
            Self::Responses => responses::read(outline),
            Self::Anthropic => anthropic::read(endpoint, outline),
            Self::Ollama => ollama::read(endpoint, outline),
        }
    }

    /// The body of a refusal of the request with this id.
    #[must_use]
    pub fn refusal(self, refusal: &Refusal, id: RequestId) -> Bytes {
        match self {
            Self::OpenAi | Self::Responses => openai::refusal(refusal),
            Self::Anthropic => anthropic::refusal(refusal, id),
            Self::Ollama => ollama::refusal(refusal),
        }
    }

    /// The frame that ends a stream which can't be finished, behind so many others.
    #[must_use]
    pub fn error_frame(self, refusal: &Refusal, id: RequestId, frames_before: u64) -> Bytes {
        match self {
            Self::OpenAi => openai::error_frame(refusal),
            Self::Responses => responses::error_frame(refusal, frames_before),
            Self::Anthropic => anthropic::error_frame(refusal, id),
            Self::Ollama => ollama::refusal_line(refusal),
        }
    }
}

impl Framing {
    /// How an answer of this media type is framed.
    #[must_use]
    pub fn of(content_type: Option<&HeaderValue>) -> Self {
        let Some(value) = content_type else { return Self::Whole };
        let value = value.as_bytes();
        let is = |name: &[u8]| {
            value.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
        };
        if is(b"text/event-stream") {
            Self::Sse
        } else if is(b"application/x-ndjson") {
            Self::Ndjson
        } else {
            Self::Whole
        }
    }
}

/// ⌈UTF-8 bytes ÷ 3⌉ of text, and 8 for each message's envelope.
fn estimate(outline: &Outline<'_>) -> u64 {
    let stats = outline.stats();
    stats.text_bytes.div_ceil(3) + 8 * u64::from(stats.messages)
}

/// What a field of a request may be.
#[derive(Clone, Copy, Debug)]
enum Expected {
    Required(&'static [Kind]),
    /// Absent and `null` are the same.
    Optional(&'static [Kind]),
}

fn expect_kind(outline: &Outline<'_>, field: Field, expected: &Expected) -> Result<(), Refusal> {
    let (kinds, required) = match expected {
        Expected::Required(kinds) => (kinds, true),
        Expected::Optional(kinds) => (kinds, false),
    };
    match outline.field(field) {
        Some(value) if kinds.contains(&value.kind) => Ok(()),
        Some(value) if value.is_null() && !required => Ok(()),
        None if !required => Ok(()),
        None => Err(missing(field.name())),
        Some(_) => {
            let wanted: Vec<&str> = kinds.iter().map(|kind| kind.description()).collect();
            Err(wrong_type(field.name(), &wanted.join(" or ")))
        }
    }
}

fn required_string(outline: &Outline<'_>, field: Field) -> Result<(String, Range<usize>), Refusal> {
    let value = outline
        .field(field)
        .filter(|value| !value.is_null())
        .ok_or_else(|| missing(field.name()))?;
    match value.as_str() {
        Some(text) if !text.is_empty() => Ok((text.into_owned(), value.range)),
        _ => Err(wrong_type(field.name(), "a string that isn't empty")),
    }
}

fn flag(outline: &Outline<'_>, field: Field) -> Result<Option<bool>, Refusal> {
    match outline.field(field) {
        None => Ok(None),
        Some(value) if value.is_null() => Ok(None),
        Some(value) => {
            value.as_bool().map(Some).ok_or_else(|| wrong_type(field.name(), "a boolean"))
        }
    }
}

fn missing(field: &'static str) -> Refusal {
    Refusal::new(Reason::InvalidField, format!("The field `{field}` is required.")).param(field)
}

fn wrong_type(field: &'static str, expected: &str) -> Refusal {
    Refusal::new(Reason::InvalidField, format!("The field `{field}` must be {expected}."))
        .param(field)
}
