//! The requests that are sent: bodies of three sizes and the head around them. Members stand in the
//! order in which the official Python client writes them, so `model` comes behind the messages.

use std::net::SocketAddr;

use clap::ValueEnum;
use serde_json::{Value, json};

/// Enough for prose of any length without looking the same everywhere.
const PROSE: &str = "The quick brown fox jumps over the lazy dog near the river bank, \
    and then it \"rests\" under a tree until the rain has stopped.\n";

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

    /// The body, of exactly the size that its name says.
    pub fn body(self, model: &str, stream: bool) -> Vec<u8> {
        let filled = |padding: &str| {
            let messages = match self {
                Self::OneKb => question(padding),
                Self::Agent => turns(padding),
                Self::OneMb => files(padding),
            };
            let mut request = json!({"messages": messages, "model": model});
            if let Some(members) = request.as_object_mut() {
                if stream {
                    members.insert("stream".to_owned(), json!(true));
                }
                if self == Self::Agent {
                    members.insert("tools".to_owned(), (0..24).map(tool).collect());
                }
            }
            request.to_string().into_bytes()
        };
        let missing = self.bytes().saturating_sub(filled("").len());
        filled(&"x".repeat(missing))
    }

    /// The whole request, head and body.
    pub fn request(
        self,
        to: SocketAddr,
        model: &str,
        stream: bool,
        bearer: Option<&str>,
    ) -> Vec<u8> {
        let body = self.body(model, stream);
        let bearer =
            bearer.map_or_else(String::new, |key| format!("authorization: Bearer {key}\r\n"));
        let mut request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: {to}\r\n{bearer}accept: application/json\r\n\
             user-agent: fluxgate-bench\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
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

fn question(padding: &str) -> Value {
    json!([
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": format!("{}{padding}", prose(700))},
    ])
}

fn files(padding: &str) -> Value {
    (0..16).map(|part| json!({"role": "user", "content": prose(62_000) + if part == 0 { padding } else { "" }})).collect()
}

fn turns(padding: &str) -> Value {
    let mut messages = vec![json!({"role": "system", "content": prose(2_000) + padding})];
    for turn in 0..40 {
        let call = format!("call_{turn:04}");
        messages.push(json!({"role": "user", "content": prose(80)}));
        messages.push(json!({"role": "assistant", "content": null, "tool_calls": [{
            "id": call, "type": "function",
            "function": {"name": format!("tool_{}", turn % 24), "arguments": "{\"path\": \"src/lib.rs\", \"line\": 12}"},
        }]}));
        messages.push(json!({"role": "tool", "tool_call_id": call, "content": prose(240)}));
    }
    messages.into()
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
            let body = prompt.body("bench-stream-1000-20000", true);
            assert_eq!(body.len(), prompt.bytes(), "{prompt:?}");
            let read: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(
                (&read["model"], &read["stream"]),
                (&json!("bench-stream-1000-20000"), &json!(true))
            );
        }
    }

    #[test]
    fn the_agents_turn_has_24_tools_and_many_messages() {
        let read: Value = serde_json::from_slice(&Prompt::Agent.body(model::JSON, false)).unwrap();
        assert_eq!(read["tools"].as_array().unwrap().len(), 24);
        assert!(read["messages"].as_array().unwrap().len() > 100);
    }
}
