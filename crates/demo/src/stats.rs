//! What the demo model saw, for tests: counters, the last request, and a way to wait for a change.
//! Knows nothing of what was answered.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use tokio::sync::Notify;

/// Counters since the start, and gauges (`…_open`) of now.
#[derive(Debug, Default)]
pub struct Stats {
    pub requests: AtomicU64,
    /// Bytes of request bodies, as sent.
    pub body_bytes: AtomicU64,
    pub connections: AtomicU64,
    pub connections_open: AtomicU64,
    pub streams: AtomicU64,
    pub streams_open: AtomicU64,
    /// Streams whose client left before the end.
    pub streams_cancelled: AtomicU64,
    /// Requests whose client left before the head of the answer.
    pub waits_cancelled: AtomicU64,
    last: Mutex<Option<Arc<Received>>>,
    changed: Notify,
    closing: AtomicBool,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Received {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Stats {
    /// The last request whose body came whole.
    pub fn last(&self) -> Option<Arc<Received>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until `condition` holds. It is asked now and after every change.
    pub async fn until(&self, condition: impl Fn(&Self) -> bool) {
        loop {
            let changed = self.changed.notified();
            if condition(self) {
                return;
            }
            changed.await;
        }
    }

    pub(crate) fn received(&self, request: Arc<Received>) {
        self.body_bytes.fetch_add(request.body.len() as u64, Ordering::Relaxed);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(request);
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.changed.notify_waiters();
    }

    /// From here on a dropped answer is our doing, not its client's.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    fn add(&self, counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
        self.changed.notify_waiters();
    }

    fn subtract(&self, gauge: &AtomicU64) {
        gauge.fetch_sub(1, Ordering::Relaxed);
        self.changed.notify_waiters();
    }
}

/// What a [`Counted`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Count {
    Connection,
    /// The time from a request to the head of its answer.
    Wait,
    Stream,
    /// An answer that comes in one piece.
    Whole,
}

/// Something that is open while this lives, and was cancelled if it is dropped before [`Counted::done`].
#[derive(Debug)]
pub(crate) struct Counted {
    stats: Arc<Stats>,
    count: Count,
    done: bool,
}

impl Counted {
    pub(crate) fn new(stats: &Arc<Stats>, count: Count) -> Self {
        match count {
            Count::Connection => {
                stats.add(&stats.connections_open);
                stats.add(&stats.connections);
            }
            Count::Stream => {
                stats.add(&stats.streams_open);
                stats.add(&stats.streams);
            }
            Count::Wait | Count::Whole => {}
        }
        Self { stats: Arc::clone(stats), count, done: false }
    }

    pub(crate) fn done(&mut self) {
        self.done = true;
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let stats = &*self.stats;
        let cancelled = !self.done && !stats.closing.load(Ordering::Relaxed);
        match self.count {
            Count::Connection => stats.subtract(&stats.connections_open),
            Count::Wait if cancelled => stats.add(&stats.waits_cancelled),
            Count::Stream => {
                // The cancellation first: who sees the stream gone must see how it went.
                if cancelled {
                    stats.add(&stats.streams_cancelled);
                }
                stats.subtract(&stats.streams_open);
            }
            Count::Wait | Count::Whole => {}
        }
    }
}
