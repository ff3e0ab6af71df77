//! Messages of Ollama's as OpenAI's: text, images, thinking, calls of tools and their results.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::members::kind_of;
use super::request::{invalid, wrong};
use crate::dialect::Refusal;
use crate::dialect::outline::Kind;

/// A message as Ollama's clients send it.
#[derive(Deserialize)]
pub struct Message<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    images: Option<Vec<Cow<'a, str>>>,
    #[serde(borrow)]
    thinking: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<ToolCall<'a>>>,
    #[serde(borrow)]
    tool_name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    tool_call_id: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct ToolCall<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    function: CalledFunction<'a>,
}

#[derive(Deserialize)]
struct CalledFunction<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

/// A message as OpenAI's servers take it.
#[derive(Serialize)]
pub struct OutMessage<'a> {
    role: &'a str,
    content: OutContent<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<OutCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<String>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum OutContent<'a> {
    Text(&'a RawValue),
    Empty(&'static str),
    Parts(Vec<Part<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Part<'a> {
    Text { text: &'a RawValue },
    ImageUrl { image_url: ImageUrl },
}

#[derive(Serialize)]
struct ImageUrl {
    url: String,
}

#[derive(Serialize)]
struct OutCall<'a> {
    id: String,
    r#type: &'static str,
    function: OutFunction<'a>,
}

#[derive(Serialize)]
struct OutFunction<'a> {
    name: &'a str,
    /// JSON in a string, as OpenAI has it.
    arguments: &'a str,
}

/// The beginnings of images in base64: what OpenAI's servers take.
const IMAGE_TYPES: [(&str, &str); 4] = [
    ("iVBORw0KGgo", "image/png"),
    ("/9j/", "image/jpeg"),
    ("R0lGOD", "image/gif"),
    ("UklGR", "image/webp"),
];
const ROLES: [&str; 5] = ["system", "developer", "user", "assistant", "tool"];

/// A call that waits for its result.
struct OpenCall<'a> {
    id: String,
    name: &'a str,
}

/// Translates a conversation. Without `thinking` what the model thought before is left out.
///
/// # Errors
/// A message that no server of OpenAI's dialect could take, by its field.
pub fn translate<'a>(
    messages: &'a [Message<'a>],
    thinking: bool,
) -> Result<Vec<OutMessage<'a>>, Refusal> {
    let (mut open, mut calls) = (Vec::new(), 0);
    let mut translated = Vec::with_capacity(messages.len());
    for (index, message) in messages.iter().enumerate() {
        let field = |name: &str| format!("messages[{index}].{name}");
        if !ROLES.contains(&&*message.role) {
            return Err(wrong(&field("role"), "system, user, assistant or tool"));
        }
        let images = message.images.as_deref().unwrap_or_default();
        let tool_calls = message.tool_calls.as_deref().unwrap_or_default();
        let mut out_calls = Vec::with_capacity(tool_calls.len());
        for call in tool_calls {
            let arguments = arguments(call).ok_or_else(|| {
                wrong(&field("tool_calls"), "calls whose `arguments` are an object")
            })?;
            // Ollama's calls need no id; OpenAI's results name the call that they answer.
            let id = call.id.as_deref().filter(|id| !id.is_empty());
            let id = id.map_or_else(|| format!("call_{calls}"), str::to_owned);
            calls += 1;
            open.push(OpenCall { id: id.clone(), name: &call.function.name });
            let function = OutFunction { name: &call.function.name, arguments };
            out_calls.push(OutCall { id, r#type: "function", function });
        }
        let answers = (message.role == "tool").then(|| answered_call(message, &mut open));
        translated.push(OutMessage {
            role: &message.role,
            content: content(message.content, images, &field)?,
            reasoning_content: message
                .thinking
                .as_deref()
                .filter(|text| thinking && !text.is_empty()),
            tool_calls: out_calls,
            tool_call_id: answers,
        });
    }
    Ok(translated)
}

/// A lone message, as `/api/generate` has them.
///
/// # Errors
/// As [`translate`].
pub fn lone<'a>(
    role: &'static str,
    text: &'a RawValue,
    images: &[Cow<'a, str>],
) -> Result<OutMessage<'a>, Refusal> {
    Ok(OutMessage {
        role,
        content: content(Some(text), images, &str::to_owned)?,
        reasoning_content: None,
        tool_calls: Vec::new(),
        tool_call_id: None,
    })
}

fn content<'a>(
    text: Option<&'a RawValue>,
    images: &[Cow<'_, str>],
    field: &dyn Fn(&str) -> String,
) -> Result<OutContent<'a>, Refusal> {
    let text = match text.map(|text| (kind_of(text), text)) {
        None | Some((Some(Kind::Null), _)) => None,
        Some((Some(Kind::String), text)) => Some(text),
        Some(_) => return Err(wrong(&field("content"), "a string")),
    };
    if images.is_empty() {
        return Ok(text.map_or(OutContent::Empty(""), OutContent::Text));
    }
    let text = text.filter(|text| text.get() != "\"\"").map(|text| Part::Text { text });
    let images = images.iter().enumerate().map(|(index, image)| {
        let url = data_url(image).ok_or_else(|| {
            invalid(
                &field(&format!("images[{index}]")),
                "must be a PNG, JPEG, GIF or WebP image in base64",
            )
        })?;
        Ok(Part::ImageUrl { image_url: ImageUrl { url } })
    });
    let parts: Result<Vec<Part<'_>>, Refusal> = text.map(Ok).into_iter().chain(images).collect();
    parts.map(OutContent::Parts)
}

/// The image as a URL (RFC 2397), its type told from its first bytes.
fn data_url(image: &str) -> Option<String> {
    let (_, media_type) = IMAGE_TYPES.iter().find(|(start, _)| image.starts_with(start))?;
    let base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    image.bytes().all(base64).then(|| format!("data:{media_type};base64,{image}"))
}

fn arguments<'a>(call: &'a ToolCall<'a>) -> Option<&'a str> {
    let Some(arguments) = call.function.arguments else { return Some("{}") };
    match kind_of(arguments)? {
        Kind::Object => Some(arguments.get()),
        Kind::Null => Some("{}"),
        _ => None,
    }
}

/// The id of the call that a result answers: the one it names, else the first that is open under
/// the tool's name, else the first that is open at all.
fn answered_call(message: &Message<'_>, open: &mut Vec<OpenCall<'_>>) -> String {
    let name = message.tool_name.as_deref();
    let position = match message.tool_call_id.as_deref().filter(|id| !id.is_empty()) {
        Some(id) => match open.iter().position(|call| call.id == id) {
            Some(position) => Some(position),
            None => return id.to_owned(),
        },
        None => open
            .iter()
            .position(|call| name.is_none_or(|name| name == call.name))
            .or_else(|| (!open.is_empty()).then_some(0)),
    };
    match position {
        Some(position) => open.remove(position).id,
        None => name.unwrap_or("call").to_owned(),
    }
}
