//! What is asked of the model, whatever dialect it came in. Knows no dialect.

use serde_json::{Value, json};

use crate::tokens;

/// What a message costs beside its text, for its role and its borders.
const MESSAGE_TOKENS: u64 = 4;
/// What an image costs. The demo model can't see it.
const IMAGE_TOKENS: u64 = 256;

#[derive(Debug, Clone, Default)]
pub(crate) struct Ask {
    pub messages: Vec<Message>,
    pub tools: Vec<Tool>,
    pub tool_choice: ToolChoice,
    /// Whether one answer may call several tools.
    pub parallel_calls: bool,
    pub format: Format,
    pub tokens_max: Option<u64>,
    pub stop: Vec<String>,
    pub think: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub role: Role,
    pub text: String,
    pub images: u64,
    /// Tool calls of an earlier answer, as text; they count as prompt.
    pub calls: String,
}

impl Message {
    pub(crate) fn new(role: Role, text: impl Into<String>) -> Self {
        Self { role, text: text.into(), images: 0, calls: String::new() }
    }

    /// What it costs: its text, its border, its images.
    fn tokens(&self) -> u64 {
        tokens::count(&self.text)
            + tokens::count(&self.calls)
            + MESSAGE_TOKENS
            + IMAGE_TOKENS * self.images
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    System,
    User,
    Assistant,
    Tool,
}

impl Role {
    pub(crate) fn read(name: &str) -> Option<Self> {
        match name {
            "system" | "developer" => Some(Self::System),
            "user" => Some(Self::User),
            "assistant" => Some(Self::Assistant),
            "tool" | "function" => Some(Self::Tool),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Tool {
    pub name: String,
    /// The tool as the client wrote it; it counts as prompt.
    pub written: String,
    /// JSON Schema of its arguments.
    pub parameters: Value,
}

impl Tool {
    /// Without parameters it takes any object.
    pub(crate) fn new(name: &str, description: &str, parameters: Option<&Value>) -> Self {
        let parameters = parameters.cloned().unwrap_or_else(|| json!({"type": "object"}));
        let written = format!("{name} {description} {parameters}");
        Self { name: name.to_owned(), written, parameters }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum ToolChoice {
    None,
    #[default]
    Auto,
    Required,
    Named(String),
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Format {
    #[default]
    Text,
    JsonObject,
    Schema(Value),
}

impl Ask {
    /// What the prompt costs: each message, and each tool as written.
    pub(crate) fn prompt_tokens(&self) -> u64 {
        let tools = self.tools.iter().map(|tool| tokens::count(&tool.written));
        self.messages.iter().map(Message::tokens).chain(tools).sum()
    }

    /// The beginnings of the prompt: its tools alone, then with one message more each.
    pub(crate) fn beginnings(&self) -> impl Iterator<Item = Beginning> {
        let tools = self.tools.iter().fold(Beginning::NOTHING, |before, tool| {
            before.and(&[&*tool.written], tokens::count(&tool.written))
        });
        let with_messages = self.messages.iter().scan(tools, |before, message| {
            let texts = [message.role.name(), &*message.text, &*message.calls];
            *before = before.and(&texts, message.tokens());
            Some(*before)
        });
        std::iter::once(tools).chain(with_messages)
    }

    /// The last thing that the user said.
    pub(crate) fn last_user(&self) -> Option<&Message> {
        self.messages.iter().rfind(|message| message.role == Role::User)
    }

    /// The tools' results that wait for an answer.
    pub(crate) fn tool_results(&self) -> Vec<&str> {
        let waiting = self.messages.iter().rev().take_while(|message| message.role == Role::Tool);
        let mut results: Vec<_> = waiting.map(|message| message.text.as_str()).collect();
        results.reverse();
        results
    }

    /// A number that stands for the whole conversation.
    pub(crate) fn fingerprint(&self) -> u64 {
        let texts =
            self.messages.iter().flat_map(|message| [&*message.text, "\0", &*message.calls, "\0"]);
        texts.fold(FNV_START, |hash, text| fnv(hash, text.as_bytes()))
    }
}

/// A beginning of a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Beginning {
    pub fingerprint: u64,
    pub tokens: u64,
}

impl Beginning {
    const NOTHING: Self = Self { fingerprint: FNV_START, tokens: 0 };

    fn and(self, texts: &[&str], tokens: u64) -> Self {
        let hash = |hash, text: &&str| fnv(fnv(hash, text.as_bytes()), b"\0");
        Self {
            fingerprint: texts.iter().fold(self.fingerprint, hash),
            tokens: self.tokens + tokens,
        }
    }
}

pub(crate) const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a, 64 bits: the same on every machine and in every release.
pub(crate) fn fnv(start: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
