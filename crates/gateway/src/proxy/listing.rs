//! The routes that tell what there is: answered from the catalog, in the dialect's own form. Only
//! what is running now is asked of the upstreams.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fluxgate_core::Reason;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderValue, Response};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::task::JoinSet;

use super::{OutBody, model_in, no_such_model};
use crate::dialect::{Dialect, Refusal};
use crate::router::Endpoint;
use crate::upstream::catalog::{Model, Snapshot};
use crate::upstream::{Kind, discovery};
use crate::worker::Worker;

/// Who is slower than this isn't waited for.
const RUNNING_WITHIN: Duration = Duration::from_secs(2);
/// Where a listing doesn't say when a model was made.
const CREATED_UNKNOWN: i64 = 0;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub enum Listing {
    Models,
    Model,
    Tags,
    Running,
    Version,
}

impl Listing {
    /// `None` for an endpoint that a model server answers.
    pub const fn of(endpoint: Endpoint) -> Option<Self> {
        match endpoint {
            Endpoint::ListModels => Some(Self::Models),
            Endpoint::GetModel => Some(Self::Model),
            Endpoint::OllamaTags => Some(Self::Tags),
            Endpoint::OllamaPs => Some(Self::Running),
            Endpoint::OllamaVersion => Some(Self::Version),
            Endpoint::ChatCompletions
            | Endpoint::Completions
            | Endpoint::Embeddings
            | Endpoint::Responses
            | Endpoint::Messages
            | Endpoint::CountTokens
            | Endpoint::OllamaChat
            | Endpoint::OllamaGenerate
            | Endpoint::OllamaEmbed
            | Endpoint::OllamaEmbeddings
            | Endpoint::OllamaShow => None,
        }
    }

    /// Answers it.
    ///
    /// # Errors
    /// An unknown model; listings that were never read.
    pub async fn answer(self, worker: &Worker, head: &Parts) -> Result<Response<OutBody>, Refusal> {
        // Anthropic's clients ask under the same path for a listing of their own form.
        let of_anthropic = head.headers.contains_key("anthropic-version");
        let snapshot = known(worker).await?;
        match self {
            Self::Models if of_anthropic => Ok(json(&AnthropicList::of(
                offered(&snapshot, Dialect::Anthropic).map(anthropic_entry).collect(),
            ))),
            Self::Models => Ok(json(&ModelList {
                object: "list",
                data: snapshot.offers().map(|offer| entry(&offer.model)).collect(),
            })),
            Self::Model => {
                let id = model_in(head.uri.path())?;
                let offer = match snapshot.find(&id) {
                    Some(offer) => offer,
                    None => return Err(no_such_model(&snapshot)),
                };
                Ok(if of_anthropic {
                    json(&anthropic_entry(&offer.model))
                } else {
                    json(&entry(&offer.model))
                })
            }
            Self::Tags => Ok(json(&Tags {
                models: offered(&snapshot, Dialect::Ollama)
                    .filter_map(|model| model.ollama.as_deref())
                    .collect(),
            })),
            Self::Running => Ok(json(&running(worker, &snapshot).await)),
            Self::Version => match snapshot.ollama_version() {
                Some(version) => Ok(json(&Version { version })),
                None => {
                    let text = "No Ollama stands behind this gateway.";
                    Err(Refusal::new(Reason::NotFound, text))
                }
            },
        }
    }
}

/// The catalog, once any upstream has told what it offers.
async fn known(worker: &Worker) -> Result<Arc<Snapshot>, Refusal> {
    let snapshot = worker.app.upstreams.snapshot();
    if snapshot.any_listed() {
        return Ok(snapshot);
    }
    worker.app.upstreams.read_on_demand().await;
    let snapshot = worker.app.upstreams.snapshot();
    if snapshot.any_listed() { Ok(snapshot) } else { Err(no_such_model(&snapshot)) }
}

fn offered(snapshot: &Snapshot, dialect: Dialect) -> impl Iterator<Item = &Model> {
    snapshot
        .offers()
        .filter(move |offer| super::choose::any_serves(offer, dialect))
        .map(|offer| &offer.model)
}

/// Asks every Ollama what it holds in memory; one that doesn't answer in time is left out.
async fn running(worker: &Worker, snapshot: &Snapshot) -> Running {
    let mut asked = JoinSet::new();
    for upstream in
        snapshot.upstreams.iter().filter(|upstream| upstream.kind() == Some(Kind::Ollama))
    {
        let upstream = Arc::clone(upstream);
        asked.spawn_on(
            async move {
                let running = discovery::running_models(&upstream);
                let mut models = tokio::time::timeout(RUNNING_WITHIN, running).await.ok()?.ok()?;
                models.retain(|model| {
                    serde_json::from_str::<Named<'_>>(model.get())
                        .is_ok_and(|named| upstream.serves(&named.name))
                });
                Some(models)
            },
            &worker.app.control,
        );
    }
    let mut models = Vec::new();
    while let Some(answered) = asked.join_next().await {
        if let Ok(Some(running)) = answered {
            models.extend(running);
        }
    }
    Running { models }
}

fn json(answer: &impl Serialize) -> Response<OutBody> {
    let body: Bytes = serde_json::to_vec(answer).unwrap_or_default().into();
    let mut response = Response::new(OutBody::full(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn anthropic_entry(model: &Model) -> AnthropicEntry<'_> {
    let created = model.created.unwrap_or(CREATED_UNKNOWN);
    AnthropicEntry {
        r#type: "model",
        id: &model.id,
        display_name: &model.id,
        created_at: chrono::DateTime::from_timestamp(created, 0).unwrap_or_default(),
    }
}

fn entry(model: &Model) -> ModelEntry<'_> {
    ModelEntry {
        id: &model.id,
        object: "model",
        created: model.created.unwrap_or(CREATED_UNKNOWN),
        owned_by: model.owned_by.as_deref().unwrap_or("library"),
    }
}

#[derive(Serialize)]
struct ModelList<'a> {
    object: &'static str,
    data: Vec<ModelEntry<'a>>,
}

#[derive(Serialize)]
struct ModelEntry<'a> {
    id: &'a str,
    object: &'static str,
    created: i64,
    owned_by: &'a str,
}

#[derive(Serialize)]
struct AnthropicList<'a> {
    data: Vec<AnthropicEntry<'a>>,
    has_more: bool,
    first_id: Option<&'a str>,
    last_id: Option<&'a str>,
}

impl<'a> AnthropicList<'a> {
    fn of(data: Vec<AnthropicEntry<'a>>) -> Self {
        let first_id = data.first().map(|entry| entry.id);
        let last_id = data.last().map(|entry| entry.id);
        Self { data, has_more: false, first_id, last_id }
    }
}

#[derive(Serialize)]
struct AnthropicEntry<'a> {
    r#type: &'static str,
    id: &'a str,
    display_name: &'a str,
    created_at: chrono::DateTime<chrono::Utc>,
}

#[derive(Serialize)]
struct Tags<'a> {
    models: Vec<&'a RawValue>,
}

/// An entry of Ollama's, as far as we look at it.
#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

#[derive(Serialize)]
struct Running {
    models: Vec<Box<RawValue>>,
}

#[derive(Serialize)]
struct Version<'a> {
    version: &'a str,
}
