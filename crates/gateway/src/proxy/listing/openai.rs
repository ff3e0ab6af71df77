//! OpenAI's listing. Source: the provider's API reference, "Models".

use serde::Serialize;

use crate::upstream::catalog::Model;

/// Where a server's listing doesn't say when a model was made.
const CREATED_UNKNOWN: i64 = 0;

#[derive(Serialize)]
pub struct List<'a> {
    object: &'static str,
    data: Vec<Entry<'a>>,
}

#[derive(Serialize)]
pub struct Entry<'a> {
    id: &'a str,
    object: &'static str,
    created: i64,
    owned_by: &'a str,
}

pub fn list<'a>(models: impl Iterator<Item = &'a Model>) -> List<'a> {
    List { object: "list", data: models.map(entry).collect() }
}

pub fn entry(model: &Model) -> Entry<'_> {
    Entry {
        id: &model.id,
        object: "model",
        created: model.created.unwrap_or(CREATED_UNKNOWN),
        owned_by: model.owned_by.as_deref().unwrap_or("library"),
    }
}
