//! What is dropped once nobody asks for it any more.

use chrono::TimeDelta;
use fluxgate_gateway::store::{AUDIT_AT_ONCE, AuditFilter, LinkAbout, NewSession, Refreshed};
use futures_util::future::join_all;

use super::audit::entry;
use super::links::{make_link, open_invite};
use super::sessions::{IDLE, new_session, open};
use super::users::make_member;
use super::{Fresh, at, on_each_store};

on_each_store! {
    sessions_go_a_day_after_their_end,
    links_go_thirty_days_after_they_expire,
    old_entries_of_the_audit_log_go_some_at_a_time,
    replicas_that_drop_at_the_same_moment_drop_each_once,
}

const DAY_S: i64 = 86_400;
const AUDIT_KEPT: TimeDelta = TimeDelta::days(90);

async fn drop_at(fresh: &Fresh, second: i64) -> u64 {
    fresh.store.drop_expired(at(second), AUDIT_KEPT).await.unwrap()
}

async fn sessions_go_a_day_after_their_end(fresh: Fresh) {
    let bob = make_member(&fresh.store, "bob", 0).await;
    let kept = open(&fresh.store, bob, 0).await;
    let ended = new_session(bob, 0);
    let expiring = NewSession { expires_at: at(200), ..new_session(bob, 0) };
    for new in [&ended, &expiring] {
        assert!(fresh.store.open_session(new, None).await.unwrap());
    }
    let rotate = async |new: &NewSession, second| {
        let (token, next) = (new.refresh_sha256, [1; 32]);
        let asked = fresh.store.refresh_session(new.id, &token, &next, IDLE, "::1", at(second));
        assert!(matches!(asked.await.unwrap(), Refreshed::Refreshed(_)));
    };
    rotate(&ended, 50).await;
    fresh.store.end_session(ended.id, None, at(100)).await.unwrap();
    assert_eq!(drop_at(&fresh, 100 + DAY_S).await, 0);
    assert_eq!(drop_at(&fresh, 101 + DAY_S).await, 1);
    assert_eq!(fresh.store.find_session(ended.id).await.unwrap(), None);
    assert!(fresh.store.find_session(expiring.id).await.unwrap().is_some());
    assert_eq!(drop_at(&fresh, 201 + DAY_S).await, 1);
    assert_eq!(fresh.store.find_session(expiring.id).await.unwrap(), None);
    assert!(fresh.store.find_session(kept).await.unwrap().is_some());
    // Its replaced token went with it: another session may have had the same.
    let same = NewSession { refresh_sha256: ended.refresh_sha256, ..new_session(bob, DAY_S) };
    assert!(fresh.store.open_session(&same, None).await.unwrap());
    rotate(&same, DAY_S + 1).await;
}

async fn links_go_thirty_days_after_they_expire(fresh: Fresh) {
    let bob = make_member(&fresh.store, "bob", 0).await;
    // They expire at 1000, whatever becomes of them before that.
    let withdrawn = make_link(&fresh.store, 1, 0, open_invite()).await;
    make_link(&fresh.store, 2, 0, LinkAbout::Reset { user: bob }).await;
    make_link(&fresh.store, 3, 0, open_invite()).await;
    fresh.store.withdraw_invite(withdrawn, at(100)).await.unwrap();
    fresh.store.reset_password(&[2; 32], "new", at(200)).await.unwrap();
    for (second, dropped) in [(1000, 0), (1001, 3), (9999, 0)] {
        assert_eq!(drop_at(&fresh, second + 30 * DAY_S).await, dropped, "{second}");
    }
    assert_eq!(fresh.store.list_invites(None, 10).await.unwrap(), []);
}

async fn old_entries_of_the_audit_log_go_some_at_a_time(fresh: Fresh) {
    for second in 0..5 {
        let entries: Vec<_> = (0..AUDIT_AT_ONCE).map(|_| entry("a", second)).collect();
        fresh.store.put_audit(&entries).await.unwrap();
    }
    let newest = entry("b", 90 * DAY_S);
    fresh.store.put_audit(std::slice::from_ref(&newest)).await.unwrap();
    assert_eq!(drop_at(&fresh, 90 * DAY_S).await, 0);
    let mut dropped = Vec::new();
    while dropped.last() != Some(&0) {
        dropped.push(drop_at(&fresh, 90 * DAY_S + 5).await);
    }
    assert_eq!(dropped, [2_000, 500, 0]);
    let listed = fresh.store.list_audit(&AuditFilter::default(), None, 10).await.unwrap();
    assert_eq!(listed, [newest]);
}

async fn replicas_that_drop_at_the_same_moment_drop_each_once(fresh: Fresh) {
    let entries: Vec<_> = (0..AUDIT_AT_ONCE).map(|_| entry("a", 0)).collect();
    fresh.store.put_audit(&entries).await.unwrap();
    let other = fresh.open_again().await;
    let dropping = join_all(
        [&fresh.store, &other, &fresh.store, &other]
            .map(|store| async { store.drop_expired(at(91 * DAY_S), AUDIT_KEPT).await.unwrap() }),
    );
    assert_eq!(dropping.await.iter().sum::<u64>(), entries.len() as u64);
}
