//! OpenAI's Responses, which share the provider's errors and little else with its chat.
//! Source: the provider's API reference, "Responses" and "Streaming events".

use std::sync::LazyLock;

use bytes::Bytes;
use fluxgate_core::Usage;
use fluxgate_core::usage::UsageSource;
use memchr::memmem::Finder;
use serde::{Deserialize, Serialize};

use super::answer::Shown;
use super::capture::{Capture, read as read_json, string_bytes, values_after};
use super::frames::event_name;
use super::outline::{Field, Kind, Outline};
use super::{Ask, Expected, estimate, openai};
use crate::refusal::Refusal;

/// Reads a request.
///
/// # Errors
/// A field that is missing or of a wrong type.
pub fn read(outline: &Outline<'_>) -> Result<Ask, Refusal> {
    let model = super::required_string(outline, Field::Model)?;
    for (field, kinds) in [
        (Field::Input, Expected::Optional(&[Kind::String, Kind::Array])),
        (Field::Instructions, Expected::Optional(&[Kind::String, Kind::Array])),
        (Field::MaxOutputTokens, Expected::Optional(&[Kind::Number])),
        (Field::Tools, Expected::Optional(&[Kind::Array])),
    ] {
        super::expect_kind(outline, field, &kinds)?;
    }
    let stream = super::flag(outline, Field::Stream)?.unwrap_or(false);
    Ok(Ask { stream, ..Ask::of(model, estimate(outline)) })
}

#[derive(Serialize)]
struct ErrorEvent<'a> {
    r#type: &'static str,
    error: openai::ErrorObject<'a>,
    code: &'a str,
    message: &'a str,
    param: Option<&'a str>,
    sequence_number: u64,
}

/// The event's own fields, and the top-level `error` that openai-python looks for.
pub fn error_frame(refusal: &Refusal, frames_before: u64) -> Bytes {
    let error = openai::ErrorObject::of(refusal);
    let event = ErrorEvent {
        r#type: "error",
        code: error.code,
        message: error.message,
        param: error.param,
        error,
        sequence_number: frames_before,
    };
    let event = serde_json::to_vec(&event).unwrap_or_default();
    [b"event: error\ndata: ".as_slice(), &event, b"\n\n"].concat().into()
}

static USAGE: &[u8] = b"\"usage\"";
static DELTA: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"delta\""));
static TEXT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"text\""));

/// Looks at one event of a stream.
pub fn inspect(frame: &[u8], shown: &mut Shown) {
    match event_name(frame) {
        b"response.completed" | b"response.incomplete" | b"response.failed" => {
            shown.ended = true;
            shown.reported = usage_in(frame);
        }
        b"error" => shown.errored = true,
        name if name.ends_with(b".delta") => {
            let bytes = string_bytes(frame, &DELTA);
            shown.text_frames += u64::from(bytes > 0);
            shown.text_bytes += bytes;
        }
        _ => {}
    }
}

/// Bytes of text in a document.
pub fn text_bytes(json: &[u8]) -> u64 {
    string_bytes(json, &TEXT)
}

/// What is kept of a document that passes in pieces.
pub fn captures() -> Box<[Capture]> {
    Box::new([Capture::new(USAGE)])
}

/// The usage of such a document.
pub fn captured_usage(captures: &[Capture]) -> Option<Usage> {
    captures.first()?.value::<UsageObject>()?.usage()
}

/// A tool's schema, which the event repeats, may have a `usage` too.
fn usage_in(frame: &[u8]) -> Option<Usage> {
    values_after(frame, USAGE).find_map(|value| read_json::<UsageObject>(value)?.usage())
}

#[derive(Deserialize)]
struct UsageObject {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    input_tokens_details: Option<InputDetails>,
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Deserialize)]
struct InputDetails {
    cached_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct OutputDetails {
    reasoning_tokens: Option<u64>,
}

impl UsageObject {
    fn usage(self) -> Option<Usage> {
        if self.input_tokens.is_none() && self.output_tokens.is_none() {
            return None;
        }
        Some(Usage {
            prompt: self.input_tokens.unwrap_or(0),
            completion: self.output_tokens.unwrap_or(0),
            cached: self
                .input_tokens_details
                .and_then(|details| details.cached_tokens)
                .unwrap_or(0),
            reasoning: self
                .output_tokens_details
                .and_then(|details| details.reasoning_tokens)
                .unwrap_or(0),
            source: UsageSource::Reported,
            ..Usage::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_event_tells_the_usage_however_it_ended() {
        for name in ["completed", "incomplete", "failed"] {
            let event = format!(
                "event: response.{name}\ndata: {{\"response\":{{\"usage\":{{\"input_tokens\":7,\"output_tokens\":0,\"input_tokens_details\":{{\"cached_tokens\":5}}}},\"tools\":[{{\"parameters\":{{\"properties\":{{\"usage\":{{\"type\":\"string\"}}}}}}}}]}},\"type\":\"response.{name}\"}}\n\n"
            );
            let mut shown = Shown::default();
            inspect(event.as_bytes(), &mut shown);
            let usage = shown.reported.map(|usage| (usage.prompt, usage.cached, usage.completion));
            assert_eq!((usage, shown.ended), (Some((7, 5, 0)), true), "{name}");
        }
    }

    #[test]
    fn text_and_arguments_count_as_delivered() {
        let mut shown = Shown::default();
        for event in ["response.output_text.delta", "response.function_call_arguments.delta"] {
            let frame = format!("data: {{\"type\":\"{event}\",\"delta\":\"abc\"}}\n\n");
            inspect(frame.as_bytes(), &mut shown);
        }
        inspect(b"event: response.output_text.done\ndata: {\"text\":\"abc\"}\n\n", &mut shown);
        assert_eq!((shown.text_frames, shown.text_bytes, shown.ended), (2, 6, false));
    }
}
