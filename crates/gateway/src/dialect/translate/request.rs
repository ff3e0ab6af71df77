//! A request of Ollama's, written anew as one of OpenAI's.

use std::borrow::Cow;

use bytes::Bytes;
use fluxgate_core::Reason;
use fluxgate_core::config::MaxTokensField;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Form;
use super::dropped::Dropped;
use super::fault::{invalid, unreadable, wrong};
use super::members::{Members, kind_of};
use super::messages::{self, Message};
use super::shared_fields::{Common, present};
use super::spelling::other_letters;
use crate::dialect::Edit;
use crate::dialect::outline::Kind;
use crate::refusal::Refusal;
use crate::router::Endpoint;

const CHAT: &str = "/v1/chat/completions";
const TEXT: &str = "/v1/completions";
const EMBEDDINGS: &str = "/v1/embeddings";

/// What the request is written for.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The model as the server itself names it.
    pub model: &'a str,
    pub max_tokens_field: MaxTokensField,
    /// Whether it takes members that OpenAI's API doesn't have.
    pub extra_fields: bool,
}

/// A request as it goes up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    pub form: Form,
    pub path: &'static str,
    pub body: Bytes,
    /// Asks the stream for its usage, where the server takes that.
    pub usage_edit: Option<Edit>,
    /// Members in it that OpenAI's API doesn't have.
    pub extras: Vec<&'static str>,
    /// What has no counterpart.
    pub dropped: Dropped,
    /// How many vectors it asks for, where it does.
    pub vectors: Option<usize>,
}

/// A request that is being written.
#[derive(Debug)]
pub struct Writing<'a> {
    pub target: Target<'a>,
    pub members: Members,
    pub extras: Vec<&'static str>,
    pub dropped: Dropped,
}

impl<'a> Writing<'a> {
    fn new(target: Target<'a>) -> Self {
        let mut members = Members::new();
        members.put("model", target.model);
        Self { target, members, extras: Vec::new(), dropped: Dropped::default() }
    }

    /// Writes a member that OpenAI's API doesn't have, or notes that it is dropped.
    pub fn extra(
        &mut self,
        field: &str,
        names: &[&'static str],
        value: &(impl serde::Serialize + ?Sized),
    ) {
        if !self.target.extra_fields {
            return self.dropped.note(field);
        }
        for name in names {
            self.members.put(name, value);
        }
        self.extras.extend(names);
    }

    /// The same for one that was written elsewhere, deep in the request.
    pub fn note_extra(&mut self, field: &str, name: &'static str) {
        if self.target.extra_fields {
            self.extras.push(name);
        } else {
            self.dropped.note(field);
        }
    }

    fn end(self, form: Form, path: &'static str, stream: bool) -> Request {
        const USAGE: &[u8] = br#""stream_options":{"include_usage":true},"#;
        // The body begins with a brace and has a model.
        let edit = Edit { at: 1, until: 1, with: Bytes::from_static(USAGE) };
        Request {
            form,
            path,
            body: self.members.end().into(),
            usage_edit: stream.then_some(edit),
            extras: self.extras,
            dropped: self.dropped,
            vectors: None,
        }
    }
}

/// Translates a request's body.
///
/// # Errors
/// A field of a wrong type, or one that matters and has no counterpart: by its name.
pub fn request(endpoint: Endpoint, body: &[u8], target: Target<'_>) -> Result<Request, Refusal> {
    match endpoint {
        Endpoint::OllamaChat => chat(&read(body)?, target),
        Endpoint::OllamaGenerate => generate(&read(body)?, target),
        Endpoint::OllamaEmbed => embed(&read(body)?, target),
        Endpoint::OllamaEmbeddings => embeddings(&read(body)?, target),
        _ => Err(Refusal::new(Reason::UnknownRoute, "This route can't be translated.")),
    }
}

#[derive(Deserialize)]
struct Chat<'a> {
    #[serde(borrow)]
    messages: Vec<Message<'a>>,
    #[serde(borrow)]
    tools: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    tool_choice: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Generate<'a> {
    #[serde(borrow)]
    prompt: Option<&'a RawValue>,
    #[serde(borrow)]
    suffix: Option<Cow<'a, str>>,
    #[serde(borrow)]
    system: Option<&'a RawValue>,
    #[serde(borrow)]
    template: Option<Cow<'a, str>>,
    #[serde(borrow)]
    context: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    images: Option<Vec<&'a RawValue>>,
    raw: Option<bool>,
}

#[derive(Deserialize)]
struct Embed<'a> {
    #[serde(borrow)]
    input: &'a RawValue,
    dimensions: Option<u32>,
}

#[derive(Deserialize)]
struct Embeddings<'a> {
    #[serde(borrow)]
    prompt: &'a RawValue,
}

/// A body's own members, and those that other routes have too. Two passes instead of serde's
/// `flatten`, which would build a tree.
struct Read<'a, T> {
    own: T,
    common: Common<'a>,
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<Read<'a, T>, Refusal> {
    let read = Read { own: read_as(body)?, common: read_as(body)? };
    match other_letters(body) {
        None => Ok(read),
        Some(field) => {
            let text = format!("The field `{field}` stands in other letters than its own.");
            Err(Refusal::new(Reason::AmbiguousField, text).param(field))
        }
    }
}

fn read_as<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refusal> {
    let mut json = serde_json::Deserializer::from_slice(body);
    serde_path_to_error::deserialize(&mut json)
        .map_err(|error| unreadable(error.path(), error.inner()))
}

fn chat(read: &Read<'_, Chat<'_>>, target: Target<'_>) -> Result<Request, Refusal> {
    let Read { own, common } = read;
    let mut to = Writing::new(target);
    to.members.put("messages", &messages::translate(&own.messages, target.extra_fields)?);
    if own.messages.iter().any(Message::has_thinking) {
        to.note_extra("thinking", "reasoning_content");
    }
    if let Some(tools) = own.tools.as_ref().filter(|tools| !tools.is_empty()) {
        if let Some(index) = tools.iter().position(|tool| kind_of(tool) != Some(Kind::Object)) {
            return Err(wrong(&format!("tools[{index}]"), "an object"));
        }
        to.members.put("tools", tools);
    }
    if let Some(choice) = present(own.tool_choice) {
        if !is_tool_choice(choice) {
            return Err(wrong("tool_choice", "auto, none, required or a function's name"));
        }
        to.members.put("tool_choice", choice);
    }
    common.write(&mut to, Form::Chat)?;
    Ok(to.end(Form::Chat, CHAT, common.streams()))
}

fn generate(read: &Read<'_, Generate<'_>>, target: Target<'_>) -> Result<Request, Refusal> {
    let Read { own, common } = read;
    let untranslatable = [
        ("template", own.template.as_ref().is_some_and(|text| !text.is_empty())),
        ("context", own.context.as_ref().is_some_and(|tokens| !tokens.is_empty())),
    ];
    for (field, given) in untranslatable {
        if given {
            return Err(invalid(field, "can't be sent to the servers of this model"));
        }
    }
    let prompt = text(own.prompt, "prompt")?;
    let system = text(own.system, "system")?.filter(|text| text.get() != "\"\"");
    let images = own.images.as_deref().unwrap_or_default();
    let suffix = own.suffix.as_deref().filter(|suffix| !suffix.is_empty());
    if own.raw == Some(true) || suffix.is_some() {
        let beside = [("system", system.is_some()), ("images", !images.is_empty())];
        for (field, given) in beside {
            if given {
                return Err(invalid(field, "can't stand beside `raw` or `suffix`"));
            }
        }
        let mut to = Writing::new(target);
        to.members.put_some("prompt", prompt);
        to.members.put_some("suffix", suffix);
        common.write(&mut to, Form::Text)?;
        return Ok(to.end(Form::Text, TEXT, common.streams()));
    }
    let mut conversation = Vec::with_capacity(2);
    if let Some(system) = system {
        conversation.push(messages::lone("system", system, &[])?);
    }
    if let Some(prompt) = prompt {
        conversation.push(messages::lone("user", prompt, images)?);
    }
    let mut to = Writing::new(target);
    to.members.put("messages", &conversation);
    common.write(&mut to, Form::Generate)?;
    Ok(to.end(Form::Generate, CHAT, common.streams()))
}

fn embed(read: &Read<'_, Embed<'_>>, target: Target<'_>) -> Result<Request, Refusal> {
    let Read { own, common } = read;
    let vectors =
        inputs(own.input).ok_or_else(|| wrong("input", "a string or an array of strings"))?;
    let mut to = Writing::new(target);
    to.members.put("input", own.input);
    to.members.put_some("dimensions", own.dimensions.as_ref());
    common.drop_all(&mut to);
    Ok(Request { vectors: Some(vectors), ..to.end(Form::Embed, EMBEDDINGS, false) })
}

/// How many texts there are; `None` where they aren't.
fn inputs(input: &RawValue) -> Option<usize> {
    match kind_of(input)? {
        Kind::String => Some(1),
        Kind::Array => {
            let all: Vec<&RawValue> = serde_json::from_str(input.get()).ok()?;
            all.iter().all(|text| kind_of(text) == Some(Kind::String)).then_some(all.len())
        }
        _ => None,
    }
}

fn embeddings(read: &Read<'_, Embeddings<'_>>, target: Target<'_>) -> Result<Request, Refusal> {
    let Some(prompt) = text(Some(read.own.prompt), "prompt")? else {
        return Err(invalid("prompt", "is required"));
    };
    let mut to = Writing::new(target);
    to.members.put("input", prompt);
    read.common.drop_all(&mut to);
    Ok(Request { vectors: Some(1), ..to.end(Form::Embeddings, EMBEDDINGS, false) })
}

fn text<'a>(
    value: Option<&'a RawValue>,
    field: &'static str,
) -> Result<Option<&'a RawValue>, Refusal> {
    match present(value) {
        Some(value) if kind_of(value) != Some(Kind::String) => Err(wrong(field, "a string")),
        value => Ok(value),
    }
}

/// OpenAI's own words, or an object that names a function.
fn is_tool_choice(choice: &RawValue) -> bool {
    matches!(choice.get(), "\"auto\"" | "\"none\"" | "\"required\"")
        || kind_of(choice) == Some(Kind::Object)
}
