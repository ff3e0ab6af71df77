//! What is asked of the model, whatever dialect it came in. Knows no dialect.

use serde_json::Value;

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
}

#[derive(Debug, Clone)]
pub(crate) struct Tool {
    pub name: String,
    /// The tool as the client wrote it; it counts as prompt.
    pub written: String,
    /// JSON Schema of its arguments.
    pub parameters: Value,
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
    /// What the prompt costs: each message's text, its border, its images; each tool as written.
    pub(crate) fn prompt_tokens(&self) -> u64 {
        let message = |message: &Message| {
            tokens::count(&message.text)
                + tokens::count(&message.calls)
                + MESSAGE_TOKENS
                + IMAGE_TOKENS * message.images
        };
        let tools = self.tools.iter().map(|tool| tokens::count(&tool.written));
        self.messages.iter().map(message).chain(tools).sum()
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

pub(crate) const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a, 64 bits: the same on every machine and in every release.
pub(crate) fn fnv(start: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
