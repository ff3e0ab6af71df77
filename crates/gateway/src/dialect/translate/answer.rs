//! What a server of OpenAI's dialect says, a chunk or a whole document at a time, as Ollama's
//! clients read it. Strings pass as they stand in the JSON: they are neither unescaped nor escaped.

use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::{SecondsFormat, Utc};
use fluxgate_core::Usage;
use fluxgate_core::usage::UsageSource;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

use super::members::{Members, kind_of};
use super::{Asked, Form};
use crate::dialect::outline::Kind;

/// An answer that isn't OpenAI's, or that Ollama's dialect has no words for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("the answer can't be translated")]
pub struct Untranslatable;

/// A chunk of a stream, or a document: they differ in one name.
#[derive(Deserialize)]
pub struct Chunk<'a> {
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub choices: Vec<Choice<'a>>,
    /// What some servers put into a stream that they can't finish.
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    detail: Option<&'a RawValue>,
    #[serde(borrow)]
    object: Option<&'a RawValue>,
    /// llama.cpp's own; another server's may be anything.
    #[serde(borrow)]
    timings: Option<&'a RawValue>,
}

impl Chunk<'_> {
    /// Whether the server says that it failed.
    pub fn is_error(&self) -> bool {
        let given = |value: Option<&RawValue>| value.is_some_and(|value| value.get() != "null");
        given(self.error)
            || self.object.is_some_and(|object| object.get() == "\"error\"")
            || self.choices.is_empty() && given(self.detail)
            || self
                .choices
                .iter()
                .any(|choice| given(choice.error) || choice.finish_reason() == Some("error"))
    }

    pub fn timings(&self) -> Option<Timings> {
        serde_json::from_str(self.timings?.get()).ok()
    }
}

/// `null` and absent are the same.
fn or_default<'de, T: Deserialize<'de> + Default, D: Deserializer<'de>>(
    value: D,
) -> Result<T, D::Error> {
    Option::deserialize(value).map(Option::unwrap_or_default)
}

#[derive(Deserialize)]
pub struct Choice<'a> {
    #[serde(default, deserialize_with = "or_default")]
    pub index: u32,
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
    /// A document's; some servers repeat it in every chunk.
    #[serde(borrow)]
    message: Option<Delta<'a>>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    pub text: Option<&'a RawValue>,
    #[serde(borrow)]
    pub finish_reason: Option<&'a RawValue>,
    #[serde(borrow)]
    pub logprobs: Option<Logprobs<'a>>,
}

#[derive(Deserialize)]
pub struct Delta<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
    /// As llama.cpp and DeepSeek call it, and as vLLM and others do.
    #[serde(borrow)]
    reasoning_content: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub tool_calls: Option<Vec<CallPart<'a>>>,
}

#[derive(Deserialize)]
pub struct CallPart<'a> {
    #[serde(default)]
    pub index: Option<u32>,
    pub id: Option<String>,
    #[serde(borrow)]
    pub function: Option<FunctionPart<'a>>,
}

#[derive(Deserialize)]
pub struct FunctionPart<'a> {
    #[serde(borrow)]
    pub name: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow)]
    pub arguments: Option<std::borrow::Cow<'a, str>>,
}

#[derive(Deserialize)]
pub struct Logprobs<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

/// What llama.cpp's server measured itself, in milliseconds.
#[derive(Clone, Copy, Deserialize, Debug)]
pub struct Timings {
    prompt_ms: f64,
    predicted_ms: f64,
}

/// A call whose arguments are complete.
#[derive(Debug)]
pub struct Call {
    pub id: String,
    pub name: String,
    /// JSON, as it was put together.
    pub arguments: String,
}

/// What one line says; text as JSON strings.
#[derive(Default)]
pub struct Said<'a> {
    pub text: Option<&'a RawValue>,
    pub thinking: Option<&'a RawValue>,
    pub calls: &'a [Call],
    pub logprobs: Option<&'a RawValue>,
}

impl Said<'_> {
    pub fn is_nothing(&self) -> bool {
        self.text.is_none() && self.thinking.is_none() && self.calls.is_empty()
    }
}

impl<'a> Choice<'a> {
    /// What it says, its calls left out.
    pub fn said(&self) -> Result<Said<'a>, Untranslatable> {
        let logprobs = self.logprobs.as_ref().and_then(|logprobs| text_or_list(logprobs.content));
        let (mut text, mut thinking) = (string(self.text)?, None);
        if let Some(delta) = self.message() {
            text = string(delta.content)?.or(string(delta.refusal)?).or(text);
            thinking = string(delta.reasoning_content)?.or(string(delta.reasoning)?);
        }
        Ok(Said { text, thinking, calls: &[], logprobs })
    }

    /// `None` until it ends: some servers write an empty text for that.
    pub fn finish_reason(&self) -> Option<&'a str> {
        let reason = self.finish_reason?.get();
        reason.strip_prefix('"')?.strip_suffix('"').filter(|reason| !reason.is_empty())
    }

    pub fn calls(&self) -> &[CallPart<'a>] {
        self.message().and_then(|message| message.tool_calls.as_deref()).unwrap_or_default()
    }

    fn message(&self) -> Option<&Delta<'a>> {
        self.delta.as_ref().or(self.message.as_ref())
    }
}

/// A string with something in it; `null` and an empty one say nothing.
fn string(value: Option<&RawValue>) -> Result<Option<&RawValue>, Untranslatable> {
    match value.map(|value| (kind_of(value), value)) {
        None | Some((Some(Kind::Null), _)) => Ok(None),
        Some((Some(Kind::String), value)) => Ok(Some(value).filter(|text| text.get() != "\"\"")),
        Some(_) => Err(Untranslatable),
    }
}

fn text_or_list(value: Option<&RawValue>) -> Option<&RawValue> {
    value.filter(|value| kind_of(value) == Some(Kind::Array))
}

#[derive(Serialize)]
struct OutCall<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    id: &'a str,
    function: OutFunction<'a>,
}

#[derive(Serialize)]
struct OutFunction<'a> {
    index: usize,
    name: &'a str,
    arguments: &'a RawValue,
}

/// How an answer ended.
pub struct End<'a> {
    /// OpenAI's reason.
    pub reason: &'a str,
    pub usage: Option<Usage>,
    pub timings: Option<Timings>,
    /// Until the first text came, and from then on, as we saw it.
    pub prompt: Option<Duration>,
    pub completion: Option<Duration>,
}

/// Writes one object of an answer: a line of a stream, or all of it.
///
/// # Errors
/// Arguments of a call that aren't a JSON object.
pub fn object(
    asked: &Asked,
    said: &Said<'_>,
    end: Option<&End<'_>>,
) -> Result<Vec<u8>, Untranslatable> {
    let mut members = Members::new();
    members.put("model", &asked.model);
    members.put("created_at", &Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true));
    if asked.form == Form::Chat {
        let mut message = Members::new();
        message.put("role", "assistant");
        put_said(&mut message, "content", said)?;
        members.put_written("message", message);
    } else {
        put_said(&mut members, "response", said)?;
    }
    members.put_some("logprobs", said.logprobs);
    members.put("done", &end.is_some());
    if let Some(end) = end {
        put_end(&mut members, asked, end);
    }
    Ok(members.end())
}

fn put_said(
    members: &mut Members,
    text: &'static str,
    said: &Said<'_>,
) -> Result<(), Untranslatable> {
    match said.text {
        Some(value) => members.put(text, value),
        None => members.put(text, ""),
    }
    members.put_some("thinking", said.thinking);
    if !said.calls.is_empty() {
        let calls = said.calls.iter().enumerate().map(|(index, call)| {
            let function = OutFunction { index, name: &call.name, arguments: call.arguments()? };
            Ok(OutCall { id: &call.id, function })
        });
        members.put("tool_calls", &calls.collect::<Result<Vec<_>, _>>()?);
    }
    Ok(())
}

fn put_end(members: &mut Members, asked: &Asked, end: &End<'_>) {
    // Ollama has no reason of its own for a call of a tool.
    let reason = if end.reason == "tool_calls" { "stop" } else { end.reason };
    members.put("done_reason", reason);
    members.put("total_duration", &nanos(asked.started.elapsed()));
    // Nobody loaded a model for this request, as far as is known here.
    members.put("load_duration", &0);
    let measured = end.timings.map(Timings::durations);
    let (prompt, completion) = measured.unwrap_or((end.prompt, end.completion));
    let reported = end.usage.filter(|usage| usage.source == UsageSource::Reported);
    members.put_some("prompt_eval_count", reported.map(|usage| usage.prompt).as_ref());
    members.put_some("prompt_eval_duration", prompt.map(nanos).as_ref());
    members.put_some("eval_count", reported.map(|usage| usage.completion).as_ref());
    members.put_some("eval_duration", completion.map(nanos).as_ref());
}

impl Timings {
    fn durations(self) -> (Option<Duration>, Option<Duration>) {
        let duration = |ms: f64| Duration::try_from_secs_f64(ms / 1_000.0).ok();
        (duration(self.prompt_ms), duration(self.predicted_ms))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Translates a whole answer.
///
/// # Errors
/// One that isn't what OpenAI's servers answer.
pub fn document(
    asked: &Asked,
    body: &[u8],
    usage: Usage,
    sent: Instant,
) -> Result<Bytes, Untranslatable> {
    match asked.form {
        Form::Chat | Form::Generate | Form::Text => completion(asked, body, usage, sent),
        Form::Embed | Form::Embeddings => vectors(asked, body, usage),
    }
}

fn completion(
    asked: &Asked,
    body: &[u8],
    usage: Usage,
    sent: Instant,
) -> Result<Bytes, Untranslatable> {
    let chunk: Chunk<'_> = serde_json::from_slice(body).map_err(|_| Untranslatable)?;
    let choice = chunk.choices.iter().find(|choice| choice.index == 0).ok_or(Untranslatable)?;
    let reason = choice.finish_reason().unwrap_or("stop");
    let calls = Call::passable(choice.calls().iter().map(Call::whole).collect(), reason);
    let said = Said { calls: &calls, ..choice.said()? };
    let end = End {
        reason,
        usage: Some(usage),
        timings: chunk.timings(),
        prompt: None,
        completion: Some(sent.elapsed()),
    };
    object(asked, &said, Some(&end)).map(Bytes::from)
}

impl Call {
    /// The calls that can be told: an answer that was cut at its length may hold half of one.
    pub fn passable(mut calls: Vec<Self>, reason: &str) -> Vec<Self> {
        if reason == "length" {
            calls.retain(|call| call.arguments().is_ok());
        }
        calls
    }

    fn arguments(&self) -> Result<&RawValue, Untranslatable> {
        let arguments = if self.arguments.trim().is_empty() { "{}" } else { &self.arguments };
        let arguments: &RawValue = serde_json::from_str(arguments).map_err(|_| Untranslatable)?;
        let sound = !self.name.is_empty() && kind_of(arguments) == Some(Kind::Object);
        if sound { Ok(arguments) } else { Err(Untranslatable) }
    }

    fn whole(part: &CallPart<'_>) -> Self {
        let function = part.function.as_ref();
        let text = |value: Option<&std::borrow::Cow<'_, str>>| {
            value.map(|text| text.to_string()).unwrap_or_default()
        };
        Self {
            id: part.id.clone().unwrap_or_default(),
            name: text(function.and_then(|function| function.name.as_ref())),
            arguments: text(function.and_then(|function| function.arguments.as_ref())),
        }
    }
}

#[derive(Deserialize)]
struct Embeddings<'a> {
    #[serde(borrow)]
    data: Vec<Embedding<'a>>,
}

#[derive(Deserialize)]
struct Embedding<'a> {
    #[serde(default)]
    index: u32,
    #[serde(borrow)]
    embedding: &'a RawValue,
}

fn vectors(asked: &Asked, body: &[u8], usage: Usage) -> Result<Bytes, Untranslatable> {
    let mut answer: Embeddings<'_> = serde_json::from_slice(body).map_err(|_| Untranslatable)?;
    if asked.vectors.is_some_and(|count| count != answer.data.len()) {
        return Err(Untranslatable);
    }
    if answer.data.iter().any(|entry| kind_of(entry.embedding) != Some(Kind::Array)) {
        return Err(Untranslatable);
    }
    answer.data.sort_by_key(|entry| entry.index);
    let vectors: Vec<&RawValue> = answer.data.iter().map(|entry| entry.embedding).collect();
    let mut members = Members::new();
    if asked.form == Form::Embeddings {
        members.put("embedding", vectors.first().ok_or(Untranslatable)?);
        return Ok(members.end().into());
    }
    members.put("model", &asked.model);
    members.put("embeddings", &vectors);
    members.put("total_duration", &nanos(asked.started.elapsed()));
    members.put("load_duration", &0);
    if usage.source == UsageSource::Reported {
        members.put("prompt_eval_count", &usage.prompt);
    }
    Ok(members.end().into())
}
