//! The experiment's policy: what every gateway does to each request at least.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderValue;
use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::keys::Keys;

static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"usage\":{"));

#[derive(Debug)]
pub struct Policy {
    keys: Keys,
    requests: AtomicU64,
    streams: AtomicU64,
    prompt_bytes: AtomicU64,
    chunks: AtomicU64,
    usages: AtomicU64,
}

/// What is read of a body, in place.
#[derive(Deserialize)]
struct Outline<'a> {
    model: &'a str,
    #[serde(borrow)]
    messages: &'a RawValue,
    #[serde(default)]
    stream: bool,
}

impl Policy {
    pub fn new() -> Self {
        Self {
            keys: Keys::new(),
            requests: AtomicU64::new(0),
            streams: AtomicU64::new(0),
            prompt_bytes: AtomicU64::new(0),
            chunks: AtomicU64::new(0),
            usages: AtomicU64::new(0),
        }
    }

    /// `None` where the key isn't known.
    pub fn check(&self, authorization: Option<&HeaderValue>) -> Option<()> {
        let key = authorization?.as_bytes().strip_prefix(b"Bearer ")?;
        self.keys.holds(key).then_some(())
    }

    /// `None` where the body isn't what it should be.
    pub fn read(&self, body: &[u8]) -> Option<()> {
        let outline: Outline<'_> = serde_json::from_slice(body).ok()?;
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.streams.fetch_add(u64::from(outline.stream), Ordering::Relaxed);
        self.prompt_bytes.fetch_add(outline.messages.get().len() as u64, Ordering::Relaxed);
        (!outline.model.is_empty()).then_some(())
    }

    /// Looks for usage in a chunk of the answer.
    pub fn look(&self, chunk: &[u8]) {
        self.chunks.fetch_add(1, Ordering::Relaxed);
        if USAGE.find(chunk).is_some() {
            self.usages.fetch_add(1, Ordering::Relaxed);
        }
    }
}
