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
use crate::auth::principal::Principal;
use crate::dialect::Dialect;
use crate::refusal::Refusal;
use crate::router::{self, Endpoint};
use crate::upstream::catalog::{Model, Offer, Snapshot};
use crate::upstream::{Kind, Upstream, discovery};
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
    pub async fn answer(
        self,
        worker: &Worker,
        principal: &Principal,
        spoken: Dialect,
        head: &Parts,
    ) -> Result<Response<OutBody>, Refusal> {
        let asked = Asked { worker, principal };
        let of_anthropic = spoken == Dialect::Anthropic;
        let snapshot = asked.known().await?;
        match self {
            Self::Models if of_anthropic => {
                Ok(json(&anthropic::list(asked.offered(&snapshot, Dialect::Anthropic).iter())))
            }
            Self::Models => {
                Ok(json(&openai::list(asked.offered(&snapshot, Dialect::OpenAi).iter())))
            }
            Self::Model => {
                let id = model_in(head.uri.path())?;
                let model = asked.named(&snapshot, &id);
                let model = model.ok_or_else(|| no_such_model(&snapshot, principal))?;
                Ok(if of_anthropic {
                    json(&anthropic::entry(&model))
                } else {
                    json(&openai::entry(&model))
                })
            }
            Self::Tags => Ok(json(&ollama::tags(asked.offered(&snapshot, Dialect::Ollama).iter()))),
            Self::Running => Ok(json(&ollama::Running { models: asked.running(&snapshot).await })),
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

/// Who asks, and what they may see.
struct Asked<'a> {
    worker: &'a Worker,
    principal: &'a Principal,
}

impl Asked<'_> {
    /// The catalog, once any upstream has told what it offers.
    async fn known(&self) -> Result<Arc<Snapshot>, Refusal> {
        let upstreams = &self.worker.app.upstreams;
        let snapshot = upstreams.snapshot();
        if snapshot.any_listed() {
            return Ok(snapshot);
        }
        upstreams.read_on_demand().await;
        let snapshot = upstreams.snapshot();
        if snapshot.any_listed() {
            Ok(snapshot)
        } else {
            Err(no_such_model(&snapshot, self.principal))
        }
    }

    /// What the dialect's clients may name: the models, and the aliases that are names of their own.
    fn offered(&self, snapshot: &Snapshot, dialect: Dialect) -> Vec<Model> {
        let serves = |offer: &&Offer| {
            // OpenAI's listing is the one of all routes under /v1.
            let served = dialect == Dialect::OpenAi || choose::any_serves(offer, dialect);
            served && self.principal.may_use(&offer.model.id)
        };
        let mut models: Vec<Model> =
            snapshot.offers().filter(serves).map(|offer| offer.model.clone()).collect();
        let settings = self.worker.app.settings.load();
        for name in settings.models.keys().filter(|name| !name.contains(glob::WILDCARDS)) {
            if let Some(alias_of) = choose::alias_of(&settings.models, name, dialect)
                && let Some(offer) = choose::offer(snapshot, &alias_of, dialect)
            {
                models.retain(|model| *model.id != **name);
                if self.may_use(name, &offer.model) {
                    models.push(alias(name, &offer.model));
                }
            }
        }
        models
    }

    /// The model of this name, or the one that it stands for.
    fn named(&self, snapshot: &Snapshot, name: &str) -> Option<Model> {
        let models = &self.worker.app.settings.load().models;
        let alias_of = choose::alias_of(models, name, Dialect::OpenAi);
        let model = &snapshot.find(alias_of.as_deref().unwrap_or(name))?.model;
        match alias_of {
            Some(_) => self.may_use(name, model).then(|| alias(name, model)),
            None => self.principal.may_use(&model.id).then(|| model.clone()),
        }
    }

    /// An alias may be used by its own name or by its model's.
    fn may_use(&self, name: &str, model: &Model) -> bool {
        self.principal.may_use(name) || self.principal.may_use(&model.id)
    }

    /// Asks every Ollama what it holds in memory; one that doesn't answer in time is left out.
    async fn running(&self, snapshot: &Snapshot) -> Vec<Box<RawValue>> {
        let mut asked = JoinSet::new();
        let kind = |upstream: &&Arc<Upstream>| upstream.kind() == Some(Kind::Ollama);
        for upstream in snapshot.upstreams.iter().filter(kind) {
            let upstream = Arc::clone(upstream);
            asked.spawn_on(
                async move {
                    let running = discovery::running_models(&upstream);
                    let running = tokio::time::timeout(RUNNING_WITHIN, running);
                    Some((running.await.ok()?.ok()?, upstream))
                },
                &self.worker.app.control,
            );
        }
        let mut models = Vec::new();
        while let Some(answered) = asked.join_next().await {
            if let Ok(Some((mut running, upstream))) = answered {
                running.retain(|model| {
                    ollama::name(model)
                        .is_some_and(|name| upstream.serves(&name) && self.principal.may_use(&name))
                });
                models.extend(running);
            }
        }
        models
    }
}

fn alias(name: &str, model: &Model) -> Model {
    // An Ollama's own entry has the model's name in it.
    Model { id: Arc::from(name), ollama: None, ..model.clone() }
}

fn json(answer: &impl Serialize) -> Response<OutBody> {
    let body: Bytes = serde_json::to_vec(answer).unwrap_or_default().into();
    let mut response = Response::new(OutBody::full(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
