//! Ollama's dialect: chat, generate, embeddings and show, as newline-delimited JSON.
//! Source: Ollama's docs, "API reference".

use std::borrow::Cow;
use std::sync::LazyLock;

use bytes::Bytes;
use fluxgate_core::Reason;
use fluxgate_core::Usage;
use fluxgate_core::usage::UsageSource;
use memchr::memmem::Finder;
use serde::Serialize;

use super::answer::Shown;
use super::capture::{Capture, read as read_json, string_bytes, value_after};
use super::outline::{Field, Kind, Outline, Value};
use super::{Ask, Expected, estimate};
use crate::refusal::Refusal;
use crate::router::Endpoint;

/// Reads a request.
///
/// # Errors
/// A field that is missing or of a wrong type; an unload.
pub fn read(endpoint: Endpoint, outline: &Outline<'_>) -> Result<Ask, Refusal> {
    let named = if outline.field(Field::Model).is_some() { Field::Model } else { Field::Name };
    let model = match named {
        // The older routes took the model under `name`.
        Field::Name if outline.field(Field::Name).is_none() => {
            return Err(super::missing("model"));
        }
        field => super::required_string(outline, field)?,
    };
    let generates = matches!(endpoint, Endpoint::OllamaChat | Endpoint::OllamaGenerate);
    let stream = generates && super::flag(outline, Field::Stream)?.unwrap_or(true);
    super::expect_kind(outline, Field::Options, &Expected::Optional(&[Kind::Object]))?;
    let load_only = match endpoint {
        Endpoint::OllamaChat => {
            super::expect_kind(outline, Field::Messages, &Expected::Required(&[Kind::Array]))?;
            outline.field(Field::Messages).is_some_and(|messages| messages.is_empty())
        }
        Endpoint::OllamaGenerate => {
            super::expect_kind(outline, Field::Prompt, &Expected::Optional(&[Kind::String]))?;
            outline.field(Field::Prompt).is_none_or(|prompt| prompt.is_null() || prompt.is_empty())
        }
        _ => false,
    };
    if load_only && outline.field(Field::KeepAlive).is_some_and(|value| is_zero(&value)) {
        return Err(Refusal::new(
            Reason::UnloadRefused,
            "Models are unloaded on the model server itself, not through the gateway.",
        )
        .param("keep_alive"));
    }
    Ok(Ask { stream, load_only, ..Ask::of(model, estimate(outline)) })
}

/// A `keep_alive` of nothing: the number 0, or a duration such as `"0"` or `"0m"`.
fn is_zero(keep_alive: &Value<'_>) -> bool {
    match keep_alive.kind {
        Kind::Number => std::str::from_utf8(keep_alive.raw)
            .ok()
            .and_then(|text| text.parse::<f64>().ok())
            .is_some_and(|seconds| seconds == 0.0),
        Kind::String => keep_alive.as_str().is_some_and(|text| {
            let digits = text.trim_start_matches(['+', '-']);
            digits.starts_with('0') && digits.bytes().all(|byte| !(b'1'..=b'9').contains(&byte))
        }),
        _ => false,
    }
}

/// The name in full, as the registry has it: `llama3` is `registry.ollama.ai/library/llama3:latest`.
/// The default registry and namespace are left out, the tag stands always.
#[must_use]
pub fn canonical_name(model: &str) -> String {
    tagged_name(model).to_ascii_lowercase()
}

/// The same in the letters that it was written in.
#[must_use]
pub fn tagged_name(model: &str) -> Cow<'_, str> {
    let short = model.strip_prefix("registry.ollama.ai/").unwrap_or(model);
    let short = short.strip_prefix("library/").unwrap_or(short);
    let last = short.rsplit('/').next().unwrap_or(short);
    if last.contains(':') { short.into() } else { format!("{short}:latest").into() }
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: &'a str,
    code: &'a str,
}

/// `{"error":"…","code":"…"}`
pub fn refusal(refusal: &Refusal) -> Bytes {
    let body = ErrorBody { error: &refusal.message, code: refusal.reason.code() };
    serde_json::to_vec(&body).unwrap_or_default().into()
}

/// The same as one line of a stream: the official clients raise on it.
pub fn refusal_line(refused: &Refusal) -> Bytes {
    [refusal(refused).as_ref(), b"\n"].concat().into()
}

#[derive(Serialize)]
struct Loaded<'a> {
    model: &'a str,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<LoadedMessage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<&'a str>,
    done: bool,
    done_reason: &'a str,
}

#[derive(Serialize)]
struct LoadedMessage {
    role: &'static str,
    content: &'static str,
}

/// What Ollama answers when a model is only to be loaded.
pub fn loaded(endpoint: Endpoint, model: &str) -> Bytes {
    let chat = endpoint == Endpoint::OllamaChat;
    let body = Loaded {
        model,
        created_at: chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true),
        message: chat.then_some(LoadedMessage { role: "assistant", content: "" }),
        response: (!chat).then_some(""),
        done: true,
        done_reason: "load",
    };
    let mut line = serde_json::to_vec(&body).unwrap_or_default();
    line.push(b'\n');
    line.into()
}

static PROMPT_COUNT: &[u8] = b"\"prompt_eval_count\"";
static COMPLETION_COUNT: &[u8] = b"\"eval_count\"";
static TEXTS: LazyLock<[Finder<'static>; 3]> = LazyLock::new(|| {
    [Finder::new(b"\"content\""), Finder::new(b"\"response\""), Finder::new(b"\"thinking\"")]
});

/// Looks at one line of a stream.
pub fn inspect(line: &[u8], shown: &mut Shown) {
    let bytes = text_bytes(line);
    if bytes > 0 {
        shown.text_frames += 1;
        shown.text_bytes += bytes;
    }
    if value_after(line, b"\"done\"").is_some_and(|value| value.starts_with(b"true")) {
        shown.ended = true;
        shown.reported = counts(
            value_after(line, PROMPT_COUNT).and_then(read_json),
            value_after(line, COMPLETION_COUNT).and_then(read_json),
        );
    } else if bytes == 0 && value_after(line, b"\"error\"").is_some() {
        shown.errored = true;
    }
}

/// Bytes of text in one line or document.
pub fn text_bytes(json: &[u8]) -> u64 {
    TEXTS.iter().map(|name| string_bytes(json, name)).sum()
}

/// What is kept of a document that passes in pieces.
pub fn captures() -> Box<[Capture]> {
    Box::new([Capture::new(PROMPT_COUNT), Capture::new(COMPLETION_COUNT)])
}

/// The usage of such a document.
pub fn captured_usage(captures: &[Capture]) -> Option<Usage> {
    let mut values = captures.iter().map(Capture::value::<u64>);
    counts(values.next().flatten(), values.next().flatten())
}

/// Ollama leaves a count out where it is zero, such as a prompt found whole in its cache.
fn counts(prompt: Option<u64>, completion: Option<u64>) -> Option<Usage> {
    if prompt.is_none() && completion.is_none() {
        return None;
    }
    Some(Usage {
        prompt: prompt.unwrap_or(0),
        completion: completion.unwrap_or(0),
        source: UsageSource::Reported,
        ..Usage::default()
    })
}
