//! The output items of a response, whole and as the events of a stream.

use serde_json::{Value, json};

use crate::block::{Block, BlockKind};
use crate::reply::Frame;

/// An event of a stream that waits for its number.
pub(super) struct Event {
    name: &'static str,
    data: Value,
    tokens: u32,
}

impl Event {
    pub(super) fn new(name: &'static str, data: Value, tokens: u32) -> Self {
        Self { name, data, tokens }
    }

    pub(super) fn numbered(mut self, sequence_number: u32) -> Frame {
        put(&mut self.data, json!({"sequence_number": sequence_number}));
        Frame::event(self.name, self.data, self.tokens)
    }
}

fn put(object: &mut Value, more: Value) {
    if let (Some(members), Value::Object(more)) = (object.as_object_mut(), more) {
        members.extend(more);
    }
}

/// A block of the answer, at its place in the output and under its id.
pub(super) struct Item {
    id: String,
    at: usize,
    block: Block,
}

impl Item {
    /// `number` is the request's.
    pub(super) fn new(number: u64, at: usize, block: Block) -> Self {
        let kind = match block.kind {
            BlockKind::Thinking => "rs",
            BlockKind::Text => "msg",
            BlockKind::Call { .. } => "fc",
        };
        Self { id: format!("{kind}_demo{number:016x}{at:04x}"), at, block }
    }

    /// The item at its end.
    pub(super) fn whole(&self) -> Value {
        let status = if self.block.whole { "completed" } else { "incomplete" };
        self.item(status, &self.block.text, vec![self.part(&self.block.text)])
    }

    fn item(&self, status: &str, arguments: &str, parts: Vec<Value>) -> Value {
        match &self.block.kind {
            BlockKind::Thinking => {
                json!({"type": "reasoning", "id": self.id, "summary": parts})
            }
            BlockKind::Text => {
                json!({"type": "message", "id": self.id, "status": status, "role": "assistant", "content": parts})
            }
            BlockKind::Call { id, name } => {
                json!({"type": "function_call", "id": self.id, "status": status, "call_id": id, "name": name,
                    "arguments": arguments})
            }
        }
    }

    fn part(&self, text: &str) -> Value {
        match self.block.kind {
            BlockKind::Thinking => json!({"type": "summary_text", "text": text}),
            BlockKind::Text | BlockKind::Call { .. } => {
                json!({"type": "output_text", "annotations": [], "logprobs": [], "text": text})
            }
        }
    }

    /// Opening, pieces, closing.
    pub(super) fn events(self) -> impl Iterator<Item = Event> + Send {
        let opening = self.opening();
        let pieces = self.block.pieces();
        let closing = self.closing();
        let delta = match self.block.kind {
            BlockKind::Thinking => "response.reasoning_summary_text.delta",
            BlockKind::Text => "response.output_text.delta",
            BlockKind::Call { .. } => "response.function_call_arguments.delta",
        };
        let pieces = pieces.map(move |piece| {
            let mut data = self.place();
            put(&mut data, json!({"delta": piece}));
            self.put_logprobs(&mut data);
            Event::new(delta, data, 1)
        });
        opening.into_iter().chain(pieces).chain(closing)
    }

    fn opening(&self) -> Vec<Event> {
        let added =
            json!({"output_index": self.at, "item": self.item("in_progress", "", Vec::new())});
        // The name of a call is a token too.
        let tokens = u32::from(matches!(self.block.kind, BlockKind::Call { .. }));
        let added = Event::new("response.output_item.added", added, tokens);
        let part = match self.block.kind {
            BlockKind::Thinking => Some("response.reasoning_summary_part.added"),
            BlockKind::Text => Some("response.content_part.added"),
            BlockKind::Call { .. } => None,
        };
        let part = part.map(|name| Event::new(name, self.at_part(""), 0));
        std::iter::once(added).chain(part).collect()
    }

    fn closing(&self) -> Vec<Event> {
        let text = &self.block.text;
        let mut said = self.place();
        let (name, member, part) = match &self.block.kind {
            BlockKind::Thinking => (
                "response.reasoning_summary_text.done",
                "text",
                Some("response.reasoning_summary_part.done"),
            ),
            BlockKind::Text => {
                ("response.output_text.done", "text", Some("response.content_part.done"))
            }
            BlockKind::Call { name, .. } => {
                put(&mut said, json!({"name": name}));
                ("response.function_call_arguments.done", "arguments", None)
            }
        };
        put(&mut said, json!({member: text}));
        self.put_logprobs(&mut said);
        let done = json!({"output_index": self.at, "item": self.whole()});
        let done = Event::new("response.output_item.done", done, 0);
        let part = part.map(|name| Event::new(name, self.at_part(text), 0));
        std::iter::once(Event::new(name, said, 0)).chain(part).chain([done]).collect()
    }

    /// Where an event belongs.
    fn place(&self) -> Value {
        let mut place = json!({"item_id": self.id, "output_index": self.at});
        match self.block.kind {
            BlockKind::Thinking => put(&mut place, json!({"summary_index": 0})),
            BlockKind::Text => put(&mut place, json!({"content_index": 0})),
            BlockKind::Call { .. } => {}
        }
        place
    }

    fn at_part(&self, text: &str) -> Value {
        let mut data = self.place();
        put(&mut data, json!({"part": self.part(text)}));
        data
    }

    fn put_logprobs(&self, data: &mut Value) {
        if self.block.kind == BlockKind::Text {
            put(data, json!({"logprobs": []}));
        }
    }
}
