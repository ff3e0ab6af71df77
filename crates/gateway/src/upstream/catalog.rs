//! Which models there are and who offers each: an immutable snapshot, built when a listing changes
//! and read by every request without a lock. It must not know how listings are obtained.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::value::RawValue;

use super::{Kind, Upstream};
use crate::dialect::canonical_name;

/// What one upstream offers, as it last said itself.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    pub models: Vec<Model>,
    /// Ollama's own version, where it is one.
    pub version: Option<Arc<str>>,
}

/// A model in an upstream's listing.
#[derive(Clone, Debug)]
pub struct Model {
    pub id: Arc<str>,
    /// Seconds since 1970, where the listing says so.
    pub created: Option<i64>,
    pub owned_by: Option<Box<str>>,
    /// Its entry in Ollama's own listing.
    pub ollama: Option<Arc<RawValue>>,
    pub facts: Facts,
}

/// What some servers' listings tell of a model beside its name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Facts {
    /// The window that it is served with, in tokens.
    pub context_tokens: Option<u64>,
    pub parameters: Option<u64>,
    pub size_bytes: Option<u64>,
    pub quantization: Option<Box<str>>,
    /// It takes images.
    pub vision: bool,
}

/// A model and the upstreams that offer it.
#[derive(Clone, Debug)]
pub struct Offer {
    pub model: Model,
    pub upstreams: Vec<Arc<Upstream>>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Snapshot {
    pub upstreams: Vec<Arc<Upstream>>,
    /// By the name in the listing, in alphabetical order for whoever lists them.
    offers: BTreeMap<Arc<str>, Offer>,
    /// Ollama's models by their canonical name.
    canonical: HashMap<String, Arc<str>>,
    /// Everyone else's by what their canonical name would be.
    untagged: HashMap<String, Arc<str>>,
    versions: Vec<Arc<str>>,
    any_listed: bool,
}

impl Snapshot {
    /// Puts the listings together; an upstream without one has never answered.
    #[must_use]
    pub fn new(entries: &[(Arc<Upstream>, Option<Arc<Listing>>)]) -> Self {
        let mut snapshot = Self::default();
        for (upstream, listing) in entries {
            snapshot.upstreams.push(Arc::clone(upstream));
            let Some(listing) = listing else { continue };
            snapshot.any_listed = true;
            snapshot.versions.extend(listing.version.clone());
            for model in &listing.models {
                if upstream.serves(&model.id) {
                    snapshot.add(upstream, model);
                }
            }
        }
        snapshot.join_canonical();
        snapshot
    }

    /// The offer for a model as a client names it.
    #[must_use]
    pub fn find(&self, model: &str) -> Option<&Offer> {
        if let Some(offer) = self.offers.get(model) {
            return Some(offer);
        }
        self.offers.get(self.canonical.get(&canonical_name(model))?)
    }

    /// The same for a client of Ollama's dialect, in which `demo` and `demo:latest` are one model
    /// also where another server has it.
    #[must_use]
    pub fn find_untagged(&self, model: &str) -> Option<&Offer> {
        self.find(model).or_else(|| self.offers.get(self.untagged.get(&canonical_name(model))?))
    }

    /// Every offer, by name.
    pub fn offers(&self) -> impl Iterator<Item = &Offer> {
        self.offers.values()
    }

    /// The names of the models, in alphabetical order.
    #[must_use]
    pub fn models(&self) -> Vec<&str> {
        self.offers.keys().map(|name| &**name).collect()
    }

    /// Whether any upstream has ever told what it offers.
    #[must_use]
    pub fn any_listed(&self) -> bool {
        self.any_listed
    }

    /// The version of the first upstream that is an Ollama.
    #[must_use]
    pub fn ollama_version(&self) -> Option<&str> {
        self.versions.first().map(|version| &**version)
    }

    fn add(&mut self, upstream: &Arc<Upstream>, model: &Model) {
        let names = match upstream.kind() {
            Some(Kind::Ollama) => &mut self.canonical,
            _ => &mut self.untagged,
        };
        names.entry(canonical_name(&model.id)).or_insert_with(|| Arc::clone(&model.id));
        let offer = self
            .offers
            .entry(Arc::clone(&model.id))
            .or_insert_with(|| Offer { model: model.clone(), upstreams: Vec::new() });
        if offer.model.ollama.is_none() {
            offer.model.ollama.clone_from(&model.ollama);
        }
        // An upstream may list a model twice.
        if !offer.upstreams.iter().any(|known| known.serial == upstream.serial) {
            offer.upstreams.push(Arc::clone(upstream));
        }
    }

    /// Where one upstream lists `llama3` and an Ollama `llama3:latest`, both offer `llama3`.
    fn join_canonical(&mut self) {
        let joined: Vec<(Arc<str>, Vec<Arc<Upstream>>)> = self
            .offers
            .keys()
            .filter_map(|name| {
                let other =
                    self.canonical.get(&canonical_name(name)).filter(|other| *other != name)?;
                let of_ollama = |upstream: &&Arc<Upstream>| upstream.kind() == Some(Kind::Ollama);
                let upstreams = &self.offers.get(other)?.upstreams;
                Some((Arc::clone(name), upstreams.iter().filter(of_ollama).cloned().collect()))
            })
            .collect();
        for (name, upstreams) in joined {
            let Some(offer) = self.offers.get_mut(&name) else { continue };
            for upstream in upstreams {
                if !offer.upstreams.iter().any(|known| known.serial == upstream.serial) {
                    offer.upstreams.push(upstream);
                }
            }
        }
    }
}

impl Offer {
    /// The upstream of the first rank that has the least under way, those that are down last; one
    /// without a rank isn't asked. `tried` has a bit for each upstream that was tried already.
    #[must_use]
    pub fn best(
        &self,
        rank: impl Fn(&Upstream) -> Option<u8>,
        tried: u64,
    ) -> Option<(usize, &Arc<Upstream>)> {
        self.upstreams
            .iter()
            .enumerate()
            .take(u64::BITS as usize)
            .filter(|(index, _)| tried & (1 << index) == 0)
            .filter_map(|(index, upstream)| Some((rank(upstream)?, index, upstream)))
            .min_by_key(|(rank, _, upstream)| (!upstream.is_up(), *rank, upstream.in_flight()))
            .map(|(_, index, upstream)| (index, upstream))
    }
}
