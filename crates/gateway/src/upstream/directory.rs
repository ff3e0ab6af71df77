//! The upstreams that are set up, and what each offers: read at start, every 30 s, and once more
//! when somebody asks for a model that isn't known. Runs on the control side; requests read the
//! snapshot that it leaves.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::catalog::{Listing, Snapshot};
use super::{UnusableUpstream, Upstream, UpstreamSettings, discovery};

/// How often a listing is read.
const READ_EVERY: Duration = Duration::from_secs(30);
/// How soon it is read again where it couldn't be.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(2);
/// A model that isn't found has the listings read again, but no more often than this.
const ON_DEMAND_EVERY: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(500);

/// See the module.
#[derive(Debug)]
pub struct Upstreams {
    snapshot: ArcSwap<Snapshot>,
    state: Mutex<State>,
    control: Handle,
    next_serial: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    entries: Vec<Entry>,
    /// Whoever waits for the reading that is under way.
    waiting: Vec<oneshot::Sender<()>>,
    reading: bool,
    last_reading: Option<Instant>,
}

#[derive(Debug)]
struct Entry {
    upstream: Arc<Upstream>,
    listing: Option<Arc<Listing>>,
    due: Instant,
    /// Whether the last reading failed, so that a change is told once.
    failed: Option<bool>,
}

impl Upstreams {
    #[must_use]
    pub fn new(control: Handle) -> Arc<Self> {
        Arc::new(Self {
            snapshot: ArcSwap::default(),
            state: Mutex::default(),
            control,
            next_serial: AtomicU64::new(1),
        })
    }

    /// What is known now.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// The same, for a look that doesn't outlive a wait.
    pub fn look(&self) -> arc_swap::Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    /// Takes these upstreams instead of the present ones. One whose settings are the same stays as
    /// it is, with its listing, its connections and what is under way there.
    ///
    /// # Errors
    /// [`UnusableUpstream`]; nothing is changed then.
    pub fn set(&self, all: Vec<UpstreamSettings>) -> Result<(), UnusableUpstream> {
        let mut state = self.state();
        let mut entries = Vec::new();
        for settings in all {
            let known = state.entries.iter().find(|entry| entry.upstream.settings == settings);
            let entry = match known {
                Some(entry) => Entry {
                    upstream: Arc::clone(&entry.upstream),
                    listing: entry.listing.clone(),
                    ..*entry
                },
                None => Entry {
                    upstream: Arc::new(Upstream::new(
                        self.next_serial.fetch_add(1, Ordering::Relaxed),
                        settings,
                    )?),
                    listing: None,
                    due: Instant::now(),
                    failed: None,
                },
            };
            entries.push(entry);
        }
        if entries.iter().any(|entry| entry.listing.is_none()) {
            // A newcomer may have what was asked for a moment ago.
            state.last_reading = None;
        }
        state.entries = entries;
        self.publish(&state);
        Ok(())
    }

    /// Reads the listings where they are due, until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut tick = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                _ = tick.tick() => self.read_due().await,
                () = stop.cancelled() => return,
            }
        }
    }

    /// Has the listings read because somebody asked for what they don't hold, and waits for it.
    /// Whoever asks meanwhile waits for the same reading; one that is a second old or younger
    /// counts.
    pub async fn read_on_demand(self: &Arc<Self>) {
        let (sender, done) = oneshot::channel();
        {
            let mut state = self.state();
            let now = Instant::now();
            let recent = |at: Instant| now.duration_since(at) < ON_DEMAND_EVERY;
            if !state.reading && state.last_reading.is_some_and(recent) {
                return;
            }
            state.waiting.push(sender);
            if !state.reading {
                state.reading = true;
                state.entries.iter_mut().for_each(|entry| entry.due = now);
                let upstreams = Arc::clone(self);
                self.control.spawn(async move { upstreams.read().await });
            }
        }
        // The reader always answers; if it is gone, so are we soon.
        let _ = done.await;
    }

    async fn read_due(self: &Arc<Self>) {
        {
            let mut state = self.state();
            let now = Instant::now();
            if state.reading || !state.entries.iter().any(|entry| entry.due <= now) {
                return;
            }
            state.reading = true;
        }
        self.read().await;
    }

    /// Reads what is due, all upstreams at the same time, each published as it answers.
    async fn read(self: &Arc<Self>) {
        let now = Instant::now();
        let mut asked = JoinSet::new();
        for entry in self.state().entries.iter().filter(|entry| entry.due <= now) {
            let upstream = Arc::clone(&entry.upstream);
            asked.spawn(async move {
                let answer = discovery::ask(&upstream).await;
                (upstream, answer)
            });
        }
        while let Some(answered) = asked.join_next().await {
            let Ok((upstream, answer)) = answered else { continue };
            let mut state = self.state();
            let entry =
                state.entries.iter_mut().find(|entry| entry.upstream.serial == upstream.serial);
            if let Some(entry) = entry {
                entry.take(answer);
            }
            self.publish(&state);
        }
        let mut state = self.state();
        state.reading = false;
        state.last_reading = Some(Instant::now());
        for waiting in state.waiting.drain(..) {
            // Whoever left meanwhile needs no answer.
            let _ = waiting.send(());
        }
    }

    fn publish(&self, state: &State) {
        let entries: Vec<_> = state
            .entries
            .iter()
            .map(|entry| (Arc::clone(&entry.upstream), entry.listing.clone()))
            .collect();
        self.snapshot.store(Arc::new(Snapshot::new(&entries)));
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn take(&mut self, answer: Result<Listing, discovery::DiscoveryError>) {
        let name = &self.upstream.settings.name;
        match answer {
            Ok(listing) => {
                self.upstream.answered();
                if self.failed != Some(false) {
                    let kind = self.upstream.kind().map(super::Kind::name);
                    info!(upstream = %name, kind, models = listing.models.len(), "upstream listed its models");
                }
                self.failed = Some(false);
                self.due = Instant::now() + READ_EVERY;
                self.listing = Some(Arc::new(listing));
            }
            Err(error) => {
                if self.failed != Some(true) {
                    warn!(upstream = %name, %error, "can't read an upstream's models; what it last listed stays");
                }
                self.failed = Some(true);
                self.due = Instant::now() + TRY_AGAIN_AFTER;
            }
        }
    }
}
