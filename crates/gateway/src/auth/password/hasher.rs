//! The threads that hash passwords. They get the time that nobody else needs, and a bounded queue:
//! however many people log in, requests to models don't wait for it.
//!
//! A hash takes its memory (19 MiB by default) when it begins and gives it back when it ends; so
//! many are taken at once as there are threads.

use std::io;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use fluxgate_core::{Secret, config};
use tokio::sync::oneshot;

use super::cost::{Cost, Verified};
use super::{NewPassword, PasswordError};

/// Passwords that wait for a thread. One thread works them off in about four seconds: nobody waits
/// longer for a log-in.
const WAITING_MAX: usize = 64;
/// Half of a full queue is worked off by then.
const RETRY_AFTER: Duration = Duration::from_secs(2);

type Job = Box<dyn FnOnce(&Cost) + Send>;

/// A handle to the threads; they end with its last clone.
#[derive(Clone, Debug)]
pub struct PasswordHasher {
    jobs: SyncSender<Job>,
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
    pub async fn hash(&self, password: NewPassword) -> Result<String, PasswordError> {
        self.run(move |cost| cost.hash(&password)).await
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
    ) -> Result<Verified, PasswordError> {
        self.run(move |cost| cost.verify(&password, phc.as_deref())).await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Cost) -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let (answer, outcome) = oneshot::channel();
        let job = Box::new(move |cost: &Cost| {
            // Whoever went away gets nothing hashed.
            if !answer.is_closed() {
                let _ = answer.send(work(cost));
            }
        });
        self.jobs.try_send(job).map_err(|refused| match refused {
            TrySendError::Full(_) => PasswordError::Busy { retry_after: RETRY_AFTER },
            TrySendError::Disconnected(_) => PasswordError::Thread,
        })?;
        // Gone without an answer: the work panicked.
        outcome.await.map_err(|_| PasswordError::Thread)?
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
        Ok((Self { jobs }, threads))
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
mod tests {
    use std::pin::Pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::task::{Context, Waker};

    use super::*;

    type Outcome = Result<(), PasswordError>;

    /// A test that fails ends all the same.
    const WITHIN: Duration = Duration::from_secs(20);

    fn one_thread() -> (PasswordHasher, JoinHandle<()>) {
        let (hasher, mut threads) =
            PasswordHasher::with_threads(config::Argon2::default(), 1).unwrap();
        (hasher, threads.pop().unwrap())
    }

    /// Keeps the one thread at work until the sender is dropped.
    async fn occupy(hasher: &PasswordHasher) -> mpsc::Sender<()> {
        let (release, held) = mpsc::channel();
        let (begun, has_begun) = oneshot::channel();
        let hasher = hasher.clone();
        tokio::spawn(async move {
            let work = move |_: &Cost| {
                let _ = begun.send(());
                let _ = held.recv_timeout(WITHIN);
                Ok(())
            };
            hasher.run(work).await
        });
        has_begun.await.unwrap();
        release
    }

    #[tokio::test]
    async fn a_password_that_was_hashed_is_right_and_another_wrong() {
        let hasher = PasswordHasher::start(config::Argon2::default()).unwrap();
        let password = NewPassword::check("correct horse battery".into(), &[]).unwrap();
        let phc = hasher.hash(password).await.unwrap();
        let verify = async |text: &str, phc: Option<&str>| {
            hasher.verify(text.into(), phc.map(Into::into)).await
        };
        let right = verify("correct horse battery", Some(&phc)).await.unwrap();
        assert_eq!(right, Verified::Right { outdated: false });
        assert_eq!(verify("correct horse batterz", Some(&phc)).await.unwrap(), Verified::Wrong);
        assert_eq!(verify("correct horse battery", None).await.unwrap(), Verified::Wrong);
        let unreadable = verify("correct horse battery", Some("$argon2id$")).await;
        assert!(matches!(unreadable, Err(PasswordError::Stored(_))));
    }

    /// Asks, and is in the queue.
    fn ask<'a>(
        asking: impl Future<Output = Outcome> + 'a,
    ) -> Pin<Box<dyn Future<Output = Outcome> + 'a>> {
        let mut asking = Box::pin(asking);
        assert!(asking.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        asking
    }

    #[tokio::test]
    async fn a_full_queue_is_busy_at_once_and_takes_the_next_when_it_has_room() {
        let (hasher, _thread) = one_thread();
        let release = occupy(&hasher).await;
        let waiting: Vec<_> = (0..WAITING_MAX).map(|_| ask(hasher.run(|_| Ok(())))).collect();
        let refused = hasher.run(|_| Ok(())).await;
        assert!(matches!(refused, Err(PasswordError::Busy { retry_after: RETRY_AFTER })));
        drop(release);
        for one in waiting {
            one.await.unwrap();
        }
        hasher.run(|_| Ok(())).await.unwrap();
    }

    #[tokio::test]
    async fn nothing_is_hashed_for_whoever_went_away() {
        let (hasher, _thread) = one_thread();
        let release = occupy(&hasher).await;
        let hashed = Arc::new(AtomicUsize::new(0));
        let counted = || {
            let hashed = Arc::clone(&hashed);
            ask(hasher.run(move |_| {
                hashed.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }))
        };
        let (leaves, stays) = (counted(), counted());
        drop(leaves);
        drop(release);
        stays.await.unwrap();
        assert_eq!(hashed.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_panic_fails_its_asker_and_the_thread_goes_on() {
        let (hasher, _thread) = one_thread();
        let failed: Result<(), _> = hasher.run(|_| panic!("on purpose")).await;
        assert!(matches!(failed, Err(PasswordError::Thread)));
        hasher.run(|_| Ok(())).await.unwrap();
    }

    #[tokio::test]
    async fn the_threads_end_with_the_last_handle() {
        let (hasher, threads) = PasswordHasher::with_threads(config::Argon2::default(), 3).unwrap();
        let other = hasher.clone();
        drop(hasher);
        other.run(|_| Ok(())).await.unwrap();
        assert!(threads.iter().all(|thread| !thread.is_finished()));
        drop(other);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_threads_are_named_and_get_the_time_that_nobody_else_needs() {
        let (hasher, _thread) = one_thread();
        let seen = hasher.run(|_| {
            let own = Some(rustix::thread::gettid());
            let name = thread::current().name().map(str::to_owned);
            Ok((name, rustix::process::getpriority_process(own).unwrap()))
        });
        assert_eq!(seen.await.unwrap(), (Some("hash-0".to_owned()), 19));
        let own = Some(rustix::thread::gettid());
        assert!(rustix::process::getpriority_process(own).unwrap() < 19, "nobody else's");
    }
}
