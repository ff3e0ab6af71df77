//! Anthropic's listing. Source: the provider's API reference, "List Models".

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::upstream::catalog::Model;

#[derive(Serialize)]
pub struct List<'a> {
    data: Vec<Entry<'a>>,
    has_more: bool,
    first_id: Option<&'a str>,
    last_id: Option<&'a str>,
}

#[derive(Serialize)]
pub struct Entry<'a> {
    r#type: &'static str,
    id: &'a str,
    display_name: &'a str,
    /// 1970 where the server's listing doesn't say it.
    created_at: DateTime<Utc>,
}

pub fn list<'a>(models: impl Iterator<Item = &'a Model>) -> List<'a> {
    let data: Vec<Entry<'a>> = models.map(entry).collect();
    let first_id = data.first().map(|entry| entry.id);
    let last_id = data.last().map(|entry| entry.id);
    List { data, has_more: false, first_id, last_id }
}

pub fn entry(model: &Model) -> Entry<'_> {
    let created = model.created.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    Entry {
        r#type: "model",
        id: &model.id,
        display_name: &model.id,
        created_at: created.unwrap_or_default(),
    }
}
