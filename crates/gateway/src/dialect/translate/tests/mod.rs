//! A request and its translation mean the same, and so do an answer and its lines: said once by
//! hand in both dialects, and once for conversations of any form.

mod answers;
mod properties;
mod requests;

use std::collections::VecDeque;

use bytes::Bytes;
use fluxgate_core::Usage;
use fluxgate_core::config::MaxTokensField;
use serde_json::{Value, json};

use super::*;
use crate::dialect::{AnswerReader, Ending};
use crate::router::Endpoint;

const TARGET: Target<'_> =
    Target { model: "served", max_tokens_field: MaxTokensField::MaxTokens, extra_fields: true };

fn translated(endpoint: Endpoint, body: &Value, target: Target<'_>) -> Result<Request, String> {
    request(endpoint, body.to_string().as_bytes(), target)
        .map_err(|refusal| refusal.message.into_owned())
}

fn body_of(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

fn asked(form: Form) -> Asked {
    Asked { form, vectors: None, model: "named".to_owned(), started: Instant::now() }
}

/// Plays a stream in pieces and gives its lines.
fn lines(form: Form, stream: &[u8], step: usize) -> (Vec<Value>, Ending, Usage) {
    let lines = Lines::new(asked(form), Instant::now());
    let mut reader = AnswerReader::translated(Box::new(lines));
    let (mut out, mut text) = (VecDeque::new(), Vec::new());
    for piece in stream.chunks(step.max(1)) {
        reader.push(Bytes::copy_from_slice(piece), &mut out);
        out.drain(..).for_each(|bytes: Bytes| text.extend_from_slice(&bytes));
    }
    let (rest, ending) = reader.finish();
    text.extend_from_slice(&rest);
    let lines = String::from_utf8(text).unwrap();
    let lines = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (lines, ending, reader.usage(7))
}

fn event(chunk: &Value) -> String {
    format!("data: {chunk}\n\n")
}

fn delta(delta: Value) -> String {
    event(&json!({"choices": [{"index": 0, "delta": delta, "finish_reason": null}]}))
}

fn finish(reason: &str) -> String {
    event(&json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}))
        + &event(&json!({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}))
        + "data: [DONE]\n\n"
}
