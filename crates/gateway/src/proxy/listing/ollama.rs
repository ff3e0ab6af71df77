//! Ollama's listings: an Ollama's own entries as it wrote them, and entries made of what is known
//! for models that another server has. Source: Ollama's docs, "API reference".

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::dialect::translate::OLLAMA_VERSION;
use crate::upstream::catalog::{Facts, Model};

#[derive(Serialize)]
pub struct Tags<'a> {
    models: Vec<Tag<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Tag<'a> {
    Own(&'a RawValue),
    Made(Made<'a>),
}

#[derive(Serialize)]
struct Made<'a> {
    name: &'a str,
    model: &'a str,
    modified_at: DateTime<Utc>,
    /// Bytes; 0 where the server doesn't tell.
    size: u64,
    digest: String,
    details: Details<'a>,
}

#[derive(Serialize)]
struct Details<'a> {
    parent_model: &'static str,
    format: &'static str,
    family: &'a str,
    families: [&'a str; 1],
    parameter_size: String,
    quantization_level: &'a str,
}

#[derive(Serialize)]
pub struct Shown<'a> {
    modelfile: String,
    parameters: &'static str,
    template: &'static str,
    details: Details<'a>,
    model_info: ModelInfo<'a>,
    capabilities: Vec<&'static str>,
    modified_at: DateTime<Utc>,
}

#[derive(Serialize)]
struct ModelInfo<'a> {
    #[serde(rename = "general.architecture")]
    architecture: &'a str,
    #[serde(rename = "general.basename")]
    basename: &'a str,
    #[serde(rename = "general.parameter_count", skip_serializing_if = "Option::is_none")]
    parameters: Option<u64>,
    #[serde(flatten)]
    window: Option<Window<'a>>,
}

/// `"<architecture>.context_length"`: Ollama puts the architecture into the name.
struct Window<'a> {
    architecture: &'a str,
    tokens: u64,
}

#[derive(Serialize)]
pub struct Running {
    pub models: Vec<Box<RawValue>>,
}

#[derive(Serialize)]
pub struct Version<'a> {
    version: &'a str,
}

/// An Ollama's entry, as far as we look at it.
#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

pub fn tags<'a>(models: impl Iterator<Item = &'a Model>) -> Tags<'a> {
    Tags { models: models.map(tag).collect() }
}

/// What is known of a model that no Ollama has.
pub fn show(model: &Model) -> Shown<'_> {
    let owner = owner(model);
    // Whether a model takes tools is for its server to say: the request is passed on.
    let mut capabilities = vec!["completion", "tools"];
    if model.facts.vision {
        capabilities.push("vision");
    }
    Shown {
        modelfile: format!("FROM {}\n", model.id),
        parameters: "",
        template: "",
        details: details(model),
        model_info: ModelInfo {
            architecture: owner,
            basename: &model.id,
            parameters: model.facts.parameters,
            window: model.facts.context_tokens.map(|tokens| Window { architecture: owner, tokens }),
        },
        capabilities,
        modified_at: modified_at(model),
    }
}

/// The version of the first Ollama behind us, else that of the API which we speak ourselves.
pub fn version(behind: Option<&str>) -> Version<'_> {
    Version { version: behind.unwrap_or(OLLAMA_VERSION) }
}

/// The name in an Ollama's entry.
pub fn name(entry: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Named<'_>>(entry.get()).ok().map(|named| named.name)
}

fn tag(model: &Model) -> Tag<'_> {
    match &model.ollama {
        Some(own) => Tag::Own(own),
        None => Tag::Made(Made {
            name: &model.id,
            model: &model.id,
            modified_at: modified_at(model),
            size: model.facts.size_bytes.unwrap_or(0),
            // Ollama's clients cut it without looking. Nobody tells one, so it is the name's own.
            digest: hex::encode(Sha256::digest(model.id.as_bytes())),
            details: details(model),
        }),
    }
}

fn details(model: &Model) -> Details<'_> {
    let Facts { parameters, quantization, .. } = &model.facts;
    Details {
        parent_model: "",
        format: "",
        family: owner(model),
        families: [owner(model)],
        parameter_size: parameters.map(parameter_size).unwrap_or_default(),
        quantization_level: quantization.as_deref().unwrap_or(""),
    }
}

fn owner(model: &Model) -> &str {
    model.owned_by.as_deref().unwrap_or("unknown")
}

/// As Ollama writes it: `134.52M`, `7.6B`.
fn parameter_size(parameters: u64) -> String {
    match parameters as f64 {
        many if many >= 1e9 => format!("{:.1}B", many / 1e9),
        some if some >= 1e6 => format!("{:.2}M", some / 1e6),
        few => format!("{few}"),
    }
}

fn modified_at(model: &Model) -> DateTime<Utc> {
    model.created.and_then(|seconds| DateTime::from_timestamp(seconds, 0)).unwrap_or_default()
}

impl Serialize for Window<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([(format!("{}.context_length", self.architecture), self.tokens)])
    }
}
