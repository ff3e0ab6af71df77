//! Messages of Ollama's as OpenAI's: text, images, thinking, calls of tools and their results.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::fault::{invalid, wrong};
use super::members::kind_of;
use crate::dialect::outline::Kind;
use crate::refusal::Refusal;

/// A message as Ollama's clients send it.
#[derive(Deserialize)]
pub struct Message<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    images: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
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
    reasoning_content: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<OutCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<Cow<'a, str>>,
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
    ImageUrl { image_url: ImageUrl<'a> },
}

#[derive(Serialize)]
struct ImageUrl<'a> {
    url: DataUrl<'a>,
}

/// An image as a URL (RFC 2397).
struct DataUrl<'a> {
    media_type: &'static str,
    base64: Cow<'a, str>,
}

#[derive(Serialize)]
struct OutCall<'a> {
    id: Cow<'a, str>,
    r#type: &'static str,
    function: OutFunction<'a>,
}

#[derive(Serialize)]
struct OutFunction<'a> {
    name: &'a str,
    /// JSON in a string, as OpenAI has it.
    arguments: &'a str,
}

/// What begins an image of base64 that OpenAI's servers take, and how much of it tells.
const HEAD_CHARS: usize = 16;
const ROLES: [&str; 5] = ["system", "developer", "user", "assistant", "tool"];

/// The calls of a conversation whose results haven't come yet. However many there are, each is
/// found at once.
#[derive(Default)]
struct OpenCalls<'a> {
    /// In their order; `None` once it is answered.
    ids: Vec<Option<Cow<'a, str>>>,
    by_id: HashMap<Cow<'a, str>, usize>,
    by_name: HashMap<&'a str, VecDeque<usize>>,
    /// Nothing before it is open.
    first: usize,
    /// The clients' own, which ours must not repeat.
    given: HashSet<&'a str>,
}

impl<'a> OpenCalls<'a> {
    fn of(messages: &'a [Message<'a>]) -> Self {
        let calls = messages.iter().flat_map(|message| message.tool_calls.iter().flatten());
        let given = calls.filter_map(|call| call.id.as_deref()).collect();
        Self { given, ..Self::default() }
    }

    /// Opens a call and gives its id: the client's, else one that we make.
    fn open(&mut self, call: &'a ToolCall<'a>) -> Cow<'a, str> {
        let index = self.ids.len();
        let given = call.id.as_deref().filter(|id| !id.is_empty()).map(Cow::Borrowed);
        let id = given.unwrap_or_else(|| {
            let mut id = format!("call_{index}");
            while self.given.contains(&*id) {
                id.push('_');
            }
            Cow::Owned(id)
        });
        self.ids.push(Some(id.clone()));
        self.by_id.insert(id.clone(), index);
        self.by_name.entry(&call.function.name).or_default().push_back(index);
        id
    }

    /// The id of the call that a result answers: the one it names, else the first that is open
    /// under the tool's name, else the first that is open at all.
    fn answer(&mut self, message: &'a Message<'a>) -> Cow<'a, str> {
        let name = message.tool_name.as_deref();
        if let Some(id) = message.tool_call_id.as_deref().filter(|id| !id.is_empty()) {
            let open = self.by_id.get(id).and_then(|index| self.ids.get_mut(*index));
            return open.and_then(Option::take).unwrap_or(Cow::Borrowed(id));
        }
        let named = name.and_then(|name| self.by_name.get_mut(name));
        for index in
            named.into_iter().flat_map(|indices| std::iter::from_fn(|| indices.pop_front()))
        {
            if let Some(id) = self.ids.get_mut(index).and_then(Option::take) {
                return id;
            }
        }
        while let Some(call) = self.ids.get_mut(self.first) {
            self.first += 1;
            if let Some(id) = call.take() {
                return id;
            }
        }
        Cow::Borrowed(name.unwrap_or("call"))
    }
}

/// Translates a conversation. Without `thinking` what the model thought before is left out.
///
/// # Errors
/// A message that no server of OpenAI's dialect could take, by its field.
pub fn translate<'a>(
    messages: &'a [Message<'a>],
    thinking: bool,
) -> Result<Vec<OutMessage<'a>>, Refusal> {
    let mut open = OpenCalls::of(messages);
    let mut translated = Vec::with_capacity(messages.len());
    for (index, message) in messages.iter().enumerate() {
        let field = |name: &str| format!("messages[{index}].{name}");
        if !ROLES.contains(&&*message.role) {
            return Err(wrong(&field("role"), "system, user, assistant or tool"));
        }
        let calls = message.tool_calls.as_deref().unwrap_or_default().iter().map(|call| {
            let arguments = arguments(call).ok_or_else(|| {
                wrong(&field("tool_calls"), "calls whose `arguments` are an object")
            })?;
            let function = OutFunction { name: &call.function.name, arguments };
            Ok(OutCall { id: open.open(call), r#type: "function", function })
        });
        let tool_calls = calls.collect::<Result<Vec<_>, Refusal>>()?;
        let images = message.images.as_deref().unwrap_or_default();
        translated.push(OutMessage {
            role: &message.role,
            content: content(message.content, images, &field)?,
            reasoning_content: message.thinking().filter(|_| thinking),
            tool_calls,
            tool_call_id: (message.role == "tool").then(|| open.answer(message)),
        });
    }
    Ok(translated)
}

impl<'a> Message<'a> {
    /// Whether it says what the model thought.
    pub fn has_thinking(&self) -> bool {
        self.thinking().is_some()
    }

    fn thinking(&self) -> Option<&'a RawValue> {
        let text = self.thinking.filter(|text| kind_of(text) == Some(Kind::String))?;
        Some(text).filter(|text| text.get() != "\"\"")
    }
}

/// A lone message, as `/api/generate` has them.
///
/// # Errors
/// As [`translate`].
pub fn lone<'a>(
    role: &'static str,
    text: &'a RawValue,
    images: &[&'a RawValue],
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
    images: &[&'a RawValue],
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

/// The image with the type that its first bytes tell.
fn data_url<'a>(image: &'a RawValue) -> Option<DataUrl<'a>> {
    let written = image.get().strip_prefix('"')?.strip_suffix('"')?;
    // Some encoders write a slash as `\/`.
    let base64 = if written.contains('\\') {
        Cow::Owned(serde_json::from_str(image.get()).ok()?)
    } else {
        Cow::Borrowed(written)
    };
    let digits = base64.trim_end_matches('=');
    let digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    if base64.len() - digits.len() > 2 || !digits.bytes().all(digit) {
        return None;
    }
    let head = STANDARD_NO_PAD.decode(digits.get(..HEAD_CHARS)?).ok()?;
    let media_type = match head.as_slice() {
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        [0xff, 0xd8, 0xff, ..] => "image/jpeg",
        [b'G', b'I', b'F', b'8', ..] => "image/gif",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "image/webp",
        _ => return None,
    };
    Some(DataUrl { media_type, base64 })
}

impl Serialize for DataUrl<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("data:{};base64,{}", self.media_type, self.base64))
    }
}

fn arguments<'a>(call: &'a ToolCall<'a>) -> Option<&'a str> {
    let Some(arguments) = call.function.arguments else { return Some("{}") };
    match kind_of(arguments)? {
        Kind::Object => Some(arguments.get()),
        Kind::Null => Some("{}"),
        _ => None,
    }
}
