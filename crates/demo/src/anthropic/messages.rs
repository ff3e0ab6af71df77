//! `POST /v1/messages` and `POST /v1/messages/count_tokens`.

use http::StatusCode;
use serde_json::{Value, json};

use super::{fault_json, model, request};
use crate::answer::{Answer, Finish, answer as compose};
use crate::ask::{FNV_START, fnv};
use crate::block::{Block, BlockKind};
use crate::cache::Cached;
use crate::fields::Fields;
use crate::handle::Work;
use crate::reply::{Fault, Frame, Reply, SSE, Usage};

pub(super) fn answer(body: &Fields<'_>, work: &Work<'_>) -> Result<Reply, Fault> {
    let model = model(body, work.catalogue)?;
    let tokens_max = body.at_least("max_tokens", 1)?.ok_or_else(|| body.missing("max_tokens"))?;
    for name in ["temperature", "top_p"] {
        body.number(name)?;
    }
    body.integer("top_k")?;
    let stream = body.flag("stream")?.unwrap_or(false);
    let request::Prompt { mut ask, cache_ends } = request::read(body)?;
    ask.tokens_max = u64::try_from(tokens_max).ok();
    ask.stop = body.strings("stop_sequences")?;
    let cached = work.cache.take(model, &ask, &cache_ends);
    let answer = compose(&ask, work.behaviour, 0);
    let usage = Usage { prompt_tokens: ask.prompt_tokens(), completion_tokens: answer.tokens };
    let envelope = Envelope {
        id: format!("msg_demo{:016x}", work.number),
        model: model.to_owned(),
        usage: usage.told(work.behaviour),
        cached,
    };
    if stream {
        let reply = Reply::frames(SSE, Box::new(frames(envelope, answer)));
        let failure = || Frame::event("error", fault_json(&Fault::told_to_fail()), 0);
        return Ok(reply.failing(work.behaviour.fail_after, move |_| failure()));
    }
    let (reason, sequence) = stop(&answer);
    let content = answer.blocks().iter().map(whole).collect();
    Ok(Reply::answer(&envelope.message(content, reason, sequence), usage.completion_tokens))
}

/// All of the prompt, cached or not. Nothing is put into the cache.
pub(super) fn count_tokens(body: &Fields<'_>, work: &Work<'_>) -> Result<Reply, Fault> {
    model(body, work.catalogue)?;
    let prompt_tokens = request::read(body)?.ask.prompt_tokens();
    Ok(Reply::json(StatusCode::OK, &json!({"input_tokens": prompt_tokens})))
}

/// What stands around the blocks.
struct Envelope {
    id: String,
    model: String,
    usage: Option<Usage>,
    cached: Cached,
}

impl Envelope {
    fn message(&self, content: Vec<Value>, reason: Value, sequence: Value) -> Value {
        let message = json!({
            "id": self.id, "type": "message", "role": "assistant", "model": self.model,
            "content": content, "stop_reason": reason, "stop_sequence": sequence,
        });
        self.with_usage(message, self.usage)
    }

    /// What is not cached is counted apart from what is.
    fn with_usage(&self, mut object: Value, usage: Option<Usage>) -> Value {
        let Cached { created_tokens, read_tokens } = self.cached;
        if let (Some(usage), Some(members)) = (usage, object.as_object_mut()) {
            let usage = json!({
                "input_tokens": usage.prompt_tokens.saturating_sub(created_tokens + read_tokens),
                "cache_creation_input_tokens": created_tokens,
                "cache_read_input_tokens": read_tokens,
                "output_tokens": usage.completion_tokens,
            });
            members.insert("usage".to_owned(), usage);
        }
        object
    }

    /// The message as a stream opens it: nothing is said yet.
    fn opening(&self) -> Value {
        let usage = self.usage.map(|usage| Usage { completion_tokens: 0, ..usage });
        let message = json!({
            "id": self.id, "type": "message", "role": "assistant", "model": self.model,
            "content": [], "stop_reason": null, "stop_sequence": null,
        });
        json!({"message": self.with_usage(message, usage)})
    }
}

/// The reason and, where it was one, the sequence.
fn stop(answer: &Answer) -> (Value, Value) {
    match (answer.finish, &answer.stopped_by) {
        (Finish::Stop, Some(sequence)) => (json!("stop_sequence"), json!(sequence)),
        (Finish::Stop, None) => (json!("end_turn"), Value::Null),
        (Finish::Length, _) => (json!("max_tokens"), Value::Null),
        (Finish::ToolCalls, _) => (json!("tool_use"), Value::Null),
    }
}

fn frames(envelope: Envelope, answer: Answer) -> impl Iterator<Item = Frame> + Send {
    let (reason, sequence) = stop(&answer);
    let start = Frame::event("message_start", envelope.opening(), 0);
    let blocks =
        answer.blocks().into_iter().enumerate().flat_map(|(at, block)| of_block(at, block));
    let end = std::iter::once_with(move || {
        let delta = json!({"delta": {"stop_reason": reason, "stop_sequence": sequence}});
        Frame::event("message_delta", envelope.with_usage(delta, envelope.usage), 0)
    });
    let stop = std::iter::once_with(|| Frame::event("message_stop", json!({}), 0));
    std::iter::once(start).chain(blocks).chain(end).chain(stop)
}

fn of_block(at: usize, block: Block) -> impl Iterator<Item = Frame> + Send {
    // The name of a call is a token too.
    let opening_tokens = u32::from(matches!(block.kind, BlockKind::Call { .. }));
    let opening = json!({"index": at, "content_block": opened(&block)});
    let opening = Frame::event("content_block_start", opening, opening_tokens);
    let ping = (at == 0).then(|| Frame::event("ping", json!({}), 0));
    let (kind, member) = match block.kind {
        BlockKind::Thinking => ("thinking_delta", "thinking"),
        BlockKind::Text => ("text_delta", "text"),
        BlockKind::Call { .. } => ("input_json_delta", "partial_json"),
    };
    let delta = move |delta: Value, tokens| {
        Frame::event("content_block_delta", json!({"index": at, "delta": delta}), tokens)
    };
    let deltas = block.pieces().map(move |piece| delta(json!({"type": kind, member: piece}), 1));
    let signature = (block.kind == BlockKind::Thinking && block.whole)
        .then(|| delta(json!({"type": "signature_delta", "signature": signature(&block.text)}), 0));
    let closing =
        std::iter::once_with(move || Frame::event("content_block_stop", json!({"index": at}), 0));
    std::iter::once(opening).chain(ping).chain(deltas).chain(signature).chain(closing)
}

/// A block as its first event has it, without what its deltas bring.
fn opened(block: &Block) -> Value {
    match &block.kind {
        BlockKind::Thinking => json!({"type": "thinking", "thinking": "", "signature": ""}),
        BlockKind::Text => json!({"type": "text", "text": ""}),
        BlockKind::Call { id, name } => tool_use(id, name, json!({})),
    }
}

fn whole(block: &Block) -> Value {
    match &block.kind {
        BlockKind::Thinking => {
            let signature = if block.whole { signature(&block.text) } else { String::new() };
            json!({"type": "thinking", "thinking": block.text, "signature": signature})
        }
        BlockKind::Text => json!({"type": "text", "text": block.text}),
        BlockKind::Call { id, name } => tool_use(id, name, block.arguments()),
    }
}

fn tool_use(id: &str, name: &str, input: Value) -> Value {
    json!({"type": "tool_use", "id": id.replacen("call_", "toolu_", 1), "name": name, "input": input})
}

/// Something opaque, by which a provider knows its own thoughts again.
fn signature(thinking: &str) -> String {
    format!("demo{:016x}", fnv(FNV_START, thinking.as_bytes()))
}
