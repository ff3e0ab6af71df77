//! `POST /v1/completions`.

use serde_json::{Value, json};

use super::{Envelope, failure, manner, model};
use crate::answer::{Answer, Finish, Part, answer as compose};
use crate::ask::{Ask, Message, Role};
use crate::catalogue::Skill;
use crate::embedding::Input;
use crate::fields::Fields;
use crate::handle::Work;
use crate::reply::{Fault, Frame, Reply, SSE, Usage};

/// Most answers of one request.
const ANSWERS_MAX: usize = 2048;

pub(super) fn answer(body: &Fields<'_>, work: &Work<'_>) -> Result<Reply, Fault> {
    let model = model(body, work.catalogue, Skill::Chat)?;
    let manner = manner(body, &["max_tokens"], work)?;
    body.string("suffix")?;
    let echo = body.flag("echo")?.unwrap_or(false);
    let prompts = super::embeddings::inputs(body, "prompt")?;
    if prompts.len().saturating_mul(usize::try_from(manner.choices).unwrap_or(usize::MAX))
        > ANSWERS_MAX
    {
        return Err(Fault::field(
            "n",
            format!("'n' times the prompts must be at most {ANSWERS_MAX}."),
        ));
    }
    let mut answers = Vec::new();
    let mut prompt_tokens = 0;
    for prompt in &prompts {
        prompt_tokens += prompt.tokens();
        let text = match prompt {
            Input::Text(text) => text.clone(),
            // Its tokens are no one's text.
            Input::Tokens(tokens) => format!("{} tokens", tokens.len()),
        };
        let lead = if echo { text.clone() } else { String::new() };
        let ask = Ask {
            messages: vec![Message::new(Role::User, text)],
            tokens_max: manner.tokens_max,
            stop: manner.stop.clone(),
            ..Ask::default()
        };
        for choice in 0..manner.choices {
            answers.push((lead.clone(), compose(&ask, work.behaviour, choice)));
        }
    }
    let completion_tokens = answers.iter().map(|(_, answer)| answer.tokens).sum();
    let told = Usage { prompt_tokens, completion_tokens }.told(work.behaviour);
    let envelope = Envelope::new("cmpl", "text_completion", model, work);
    if manner.stream {
        let end = envelope.end(told.filter(|_| manner.include_usage));
        let streams = (0..)
            .zip(answers)
            .flat_map(move |(at, (lead, answer))| stream(envelope.clone(), at, lead, answer));
        let reply = Reply::frames(SSE, Box::new(streams.chain(end)));
        return Ok(reply.failing(work.behaviour.fail_after, |_| failure()));
    }
    let whole = |(at, (lead, answer)): (u32, &(String, Answer))| {
        choice(at, &format!("{lead}{}", answer.text), json!(finish_reason(answer.finish)))
    };
    let choices = (0..).zip(&answers).map(whole).collect();
    Ok(Reply::answer(&envelope.whole(choices, told), completion_tokens))
}

fn choice(at: u32, text: &str, finish: Value) -> Value {
    json!({"index": at, "text": text, "logprobs": null, "finish_reason": finish})
}

fn stream(
    envelope: Envelope,
    at: u32,
    lead: String,
    answer: Answer,
) -> impl Iterator<Item = Frame> + Send {
    let finish = json!(finish_reason(answer.finish));
    let pieces = answer.parts().filter_map(|part| match part {
        Part::Text(piece) => Some((piece, Value::Null, 1)),
        // Nothing of this is ever asked for here.
        Part::Thinking(_) | Part::CallOpens { .. } | Part::CallArguments { .. } => None,
    });
    let lead = Some((lead, Value::Null, 0)).filter(|(lead, ..)| !lead.is_empty());
    let pieces = lead.into_iter().chain(pieces).chain(std::iter::once((String::new(), finish, 0)));
    pieces.map(move |(text, finish, tokens)| envelope.chunk(choice(at, &text, finish), tokens))
}

fn finish_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::ToolCalls => "stop",
        Finish::Length => "length",
    }
}
