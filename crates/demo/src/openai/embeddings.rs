//! `POST /v1/embeddings`.

use serde_json::{Value, json};

use super::model;
use crate::catalogue::Skill;
use crate::embedding::{self, DIMENSIONS, DIMENSIONS_MAX, Input};
use crate::fields::Fields;
use crate::handle::Work;
use crate::reply::{Fault, Reply, Usage};

/// Most inputs of one request, as OpenAI has it.
const INPUTS_MAX: usize = 2048;

pub(super) fn answer(body: &Fields<'_>, work: &Work<'_>) -> Result<Reply, Fault> {
    let model = model(body, work.catalogue, Skill::Embed)?;
    let base64 = match body.string("encoding_format")? {
        None | Some("float") => false,
        Some("base64") => true,
        Some(_) => return Err(body.wrong("encoding_format", "float or base64")),
    };
    let dimensions = body.at_least("dimensions", 1)?;
    if dimensions.is_some_and(|dimensions| dimensions > DIMENSIONS_MAX) {
        return Err(Fault::field(
            "dimensions",
            format!("'dimensions' must be at most {DIMENSIONS_MAX}."),
        ));
    }
    let dimensions = dimensions.and_then(|given| usize::try_from(given).ok()).unwrap_or(DIMENSIONS);
    let inputs = inputs(body, "input")?;
    let data: Vec<_> = inputs
        .iter()
        .enumerate()
        .map(|(at, input)| {
            let vector = input.vector(dimensions);
            let embedding = if base64 { json!(embedding::base64(&vector)) } else { json!(vector) };
            json!({"object": "embedding", "index": at, "embedding": embedding})
        })
        .collect();
    let prompt_tokens = inputs.iter().map(Input::tokens).sum();
    let mut answer = json!({"object": "list", "model": model, "data": data});
    let usage = Usage { prompt_tokens, completion_tokens: 0 }.told(work.behaviour);
    if let (Some(usage), Some(members)) = (usage, answer.as_object_mut()) {
        let usage =
            json!({"prompt_tokens": usage.prompt_tokens, "total_tokens": usage.prompt_tokens});
        members.insert("usage".to_owned(), usage);
    }
    Ok(Reply::answer(&answer, 0))
}

/// A text, several, the tokens of one, or of several.
pub(super) fn inputs(body: &Fields<'_>, name: &str) -> Result<Vec<Input>, Fault> {
    let wanted = "a string, an array of strings, or an array of tokens";
    let inputs = match body.get(name) {
        None => return Err(body.missing(name)),
        Some(Value::String(text)) => Some(vec![Input::Text(text.clone())]),
        Some(Value::Array(items)) if items.first().is_some_and(Value::is_number) => {
            tokens(items).map(|tokens| vec![tokens])
        }
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| match item {
                Value::String(text) => Some(Input::Text(text.clone())),
                Value::Array(items) => tokens(items),
                _ => None,
            })
            .collect(),
        Some(_) => None,
    };
    let inputs = inputs.ok_or_else(|| body.wrong(name, wanted))?;
    if inputs.is_empty() || inputs.len() > INPUTS_MAX {
        let path = body.path(name);
        let message = format!("'{path}' must hold 1 to {INPUTS_MAX} inputs.");
        return Err(Fault::field(path, message));
    }
    Ok(inputs)
}

fn tokens(items: &[Value]) -> Option<Input> {
    items.iter().map(Value::as_u64).collect::<Option<_>>().map(Input::Tokens)
}
