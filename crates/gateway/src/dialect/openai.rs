//! OpenAI's dialect: chat completions, completions and embeddings.
//! Source: the provider's API reference, "Chat", "Completions", "Embeddings", "Error codes".

use std::sync::LazyLock;

use bytes::Bytes;
use fluxgate_core::reason::Fault;
use fluxgate_core::usage::UsageSource;
use fluxgate_core::{Reason, Usage};
use memchr::memmem::Finder;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::answer::{Shown, Streamed};
use super::capture::{Capture, read as read_json, string_bytes, value_after, values_of};
use super::frames::Verdict;
use super::outline::{Field, Kind, Outline, StreamOption, Value};
use super::{Ask, Edit, estimate};
use crate::refusal::Refusal;
use crate::router::Endpoint;

/// Reads a request.
///
/// # Errors
/// A field that is missing or of a wrong type.
pub fn read(endpoint: Endpoint, outline: &Outline<'_>) -> Result<Ask, Refusal> {
    let model = super::required_string(outline, Field::Model)?;
    let stream = super::flag(outline, Field::Stream)?.unwrap_or(false);
    for (field, kinds) in expected(endpoint) {
        super::expect_kind(outline, *field, kinds)?;
    }
    let usage_edit =
        if stream && matches!(endpoint, Endpoint::ChatCompletions | Endpoint::Completions) {
            ask_for_usage(outline)?
        } else {
            None
        };
    Ok(Ask {
        stream,
        withhold_usage: usage_edit.is_some(),
        usage_edit,
        choices: if stream { choices(outline) } else { 1 },
        ..Ask::of(model, estimate(outline))
    })
}

/// `n`, and one for each prompt where there are several.
fn choices(outline: &Outline<'_>) -> u32 {
    let n = outline.field(Field::N).and_then(|n| n.as_u64()).unwrap_or(1);
    let prompts = outline.field(Field::Prompt).map_or(1, |prompt| prompts(&prompt));
    u32::try_from(n.saturating_mul(prompts)).unwrap_or(u32::MAX).max(1)
}

/// A list of texts or of token lists is as many prompts; a list of numbers is one.
fn prompts(prompt: &Value<'_>) -> u64 {
    let Ok(all) = serde_json::from_slice::<Vec<&RawValue>>(prompt.raw) else { return 1 };
    let first = all.first().and_then(|first| Kind::of(*first.get().as_bytes().first()?));
    if matches!(first, Some(Kind::String | Kind::Array)) { all.len() as u64 } else { 1 }
}

/// The fields that each route needs or knows, and what they may be.
fn expected(endpoint: Endpoint) -> &'static [(Field, super::Expected)] {
    use super::Expected::{Optional, Required};
    const COUNTS: [(Field, super::Expected); 3] = [
        (Field::MaxTokens, Optional(&[Kind::Number])),
        (Field::MaxCompletionTokens, Optional(&[Kind::Number])),
        (Field::N, Optional(&[Kind::Number])),
    ];
    const TEXT: &[Kind] = &[Kind::String, Kind::Array];
    match endpoint {
        Endpoint::ChatCompletions => {
            const { &[(Field::Messages, Required(&[Kind::Array])), COUNTS[0], COUNTS[1], COUNTS[2]] }
        }
        Endpoint::Completions => const { &[(Field::Prompt, Optional(TEXT)), COUNTS[0], COUNTS[2]] },
        Endpoint::Embeddings => const { &[(Field::Input, Required(TEXT))] },
        _ => &[],
    }
}

/// What makes the stream end with its usage, where the client didn't ask for that itself.
fn ask_for_usage(outline: &Outline<'_>) -> Result<Option<Edit>, Refusal> {
    let (at, until, with): (usize, usize, &'static [u8]) = match outline.field(Field::StreamOptions)
    {
        None => {
            let at = outline.body_open();
            (at, at, br#""stream_options":{"include_usage":true},"#)
        }
        Some(options) => match options.kind {
            Kind::Null => (options.range.start, options.range.end, br#"{"include_usage":true}"#),
            Kind::Object => match outline.stream_option(StreamOption::IncludeUsage) {
                Some(asked) if asked.as_bool() == Some(true) => return Ok(None),
                Some(asked) if asked.is_null() || asked.as_bool() == Some(false) => {
                    (asked.range.start, asked.range.end, b"true")
                }
                Some(_) => {
                    return Err(super::wrong_type("stream_options.include_usage", "a boolean"));
                }
                None if options.is_empty() => {
                    (options.range.start, options.range.end, br#"{"include_usage":true}"#)
                }
                None => {
                    let at = options.range.start + 1;
                    (at, at, br#""include_usage":true,"#)
                }
            },
            _ => return Err(super::wrong_type("stream_options", "an object")),
        },
    };
    Ok(Some(Edit { at, until, with: Bytes::from_static(with) }))
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: ErrorObject<'a>,
}

#[derive(Serialize)]
pub struct ErrorObject<'a> {
    pub message: &'a str,
    r#type: &'a str,
    pub param: Option<&'a str>,
    pub code: &'a str,
}

impl<'a> ErrorObject<'a> {
    pub fn of(refusal: &'a Refusal) -> Self {
        Self {
            message: &refusal.message,
            r#type: error_type(refusal.reason),
            param: refusal.param.as_deref(),
            code: refusal.reason.code(),
        }
    }
}

/// `{"error":{"message","type","param","code"}}`
pub fn refusal(refusal: &Refusal) -> Bytes {
    let body = ErrorBody { error: ErrorObject::of(refusal) };
    serde_json::to_vec(&body).unwrap_or_default().into()
}

/// The official clients raise on a `data:` frame with a top-level `error`.
pub fn error_frame(refused: &Refusal) -> Bytes {
    [b"data: ".as_slice(), &refusal(refused), b"\n\n"].concat().into()
}

fn error_type(reason: Reason) -> &'static str {
    match (reason.status().as_u16(), reason.fault()) {
        (401, _) => "authentication_error",
        (403, _) => "permission_error",
        (404, _) => "not_found_error",
        (429, _) => "rate_limit_error",
        (_, Fault::Client) => "invalid_request_error",
        (_, Fault::Upstream) => "upstream_error",
        (_, Fault::Gateway) => "server_error",
    }
}

static CHOICES: &[u8] = b"\"choices\"";
static USAGE: &[u8] = b"\"usage\"";
static TEXTS: LazyLock<[Finder<'static>; 4]> = LazyLock::new(|| {
    [
        Finder::new(b"\"content\""),
        Finder::new(b"\"text\""),
        Finder::new(b"\"arguments\""),
        Finder::new(b"\"reasoning_content\""),
    ]
});
static CHOICES_FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(CHOICES));
static USAGE_FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(USAGE));
static FINISH_FINDER: LazyLock<Finder<'static>> =
    LazyLock::new(|| Finder::new(b"\"finish_reason\""));

/// Looks at one frame of a stream.
pub fn inspect(frame: &[u8], asked: Streamed, shown: &mut Shown) -> Verdict {
    if CHOICES_FINDER.find(frame).is_none() {
        if is_done(frame) {
            shown.ended = true;
        } else if value_after(frame, b"\"error\"").is_some_and(|value| !value.starts_with(b"null"))
        {
            shown.errored = true;
        } else if let Some(usage) = value_after(frame, USAGE).and_then(read_usage) {
            shown.reported = Some(usage);
        }
        return Verdict::Pass;
    }
    // One kind of text a frame, or so nearly always that an estimate doesn't mind.
    let bytes = TEXTS.iter().map(|name| string_bytes(frame, name)).find(|bytes| *bytes > 0);
    if let Some(bytes) = bytes {
        shown.text_frames += 1;
        shown.text_bytes += bytes;
    }
    if !shown.ended {
        let reasons = values_of(frame, &FINISH_FINDER).filter(|reason| is_a_reason(reason));
        shown.choices_ended += reasons.count() as u64;
        shown.ended = shown.choices_ended >= u64::from(asked.choices);
    }
    if USAGE_FINDER.find(frame).is_some()
        && let Some(usage) = value_after(frame, USAGE).and_then(read_usage)
    {
        shown.reported = Some(usage);
        let no_choices = value_after(frame, CHOICES)
            .and_then(|value| value.strip_prefix(b"["))
            .is_some_and(|value| value.trim_ascii_start().starts_with(b"]"));
        if asked.withhold_usage && no_choices {
            return Verdict::Withhold;
        }
    }
    Verdict::Pass
}

/// A reason of an end: some servers write an empty text for none yet.
fn is_a_reason(value: &[u8]) -> bool {
    value.starts_with(b"\"") && !value.starts_with(b"\"\"")
}

/// Whether the frame's data is the mark that ends a stream; other fields and comments may stand
/// around it (WHATWG HTML §9.2.6).
fn is_done(frame: &[u8]) -> bool {
    frame
        .split(|byte| matches!(byte, b'\n' | b'\r'))
        .filter_map(|line| line.strip_prefix(b"data:"))
        .any(|data| data.trim_ascii() == b"[DONE]")
}

/// Bytes of text in one frame or document.
pub fn text_bytes(json: &[u8]) -> u64 {
    TEXTS.iter().map(|name| string_bytes(json, name)).sum()
}

/// What is kept of a document that passes in pieces.
pub fn captures() -> Box<[Capture]> {
    Box::new([Capture::new(USAGE)])
}

/// The usage of such a document.
pub fn captured_usage(captures: &[Capture]) -> Option<Usage> {
    captures.first()?.value::<UsageObject>()?.usage()
}

fn read_usage(json: &[u8]) -> Option<Usage> {
    read_json::<UsageObject>(json)?.usage()
}

#[derive(Deserialize)]
struct UsageObject {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Deserialize)]
struct PromptDetails {
    cached_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct CompletionDetails {
    reasoning_tokens: Option<u64>,
}

impl UsageObject {
    fn usage(self) -> Option<Usage> {
        // Embeddings report a prompt alone; an object without either isn't a usage.
        if self.prompt_tokens.is_none() && self.completion_tokens.is_none() {
            return None;
        }
        let prompt = self.prompt_tokens_details;
        Some(Usage {
            prompt: self.prompt_tokens.unwrap_or(0),
            completion: self.completion_tokens.unwrap_or(0),
            cached: prompt.as_ref().and_then(|details| details.cached_tokens).unwrap_or(0),
            cache_writes: prompt.and_then(|details| details.cache_write_tokens).unwrap_or(0),
            reasoning: self
                .completion_tokens_details
                .and_then(|details| details.reasoning_tokens)
                .unwrap_or(0),
            source: UsageSource::Reported,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_counted_over_prompts() {
        for (body, choices) in [
            (r#"{"model":"m","stream":true,"prompt":"a"}"#, 1),
            (r#"{"model":"m","stream":true,"prompt":["a","b"],"n":3}"#, 6),
            (r#"{"model":"m","stream":true,"prompt":[[1],[2,3]]}"#, 2),
            (r#"{"model":"m","stream":true,"prompt":[1,2,3]}"#, 1),
            (r#"{"model":"m","stream":true,"prompt":[],"n":0}"#, 1),
            (r#"{"model":"m","prompt":["a","b"],"n":3}"#, 1),
        ] {
            let outline = Outline::read(body.as_bytes()).unwrap();
            assert_eq!(read(Endpoint::Completions, &outline).unwrap().choices, choices, "{body}");
        }
    }
}
