//! Reading what is asked of the model: system, messages, tools, and where the client marks the prompt's cache.

use http::StatusCode;
use serde_json::Value;

use crate::ask::{Ask, Message, Role, Tool, ToolChoice};
use crate::fields::Fields;
use crate::reply::Fault;

/// Most marks of one request, as Anthropic has it.
const CACHE_MARKS_MAX: usize = 4;

/// What is asked, and after how many messages each cached beginning of the prompt ends.
pub(super) struct Prompt {
    pub ask: Ask,
    pub cache_ends: Vec<usize>,
}

pub(super) fn read(body: &Fields<'_>) -> Result<Prompt, Fault> {
    let mut messages = Vec::new();
    let mut marks = Marks::default();
    let tools = tools(body, &mut marks)?;
    if body.get("system").is_some() {
        let mut system = Content::default();
        system.read(body, "system", &mut marks)?;
        messages.push(Message { role: Role::System, ..system.words });
        marks.end(messages.len());
    }
    let given = body.array("messages")?.ok_or_else(|| body.missing("messages"))?;
    if given.is_empty() {
        return Err(Fault::field("messages", "'messages' must hold at least one message."));
    }
    for fields in body.objects("messages")? {
        let mut content = Content::default();
        content.read(&fields, "content", &mut marks)?;
        messages.extend(content.messages(role(&fields)?));
        marks.end(messages.len());
    }
    // At the top it marks the end of the prompt.
    marks.see(body)?;
    marks.end(messages.len());
    let (tool_choice, parallel_calls) = tool_choice(body)?;
    let ask = Ask {
        messages,
        tools,
        tool_choice,
        parallel_calls,
        think: thinks(body)?,
        ..Ask::default()
    };
    Ok(Prompt { ask, cache_ends: marks.ends })
}

/// The marks seen so far.
#[derive(Default)]
struct Marks {
    count: usize,
    /// Whether one waits for the end of its message.
    open: bool,
    ends: Vec<usize>,
}

impl Marks {
    fn see(&mut self, block: &Fields<'_>) -> Result<(), Fault> {
        if block.object("cache_control")?.is_some() {
            self.count += 1;
            self.open = true;
        }
        if self.count > CACHE_MARKS_MAX {
            let message = format!(
                "A maximum of {CACHE_MARKS_MAX} blocks with cache_control may be provided."
            );
            return Err(Fault::new(StatusCode::BAD_REQUEST, message));
        }
        Ok(())
    }

    fn end(&mut self, messages: usize) {
        if std::mem::take(&mut self.open) {
            self.ends.push(messages);
        }
    }
}

/// What one message, or the system prompt, holds.
struct Content {
    words: Message,
    results: Vec<Message>,
}

impl Default for Content {
    fn default() -> Self {
        Self { words: Message::new(Role::User, ""), results: Vec::new() }
    }
}

impl Content {
    /// A string or blocks.
    fn read(&mut self, fields: &Fields<'_>, name: &str, marks: &mut Marks) -> Result<(), Fault> {
        match fields.get(name) {
            None => return Err(fields.missing(name)),
            Some(Value::String(text)) => self.words.text.clone_from(text),
            Some(Value::Array(_)) => {
                for block in fields.objects(name)? {
                    marks.see(&block)?;
                    self.block(&block, marks)?;
                }
            }
            Some(_) => return Err(fields.wrong(name, "a string or an array of blocks")),
        }
        Ok(())
    }

    fn block(&mut self, block: &Fields<'_>, marks: &mut Marks) -> Result<(), Fault> {
        match block.string("type")?.ok_or_else(|| block.missing("type"))? {
            "text" => {
                self.words.text += block.string("text")?.ok_or_else(|| block.missing("text"))?;
            }
            "image" => self.words.images += 1,
            "tool_use" => {
                let name = block.string("name")?.ok_or_else(|| block.missing("name"))?;
                let input = block.get("input").unwrap_or(&Value::Null);
                self.words.calls += &format!("{name} {input}");
            }
            "tool_result" => {
                let mut result = Self::default();
                if block.get("content").is_some() {
                    result.read(block, "content", marks)?;
                }
                self.results.push(Message { role: Role::Tool, ..result.words });
            }
            // Documents and the like: accepted, and not understood. An earlier answer's thinking is no prompt.
            _ => {}
        }
        Ok(())
    }

    /// Each result as a message of its own. Words beside them come first: agents add reminders to the results,
    /// but it is the results that wait for an answer.
    fn messages(self, role: Role) -> impl Iterator<Item = Message> {
        let words = Message { role, ..self.words };
        let none = words.text.is_empty() && words.calls.is_empty() && words.images == 0;
        let words = (!none || self.results.is_empty()).then_some(words);
        words.into_iter().chain(self.results)
    }
}

fn role(message: &Fields<'_>) -> Result<Role, Fault> {
    match message.string("role")?.ok_or_else(|| message.missing("role"))? {
        "user" => Ok(Role::User),
        "assistant" => Ok(Role::Assistant),
        "system" => Ok(Role::System),
        _ => Err(message.wrong("role", "user, assistant or system")),
    }
}

/// The client's own tools; those that Anthropic runs have a type of theirs and no schema.
fn tools(body: &Fields<'_>, marks: &mut Marks) -> Result<Vec<Tool>, Fault> {
    let mut tools = Vec::new();
    for fields in body.objects("tools")? {
        marks.see(&fields)?;
        if !matches!(fields.string("type")?, None | Some("custom")) {
            continue;
        }
        let name = fields.string("name")?.ok_or_else(|| fields.missing("name"))?;
        fields.object("input_schema")?.ok_or_else(|| fields.missing("input_schema"))?;
        let description = fields.string("description")?.unwrap_or_default();
        tools.push(Tool::new(name, description, fields.get("input_schema")));
    }
    marks.end(0);
    Ok(tools)
}

/// Which tools, and whether several at once.
fn tool_choice(body: &Fields<'_>) -> Result<(ToolChoice, bool), Fault> {
    let Some(choice) = body.object("tool_choice")? else {
        return Ok((ToolChoice::Auto, true));
    };
    let kind = match choice.string("type")?.ok_or_else(|| choice.missing("type"))? {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Required,
        "none" => ToolChoice::None,
        "tool" => {
            let name = choice.string("name")?.ok_or_else(|| choice.missing("name"))?;
            ToolChoice::Named(name.to_owned())
        }
        _ => return Err(choice.wrong("type", "auto, any, tool or none")),
    };
    Ok((kind, !choice.flag("disable_parallel_tool_use")?.unwrap_or(false)))
}

fn thinks(body: &Fields<'_>) -> Result<bool, Fault> {
    let Some(thinking) = body.object("thinking")? else {
        return Ok(false);
    };
    thinking.integer("budget_tokens")?;
    match thinking.string("type")?.ok_or_else(|| thinking.missing("type"))? {
        "enabled" | "adaptive" => Ok(true),
        "disabled" => Ok(false),
        _ => Err(thinking.wrong("type", "enabled, adaptive or disabled")),
    }
}
