//! Choose: which upstreams may serve an endpoint, in which order, and in which way. Pure.

use std::time::Instant;

use fluxgate_core::config::{self, Models};

use crate::dialect::{Dialect, canonical_name};
use crate::router::Endpoint;
use crate::upstream::catalog::{Offer, Snapshot};
use crate::upstream::{Kind, Upstream};

/// How an upstream serves a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// In the client's own dialect.
    AsItIs,
    /// In OpenAI's, asked and answered by translation.
    Translated,
}

/// How a kind of upstream serves a dialect, and in which rank: the first is asked before the others.
#[must_use]
pub const fn way(dialect: Dialect, kind: Kind) -> Option<(u8, Way)> {
    match (dialect, kind) {
        // Ollama offers OpenAI's routes beside its own.
        (Dialect::OpenAi, Kind::OpenAi | Kind::Ollama) => Some((0, Way::AsItIs)),
        (Dialect::OpenAi, Kind::Anthropic) => None,
        (Dialect::Responses, Kind::OpenAi | Kind::Ollama) => Some((0, Way::AsItIs)),
        (Dialect::Responses, Kind::Anthropic) => Some((1, Way::AsItIs)),
        (Dialect::Anthropic, Kind::Anthropic) => Some((0, Way::AsItIs)),
        // llama.cpp, vLLM and Ollama have Anthropic's routes too, as their version goes.
        (Dialect::Anthropic, Kind::OpenAi | Kind::Ollama) => Some((1, Way::AsItIs)),
        (Dialect::Ollama, Kind::Ollama) => Some((0, Way::AsItIs)),
        (Dialect::Ollama, Kind::OpenAi) => Some((1, Way::Translated)),
        (Dialect::Ollama, Kind::Anthropic) => None,
    }
}

/// The model that requests for this name are sent to, where the name is an alias.
#[must_use]
pub fn alias_of(models: &Models, name: &str, dialect: Dialect) -> Option<Box<str>> {
    if models.is_empty() {
        return None;
    }
    let aliased = |name: &str| {
        let sent_as = config::sent_as(models, name);
        (sent_as != name).then(|| sent_as.into())
    };
    // In Ollama's own dialect one model has many names.
    let canonical = (dialect == Dialect::Ollama).then(|| canonical_name(name));
    let untagged = canonical.as_deref().map(|name| name.strip_suffix(":latest").unwrap_or(name));
    aliased(name).or_else(|| aliased(untagged?))
}

/// The offer for a model as a client of the dialect names it, where any of its upstreams can serve
/// the dialect.
#[must_use]
pub fn offer<'a>(snapshot: &'a Snapshot, model: &str, dialect: Dialect) -> Option<&'a Offer> {
    let offer = match dialect {
        // In Ollama's own dialect a name needs no tag, whoever has the model.
        Dialect::Ollama => snapshot.find_untagged(model),
        Dialect::OpenAi | Dialect::Responses | Dialect::Anthropic => snapshot.find(model),
    };
    offer.filter(|offer| any_serves(offer, dialect))
}

/// Whether any of the offer's upstreams can serve the dialect.
#[must_use]
pub fn any_serves(offer: &Offer, dialect: Dialect) -> bool {
    offer.upstreams.iter().any(|upstream| rank(upstream, dialect).is_some())
}

/// Whether none of the offer's upstreams speaks the dialect itself.
#[must_use]
pub fn only_translated(offer: &Offer, dialect: Dialect) -> bool {
    let mut kinds = offer.upstreams.iter().filter_map(|upstream| upstream.kind());
    kinds.all(|kind| !matches!(way(dialect, kind), Some((_, Way::AsItIs))))
}

/// The rank of an upstream for a dialect: `None` where it can't serve it.
#[must_use]
pub fn rank(upstream: &Upstream, dialect: Dialect) -> Option<u8> {
    way(dialect, upstream.kind()?).map(|(rank, _)| rank)
}

/// The rank of an upstream for a request: `None` where it isn't asked.
#[must_use]
pub fn rank_for(upstream: &Upstream, endpoint: Endpoint, now: Instant) -> Option<u8> {
    let offered = endpoint.optional().is_none_or(|route| upstream.may_offer(route, now));
    let (rank, way) = way(endpoint.dialect(), upstream.kind()?)?;
    // What a model is isn't asked of a server that has no such route: the catalog knows.
    let answers = way == Way::AsItIs || endpoint != Endpoint::OllamaShow;
    (offered && answers).then_some(rank)
}
