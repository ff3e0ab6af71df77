//! Asks a model server what it speaks and which models it has, by GET alone: nothing that a
//! provider would bill.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONNECTION};
use http::{HeaderValue, Method, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use thiserror::Error;

use super::catalog::{Facts, Listing, Model};
use super::dial::{self, DialError};
use super::http1::{Body, Connection, Outgoing, RequestHead, SendError};
use super::{Kind, Upstream};

/// One question and its answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// A provider's listing has some hundred models.
const LISTING_BYTES_MAX: usize = 8 * 1024 * 1024;
const MODELS: &str = "/v1/models";
/// Anthropic's listing comes in pages; this is its largest.
const ANTHROPIC_MODELS: &str = "/v1/models?limit=1000";
/// The version of Anthropic's API whose listing we read.
const ANTHROPIC_VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// One question a connection: servers that answer one alone say so at the end of it anyway.
const CLOSE: HeaderValue = HeaderValue::from_static("close");

#[derive(Debug, Error)]
pub enum DiscoveryError {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error(transparent)]
    Send(#[from] SendError),
    #[error("it didn't answer {path} within {ANSWER_WITHIN:?}")]
    TimedOut { path: &'static str },
    #[error("it answered {path} with {status}")]
    Status { path: &'static str, status: StatusCode },
    #[error("its answer to {path} can't be read")]
    Unreadable { path: &'static str, source: Box<dyn std::error::Error + Send + Sync> },
}

impl DiscoveryError {
    /// Whether it did answer, if not with a listing.
    #[must_use]
    pub const fn is_an_answer(&self) -> bool {
        match self {
            Self::Status { .. } | Self::Unreadable { .. } => true,
            Self::Dial(_) | Self::Send(_) | Self::TimedOut { .. } => false,
        }
    }
}

/// Finds out what the upstream speaks, where that isn't known, and what it offers.
///
/// # Errors
/// [`DiscoveryError`], which says what was asked and what came of it.
pub async fn ask(upstream: &Upstream) -> Result<Listing, DiscoveryError> {
    match upstream.kind() {
        Some(Kind::Ollama) => ollama(upstream).await,
        Some(Kind::OpenAi | Kind::Anthropic) => models(upstream).await.map(|(_, listing)| listing),
        None => {
            if version(upstream).await?.is_some() {
                upstream.found_kind(Kind::Ollama);
                return ollama(upstream).await;
            }
            let (kind, listing) = models(upstream).await?;
            upstream.found_kind(kind);
            Ok(listing)
        }
    }
}

/// What Ollama answers under its own path, unread.
///
/// # Errors
/// As [`ask`].
pub async fn running_models(upstream: &Upstream) -> Result<Vec<Box<RawValue>>, DiscoveryError> {
    let path = "/api/ps";
    let body = get(upstream, path).await?;
    Ok(read::<Running>(path, &body)?.models)
}

async fn ollama(upstream: &Upstream) -> Result<Listing, DiscoveryError> {
    let path = "/api/tags";
    let body = get(upstream, path).await?;
    let tags: Tags<'_> = read(path, &body)?;
    let models = tags
        .models
        .into_iter()
        .filter_map(|raw| {
            let tag: Tag<'_> = serde_json::from_str(raw.get()).ok()?;
            Some(Model {
                id: Arc::from(&*tag.name),
                created: tag.modified_at.and_then(|at| timestamp(&at)),
                owned_by: None,
                ollama: Some(Arc::from(raw.to_owned())),
                facts: Facts::default(),
            })
        })
        .collect();
    let version = version(upstream).await?.map(Arc::from);
    Ok(Listing { models, version })
}

/// The listing that OpenAI's and Anthropic's servers have under the same path, told apart by shape.
async fn models(upstream: &Upstream) -> Result<(Kind, Listing), DiscoveryError> {
    let path = if upstream.kind() == Some(Kind::Anthropic) { ANTHROPIC_MODELS } else { MODELS };
    let body = get(upstream, path).await?;
    let listed: Models = read(path, &body)?;
    // OpenAI's says `"object":"list"`; Anthropic's says whether there is another page.
    let of_anthropic = listed.object.is_none() && listed.has_more.is_some();
    let kind = if of_anthropic { Kind::Anthropic } else { Kind::OpenAi };
    let models = listed.data.into_iter().map(ModelEntry::into_model).collect();
    Ok((kind, Listing { models, version: None }))
}

/// Ollama's version; `None` where the server is another.
async fn version(upstream: &Upstream) -> Result<Option<String>, DiscoveryError> {
    let path = "/api/version";
    match get(upstream, path).await {
        Ok(body) => Ok(read::<Version>(path, &body).ok().map(|answer| answer.version)),
        Err(DiscoveryError::Status { status, .. }) if status.is_client_error() => Ok(None),
        Err(error) => Err(error),
    }
}

async fn get(upstream: &Upstream, path: &'static str) -> Result<Bytes, DiscoveryError> {
    tokio::time::timeout(ANSWER_WITHIN, exchange(upstream, path))
        .await
        .unwrap_or(Err(DiscoveryError::TimedOut { path }))
}

async fn exchange(upstream: &Upstream, path: &'static str) -> Result<Bytes, DiscoveryError> {
    let stream = dial::connect(&upstream.target, upstream.settings.connect).await?;
    let mut connection = Connection::new(stream);
    let mut head = RequestHead::new(&Method::GET, [&upstream.base_path, path], &upstream.host);
    head.header(ACCEPT.as_str(), &JSON);
    head.header(CONNECTION.as_str(), &CLOSE);
    if let Some((name, credential)) = upstream.credential() {
        head.header(name.as_str(), credential);
    }
    if upstream.kind() == Some(Kind::Anthropic) {
        head.header("anthropic-version", &ANTHROPIC_VERSION);
    }
    let head = head.end_without_body();
    let answer = connection.send(Outgoing { head: &head, body: &[] }, |_| false).await?;
    if answer.status != StatusCode::OK {
        return Err(DiscoveryError::Status { path, status: answer.status });
    }
    Body::new(connection, &answer)
        .collect(LISTING_BYTES_MAX)
        .await
        .map_err(|error| DiscoveryError::Unreadable { path, source: error.into() })
}

fn read<'a, T: Deserialize<'a>>(path: &'static str, body: &'a [u8]) -> Result<T, DiscoveryError> {
    serde_json::from_slice(body)
        .map_err(|error| DiscoveryError::Unreadable { path, source: error.into() })
}

#[derive(Deserialize)]
struct Version {
    version: String,
}

#[derive(Deserialize)]
struct Tags<'a> {
    #[serde(borrow)]
    models: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Tag<'a> {
    #[serde(borrow)]
    name: std::borrow::Cow<'a, str>,
    modified_at: Option<String>,
}

#[derive(Deserialize)]
struct Running {
    models: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Models {
    object: Option<String>,
    has_more: Option<bool>,
    data: Vec<ModelEntry>,
}

/// An entry of either listing.
#[derive(Deserialize)]
struct ModelEntry {
    id: String,
    // Some servers write it with a fraction.
    created: Option<f64>,
    created_at: Option<String>,
    owned_by: Option<String>,
    /// vLLM's word for the window.
    #[serde(default, deserialize_with = "if_readable")]
    max_model_len: Option<u64>,
    /// OpenRouter's.
    #[serde(default, deserialize_with = "if_readable")]
    context_length: Option<u64>,
    /// llama.cpp's.
    #[serde(default, deserialize_with = "if_readable")]
    meta: Option<Meta>,
    #[serde(default, deserialize_with = "if_readable")]
    architecture: Option<Architecture>,
}

#[derive(Deserialize)]
struct Meta {
    n_ctx: Option<u64>,
    n_params: Option<u64>,
    size: Option<u64>,
    ftype: Option<Box<str>>,
}

#[derive(Deserialize)]
struct Architecture {
    #[serde(default)]
    input_modalities: Vec<String>,
}

impl ModelEntry {
    fn into_model(self) -> Model {
        let facts = self.facts();
        Model {
            id: Arc::from(self.id),
            created: self
                .created
                .map(|seconds| seconds as i64)
                .or_else(|| timestamp(self.created_at.as_deref()?)),
            owned_by: self.owned_by.map(Box::from),
            ollama: None,
            facts,
        }
    }

    fn facts(&self) -> Facts {
        let meta = self.meta.as_ref();
        Facts {
            context_tokens: self
                .max_model_len
                .or(self.context_length)
                .or(meta.and_then(|meta| meta.n_ctx)),
            parameters: meta.and_then(|meta| meta.n_params),
            size_bytes: meta.and_then(|meta| meta.size),
            quantization: meta.and_then(|meta| meta.ftype.clone()),
            vision: self
                .architecture
                .as_ref()
                .is_some_and(|model| model.input_modalities.iter().any(|input| input == "image")),
        }
    }
}

/// What isn't in any standard is left out where it is of another form than we know.
fn if_readable<'de, T: DeserializeOwned, D: Deserializer<'de>>(
    value: D,
) -> Result<Option<T>, D::Error> {
    let value = serde_json::Value::deserialize(value)?;
    Ok(serde_json::from_value(value).ok())
}

/// Seconds since 1970 of a date in RFC 3339.
fn timestamp(date: &str) -> Option<i64> {
    chrono::DateTime::parse_from_rfc3339(date).ok().map(|at| at.timestamp())
}
