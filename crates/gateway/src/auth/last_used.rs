//! When keys were last used: gathered from the records of requests, written now and then, off
//! every request's path.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use fluxgate_core::KeyId;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::store::Store;

const WRITE_EVERY: Duration = Duration::from_secs(30);
/// In one transaction, which has two seconds for them and their owners.
const WRITTEN_AT_ONCE: usize = 250;
/// Keys whose use waits to be written: while the store is away, those beyond are forgotten.
const WAITING_MAX: usize = 100_000;

/// See the module.
#[derive(Debug, Default)]
pub struct LastUsed(Mutex<HashMap<KeyId, SystemTime>>);

impl LastUsed {
    /// A key was used.
    pub fn note(&self, key: KeyId, at: SystemTime) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < WAITING_MAX || waiting.contains_key(&key) {
            let known = waiting.entry(key).or_insert(at);
            *known = at.max(*known);
        }
    }

    /// Writes what was noted, now and then, until `stop`.
    pub async fn run(&self, store: &Store, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            tokio::select! {
                () = tokio::time::sleep(WRITE_EVERY) => self.write(store).await,
                () = stop.cancelled() => {}
            }
        }
    }

    /// Writes what was noted so far. What can't be written now is kept for the next time.
    pub async fn write(&self, store: &Store) {
        let waiting = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut waiting: Vec<(KeyId, SystemTime)> = waiting.into_iter().collect();
        // In one order on every replica: two that write the same keys don't wait for each other.
        waiting.sort_unstable_by_key(|(key, _)| *key);
        for (index, some) in waiting.chunks(WRITTEN_AT_ONCE).enumerate() {
            if let Err(error) = store.note_used(some).await {
                debug!(%error, "can't note when keys were used");
                let rest = waiting.iter().skip(index * WRITTEN_AT_ONCE);
                return rest.for_each(|(key, at)| self.note(*key, *at));
            }
        }
    }
}
