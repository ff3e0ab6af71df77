//! `POST /v1/chat/completions`.

use serde_json::{Value, json};

use super::{Envelope, Manner, failure, manner, model, role};
use crate::answer::{Answer, Finish, Part, answer as compose};
use crate::ask::{Ask, Format, Message, Tool, ToolChoice};
use crate::catalogue::Skill;
use crate::fields::Fields;
use crate::handle::Work;
use crate::reply::{Fault, Frame, Reply, SSE, Usage};

pub(super) fn answer(body: &Fields<'_>, work: &Work<'_>) -> Result<Reply, Fault> {
    let model = model(body, work.catalogue, Skill::Chat)?;
    let manner = manner(body, &["max_tokens", "max_completion_tokens"], work)?;
    let ask = read(body, &manner)?;
    let answers: Vec<_> =
        (0..manner.choices).map(|choice| compose(&ask, work.behaviour, choice)).collect();
    let completion_tokens = answers.iter().map(|answer| answer.tokens).sum();
    let usage = Usage { prompt_tokens: ask.prompt_tokens(), completion_tokens };
    let told = usage.told(work.behaviour);
    if manner.stream {
        let envelope = Envelope::new("chatcmpl", "chat.completion.chunk", model, work);
        let end = envelope.end(told.filter(|_| manner.include_usage));
        let streams =
            (0..).zip(answers).flat_map(move |(at, answer)| stream(envelope.clone(), at, answer));
        let reply = Reply::frames(SSE, Box::new(streams.chain(end)));
        return Ok(reply.failing(work.behaviour.fail_after, |_| failure()));
    }
    let envelope = Envelope::new("chatcmpl", "chat.completion", model, work);
    let choices = (0..).zip(&answers).map(|(at, answer)| choice(at, answer)).collect();
    Ok(Reply::answer(&envelope.whole(choices, told), completion_tokens))
}

fn read(body: &Fields<'_>, manner: &Manner) -> Result<Ask, Fault> {
    let messages = body.array("messages")?.ok_or_else(|| body.missing("messages"))?;
    if messages.is_empty() {
        return Err(Fault::field("messages", "'messages' must hold at least one message."));
    }
    Ok(Ask {
        messages: body.objects("messages")?.iter().map(message).collect::<Result<_, _>>()?,
        tools: body.objects("tools")?.iter().map(tool).collect::<Result<_, _>>()?,
        tool_choice: tool_choice(body)?,
        parallel_calls: body.flag("parallel_tool_calls")?.unwrap_or(true),
        format: format(body)?,
        tokens_max: manner.tokens_max,
        stop: manner.stop.clone(),
        think: false,
    })
}

fn message(fields: &Fields<'_>) -> Result<Message, Fault> {
    let mut message = Message::new(role(fields)?, "");
    match fields.get("content") {
        None => {}
        Some(Value::String(text)) => message.text.clone_from(text),
        Some(Value::Array(_)) => {
            for part in fields.objects("content")? {
                match part.string("type")?.ok_or_else(|| part.missing("type"))? {
                    "text" => {
                        message.text += part.string("text")?.ok_or_else(|| part.missing("text"))?
                    }
                    "image_url" => message.images += 1,
                    // Sound and files: accepted, and not understood.
                    _ => {}
                }
            }
        }
        Some(_) => return Err(fields.wrong("content", "a string or an array of parts")),
    }
    if let Some(calls) = fields.array("tool_calls")? {
        message.calls =
            calls.iter().filter_map(|call| call.get("function")).map(Value::to_string).collect();
    }
    Ok(message)
}

fn tool(fields: &Fields<'_>) -> Result<Tool, Fault> {
    let function = fields.object("function")?.ok_or_else(|| fields.missing("function"))?;
    let name = function.string("name")?.ok_or_else(|| function.missing("name"))?;
    function.object("parameters")?;
    let description = function.string("description")?.unwrap_or_default();
    Ok(Tool::new(name, description, function.get("parameters")))
}

fn tool_choice(body: &Fields<'_>) -> Result<ToolChoice, Fault> {
    let wanted = "\"none\", \"auto\", \"required\" or an object that names a function";
    let choice = match body.get("tool_choice") {
        None => return Ok(ToolChoice::Auto),
        Some(Value::String(word)) => match word.as_str() {
            "none" => Some(ToolChoice::None),
            "auto" => Some(ToolChoice::Auto),
            "required" => Some(ToolChoice::Required),
            _ => None,
        },
        Some(named) => {
            let name = named.pointer("/function/name").and_then(Value::as_str);
            name.map(|name| ToolChoice::Named(name.to_owned()))
        }
    };
    choice.ok_or_else(|| body.wrong("tool_choice", wanted))
}

fn format(body: &Fields<'_>) -> Result<Format, Fault> {
    let Some(format) = body.object("response_format")? else {
        return Ok(Format::Text);
    };
    match format.string("type")?.ok_or_else(|| format.missing("type"))? {
        "text" => Ok(Format::Text),
        "json_object" => Ok(Format::JsonObject),
        "json_schema" => {
            let schema =
                format.object("json_schema")?.ok_or_else(|| format.missing("json_schema"))?;
            schema.object("schema")?;
            Ok(Format::Schema(
                schema.get("schema").cloned().ok_or_else(|| schema.missing("schema"))?,
            ))
        }
        _ => Err(format.wrong("type", "text, json_object or json_schema")),
    }
}

fn choice(at: u32, answer: &Answer) -> Value {
    let mut message = json!({"role": "assistant", "content": answer.text, "refusal": null});
    if let (false, Some(members)) = (answer.calls.is_empty(), message.as_object_mut()) {
        let call = |call: &crate::tool::Call| {
            json!({"id": call.id, "type": "function",
                "function": {"name": call.name, "arguments": call.arguments}})
        };
        members.insert("content".to_owned(), Value::Null);
        members.insert("tool_calls".to_owned(), answer.calls.iter().map(call).collect());
    }
    json!({"index": at, "message": message, "logprobs": null, "finish_reason": finish_reason(answer.finish)})
}

/// The chunks of one choice.
fn stream(envelope: Envelope, choice: u32, answer: Answer) -> impl Iterator<Item = Frame> + Send {
    let content = if answer.calls.is_empty() { json!("") } else { Value::Null };
    let opening = json!({"role": "assistant", "content": content});
    let finish = json!(finish_reason(answer.finish));
    let deltas = std::iter::once((opening, 0)).chain(answer.parts().filter_map(delta));
    let deltas = deltas.map(|(delta, tokens)| (delta, Value::Null, tokens));
    let deltas = deltas.chain(std::iter::once((json!({}), finish, 0)));
    deltas.map(move |(delta, finish, tokens)| {
        let choice =
            json!({"index": choice, "delta": delta, "logprobs": null, "finish_reason": finish});
        envelope.chunk(choice, tokens)
    })
}

fn delta(part: Part) -> Option<(Value, u32)> {
    match part {
        // This dialect's chat has no place for it, and is never asked to think.
        Part::Thinking(_) => None,
        Part::Text(piece) => Some((json!({"content": piece}), 1)),
        Part::CallOpens { at, id, name } => {
            let call = json!({"index": at, "id": id, "type": "function",
                "function": {"name": name, "arguments": ""}});
            Some((json!({"tool_calls": [call]}), 1))
        }
        Part::CallArguments { at, piece } => {
            let call = json!({"index": at, "function": {"arguments": piece}});
            Some((json!({"tool_calls": [call]}), 1))
        }
    }
}

fn finish_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
    }
}
