//! What strangers tried: gathered, equal ones of a second as one, and written into the audit log
//! behind everybody's back. A flood of guesses is a few lines there.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::app::App;
use crate::store::{AuditRecord, Store};

const GATHERED_FOR: Duration = Duration::from_secs(1);
/// Different attempts that are gathered: what any database writes in a second without noticing. Of
/// those beyond only act and outcome are told, of which there are few.
const KINDS_MAX: usize = 50;

/// See the module.
#[derive(Debug, Default)]
pub struct Attempts(Mutex<HashMap<Kind, AuditRecord>>);

/// What makes attempts equal.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Kind {
    act: String,
    object: Option<String>,
    outcome: String,
    address: String,
}

/// Writes what was gathered, now and then, until `stop`; the last of it then.
pub async fn run(app: Arc<App>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        tokio::select! {
            () = tokio::time::sleep(GATHERED_FOR) => {}
            () = stop.cancelled() => {}
        }
        app.attempts.write(&app.store).await;
    }
}

impl Attempts {
    /// Takes one.
    pub fn note(&self, entry: AuditRecord) {
        let mut gathered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kind = Kind {
            act: entry.act.clone(),
            object: entry.object.clone(),
            outcome: entry.outcome.clone(),
            address: entry.address.clone(),
        };
        if gathered.len() >= KINDS_MAX && !gathered.contains_key(&kind) {
            // From where, nobody will know; that it happened, they will.
            kind = Kind { object: None, address: String::new(), ..kind };
        }
        match gathered.entry(kind) {
            Entry::Occupied(mut equal) => {
                let equal = equal.get_mut();
                equal.count = equal.count.saturating_add(entry.count);
                equal.request_id = None;
            }
            Entry::Vacant(free) => {
                let Kind { object, address, .. } = free.key().clone();
                free.insert(AuditRecord { object, address, ..entry });
            }
        }
    }

    async fn write(&self, store: &Store) {
        let gathered = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if gathered.is_empty() {
            return;
        }
        let mut entries: Vec<AuditRecord> = gathered.into_values().collect();
        entries.sort_unstable_by_key(|entry| entry.at);
        if let Err(error) = store.put_audit(&entries).await {
            // Kept for the next time; equal ones go on being one, so this is bounded as well.
            warn!(%error, "attempts to sign in can't be written into the audit log now");
            entries.into_iter().for_each(|entry| self.note(entry));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use chrono::DateTime;
    use fluxgate_core::{AuditId, RequestId};

    use super::*;

    fn attempt(address: u32) -> AuditRecord {
        AuditRecord {
            id: AuditId::generate(),
            at: DateTime::UNIX_EPOCH,
            actor: "anonymous".into(),
            act: "POST /api/v1/auth/login".into(),
            object: None,
            outcome: "invalid_credentials".into(),
            address: address.to_string(),
            request_id: Some(RequestId::generate()),
            count: 1,
        }
    }

    #[test]
    fn a_flood_of_attempts_is_a_few_entries_and_none_is_lost() {
        let attempts = Attempts::default();
        (0..50_000).for_each(|number| attempts.note(attempt(number % 10_000)));
        let gathered = attempts.0.lock().unwrap();
        assert_eq!(gathered.len(), KINDS_MAX + 1);
        assert_eq!(gathered.values().map(|entry| entry.count).sum::<u32>(), 50_000);
        assert!(gathered.values().all(|entry| entry.request_id.is_none()));
    }
}
