//! The requests that are sent: bodies of three sizes and the head around them, in each dialect.
//! Members stand in the order in which OpenAI's and Anthropic's Python clients write them, so `model`
//! comes behind the messages.

use std::net::SocketAddr;

use clap::ValueEnum;
use serde_json::{Map, Value, json};

use crate::dialect::Dialect;

/// Enough for prose of any length without looking the same everywhere.
const PROSE: &str = "The quick brown fox jumps over the lazy dog near the river bank, \
    and then it \"rests\" under a tree until the rain has stopped.\n";
/// Messages must name a limit: more than any answer here has.
const ANSWER_TOKENS_MAX: u32 = 4_096;

/// What a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Prompt {
    /// One question, 1 KB.
    #[value(name = "1k")]
    OneKb,
    /// A coding agent's turn: 24 tools with JSON schemas, many small messages, 64 KB.
    #[value(name = "64k-agent")]
    Agent,
    /// Pasted files, 1 MB.
    #[value(name = "1m")]
    OneMb,
}

impl Prompt {
    fn bytes(self) -> usize {
        match self {
            Self::OneKb => 1 << 10,
            Self::Agent => 64 << 10,
            Self::OneMb => 1 << 20,
        }
    }

    /// Whether it can be asked in this dialect: calls of tools are written in chat's alone.
    pub fn suits(self, dialect: Dialect) -> bool {
        self != Self::Agent || dialect == Dialect::Chat
    }

    /// The body, of exactly the size that its name says.
    pub fn body(self, dialect: Dialect, model: &str, stream: bool) -> Vec<u8> {
        let filled = |padding: &str| {
            let mut members = self.asked(dialect, padding);
            members.insert("model".to_owned(), json!(model));
            // Ollama streams where it isn't told otherwise, the others don't.
            if stream || dialect == Dialect::Ollama {
                members.insert("stream".to_owned(), json!(stream));
            }
            Value::Object(members).to_string().into_bytes()
        };
        let missing = self.bytes().saturating_sub(filled("").len());
        filled(&"x".repeat(missing))
    }

    /// The conversation, where each dialect has it.
    fn asked(self, dialect: Dialect, padding: &str) -> Map<String, Value> {
        let (system, mut messages) = match self {
            Self::OneKb => (Some("You are a helpful assistant.".to_owned()), question(padding)),
            Self::Agent => (Some(prose(2_000) + padding), turns()),
            Self::OneMb => (None, files(padding)),
        };
        let mut members = Map::new();
        let mut put = |name: &str, value: Value| members.insert(name.to_owned(), value);
        match dialect {
            Dialect::Chat | Dialect::Ollama => {
                let system = system.map(|text| json!({"role": "system", "content": text}));
                messages.splice(0..0, system);
                put("messages", messages.into());
            }
            Dialect::Messages => {
                system.map(|text| put("system", text.into()));
                put("max_tokens", ANSWER_TOKENS_MAX.into());
                put("messages", messages.into());
            }
            Dialect::Responses => {
                system.map(|text| put("instructions", text.into()));
                put("input", messages.into());
            }
        }
        if self == Self::Agent {
            put("tools", (0..24).map(tool).collect());
        }
        members
    }

    /// The whole request, head and body.
    pub fn request(
        self,
        to: SocketAddr,
        dialect: Dialect,
        model: &str,
        stream: bool,
        bearer: Option<&str>,
    ) -> Vec<u8> {
        let body = self.body(dialect, model, stream);
        let bearer =
            bearer.map_or_else(String::new, |key| format!("authorization: Bearer {key}\r\n"));
        let version = match dialect {
            Dialect::Messages => "anthropic-version: 2023-06-01\r\n",
            Dialect::Chat | Dialect::Responses | Dialect::Ollama => "",
        };
        let mut request = format!(
            "POST {} HTTP/1.1\r\nhost: {to}\r\n{bearer}{version}accept: application/json\r\n\
             user-agent: fluxgate-bench\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            dialect.path(),
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(&body);
        request
    }
}

fn prose(bytes: usize) -> String {
    PROSE.chars().cycle().take(bytes).collect()
}

fn question(padding: &str) -> Vec<Value> {
    vec![json!({"role": "user", "content": format!("{}{padding}", prose(700))})]
}

fn files(padding: &str) -> Vec<Value> {
    let file = |part| prose(62_000) + if part == 0 { padding } else { "" };
    (0..16).map(|part| json!({"role": "user", "content": file(part)})).collect()
}

fn turns() -> Vec<Value> {
    let mut messages = Vec::new();
    for turn in 0..40 {
        let call = format!("call_{turn:04}");
        messages.push(json!({"role": "user", "content": prose(80)}));
        messages.push(json!({"role": "assistant", "content": null, "tool_calls": [{
            "id": call, "type": "function",
            "function": {"name": format!("tool_{}", turn % 24), "arguments": "{\"path\": \"src/lib.rs\", \"line\": 12}"},
        }]}));
        messages.push(json!({"role": "tool", "tool_call_id": call, "content": prose(240)}));
    }
    messages
}

fn tool(index: usize) -> Value {
    json!({"type": "function", "function": {
        "name": format!("tool_{index}"),
        "description": prose(160),
        "parameters": {
            "type": "object",
            "properties": {
                "path": {"type": "string", "description": prose(60)},
                "line": {"type": "integer", "minimum": 1, "description": prose(40)},
                "mode": {"type": "string", "enum": ["read", "write", "append"]},
                "edits": {"type": "array", "items": {"type": "object", "properties": {
                    "old": {"type": "string"}, "new": {"type": "string"}, "all": {"type": "boolean"},
                }, "required": ["old", "new"], "additionalProperties": false}},
            },
            "required": ["path"],
            "additionalProperties": false,
        },
    }})
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::model;

    #[test]
    fn each_body_is_valid_json_of_the_size_it_is_named_for() {
        for prompt in [Prompt::OneKb, Prompt::Agent, Prompt::OneMb] {
            for dialect in Dialect::value_variants() {
                let body = prompt.body(*dialect, "bench-stream-1000-20000", true);
                assert_eq!(body.len(), prompt.bytes(), "{prompt:?}, {dialect}");
                let read: Value = serde_json::from_slice(&body).unwrap();
                assert_eq!(
                    (&read["model"], &read["stream"]),
                    (&json!("bench-stream-1000-20000"), &json!(true))
                );
            }
        }
    }

    #[test]
    fn each_dialect_has_the_conversation_where_its_servers_look() {
        let members = |dialect| -> Vec<String> {
            let read: Map<String, Value> =
                serde_json::from_slice(&Prompt::OneKb.body(dialect, model::JSON, false)).unwrap();
            read.keys().cloned().collect()
        };
        assert_eq!(members(Dialect::Chat), ["messages", "model"]);
        assert_eq!(members(Dialect::Messages), ["max_tokens", "messages", "model", "system"]);
        assert_eq!(members(Dialect::Responses), ["input", "instructions", "model"]);
        assert_eq!(members(Dialect::Ollama), ["messages", "model", "stream"]);
    }

    #[test]
    fn the_agents_turn_has_24_tools_and_many_messages() {
        let body = Prompt::Agent.body(Dialect::Chat, model::JSON, false);
        let read: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(read["tools"].as_array().unwrap().len(), 24);
        assert!(read["messages"].as_array().unwrap().len() > 100);
    }
}
