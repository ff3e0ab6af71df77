//! Reading what is asked of the model: instructions, input, tools, format.

use serde_json::Value;

use super::super::role;
use crate::ask::{Ask, Format, Message, Role, Tool, ToolChoice};
use crate::fields::Fields;
use crate::reply::Fault;

pub(super) fn read(body: &Fields<'_>) -> Result<Ask, Fault> {
    for name in ["temperature", "top_p"] {
        body.number(name)?;
    }
    if let Some(id) = body.string("previous_response_id")? {
        let message = format!("Previous response with id '{id}' not found.");
        return Err(
            Fault::field("previous_response_id", message).code("previous_response_not_found")
        );
    }
    let instructions = body.string("instructions")?;
    let mut messages: Vec<_> =
        instructions.map(|text| Message::new(Role::System, text)).into_iter().collect();
    messages.extend(input(body)?);
    let tokens_max = body.at_least("max_output_tokens", 1)?;
    Ok(Ask {
        messages,
        tools: body
            .objects("tools")?
            .iter()
            .filter_map(|fields| tool(fields).transpose())
            .collect::<Result<_, _>>()?,
        tool_choice: tool_choice(body)?,
        parallel_calls: body.flag("parallel_tool_calls")?.unwrap_or(true),
        format: format(body)?,
        tokens_max: tokens_max.and_then(|max| u64::try_from(max).ok()),
        stop: Vec::new(),
        think: reasons(body)?,
    })
}

/// A string or items.
fn input(body: &Fields<'_>) -> Result<Vec<Message>, Fault> {
    match body.get("input") {
        None => Err(body.missing("input")),
        Some(Value::String(text)) => Ok(vec![Message::new(Role::User, text)]),
        Some(Value::Array(items)) if items.is_empty() => {
            Err(Fault::field("input", "'input' must hold at least one item."))
        }
        Some(Value::Array(_)) => {
            let items = body.objects("input")?;
            items.iter().filter_map(|fields| item(fields).transpose()).collect()
        }
        Some(_) => Err(body.wrong("input", "a string or an array of items")),
    }
}

/// The item as a message; none for what is no prompt, or is not understood.
fn item(fields: &Fields<'_>) -> Result<Option<Message>, Fault> {
    match fields.string("type")?.unwrap_or("message") {
        "message" => {
            let mut message = Message::new(role(fields)?, "");
            fields.get("content").ok_or_else(|| fields.missing("content"))?;
            content(fields, "content", &mut message)?;
            Ok(Some(message))
        }
        "function_call" => {
            let name = fields.string("name")?.ok_or_else(|| fields.missing("name"))?;
            let arguments = fields.string("arguments")?.unwrap_or_default();
            let mut message = Message::new(Role::Assistant, "");
            message.calls = format!("{name} {arguments}");
            Ok(Some(message))
        }
        "function_call_output" => {
            let mut message = Message::new(Role::Tool, "");
            fields.get("output").ok_or_else(|| fields.missing("output"))?;
            content(fields, "output", &mut message)?;
            Ok(Some(message))
        }
        // Reasoning, and items of tools that OpenAI runs.
        _ => Ok(None),
    }
}

/// A string or parts.
fn content(fields: &Fields<'_>, name: &str, message: &mut Message) -> Result<(), Fault> {
    match fields.get(name) {
        Some(Value::String(text)) => message.text.clone_from(text),
        Some(Value::Array(_)) => {
            for part in fields.objects(name)? {
                match part.string("type")?.ok_or_else(|| part.missing("type"))? {
                    "input_text" | "output_text" => {
                        message.text += part.string("text")?.ok_or_else(|| part.missing("text"))?;
                    }
                    "input_image" => message.images += 1,
                    // Files and sound: accepted, and not understood.
                    _ => {}
                }
            }
        }
        _ => return Err(fields.wrong(name, "a string or an array of parts")),
    }
    Ok(())
}

/// The client's own functions alone.
fn tool(fields: &Fields<'_>) -> Result<Option<Tool>, Fault> {
    if fields.string("type")?.ok_or_else(|| fields.missing("type"))? != "function" {
        return Ok(None);
    }
    let name = fields.string("name")?.ok_or_else(|| fields.missing("name"))?;
    fields.object("parameters")?;
    let description = fields.string("description")?.unwrap_or_default();
    Ok(Some(Tool::new(name, description, fields.get("parameters"))))
}

fn tool_choice(body: &Fields<'_>) -> Result<ToolChoice, Fault> {
    let wanted = "\"none\", \"auto\", \"required\" or an object that names a function";
    let word = |word: &str| match word {
        "none" => Some(ToolChoice::None),
        "auto" => Some(ToolChoice::Auto),
        "required" => Some(ToolChoice::Required),
        _ => None,
    };
    let choice = match body.get("tool_choice") {
        None => Some(ToolChoice::Auto),
        Some(Value::String(name)) => word(name),
        Some(Value::Object(choice)) => {
            let text = |name: &str| choice.get(name).and_then(Value::as_str);
            match text("type") {
                Some("function") => text("name").map(|name| ToolChoice::Named(name.to_owned())),
                Some("allowed_tools") => text("mode").and_then(word),
                // A tool that OpenAI runs.
                Some(_) => Some(ToolChoice::Auto),
                None => None,
            }
        }
        Some(_) => None,
    };
    choice.ok_or_else(|| body.wrong("tool_choice", wanted))
}

fn format(body: &Fields<'_>) -> Result<Format, Fault> {
    let Some(text) = body.object("text")? else {
        return Ok(Format::Text);
    };
    let Some(format) = text.object("format")? else {
        return Ok(Format::Text);
    };
    match format.string("type")?.ok_or_else(|| format.missing("type"))? {
        "text" => Ok(Format::Text),
        "json_object" => Ok(Format::JsonObject),
        "json_schema" => {
            format.object("schema")?;
            let schema = format.get("schema").ok_or_else(|| format.missing("schema"))?;
            Ok(Format::Schema(schema.clone()))
        }
        _ => Err(format.wrong("type", "text, json_object or json_schema")),
    }
}

/// Whether an effort, or a summary of it, is asked for.
fn reasons(body: &Fields<'_>) -> Result<bool, Fault> {
    let Some(reasoning) = body.object("reasoning")? else {
        return Ok(false);
    };
    let effort = reasoning.string("effort")?;
    let summary = reasoning.string("summary")?;
    Ok(effort != Some("none") && (effort.is_some() || summary.is_some()))
}
