//! A replica that listens: where it is reached, a reload, its end.

use std::io;
use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::app::SharedApp;
use crate::data_folder::DataFolder;
use crate::first_start::FirstStart;
use crate::listen::ListenerKind;
use crate::reload::{ReloadError, Reloaded};

/// After the drain limit answers are cut short, which takes no longer than this.
const ABORT_WITHIN: Duration = Duration::from_secs(2);

/// A replica that listens.
#[derive(Debug)]
pub struct Running {
    pub app: SharedApp,
    /// What a first start made, for whoever may see it.
    pub first_start: FirstStart,
    pub(super) folder: DataFolder,
    pub(super) ports_file: &'static str,
    pub(super) threads: Vec<JoinHandle<io::Result<()>>>,
    pub(super) tasks: JoinSet<()>,
    /// Ends the tasks that outlive the last request.
    pub(super) end: CancellationToken,
}

impl Running {
    /// Where a listener is bound.
    #[must_use]
    pub fn address(&self, kind: ListenerKind) -> Option<SocketAddr> {
        self.app.address(kind)
    }

    /// The link under which the first administrator is set up: one opening, by whoever has it.
    #[must_use]
    pub fn setup_link(&self) -> Option<String> {
        let token = self.first_start.setup_token.as_ref()?;
        Some(format!("{}/setup#{token}", self.app.page_origin()?))
    }

    /// Reads the configuration again; a bad one leaves the old in force, and is logged.
    ///
    /// # Errors
    /// What is wrong with the new one.
    pub async fn reload(&self) -> Result<Reloaded, ReloadError> {
        let (sender, outcome) = oneshot::channel();
        if self.app.reload.send(sender).await.is_err() {
            return Err(ReloadError::Unreadable);
        }
        outcome.await.unwrap_or(Err(ReloadError::Unreadable))
    }

    /// Resolves when somebody asks through the admin API that the replica drain.
    pub async fn asked_to_stop(&self) {
        self.app.stop.drain.cancelled().await;
    }

    /// Stops accepting, lets answers under way end within the drain limit, and ends.
    pub async fn stop(mut self) {
        let stop = &self.app.stop;
        stop.drain.cancel();
        info!("draining");
        let threads = std::mem::take(&mut self.threads);
        let mut ended = tokio::task::spawn_blocking(move || {
            threads.into_iter().filter_map(|thread| thread.join().ok()?.err()).collect::<Vec<_>>()
        });
        let drain = self.app.settings.load().drain;
        let mut failures = tokio::time::timeout(drain, &mut ended).await;
        if failures.is_err() {
            warn!("answers are still under way at the drain limit: they end with an error");
            stop.abort.cancel();
            failures = tokio::time::timeout(ABORT_WITHIN, ended).await;
        }
        match failures {
            Ok(Ok(failures)) => {
                failures
                    .iter()
                    .for_each(|error| warn!(%error, "a data thread ended with an error"));
            }
            Ok(Err(error)) => warn!(%error, "a data thread can't be joined"),
            Err(_) => warn!("a data thread didn't end"),
        }
        self.end.cancel();
        while let Some(task) = self.tasks.join_next().await {
            if let Err(error) = task {
                warn!(%error, "a background task failed");
            }
        }
        self.app.store.close().await;
        if let Err(error) = self.folder.remove_ports(self.ports_file) {
            warn!(%error, file = self.ports_file, "can't remove the file of addresses");
        }
        info!("stopped");
    }
}
