//! The upstreams that are set up, and what each offers: read at start, every 30 s, and once more
//! when somebody asks for a model that isn't known. Runs on the control side; requests read the
//! snapshot that it leaves.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::catalog::{Listing, Snapshot};
use super::discovery::{self, DiscoveryError};
use super::{UnusableUpstream, Upstream, UpstreamSettings};

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
}

#[derive(Debug)]
struct Entry {
    upstream: Arc<Upstream>,
    listing: Option<Arc<Listing>>,
    reading: Reading,
    /// Whether the last reading failed, so that a change is told once.
    failed: Option<bool>,
}

/// Where an upstream's listing is between two readings.
#[derive(Debug)]
enum Reading {
    Due(Instant),
    /// With whoever waits for it.
    UnderWay(Vec<oneshot::Sender<()>>),
    Done {
        at: Instant,
        due: Instant,
    },
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
        let made: Vec<Option<Arc<Upstream>>> = all
            .iter()
            .map(|settings| {
                if state.entries.iter().any(|entry| entry.upstream.settings == *settings) {
                    return Ok(None);
                }
                let serial = self.next_serial.fetch_add(1, Ordering::Relaxed);
                Upstream::new(serial, settings.clone()).map(|upstream| Some(Arc::new(upstream)))
            })
            .collect::<Result<_, _>>()?;
        let mut known = std::mem::take(&mut state.entries);
        for (settings, made) in all.iter().zip(made) {
            let stays = known.iter().position(|entry| entry.upstream.settings == *settings);
            let entry = stays.map(|index| known.swap_remove(index));
            state.entries.extend(entry.or_else(|| made.map(Entry::new)));
        }
        self.publish(&state);
        Ok(())
    }

    /// Reads the listings where they are due, until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut tick = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                _ = tick.tick() => self.read_due(),
                () = stop.cancelled() => return,
            }
        }
    }

    /// Has the listings read because somebody asked for what they don't hold, and waits for it.
    /// Whoever asks meanwhile waits for the same readings; one that is a second old or younger
    /// counts.
    pub async fn read_on_demand(self: &Arc<Self>) {
        self.read_until(|_| false).await;
    }

    /// The same, but waits no longer than until `found` is content with what has come.
    pub async fn read_until(self: &Arc<Self>, found: impl Fn(&Snapshot) -> bool) {
        let mut readings: FuturesUnordered<_> = {
            let (mut state, now) = (self.state(), Instant::now());
            let asked = state.entries.iter_mut().filter(|entry| !entry.was_read_just_before(now));
            asked.map(|entry| self.read(entry)).collect()
        };
        // A reader always answers; if it is gone, so is its upstream.
        while readings.next().await.is_some() {
            if found(&self.look()) {
                return;
            }
        }
    }

    fn read_due(self: &Arc<Self>) {
        let (mut state, now) = (self.state(), Instant::now());
        for entry in state.entries.iter_mut().filter(|entry| entry.is_due(now)) {
            drop(self.read(entry));
        }
    }

    /// Joins the reading of a listing, which begins where there is none. It has a limit of its own,
    /// and its outcome is published as it comes.
    fn read(self: &Arc<Self>, entry: &mut Entry) -> oneshot::Receiver<()> {
        let (sender, done) = oneshot::channel();
        if let Reading::UnderWay(waiting) = &mut entry.reading {
            waiting.push(sender);
            return done;
        }
        entry.reading = Reading::UnderWay(vec![sender]);
        let (upstreams, upstream) = (Arc::clone(self), Arc::clone(&entry.upstream));
        self.control.spawn(async move {
            let answer = discovery::ask(&upstream).await;
            upstreams.take(&upstream, answer);
        });
        done
    }

    fn take(&self, upstream: &Upstream, answer: Result<Listing, DiscoveryError>) {
        let mut state = self.state();
        let of_it = |entry: &&mut Entry| entry.upstream.serial == upstream.serial;
        // It may have been taken out of the configuration meanwhile.
        let Some(entry) = state.entries.iter_mut().find(of_it) else { return };
        let waiting = entry.take(answer);
        self.publish(&state);
        for waiting in waiting {
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
    fn new(upstream: Arc<Upstream>) -> Self {
        Self { upstream, listing: None, reading: Reading::Due(Instant::now()), failed: None }
    }

    fn is_due(&self, now: Instant) -> bool {
        match self.reading {
            Reading::Due(due) => due <= now,
            Reading::UnderWay(_) => false,
            Reading::Done { at, due } => {
                due <= now || (!self.upstream.is_up() && at + TRY_AGAIN_AFTER <= now)
            }
        }
    }

    fn was_read_just_before(&self, now: Instant) -> bool {
        matches!(self.reading, Reading::Done { at, .. } if now < at + ON_DEMAND_EVERY)
    }

    /// Takes what a reading brought, and gives whoever waits for it.
    fn take(&mut self, answer: Result<Listing, DiscoveryError>) -> Vec<oneshot::Sender<()>> {
        let name = &self.upstream.settings.name;
        let at = Instant::now();
        let again = match answer {
            Ok(listing) => {
                self.upstream.answered();
                if self.failed != Some(false) {
                    let kind = self.upstream.kind().map(super::Kind::name);
                    info!(upstream = %name, kind, models = listing.models.len(), "upstream listed its models");
                }
                self.failed = Some(false);
                self.listing = Some(Arc::new(listing));
                READ_EVERY
            }
            Err(error) => {
                if self.failed != Some(true) {
                    warn!(upstream = %name, %error, "can't read an upstream's models; what it last listed stays");
                }
                if error.is_an_answer() {
                    self.upstream.answered();
                } else {
                    self.upstream.failed();
                }
                self.failed = Some(true);
                TRY_AGAIN_AFTER
            }
        };
        match std::mem::replace(&mut self.reading, Reading::Done { at, due: at + again }) {
            Reading::UnderWay(waiting) => waiting,
            Reading::Due(_) | Reading::Done { .. } => Vec::new(),
        }
    }
}
