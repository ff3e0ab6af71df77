//! The data threads. Each owns its connections, its upstream pools and its memory of keys and sessions; what
//! they share is an immutable snapshot or an atomic. See docs/adr/0001.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use fluxgate_core::UserId;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::auth::cache::PrincipalCache;
use crate::auth::credential::CredentialId;
use crate::listen::{Accepted, connection};
use crate::upstream::pool::Pools;

/// How often connections that nobody used are closed.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// What the control side tells a data thread. The queue holds at most one entry for each open
/// connection, each changed key or session, and each changed user.
#[derive(Debug)]
enum Command {
    Serve(Accepted),
    Forget(CredentialId),
    ForgetUser(UserId),
}

/// The two stages of an end: finish what is under way, then cut it short.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// No new requests; answers under way go on.
    pub drain: CancellationToken,
    /// Answers under way end with an error.
    pub abort: CancellationToken,
}

impl Stop {
    fn child(&self) -> Self {
        Self { drain: self.drain.child_token(), abort: self.abort.child_token() }
    }
}

/// What a request on a data thread reaches.
#[derive(Debug)]
pub struct Worker {
    pub app: Arc<App>,
    pub principals: PrincipalCache,
    pub pools: Pools,
    pub stop: Stop,
}

/// The handles of all data threads.
#[derive(Debug)]
pub struct Workers {
    queues: Vec<mpsc::UnboundedSender<Command>>,
    next: AtomicUsize,
}

/// The ends of the queues that the data threads will read.
#[derive(Debug)]
pub struct Queues(Vec<mpsc::UnboundedReceiver<Command>>);

impl Workers {
    /// Queues for `count` data threads, which [`spawn`] starts.
    #[must_use]
    pub fn new(count: usize) -> (Arc<Self>, Queues) {
        let (queues, ends) = (0..count.max(1)).map(|_| mpsc::unbounded_channel()).unzip();
        (Arc::new(Self { queues, next: AtomicUsize::new(0) }), Queues(ends))
    }

    /// Deals a connection to the next thread.
    pub fn serve(&self, accepted: Accepted) {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.queues.len().max(1);
        if let Some(queue) = self.queues.get(turn) {
            // A thread that has ended is draining: the connection is closed by dropping it.
            let _ = queue.send(Command::Serve(accepted));
        }
    }

    /// Makes every thread read these facts anew before their next use.
    pub fn forget(&self, id: CredentialId) {
        for queue in &self.queues {
            let _ = queue.send(Command::Forget(id));
        }
    }

    /// The same for all keys and sessions of a user.
    pub fn forget_user(&self, user: UserId) {
        for queue in &self.queues {
            let _ = queue.send(Command::ForgetUser(user));
        }
    }
}

/// Starts the data threads. Each ends once `stop.drain` was given and its connections are over.
///
/// # Errors
/// The system's own, where it gives no thread.
pub fn spawn(
    queues: Queues,
    app: &Arc<App>,
    stop: &Stop,
) -> io::Result<Vec<JoinHandle<io::Result<()>>>> {
    queues
        .0
        .into_iter()
        .enumerate()
        .map(|(index, commands)| {
            let (app, stop) = (Arc::clone(app), stop.child());
            std::thread::Builder::new()
                .name(format!("data-{index}"))
                .spawn(move || run(app, commands, stop))
        })
        .collect()
}

fn run(
    app: Arc<App>,
    mut commands: mpsc::UnboundedReceiver<Command>,
    stop: Stop,
) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    runtime.block_on(async move {
        let worker = Rc::new(Worker {
            principals: PrincipalCache::new(Arc::clone(&app.directory)),
            pools: Pools::default(),
            app,
            stop,
        });
        let connections = TaskTracker::new();
        let mut sweep = tokio::time::interval(SWEEP_EVERY);
        loop {
            let command = tokio::select! {
                biased;
                command = commands.recv() => command,
                () = worker.stop.drain.cancelled() => None,
                _ = sweep.tick() => {
                    worker.pools.sweep();
                    continue;
                }
            };
            match command {
                Some(Command::Serve(accepted)) => {
                    connections.spawn_local(connection::serve(Rc::clone(&worker), accepted));
                }
                Some(Command::Forget(id)) => worker.principals.forget(&id),
                Some(Command::ForgetUser(user)) => worker.principals.forget_user(user),
                None => break,
            }
        }
        connections.close();
        connections.wait().await;
    });
    Ok(())
}
