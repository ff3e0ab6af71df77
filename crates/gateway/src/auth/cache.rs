//! One data thread's memory of keys. It is read without a lock and never waits for the store
//! while what it holds may still be used.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use fluxgate_core::subject::AddressPrefix;
use fluxgate_core::{KeyId, UserId};
use tokio::time::Instant;

use super::directory::{Found, KeyDirectory, Occasion};
use super::principal::Principal;

/// After this a key's facts are read anew, in the background.
const FRESH: Duration = Duration::from_secs(60);
/// How long they are used while the store can't answer.
const USABLE: Duration = Duration::from_secs(15 * 60);
/// How long a key is known not to exist.
const UNKNOWN: Duration = Duration::from_secs(10);
/// Keys remembered by each data thread: about 20 MiB.
const KEYS_MAX: usize = 100_000;

/// See the module.
#[derive(Debug)]
pub struct KeyCache(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    directory: Arc<KeyDirectory>,
    entries: RefCell<HashMap<KeyId, Entry>>,
    /// Counts what was forgotten: an answer that was under way meanwhile isn't kept.
    forgotten: Cell<u64>,
}

#[derive(Debug)]
struct Entry {
    principal: Option<Arc<Principal>>,
    read_at: Instant,
    refreshing: bool,
}

impl KeyCache {
    #[must_use]
    pub fn new(directory: Arc<KeyDirectory>) -> Self {
        Self(Rc::new(Inner { directory, entries: RefCell::default(), forgotten: Cell::new(0) }))
    }

    /// What is known of a key that somebody at `address` presents; asks the store where nothing
    /// usable is known here.
    pub async fn find(&self, key: KeyId, address: AddressPrefix) -> Found {
        match self.0.known(key, Instant::now()) {
            Some(found) => found,
            None => self.0.read(key, Occasion::PresentedFrom(address)).await,
        }
    }

    /// Drops a key's facts: they changed.
    pub fn forget(&self, key: &KeyId) {
        self.0.forgotten.set(self.0.forgotten.get() + 1);
        self.0.entries.borrow_mut().remove(key);
    }

    /// Drops what is known of a user's keys: the user's facts changed.
    pub fn forget_owner(&self, owner: UserId) {
        self.0.forgotten.set(self.0.forgotten.get() + 1);
        let theirs = |entry: &Entry| entry.principal.as_ref().is_some_and(|p| p.owner == owner);
        self.0.entries.borrow_mut().retain(|_, entry| !theirs(entry));
    }
}

impl Inner {
    fn known(self: &Rc<Self>, key: KeyId, now: Instant) -> Option<Found> {
        let mut entries = self.entries.borrow_mut();
        let entry = entries.get_mut(&key)?;
        let age = now.duration_since(entry.read_at);
        match &entry.principal {
            None => (age < UNKNOWN).then_some(Found::Unknown),
            Some(_) if age >= USABLE => None,
            Some(principal) => {
                if age >= FRESH && !entry.refreshing {
                    entry.refreshing = true;
                    let inner = Rc::clone(self);
                    tokio::task::spawn_local(
                        async move { inner.read(key, Occasion::Refresh).await },
                    );
                }
                Some(Found::Known(Arc::clone(principal)))
            }
        }
    }

    async fn read(&self, key: KeyId, occasion: Occasion) -> Found {
        let forgotten = self.forgotten.get();
        let found = self.directory.look_up(key, occasion).await;
        if forgotten != self.forgotten.get() {
            return found;
        }
        let mut entries = self.entries.borrow_mut();
        let principal = match &found {
            Found::Known(principal) => Some(Arc::clone(principal)),
            Found::Unknown => None,
            Found::CantTell => {
                // The next use after a while may try again; until then the old facts serve.
                if let Some(entry) = entries.get_mut(&key) {
                    entry.refreshing = false;
                }
                return found;
            }
        };
        if entries.len() >= KEYS_MAX && !entries.contains_key(&key) {
            make_room(&mut entries);
        }
        entries.insert(key, Entry { principal, read_at: Instant::now(), refreshing: false });
        found
    }
}

/// Drops what has expired; where nothing has, drops a tenth, whichever it is.
fn make_room(entries: &mut HashMap<KeyId, Entry>) {
    let now = Instant::now();
    entries.retain(|_, entry| {
        now.duration_since(entry.read_at) < if entry.principal.is_some() { FRESH } else { UNKNOWN }
    });
    if entries.len() >= KEYS_MAX {
        let mut left = KEYS_MAX / 10;
        entries.retain(|_, _| {
            let drop = left > 0;
            left = left.saturating_sub(1);
            !drop
        });
    }
}
