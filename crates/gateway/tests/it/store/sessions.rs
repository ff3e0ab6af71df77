//! Sessions: opened, found, listed, ended.

use chrono::{DateTime, TimeDelta, Utc};
use fluxgate_core::admin_api::{Grant, Role, UserState};
use fluxgate_core::{SessionId, UserId};
use fluxgate_gateway::store::{
    ChangeOf, NewSession, Refreshed, SessionRecord, Store, UserChange, UserUpdate,
};
use futures_util::future::join_all;

use super::users::{PHC, email, find_user, make_member};
use super::{Fresh, at, on_each_store};

on_each_store! {
    a_session_is_found_as_it_was_opened,
    only_an_active_user_opens_one_and_only_with_their_present_password,
    the_oldest_beyond_a_hundred_ends_and_others_learn_of_it,
    openings_at_the_same_moment_leave_a_hundred,
    whatever_happens_to_a_users_sessions_at_the_same_moment_happens,
    sessions_that_can_be_used_are_listed_page_by_page,
    a_session_is_ended_once,
    a_session_is_ended_for_its_user_alone,
}

pub const IDLE: TimeDelta = TimeDelta::days(7);

/// A session of thirty days.
pub fn new_session(user: UserId, second: i64) -> NewSession {
    let id = SessionId::generate();
    let mut refresh_sha256 = [0; 32];
    refresh_sha256[..16].copy_from_slice(id.0.as_bytes());
    NewSession {
        id,
        user,
        grant: Grant::Cookie,
        refresh_sha256,
        created_at: at(second),
        expires_at: at(second) + TimeDelta::days(30),
        device: "Firefox".into(),
        address: "192.0.2.7".into(),
    }
}

pub async fn open(store: &Store, user: UserId, second: i64) -> SessionId {
    let new = new_session(user, second);
    assert!(store.open_session(&new, None).await.unwrap());
    new.id
}

pub async fn find(store: &Store, session: SessionId) -> SessionRecord {
    store.find_session(session).await.unwrap().unwrap()
}

async fn listed(fresh: &Fresh, user: UserId, now: DateTime<Utc>) -> Vec<SessionId> {
    let listed = fresh.store.open_sessions(user, None, 500, IDLE, now).await.unwrap();
    listed.into_iter().map(|session| session.id).collect()
}

async fn changes(fresh: &Fresh) -> Vec<ChangeOf> {
    let changes = fresh.store.changes_after(0).await.unwrap();
    changes.into_iter().map(|change| change.of).collect()
}

async fn a_session_is_found_as_it_was_opened(fresh: Fresh) {
    let bob = make_member(&fresh.store, "bob", 0).await;
    let new = NewSession { grant: Grant::Bearer, ..new_session(bob, 5) };
    assert!(fresh.store.open_session(&new, Some(PHC)).await.unwrap());
    assert_eq!(
        find(&fresh.open_again().await, new.id).await,
        SessionRecord {
            id: new.id,
            grant: Grant::Bearer,
            created_at: at(5),
            last_used_at: at(5),
            expires_at: at(5) + TimeDelta::days(30),
            ended_at: None,
            device: "Firefox".into(),
            address: "192.0.2.7".into(),
            user: bob,
            email: Some(email("bob@example.org")),
            role: Role::Member,
            user_state: UserState::Active,
            team: None,
        }
    );
    assert_eq!(find_user(&fresh.store, bob).await.last_seen_at, Some(at(5)));
    assert_eq!(fresh.store.find_session(SessionId::generate()).await.unwrap(), None);
    assert_eq!(changes(&fresh).await, []);
}

async fn only_an_active_user_opens_one_and_only_with_their_present_password(fresh: Fresh) {
    let bob = make_member(&fresh.store, "bob", 0).await;
    let refused = async |user, expected| {
        let new = new_session(user, 1);
        assert!(!fresh.store.open_session(&new, expected).await.unwrap());
        assert_eq!(fresh.store.find_session(new.id).await.unwrap(), None);
    };
    refused(UserId::generate(), None).await;
    refused(bob, Some("the hash before")).await;
    let disabled = UserUpdate { state: Some(UserState::Disabled), ..UserUpdate::default() };
    fresh.store.update_user(bob, disabled, at(2)).await.unwrap();
    refused(bob, None).await;
    refused(bob, Some(PHC)).await;
    assert_eq!(find_user(&fresh.store, bob).await.last_seen_at, None);
}

async fn the_oldest_beyond_a_hundred_ends_and_others_learn_of_it(fresh: Fresh) {
    let bob = make_member(&fresh.store, "bob", 0).await;
    let eve = make_member(&fresh.store, "eve", 0).await;
    let of_eve = open(&fresh.store, eve, 0).await;
    let mut opened = Vec::new();
    for second in 1..=100 {
        opened.push(open(&fresh.store, bob, second).await);
    }
    assert_eq!(changes(&fresh).await, []);
    // One that has ended leaves room for another.
    fresh.store.end_session(opened.remove(50), None, at(101)).await.unwrap();
    opened.push(open(&fresh.store, bob, 102).await);
    assert_eq!(listed(&fresh, bob, at(102)).await.len(), 100);

    opened.push(open(&fresh.store, bob, 103).await);
    let oldest = opened.remove(0);
    assert_eq!(find(&fresh.store, oldest).await.ended_at, Some(at(103)));
    assert_eq!(changes(&fresh).await.last(), Some(&ChangeOf::Session(oldest)));
    assert_eq!(fresh.store.last_change().await.unwrap(), 2);
    opened.reverse();
    assert_eq!(listed(&fresh, bob, at(103)).await, opened);
    assert_eq!(listed(&fresh, eve, at(103)).await, [of_eve]);
}

async fn openings_at_the_same_moment_leave_a_hundred(fresh: Fresh) {
    let bob = make_member(&fresh.store, "bob", 0).await;
    for second in 1..=96 {
        open(&fresh.store, bob, second).await;
    }
    let other = fresh.open_again().await;
    let replicas = [&fresh.store, &other].into_iter().cycle();
    let opening = replicas.take(12).map(|store| open(store, bob, 100));
    let opened = join_all(opening).await;
    let listed = listed(&fresh, bob, at(101)).await;
    assert_eq!(listed.len(), 100);
    assert!(opened.iter().all(|session| listed.contains(session)));
}

async fn whatever_happens_to_a_users_sessions_at_the_same_moment_happens(fresh: Fresh) {
    let bob = make_member(&fresh.store, "bob", 0).await;
    let mut opened = Vec::new();
    for second in 1..=100 {
        let new = new_session(bob, second);
        assert!(fresh.store.open_session(&new, None).await.unwrap());
        opened.push(new);
    }
    // None of them waits for another in a circle, on whichever replica.
    let other = fresh.open_again().await;
    let opening = join_all([&fresh.store, &other].map(|store| open(store, bob, 101)));
    let refreshing = join_all(opened.iter().take(8).map(|session| {
        let (token, next) = (&session.refresh_sha256, &[9; 32]);
        other.refresh_session(session.id, token, next, IDLE, "::1", at(101))
    }));
    let ending =
        join_all(opened.iter().take(8).map(|new| fresh.store.end_session(new.id, None, at(101))));
    let limited = UserUpdate { limits: Some(Default::default()), ..UserUpdate::default() };
    let changing = other.update_user(bob, limited, at(101));
    let (.., refreshed, ended, changed) = tokio::join!(opening, refreshing, ending, changing);
    assert!(
        refreshed.into_iter().all(|outcome| {
            matches!(outcome.unwrap(), Refreshed::Refreshed(_) | Refreshed::Ended)
        })
    );
    assert!(ended.into_iter().all(Result::unwrap));
    assert!(matches!(changed.unwrap(), UserChange::Changed(_)));
    let left = listed(&fresh, bob, at(102)).await;
    assert!(opened[..8].iter().all(|session| !left.contains(&session.id)));
    assert!(fresh.store.set_password(bob, None, "new", None, at(102)).await.unwrap());
    assert_eq!(listed(&fresh, bob, at(102)).await, []);
}

async fn sessions_that_can_be_used_are_listed_page_by_page(fresh: Fresh) {
    let bob = make_member(&fresh.store, "bob", 0).await;
    let eve = make_member(&fresh.store, "eve", 0).await;
    open(&fresh.store, eve, 1).await;
    let (day, days) = (86_400, TimeDelta::days);
    let unused = new_session(bob, 0);
    let ended = new_session(bob, 4 * day);
    let expired = NewSession { expires_at: at(6 * day), ..new_session(bob, 3 * day) };
    for new in [&unused, &ended, &expired] {
        assert!(fresh.store.open_session(new, None).await.unwrap());
    }
    fresh.store.end_session(ended.id, None, at(5 * day)).await.unwrap();
    let mut usable = Vec::new();
    for second in [day, day, 2 * day] {
        usable.push(open(&fresh.store, bob, second).await);
    }
    usable.reverse();
    let (mut seen, mut after) = (Vec::new(), None);
    for _ in 0..2 {
        let now = at(0) + days(7);
        let page = fresh.store.open_sessions(bob, after, 2, IDLE, now).await.unwrap();
        after = page.last().map(|last| last.cursor().to_string().parse().unwrap());
        seen.extend(page.iter().map(|session| session.id));
    }
    assert_eq!(seen, usable);
    // A moment before, the others could be used.
    let before = listed(&fresh, bob, at(5 * day)).await;
    assert!(before.contains(&unused.id) && before.contains(&expired.id));
}

async fn a_session_is_ended_once(fresh: Fresh) {
    let bob = make_member(&fresh.store, "bob", 0).await;
    let session = open(&fresh.store, bob, 1).await;
    for second in [2, 3] {
        assert!(fresh.store.end_session(session, None, at(second)).await.unwrap());
        assert_eq!(find(&fresh.store, session).await.ended_at, Some(at(2)));
    }
    assert_eq!(changes(&fresh).await, [ChangeOf::Session(session)]);
    assert!(!fresh.store.end_session(SessionId::generate(), None, at(4)).await.unwrap());
}

async fn a_session_is_ended_for_its_user_alone(fresh: Fresh) {
    let bob = make_member(&fresh.store, "bob", 0).await;
    let eve = make_member(&fresh.store, "eve", 0).await;
    let session = open(&fresh.store, bob, 1).await;
    assert!(!fresh.store.end_session(session, Some(eve), at(2)).await.unwrap());
    assert_eq!(find(&fresh.store, session).await.ended_at, None);
    assert_eq!(changes(&fresh).await, []);
    assert!(fresh.store.end_session(session, Some(bob), at(3)).await.unwrap());
    assert_eq!(find(&fresh.store, session).await.ended_at, Some(at(3)));
}
