//! Anthropic's dialect: messages, and the count of their tokens.
//! Source: the provider's API reference, "Messages", "Streaming messages", "Errors".

use std::sync::LazyLock;

use bytes::Bytes;
use fluxgate_core::usage::UsageSource;
use fluxgate_core::{Reason, RequestId, Usage};
use memchr::memmem::Finder;
use serde::{Deserialize, Serialize};

use super::answer::Shown;
use super::capture::{Capture, read as read_json, string_bytes, value_after};
use super::frames::event_name;
use super::outline::{Field, Kind, Outline};
use super::{Ask, Expected, estimate};
use crate::refusal::Refusal;
use crate::router::Endpoint;

/// Reads a request.
///
/// # Errors
/// A field that is missing or of a wrong type.
pub fn read(endpoint: Endpoint, outline: &Outline<'_>) -> Result<Ask, Refusal> {
    let model = super::required_string(outline, Field::Model)?;
    for (field, kinds) in [
        (Field::Messages, Expected::Required(&[Kind::Array])),
        (Field::System, Expected::Optional(&[Kind::String, Kind::Array])),
        (Field::MaxTokens, Expected::Optional(&[Kind::Number])),
        (Field::Tools, Expected::Optional(&[Kind::Array])),
    ] {
        super::expect_kind(outline, field, &kinds)?;
    }
    let stream =
        endpoint == Endpoint::Messages && super::flag(outline, Field::Stream)?.unwrap_or(false);
    Ok(Ask { stream, ..Ask::of(model, estimate(outline)) })
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    r#type: &'static str,
    error: ErrorObject<'a>,
    request_id: RequestId,
}

#[derive(Serialize)]
struct ErrorObject<'a> {
    r#type: &'static str,
    message: &'a str,
    code: &'static str,
}

/// `{"type":"error","error":{"type","message","code"},"request_id"}`; `code` is ours.
pub fn refusal(refusal: &Refusal, id: RequestId) -> Bytes {
    let body = ErrorBody {
        r#type: "error",
        error: ErrorObject {
            r#type: error_type(refusal.reason),
            message: &refusal.message,
            code: refusal.reason.code(),
        },
        request_id: id,
    };
    serde_json::to_vec(&body).unwrap_or_default().into()
}

/// The official clients raise on this event.
pub fn error_frame(refused: &Refusal, id: RequestId) -> Bytes {
    [b"event: error\ndata: ".as_slice(), &refusal(refused, id), b"\n\n"].concat().into()
}

fn error_type(reason: Reason) -> &'static str {
    match reason.status().as_u16() {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 => "overloaded_error",
        504 => "timeout_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}

static USAGE: &[u8] = b"\"usage\"";
static TEXTS: LazyLock<[Finder<'static>; 3]> = LazyLock::new(|| {
    [Finder::new(b"\"text\""), Finder::new(b"\"thinking\""), Finder::new(b"\"partial_json\"")]
});

/// Looks at one event of a stream.
pub fn inspect(frame: &[u8], shown: &mut Shown) {
    match event_name(frame) {
        b"content_block_delta" => {
            let bytes = text_bytes(frame);
            shown.text_frames += u64::from(bytes > 0);
            shown.text_bytes += bytes;
        }
        // The first tells the prompt, the others what the answer has come to, and both may tell
        // the other's: what is told last is true.
        b"message_start" | b"message_delta" => {
            if let Some(usage) = value_after(frame, USAGE).and_then(read_json::<UsageObject>) {
                shown.reported = usage.over(shown.reported);
            }
        }
        b"message_stop" => shown.ended = true,
        b"error" => shown.errored = true,
        _ => {}
    }
}

/// Bytes of text in one event or document.
pub fn text_bytes(json: &[u8]) -> u64 {
    TEXTS.iter().map(|name| string_bytes(json, name)).sum()
}

/// What is kept of a document that passes in pieces: of a message its usage, of a count the count.
pub fn captures() -> Box<[Capture]> {
    Box::new([Capture::new(USAGE), Capture::new(b"\"input_tokens\"")])
}

/// The usage of such a document. Counting tokens uses none.
pub fn captured_usage(captures: &[Capture]) -> Option<Usage> {
    let [usage, count] = captures else { return None };
    match usage.value::<UsageObject>() {
        Some(usage) => usage.over(None),
        None => count
            .value::<u64>()
            .map(|_| Usage { source: UsageSource::Reported, ..Usage::default() }),
    }
}

/// Cache reads and writes are told beside `input_tokens`, not within it.
#[derive(Deserialize)]
struct UsageObject {
    input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
}

impl UsageObject {
    /// What is known after this one, where `before` was known.
    fn over(self, before: Option<Usage>) -> Option<Usage> {
        if self.input_tokens.is_none() && self.output_tokens.is_none() {
            return before;
        }
        let before = before.unwrap_or_default();
        let cached = self.cache_read_input_tokens.unwrap_or(before.cached);
        let cache_writes = self.cache_creation_input_tokens.unwrap_or(before.cache_writes);
        let fresh = before.prompt.saturating_sub(before.cached + before.cache_writes);
        let fresh = self.input_tokens.unwrap_or(fresh);
        Some(Usage {
            prompt: fresh.saturating_add(cached).saturating_add(cache_writes),
            completion: self.output_tokens.unwrap_or(before.completion),
            cached,
            cache_writes,
            source: UsageSource::Reported,
            ..before
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(events: &[&str]) -> Option<(u64, u64, u64, u64)> {
        let mut shown = Shown::default();
        for event in events {
            inspect(event.as_bytes(), &mut shown);
        }
        shown
            .reported
            .map(|usage| (usage.prompt, usage.cached, usage.cache_writes, usage.completion))
    }

    #[test]
    fn what_is_told_last_counts_and_caches_stand_beside_the_prompt() {
        let start = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":3,\"cache_creation_input_tokens\":100,\"cache_read_input_tokens\":40,\"output_tokens\":1}}}\n\n";
        let delta = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{},\"usage\":{\"output_tokens\":9}}\n\n";
        let whole = "event: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"input_tokens\":5,\"cache_read_input_tokens\":0,\"output_tokens\":0}}\n\n";
        assert_eq!(told(&[start]), Some((143, 40, 100, 1)));
        assert_eq!(told(&[start, delta]), Some((143, 40, 100, 9)));
        assert_eq!(told(&[start, delta, whole]), Some((105, 0, 100, 0)));
        assert_eq!(told(&["event: message_delta\ndata: {\"usage\":{}}\n\n"]), None);
    }

    #[test]
    fn an_event_without_a_name_is_known_by_its_type() {
        let mut shown = Shown::default();
        inspect(b"data: {\"type\": \"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"}}\n\n", &mut shown);
        inspect(b"data: {\"type\":\"message_stop\"}\n\n", &mut shown);
        assert_eq!((shown.text_frames, shown.text_bytes, shown.ended), (1, 2, true));
    }
}
