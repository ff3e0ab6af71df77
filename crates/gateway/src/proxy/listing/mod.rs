//! The routes that tell what there is: answered from the catalog, in the dialect's own form. Only
//! what is running now is asked of the upstreams.

mod anthropic;
mod ollama;
mod openai;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fluxgate_core::{Reason, glob};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderValue, Response};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::task::JoinSet;

use super::{OutBody, choose, no_such_model};
use crate::dialect::{Dialect, Refusal};
use crate::router::{self, Endpoint};
use crate::upstream::catalog::{Model, Offer, Snapshot};
use crate::upstream::{Kind, discovery};
use crate::worker::Worker;

/// Who is slower than this isn't waited for.
const RUNNING_WITHIN: Duration = Duration::from_secs(2);

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
            Self::Models if of_anthropic => {
                Ok(json(&anthropic::list(offered(worker, &snapshot, Dialect::Anthropic).iter())))
            }
            Self::Models => {
                Ok(json(&openai::list(offered(worker, &snapshot, Dialect::OpenAi).iter())))
            }
            Self::Model => {
                let id = model_in(head.uri.path())?;
                let model = named(worker, &snapshot, &id);
                let model = model.ok_or_else(|| no_such_model(&snapshot))?;
                Ok(if of_anthropic {
                    json(&anthropic::entry(&model))
                } else {
                    json(&openai::entry(&model))
                })
            }
            Self::Tags => {
                Ok(json(&ollama::tags(offered(worker, &snapshot, Dialect::Ollama).iter())))
            }
            Self::Running => {
                Ok(json(&ollama::Running { models: running(worker, &snapshot).await }))
            }
            Self::Version => Ok(json(&ollama::version(snapshot.ollama_version()))),
        }
    }
}

/// What `/api/show` tells of a model that no Ollama has.
#[must_use]
pub fn shown(model: &Model) -> Response<OutBody> {
    json(&ollama::show(model))
}

/// The id of `GET /v1/models/{id}` as a refusal's caller may see it.
fn model_in(path: &str) -> Result<String, Refusal> {
    router::model_id(path)
        .ok_or_else(|| Refusal::new(Reason::UnknownRoute, "There is no such route."))
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

/// What the dialect's clients may name: the models, and the aliases that are names of their own.
fn offered(worker: &Worker, snapshot: &Snapshot, dialect: Dialect) -> Vec<Model> {
    let serves = |offer: &&Offer| {
        // OpenAI's listing is the one of all routes under /v1.
        dialect == Dialect::OpenAi || choose::any_serves(offer, dialect)
    };
    let mut models: Vec<Model> =
        snapshot.offers().filter(serves).map(|offer| offer.model.clone()).collect();
    let settings = worker.app.settings.load();
    let aliases = settings.models.keys().filter(|name| !name.contains(glob::WILDCARDS));
    for name in aliases {
        if let Some(alias_of) = choose::alias_of(&settings.models, name)
            && let Some(offer) = choose::offer(snapshot, &alias_of, dialect)
        {
            models.retain(|model| *model.id != **name);
            models.push(alias(name, &offer.model));
        }
    }
    models
}

/// The model of this name, or the one that it stands for.
fn named(worker: &Worker, snapshot: &Snapshot, name: &str) -> Option<Model> {
    match choose::alias_of(&worker.app.settings.load().models, name) {
        Some(alias_of) => snapshot.find(&alias_of).map(|offer| alias(name, &offer.model)),
        None => snapshot.find(name).map(|offer| offer.model.clone()),
    }
}

fn alias(name: &str, model: &Model) -> Model {
    // An Ollama's own entry has the model's name in it.
    Model { id: Arc::from(name), ollama: None, ..model.clone() }
}

/// Asks every Ollama what it holds in memory; one that doesn't answer in time is left out.
async fn running(worker: &Worker, snapshot: &Snapshot) -> Vec<Box<RawValue>> {
    let mut asked = JoinSet::new();
    for upstream in
        snapshot.upstreams.iter().filter(|upstream| upstream.kind() == Some(Kind::Ollama))
    {
        let upstream = Arc::clone(upstream);
        asked.spawn_on(
            async move {
                let running = discovery::running_models(&upstream);
                let mut models = tokio::time::timeout(RUNNING_WITHIN, running).await.ok()?.ok()?;
                models
                    .retain(|model| ollama::name(model).is_some_and(|name| upstream.serves(&name)));
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
    models
}

fn json(answer: &impl Serialize) -> Response<OutBody> {
    let body: Bytes = serde_json::to_vec(answer).unwrap_or_default().into();
    let mut response = Response::new(OutBody::full(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
