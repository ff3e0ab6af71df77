//! The threads that hash passwords. They get the time that nobody else needs, and a bounded queue:
//! however many people log in, requests to models don't wait for it.
//!
//! A hash takes its memory (19 MiB by default) when it begins and gives it back when it ends; so
//! many are taken at once as there are threads.

use std::io;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use fluxgate_core::{Secret, config};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::cost::{Cost, Verified};
use super::{NewPassword, PasswordError};

/// Passwords that wait for a thread. One thread works them off in about four seconds.
const WAITING_MAX: usize = 64;
/// Of these, strangers': however many addresses they have, whoever is known finds a place.
const STRANGERS_WAITING_MAX: usize = 48;
/// A full queue before it and a slow core: whoever waits for longer has given up, or should.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Half of a full queue is worked off by then.
const RETRY_AFTER: Duration = Duration::from_secs(2);
const BUSY: PasswordError = PasswordError::Busy { retry_after: RETRY_AFTER };

/// Who waits for a password to be hashed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asker {
    /// Somebody who is signed in, has shown a token that only they have, or logs in from where they
    /// did before.
    Known,
    Stranger,
}

type Job = Box<dyn FnOnce(&Cost) + Send>;

/// A handle to the threads; they end with its last clone.
#[derive(Clone, Debug)]
pub struct PasswordHasher {
    jobs: SyncSender<Job>,
    strangers: Arc<AtomicUsize>,
}

/// A place in the queue. It is free again when this is dropped.
struct Place {
    strangers: Option<Arc<AtomicUsize>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(strangers) = &self.strangers {
            strangers.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl PasswordHasher {
    /// Starts the threads: one core fewer than there are, and at least one.
    ///
    /// # Errors
    /// No thread can be had, or the cost is none that Argon2 knows.
    pub fn start(cost: config::Argon2) -> io::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        // Nobody waits for them: they end by themselves, after the hash that they are at.
        let (hasher, _threads) = Self::with_threads(cost, cores.saturating_sub(1).max(1))?;
        Ok(hasher)
    }

    /// A PHC string of Argon2id with a salt of its own, which names its parameters.
    ///
    /// # Errors
    /// [`PasswordError::Busy`] passes; any other is a fault of ours.
    pub async fn hash(&self, password: NewPassword, asker: Asker) -> Result<String, PasswordError> {
        self.run(asker, move |cost| cost.hash(&password)).await
    }

    /// Checks a password against an account's hash. `None`, for an account without a password or
    /// for none at all, costs the same and is never right.
    ///
    /// # Errors
    /// [`PasswordError::Busy`] passes; [`PasswordError::Stored`] for a hash that can't be read; any
    /// other is a fault of ours.
    pub async fn verify(
        &self,
        password: Secret,
        phc: Option<String>,
        asker: Asker,
    ) -> Result<Verified, PasswordError> {
        self.run(asker, move |cost| cost.verify(&password, phc.as_deref())).await
    }

    /// Whether a password would find a place in the queue: asked before anything else is done for it.
    ///
    /// # Errors
    /// [`PasswordError::Busy`].
    pub fn check_room(&self, asker: Asker) -> Result<(), PasswordError> {
        match asker {
            Asker::Stranger if self.strangers.load(Ordering::Acquire) >= STRANGERS_WAITING_MAX => {
                Err(BUSY)
            }
            Asker::Known | Asker::Stranger => Ok(()),
        }
    }

    async fn run<T: Send + 'static>(
        &self,
        asker: Asker,
        work: impl FnOnce(&Cost) -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let place = self.place(asker).ok_or(BUSY)?;
        let (begun, has_begun) = oneshot::channel();
        let (answer, outcome) = oneshot::channel();
        let job = Box::new(move |cost: &Cost| {
            drop(place);
            // Whoever went away gets nothing hashed.
            if !answer.is_closed() && begun.send(()).is_ok() {
                let _ = answer.send(work(cost));
            }
        });
        self.jobs.try_send(job).map_err(|refused| match refused {
            TrySendError::Full(_) => BUSY,
            TrySendError::Disconnected(_) => PasswordError::Thread,
        })?;
        // The wait alone: a hash that has begun takes as long as it was configured to.
        let _ = timeout(WAIT_MAX, has_begun).await.map_err(|_| BUSY)?;
        // Gone without an answer: the work panicked.
        outcome.await.map_err(|_| PasswordError::Thread)?
    }

    fn place(&self, asker: Asker) -> Option<Place> {
        if asker == Asker::Known {
            return Some(Place { strangers: None });
        }
        let one_more = |waiting| (waiting < STRANGERS_WAITING_MAX).then_some(waiting + 1);
        let taken = self.strangers.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more);
        taken.ok().map(|_| Place { strangers: Some(Arc::clone(&self.strangers)) })
    }

    fn with_threads(
        cost: config::Argon2,
        threads: usize,
    ) -> io::Result<(Self, Vec<JoinHandle<()>>)> {
        let cost = Arc::new(Cost::new(cost).map_err(io::Error::other)?);
        let (jobs, waiting) = sync_channel(WAITING_MAX);
        let waiting = Arc::new(Mutex::new(waiting));
        let spawn = |number| {
            let (waiting, cost) = (Arc::clone(&waiting), Arc::clone(&cost));
            let named = thread::Builder::new().name(format!("hash-{number}"));
            named.spawn(move || work_off(&waiting, &cost))
        };
        let threads = (0..threads).map(spawn).collect::<io::Result<_>>()?;
        Ok((Self { jobs, strangers: Arc::default() }, threads))
    }
}

fn work_off(waiting: &Mutex<Receiver<Job>>, cost: &Cost) {
    lower_priority();
    while let Some(job) = next(waiting) {
        // A panic fails the one who asked, not the thread.
        let _ = catch_unwind(AssertUnwindSafe(|| job(cost)));
    }
}

/// One thread waits for a job, the others for their turn to; none holds the lock while it works.
fn next(waiting: &Mutex<Receiver<Job>>) -> Option<Job> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

/// Linux weighs threads one by one, by their own id.
#[cfg(target_os = "linux")]
fn lower_priority() {
    /// The least there is: a fiftieth of what any other thread that wants the core gets.
    const NICE: i32 = 19;
    let thread = Some(rustix::thread::gettid());
    if let Err(error) = rustix::process::setpriority_process(thread, NICE) {
        tracing::debug!(%error, "a thread that hashes passwords keeps its priority");
    }
}

#[cfg(not(target_os = "linux"))]
fn lower_priority() {}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
