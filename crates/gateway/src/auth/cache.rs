//! One data thread's memory of keys and sessions. It is read without a lock and never waits for the store
//! while what it holds may still be used.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use fluxgate_core::UserId;
use fluxgate_core::subject::AddressPrefix;
use tokio::time::Instant;

use super::credential::CredentialId;
use super::directory::{Found, Occasion, PrincipalDirectory};
use super::outage::TRY_AGAIN_AFTER;
use super::principal::Principal;

/// After this a credential's facts are read anew, in the background.
const FRESH: Duration = Duration::from_secs(60);
/// How long they are used while the store can't answer.
const USABLE: Duration = Duration::from_secs(15 * 60);
/// How long one is known not to exist.
const UNKNOWN: Duration = Duration::from_secs(10);
/// Keys without restrictions that each data thread remembers, some 40 MiB; one with long lists takes
/// the room of several.
const WEIGHT_MAX: usize = 100_000;

/// See the module.
#[derive(Debug)]
pub struct PrincipalCache(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    directory: Arc<PrincipalDirectory>,
    entries: RefCell<Entries>,
    /// Counts what was forgotten: an answer that was under way meanwhile isn't kept.
    forgotten: Cell<u64>,
}

/// What is remembered, and what it weighs.
#[derive(Debug, Default)]
struct Entries {
    by_id: HashMap<CredentialId, Entry>,
    weight: usize,
}

#[derive(Debug)]
struct Entry {
    principal: Option<Arc<Principal>>,
    read_at: Instant,
    /// When its facts are read anew; `None` while they are.
    refresh_at: Option<Instant>,
}

impl PrincipalCache {
    #[must_use]
    pub fn new(directory: Arc<PrincipalDirectory>) -> Self {
        Self(Rc::new(Inner { directory, entries: RefCell::default(), forgotten: Cell::new(0) }))
    }

    /// What is known of a credential that somebody at `address` presents; asks the store where
    /// nothing usable is known here.
    pub async fn find(&self, id: CredentialId, address: AddressPrefix) -> Found {
        match self.0.known(id, Instant::now()) {
            Some(found) => found,
            None => self.0.read(id, Occasion::of(id, address)).await,
        }
    }

    /// Drops what is known of one: it changed.
    pub fn forget(&self, id: &CredentialId) {
        self.0.forgotten.set(self.0.forgotten.get() + 1);
        self.0.entries.borrow_mut().remove(id);
    }

    /// Drops what is known of a user's keys and sessions: the user's facts changed.
    pub fn forget_user(&self, user: UserId) {
        self.0.forgotten.set(self.0.forgotten.get() + 1);
        let theirs =
            |entry: &Entry| entry.principal.as_ref().is_some_and(|p| p.caller.user == user);
        self.0.entries.borrow_mut().retain(|entry| !theirs(entry));
    }
}

impl Inner {
    fn known(self: &Rc<Self>, id: CredentialId, now: Instant) -> Option<Found> {
        let mut entries = self.entries.borrow_mut();
        let entry = entries.by_id.get_mut(&id)?;
        let found = entry.usable(now)?;
        if entry.begins_refresh(now) {
            let inner = Rc::clone(self);
            tokio::task::spawn_local(async move { inner.read(id, Occasion::Refresh).await });
        }
        Some(found)
    }

    async fn read(&self, id: CredentialId, occasion: Occasion) -> Found {
        let forgotten = self.forgotten.get();
        let found = self.directory.look_up(id, occasion).await;
        let mut entries = self.entries.borrow_mut();
        if forgotten != self.forgotten.get() {
            // Another key's change, as a rule: this one's next use reads it.
            if let Some(entry) = entries.by_id.get_mut(&id) {
                entry.try_again(Instant::now());
            }
            return found;
        }
        let principal = match &found {
            Found::Known(principal) => Some(Arc::clone(principal)),
            Found::Unknown => None,
            Found::CantTell => {
                // A later use tries again; until then the old facts serve.
                if let Some(entry) = entries.by_id.get_mut(&id) {
                    entry.try_again(Instant::now());
                }
                return found;
            }
        };
        entries.insert(id, Entry::new(principal, Instant::now()));
        found
    }
}

impl Entry {
    fn new(principal: Option<Arc<Principal>>, read_at: Instant) -> Self {
        Self { principal, read_at, refresh_at: Some(read_at + FRESH) }
    }

    fn weight(&self) -> usize {
        self.principal.as_ref().map_or(1, |principal| principal.weight())
    }

    fn usable(&self, now: Instant) -> Option<Found> {
        let age = now.duration_since(self.read_at);
        match &self.principal {
            None => (age < UNKNOWN).then_some(Found::Unknown),
            Some(principal) => (age < USABLE).then(|| Found::Known(Arc::clone(principal))),
        }
    }

    /// Whether this use has the facts read anew.
    fn begins_refresh(&mut self, now: Instant) -> bool {
        let begins = self.refresh_at.is_some_and(|at| at <= now);
        if begins {
            self.refresh_at = None;
        }
        begins
    }

    /// The reading came to nothing.
    fn try_again(&mut self, now: Instant) {
        if self.refresh_at.is_none() {
            self.refresh_at = Some(now + TRY_AGAIN_AFTER);
        }
    }
}

impl Entries {
    fn insert(&mut self, id: CredentialId, entry: Entry) {
        self.remove(&id);
        let weight = entry.weight();
        if self.weight + weight > WEIGHT_MAX {
            self.make_room(Instant::now());
        }
        self.weight += weight;
        self.by_id.insert(id, entry);
    }

    fn remove(&mut self, id: &CredentialId) {
        if let Some(entry) = self.by_id.remove(id) {
            self.weight -= entry.weight();
        }
    }

    fn retain(&mut self, mut keeps: impl FnMut(&Entry) -> bool) {
        let weight = &mut self.weight;
        self.by_id.retain(|_, entry| {
            let kept = keeps(entry);
            if !kept {
                *weight -= entry.weight();
            }
            kept
        });
    }

    /// Drops what has expired; where that isn't enough, drops a tenth, whichever it is.
    fn make_room(&mut self, now: Instant) {
        self.retain(|entry| {
            let fresh = if entry.principal.is_some() { FRESH } else { UNKNOWN };
            now.duration_since(entry.read_at) < fresh
        });
        let mut surplus = self.weight.saturating_sub(WEIGHT_MAX / 10 * 9);
        self.retain(|entry| {
            let dropped = surplus > 0;
            surplus = surplus.saturating_sub(entry.weight());
            !dropped
        });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::IpAddr;

    use chrono::DateTime;
    use fluxgate_core::SessionId;
    use fluxgate_core::admin_api::{Grant, KeySettings, UserState};
    use fluxgate_core::ids::OPERATOR;
    use tokio::runtime::Handle;
    use tokio::task::LocalSet;

    use super::*;
    use crate::auth::api_key::NewKey;
    use crate::store::{KeyRecord, NewKeyRecord, NewSession, Store};

    fn known(read_at: Instant) -> Entry {
        known_with(read_at, KeySettings::default())
    }

    fn known_with(read_at: Instant, settings: KeySettings) -> Entry {
        let record = KeyRecord {
            id: "0123456789Ab".parse().unwrap(),
            owner: OPERATOR,
            name: String::new(),
            secret_sha256: [0; 32],
            created_at: DateTime::UNIX_EPOCH,
            expires_at: None,
            revoked_at: None,
            last_used_at: None,
            previous: None,
            settings,
            owner_state: UserState::Active,
        };
        Entry::new(Some(Arc::new(record.into())), read_at)
    }

    #[test]
    fn a_keys_facts_are_read_anew_after_a_minute_and_used_for_fifteen() {
        let start = Instant::now();
        let mut entry = known(start);
        assert!(!entry.begins_refresh(start + FRESH / 2));
        assert!(entry.begins_refresh(start + FRESH));
        assert!(!entry.begins_refresh(start + FRESH), "that is under way");
        assert!(entry.usable(start + FRESH * 14).is_some());
        assert!(entry.usable(start + FRESH * 15).is_none());
    }

    #[tokio::test]
    async fn while_the_store_is_away_what_is_known_serves_for_fifteen_minutes_from_its_reading() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/accounts.db", folder.path().display()).parse().unwrap();
        let store = Store::open(&url, None).await.unwrap();
        let key = NewKey::generate();
        let new = NewKeyRecord {
            id: key.id,
            owner: OPERATOR,
            name: "laptop".into(),
            secret_sha256: key.secret_sha256.0,
            created_at: DateTime::UNIX_EPOCH,
            expires_at: None,
            settings: KeySettings::default(),
        };
        store.create_key(new, OPERATOR, None).await.unwrap();
        let session = NewSession {
            id: SessionId::generate(),
            user: OPERATOR,
            grant: Grant::Bearer,
            refresh_sha256: [0; 32],
            created_at: DateTime::UNIX_EPOCH,
            expires_at: DateTime::UNIX_EPOCH,
            device: String::new(),
            address: String::new(),
        };
        assert!(store.open_session(&session, None).await.unwrap());

        let directory = PrincipalDirectory::new(store.clone(), Handle::current());
        let cache = PrincipalCache::new(directory);
        let address = AddressPrefix::from(IpAddr::from([127, 0, 0, 1]));
        let unknown = CredentialId::Key("0123456789Ab".parse().unwrap());
        let known = [CredentialId::Key(key.id), CredentialId::Session(session.id)];
        let in_place = LocalSet::new();
        let story = async {
            for id in known {
                assert!(matches!(cache.find(id, address).await, Found::Known(_)));
            }
            assert!(matches!(cache.find(unknown, address).await, Found::Unknown));
            store.close().await;
            tokio::time::pause();
            for _ in 0..USABLE.as_secs() - 1 {
                tokio::time::advance(Duration::from_secs(1)).await;
                for id in known {
                    assert!(matches!(cache.find(id, address).await, Found::Known(_)));
                }
            }
            tokio::time::advance(Duration::from_secs(1)).await;
            // Nobody is told that theirs is wrong.
            for id in [known[0], known[1], unknown] {
                assert!(matches!(cache.find(id, address).await, Found::CantTell));
            }
        };
        in_place.run_until(story).await;
    }

    #[test]
    fn a_store_that_cant_answer_is_asked_again_a_second_later() {
        let start = Instant::now();
        let (mut entry, mut asked) = (known(start), 0);
        for use_ in 0..500 {
            let now = start + FRESH + Duration::from_millis(10) * use_;
            if entry.begins_refresh(now) {
                asked += 1;
                entry.try_again(now);
            }
        }
        assert_eq!(asked, 5);
    }

    #[test]
    fn what_is_remembered_has_a_bound_whatever_keys_hold() {
        let now = Instant::now();
        let key = |number: u32| CredentialId::Key(format!("{number:012}").parse().unwrap());
        let mut entries = Entries::default();
        let heavy = || {
            let models = vec!["x".repeat(256); 64];
            known_with(now, KeySettings { models, ..KeySettings::default() })
        };
        assert!(heavy().weight() > 50 && known(now).weight() == 1);
        for number in 0..4_000 {
            entries.insert(key(number), heavy());
            assert!(entries.weight <= WEIGHT_MAX);
        }
        assert!(entries.by_id.len() < 2_500, "{}", entries.by_id.len());
        // A key that is read anew is counted once, and one that is forgotten no more.
        let before = entries.weight;
        entries.insert(key(3_999), heavy());
        assert_eq!(entries.weight, before);
        entries.retain(|_| false);
        assert_eq!((entries.weight, entries.by_id.len()), (0, 0));
    }
}
