//! `POST /api/embed`, and its older form `POST /api/embeddings`.

use std::time::Instant;

use serde_json::json;

use super::named_model;
use crate::catalogue::Skill;
use crate::embedding::{DIMENSIONS, DIMENSIONS_MAX, Input};
use crate::fields::Fields;
use crate::handle::Work;
use crate::reply::{Fault, Reply, Usage};

pub(super) fn embed(body: &Fields<'_>, work: &Work<'_>) -> Result<Reply, Fault> {
    let started = Instant::now();
    let model = named_model(body)?;
    work.catalogue.check(model, Skill::Embed)?;
    body.flag("truncate")?;
    body.object("options")?;
    let dimensions = body.at_least("dimensions", 1)?.unwrap_or(DIMENSIONS as i64);
    if dimensions > DIMENSIONS_MAX {
        return Err(Fault::field(
            "dimensions",
            format!("'dimensions' must be at most {DIMENSIONS_MAX}."),
        ));
    }
    let dimensions = usize::try_from(dimensions).unwrap_or(DIMENSIONS);
    let inputs: Vec<_> = body.strings("input")?.into_iter().map(Input::Text).collect();
    let vectors: Vec<_> = inputs.iter().map(|input| input.vector(dimensions)).collect();
    let usage =
        Usage { prompt_tokens: inputs.iter().map(Input::tokens).sum(), completion_tokens: 0 };
    let took = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let mut answer =
        json!({"model": model, "embeddings": vectors, "total_duration": took, "load_duration": 0});
    if let (Some(usage), Some(members)) = (usage.told(work.behaviour), answer.as_object_mut()) {
        members.insert("prompt_eval_count".to_owned(), json!(usage.prompt_tokens));
    }
    Ok(Reply::answer(&answer, 0))
}

pub(super) fn embeddings(body: &Fields<'_>, work: &Work<'_>) -> Result<Reply, Fault> {
    let model = named_model(body)?;
    work.catalogue.check(model, Skill::Embed)?;
    let prompt = body.string("prompt")?.unwrap_or_default();
    // An empty prompt only loads the model.
    let vector = match prompt {
        "" => Vec::new(),
        text => Input::Text(text.to_owned()).vector(DIMENSIONS),
    };
    Ok(Reply::answer(&json!({"embedding": vector}), 0))
}
