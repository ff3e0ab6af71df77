//! Passwords: found for a log-in, hashed anew, set.

use fluxgate_core::UserId;
use fluxgate_core::ids::OPERATOR;
use fluxgate_gateway::store::{ChangeOf, LinkAbout};
use futures_util::future::join_all;

use super::links::{make_link, usable};
use super::sessions::{find, open};
use super::users::{PHC, email, find_user, make_member, member};
use super::{Fresh, at, on_each_store};

on_each_store! {
    a_log_in_is_found_by_its_address,
    another_hash_of_the_same_password_ends_nothing,
    a_set_password_ends_the_other_sessions,
    a_password_is_set_over_the_expected_one_alone,
    a_set_password_withdraws_the_pending_reset,
    one_of_many_who_set_a_password_at_the_same_moment_does,
    the_built_in_user_gets_no_password,
}

/// The hash of a user's password.
pub async fn password(fresh: &Fresh, user: UserId) -> Option<String> {
    let address = find_user(&fresh.store, user).await.email.unwrap();
    fresh.store.find_login(&address).await.unwrap().unwrap().1
}

async fn a_log_in_is_found_by_its_address(fresh: Fresh) {
    let bob = make_member(&fresh.store, "bob", 0).await;
    let (eve, address) = member("eve", 0);
    fresh.store.create_user(&eve, &address, None, OPERATOR, None).await.unwrap();
    let (user, phc) = fresh.store.find_login(&email("Bob@Example.org")).await.unwrap().unwrap();
    assert_eq!((&user, phc.as_deref()), (&find_user(&fresh.store, bob).await, Some(PHC)));
    assert_eq!(fresh.store.find_login(&address).await.unwrap(), Some((eve.clone(), None)));
    assert_eq!(fresh.store.find_login(&email("nobody@example.org")).await.unwrap(), None);
}

async fn another_hash_of_the_same_password_ends_nothing(fresh: Fresh) {
    let bob = make_member(&fresh.store, "bob", 0).await;
    let session = open(&fresh.store, bob, 1).await;
    assert!(!fresh.store.rehash_password(bob, "the hash before", "new").await.unwrap());
    assert_eq!(password(&fresh, bob).await.as_deref(), Some(PHC));
    assert!(fresh.store.rehash_password(bob, PHC, "new").await.unwrap());
    assert_eq!(password(&fresh, bob).await.as_deref(), Some("new"));
    assert_eq!(find(&fresh.store, session).await.ended_at, None);
    assert_eq!(fresh.store.last_change().await.unwrap(), 0);
}

async fn a_set_password_ends_the_other_sessions(fresh: Fresh) {
    let bob = make_member(&fresh.store, "bob", 0).await;
    let eve = make_member(&fresh.store, "eve", 0).await;
    let of_eve = open(&fresh.store, eve, 1).await;
    let (kept, other) = (open(&fresh.store, bob, 1).await, open(&fresh.store, bob, 2).await);
    assert!(fresh.store.set_password(bob, Some(PHC), "new", Some(kept), at(3)).await.unwrap());
    assert_eq!(find(&fresh.store, other).await.ended_at, Some(at(3)));
    for session in [kept, of_eve] {
        assert_eq!(find(&fresh.store, session).await.ended_at, None);
    }
    let changes = fresh.store.changes_after(0).await.unwrap();
    assert_eq!(changes.last().unwrap().of, ChangeOf::User(bob));
    assert!(fresh.store.set_password(bob, None, "newer", None, at(4)).await.unwrap());
    assert_eq!(find(&fresh.store, kept).await.ended_at, Some(at(4)));
    assert_eq!(find(&fresh.store, other).await.ended_at, Some(at(3)), "it ended before");
    assert_eq!(password(&fresh, bob).await.as_deref(), Some("newer"));
    assert_eq!(password(&fresh, eve).await.as_deref(), Some(PHC));
}

async fn a_password_is_set_over_the_expected_one_alone(fresh: Fresh) {
    let bob = make_member(&fresh.store, "bob", 0).await;
    let session = open(&fresh.store, bob, 1).await;
    let set = fresh.store.set_password(bob, Some("the hash before"), "new", None, at(2)).await;
    assert!(!set.unwrap());
    assert!(!fresh.store.set_password(UserId::generate(), None, "new", None, at(2)).await.unwrap());
    assert_eq!(password(&fresh, bob).await.as_deref(), Some(PHC));
    assert_eq!(find(&fresh.store, session).await.ended_at, None);
    assert_eq!(fresh.store.last_change().await.unwrap(), 0);
}

async fn a_set_password_withdraws_the_pending_reset(fresh: Fresh) {
    let bob = make_member(&fresh.store, "bob", 0).await;
    let eve = make_member(&fresh.store, "eve", 0).await;
    for (token, user) in [(1, bob), (2, eve)] {
        make_link(&fresh.store, token, 0, LinkAbout::Reset { user }).await;
    }
    assert!(!fresh.store.set_password(bob, Some("another"), "new", None, at(1)).await.unwrap());
    assert!(usable(&fresh, 1, 1).await.is_some());
    assert!(fresh.store.set_password(bob, Some(PHC), "new", None, at(2)).await.unwrap());
    assert_eq!(usable(&fresh, 1, 3).await, None);
    assert_eq!(fresh.store.reset_password(&[1; 32], "newer", at(3)).await.unwrap(), None);
    assert_eq!(password(&fresh, bob).await.as_deref(), Some("new"));
    assert!(usable(&fresh, 2, 3).await.is_some(), "another user's");
}

async fn one_of_many_who_set_a_password_at_the_same_moment_does(fresh: Fresh) {
    let bob = make_member(&fresh.store, "bob", 0).await;
    let hashes: Vec<_> = (0..5).map(|n| format!("new {n}")).collect();
    let setting = join_all(
        hashes.iter().map(|phc| fresh.store.set_password(bob, Some(PHC), phc, None, at(2))),
    );
    let set: Vec<_> = setting.await.into_iter().map(Result::unwrap).collect();
    assert_eq!(set.iter().filter(|set| **set).count(), 1);
    let winner = set.iter().position(|set| *set).unwrap();
    assert_eq!(password(&fresh, bob).await.as_ref(), Some(&hashes[winner]));
}

async fn the_built_in_user_gets_no_password(fresh: Fresh) {
    assert!(!fresh.store.set_password(OPERATOR, None, "new", None, at(2)).await.unwrap());
}
