//! Ollama's dialect: its routes, its listings, its errors. Source: Ollama's docs, "API reference".
//! Knows no sockets and no other dialect. Its management routes (pull, push, create …) are not there.

mod embed;
mod generate;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::ask::fnv;
use crate::catalogue::{self, Catalogue, Skill, tagged};
use crate::embedding::DIMENSIONS;
use crate::fields::Fields;
use crate::handle::Work;
use crate::reply::{Fault, Reply};

/// The release of Ollama whose API this follows. Clients compare it.
const VERSION: &str = "0.14.0";
/// How long a model stays loaded when nobody uses it.
const KEEP_ALIVE: TimeDelta = TimeDelta::minutes(5);
const ARCHITECTURE: &str = "fluxgate-demo";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Chat,
    Generate,
    Embed,
    /// The older form of [`Endpoint::Embed`], for one text.
    Embeddings,
    Show,
    Tags,
    Ps,
    Version,
}

impl Endpoint {
    /// The endpoint of a path, and the method it takes.
    pub(crate) fn find(path: &str) -> Option<(Method, Self)> {
        Some(match path {
            "/api/chat" => (Method::POST, Self::Chat),
            "/api/generate" => (Method::POST, Self::Generate),
            "/api/embed" => (Method::POST, Self::Embed),
            "/api/embeddings" => (Method::POST, Self::Embeddings),
            "/api/show" => (Method::POST, Self::Show),
            "/api/tags" => (Method::GET, Self::Tags),
            "/api/ps" => (Method::GET, Self::Ps),
            "/api/version" => (Method::GET, Self::Version),
            _ => return None,
        })
    }

    pub(crate) fn is_listing(self) -> bool {
        match self {
            Self::Chat | Self::Generate | Self::Embed | Self::Embeddings | Self::Show => false,
            Self::Tags | Self::Ps | Self::Version => true,
        }
    }
}

/// Answers a request; `body` is null on a listing.
///
/// # Errors
/// What is wrong with the request.
pub(crate) fn answer(endpoint: Endpoint, body: &Value, work: &Work<'_>) -> Result<Reply, Fault> {
    match endpoint {
        Endpoint::Chat => generate::chat(&Fields::of(body, "")?, work),
        Endpoint::Generate => generate::generate(&Fields::of(body, "")?, work),
        Endpoint::Embed => embed::embed(&Fields::of(body, "")?, work),
        Endpoint::Embeddings => embed::embeddings(&Fields::of(body, "")?, work),
        Endpoint::Show => show(&Fields::of(body, "")?, work.catalogue),
        Endpoint::Tags => {
            let models: Vec<_> = work.catalogue.names().map(listed).collect();
            Ok(Reply::json(StatusCode::OK, &json!({"models": models})))
        }
        Endpoint::Ps => Ok(Reply::json(StatusCode::OK, &json!({"models": [loaded()]}))),
        Endpoint::Version => Ok(Reply::json(StatusCode::OK, &json!({"version": VERSION}))),
    }
}

/// `{"error":"…"}`
pub(crate) fn fault(fault: &Fault) -> Reply {
    Reply::json(fault.status, &fault_json(fault))
}

fn fault_json(fault: &Fault) -> Value {
    json!({"error": fault.message})
}

fn listed(name: &str) -> Value {
    let tagged = tagged(name);
    json!({
        "name": tagged, "model": tagged, "modified_at": made_at(), "size": 0, "digest": digest(name),
        "details": details(),
    })
}

/// The chat model is always loaded.
fn loaded() -> Value {
    let mut model = listed(catalogue::CHAT_MODEL);
    if let Some(members) = model.as_object_mut() {
        members.remove("modified_at");
        members.insert("expires_at".to_owned(), json!(time(Utc::now() + KEEP_ALIVE)));
        members.insert("size_vram".to_owned(), json!(0));
        members.insert("context_length".to_owned(), json!(catalogue::CONTEXT_TOKENS));
    }
    model
}

fn show(body: &Fields<'_>, catalogue: &Catalogue) -> Result<Reply, Fault> {
    let model = named_model(body)?;
    let embeds = catalogue.check(model, Skill::Embed).is_ok();
    let chats = catalogue.check(model, Skill::Chat);
    if !embeds {
        chats.clone()?;
    }
    let mut capabilities = Vec::new();
    if chats.is_ok() {
        capabilities.extend(["completion", "tools", "vision", "thinking"]);
    }
    if embeds {
        capabilities.push("embedding");
    }
    let shown = json!({
        "license": "MIT",
        "modelfile": format!("# Fluxgate's built-in demo model\nFROM {}\n", tagged(model)),
        "parameters": format!("num_ctx {}", catalogue::CONTEXT_TOKENS),
        "template": "{{ .Prompt }}",
        "details": details(),
        "model_info": {
            "general.architecture": ARCHITECTURE,
            "general.basename": "Fluxgate demo model",
            "general.parameter_count": 0,
            format!("{ARCHITECTURE}.context_length"): catalogue::CONTEXT_TOKENS,
            format!("{ARCHITECTURE}.embedding_length"): DIMENSIONS,
        },
        "capabilities": capabilities,
        "modified_at": made_at(),
    });
    Ok(Reply::json(StatusCode::OK, &shown))
}

fn details() -> Value {
    json!({
        "parent_model": "", "format": "demo", "family": ARCHITECTURE, "families": [ARCHITECTURE],
        "parameter_size": "0", "quantization_level": "none",
    })
}

/// The model that the request names; the older form calls it `name`.
fn named_model<'a>(body: &Fields<'a>) -> Result<&'a str, Fault> {
    let model = body.string("model")?.or(body.string("name")?).filter(|name| !name.is_empty());
    model.ok_or_else(|| Fault::field("model", "model is required"))
}

/// As long as the SHA-256 that Ollama names, and different for each name.
fn digest(name: &str) -> String {
    (0..4_u64).map(|part| format!("{:016x}", fnv(part, name.as_bytes()))).collect()
}

fn made_at() -> String {
    let seconds = i64::try_from(catalogue::MADE_AT_UNIX_S).ok();
    time(seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0)).unwrap_or_default())
}

fn now() -> String {
    time(Utc::now())
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Nanos, true)
}
