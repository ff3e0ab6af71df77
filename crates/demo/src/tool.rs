//! Which tools an answer calls, and with which arguments. Knows the conversation, no dialect.

use crate::ask::{Ask, Tool, ToolChoice, fnv};
use crate::schema::{self, Words};

/// A tool call of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub id: String,
    pub name: String,
    /// A JSON object, as text.
    pub arguments: String,
}

/// The calls that answer this conversation; none where it is answered in words.
///
/// A tool's result is always answered in words, or an agent would go on for ever.
pub(crate) fn calls(ask: &Ask) -> Vec<Call> {
    if !ask.tool_results().is_empty() {
        return Vec::new();
    }
    let prompt = ask.last_user().map_or("", |message| &*message.text);
    chosen(ask, prompt)
        .into_iter()
        .enumerate()
        .map(|(at, tool)| call(ask, prompt, tool, at))
        .collect()
}

fn chosen<'a>(ask: &'a Ask, prompt: &str) -> Vec<&'a Tool> {
    let prompt = prompt.to_lowercase();
    let mentioned = |tool: &&Tool| {
        let name = tool.name.to_lowercase();
        prompt.contains(&name) || prompt.contains(&name.replace('_', " "))
    };
    let at_most = if ask.parallel_calls { ask.tools.len() } else { 1 };
    let mentioned: Vec<_> = ask.tools.iter().filter(mentioned).take(at_most).collect();
    match &ask.tool_choice {
        ToolChoice::None => Vec::new(),
        ToolChoice::Auto => mentioned,
        ToolChoice::Required if mentioned.is_empty() => ask.tools.iter().take(1).collect(),
        ToolChoice::Required => mentioned,
        ToolChoice::Named(name) => {
            ask.tools.iter().filter(|tool| tool.name == *name).take(1).collect()
        }
    }
}

fn call(ask: &Ask, prompt: &str, tool: &Tool, at: usize) -> Call {
    let name = tool.name.to_lowercase();
    let mut words = Words::of(prompt, "", &format!("{name} {}", name.replace('_', " ")));
    let arguments = match schema::instance(&tool.parameters, &mut words) {
        object @ serde_json::Value::Object(_) => object,
        // No schema was given.
        _ => serde_json::json!({}),
    };
    let number = fnv(ask.fingerprint(), format!("{} {at}", tool.name).as_bytes());
    Call {
        id: format!("call_{number:016x}"),
        name: tool.name.clone(),
        arguments: arguments.to_string(),
    }
}
