//! `POST /v1/responses`. Nothing is stored: an earlier response can't be gone on with.

mod item;
mod request;
mod response;

use serde_json::{Value, json};

use super::{model, stream_options};
use crate::answer::answer as compose;
use crate::catalogue::Skill;
use crate::fields::Fields;
use crate::handle::Work;
use crate::reply::{Fault, Frame, Reply, SSE, Sent, Usage};
use crate::tokens;
use item::{Event, Item};
use response::Response;

pub(super) fn answer(body: &Fields<'_>, work: &Work<'_>) -> Result<Reply, Fault> {
    let model = model(body, work.catalogue, Skill::Chat)?;
    stream_options(body, work)?;
    let stream = body.flag("stream")?.unwrap_or(false);
    let ask = request::read(body)?;
    let response = Response::new(model, body, work.number);
    let answer = compose(&ask, work.behaviour, 0);
    let (finish, tokens) = (answer.finish, answer.tokens);
    let reasoning_tokens = tokens::count(&answer.thinking);
    let prompt_tokens = ask.prompt_tokens();
    let behaviour = *work.behaviour;
    let usage = move |completion_tokens: u64| {
        let told = Usage { prompt_tokens, completion_tokens }.told(&behaviour)?;
        Some(usage_json(told, reasoning_tokens.min(completion_tokens)))
    };
    let blocks = answer.blocks().into_iter().enumerate();
    let items: Vec<_> = blocks.map(|(at, block)| Item::new(work.number, at, block)).collect();
    let ended = response.ended(finish, items.iter().map(Item::whole).collect(), usage(tokens));
    if stream {
        let reply = Reply::frames(SSE, Box::new(frames(&response, items, ended)));
        let failure = move |sent: Sent| {
            let failed = response.failed(&Fault::told_to_fail(), usage(sent.tokens));
            Event::new("response.failed", json!({"response": failed}), 0).numbered(sent.frames)
        };
        return Ok(reply.failing(work.behaviour.fail_after, failure));
    }
    Ok(Reply::answer(&ended, tokens))
}

fn frames(
    response: &Response,
    items: Vec<Item>,
    ended: Value,
) -> impl Iterator<Item = Frame> + Send + use<> {
    let begun = json!({"response": response.in_progress()});
    let opening =
        ["response.created", "response.in_progress"].map(|name| Event::new(name, begun.clone(), 0));
    let last = if ended.get("status").is_some_and(|status| status == "incomplete") {
        "response.incomplete"
    } else {
        "response.completed"
    };
    let closing = std::iter::once_with(move || Event::new(last, json!({"response": ended}), 0));
    let events = opening.into_iter().chain(items.into_iter().flat_map(Item::events)).chain(closing);
    (0..).zip(events).map(|(number, event)| event.numbered(number))
}

fn usage_json(usage: Usage, reasoning_tokens: u64) -> Value {
    json!({
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": reasoning_tokens},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    })
}
