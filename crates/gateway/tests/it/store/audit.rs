//! The audit log.

use fluxgate_core::{AuditId, RequestId};
use fluxgate_gateway::store::{AUDIT_AT_ONCE, AuditFilter, AuditRecord};

use super::{Fresh, at, on_each_store};

on_each_store! {
    entries_are_listed_as_they_were_put_the_newest_first,
    entries_are_told_apart_by_what_is_given,
    a_repeated_put_adds_nothing,
    a_put_of_more_than_a_transaction_takes_adds_all,
}

pub fn entry(act: &str, second: i64) -> AuditRecord {
    AuditRecord {
        id: AuditId::generate(),
        at: at(second),
        actor: "operator".into(),
        act: act.into(),
        object: None,
        outcome: "ok".into(),
        address: "192.0.2.7".into(),
        request_id: Some(RequestId::generate()),
        count: 1,
    }
}

async fn entries_are_listed_as_they_were_put_the_newest_first(fresh: Fresh) {
    let strangers = AuditRecord {
        actor: "anonymous".into(),
        object: Some("user:somebody".into()),
        outcome: "invalid_credentials".into(),
        request_id: None,
        count: 70_000,
        ..entry("POST /api/v1/auth/login", 2)
    };
    let mut entries =
        vec![entry("a", 0), strangers, entry("b", 3), entry("c", 1), entry("d", 3), entry("e", 9)];
    fresh.store.put_audit(&entries[..4]).await.unwrap();
    fresh.store.put_audit(&entries[4..]).await.unwrap();
    fresh.store.put_audit(&[]).await.unwrap();
    entries.sort_by_key(|entry| std::cmp::Reverse((entry.at, entry.id)));
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = fresh.store.list_audit(&AuditFilter::default(), after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.cursor().to_string().parse().unwrap());
        listed.extend(page);
    }
    assert_eq!(listed, entries);
}

async fn entries_are_told_apart_by_what_is_given(fresh: Fresh) {
    let by = |actor: &str, act: &str, outcome: &str, second| AuditRecord {
        actor: actor.into(),
        outcome: outcome.into(),
        ..entry(act, second)
    };
    let entries = [
        by("operator", "1", "ok", 1),
        by("operator", "2", "conflict", 2),
        by("anonymous", "1", "invalid_credentials", 3),
        by("anonymous", "2", "ok", 4),
    ];
    fresh.store.put_audit(&entries).await.unwrap();
    let seconds = async |filter: AuditFilter| {
        let listed = fresh.store.list_audit(&filter, None, 10).await.unwrap();
        listed.iter().map(|entry| (entry.at - at(0)).num_seconds()).collect::<Vec<_>>()
    };
    let (none, text) = (AuditFilter::default(), |text: &str| Some(text.to_owned()));
    assert_eq!(seconds(none.clone()).await, [4, 3, 2, 1]);
    assert_eq!(seconds(AuditFilter { actor: text("operator"), ..none.clone() }).await, [2, 1]);
    assert_eq!(seconds(AuditFilter { act: text("1"), ..none.clone() }).await, [3, 1]);
    assert_eq!(seconds(AuditFilter { outcome: text("ok"), ..none.clone() }).await, [4, 1]);
    assert_eq!(seconds(AuditFilter { since: Some(at(3)), ..none.clone() }).await, [4, 3]);
    assert_eq!(seconds(AuditFilter { until: Some(at(3)), ..none.clone() }).await, [2, 1]);
    let both = AuditFilter { actor: text("anonymous"), outcome: text("ok"), ..none.clone() };
    assert_eq!(seconds(both).await, [4]);
    assert_eq!(seconds(AuditFilter { actor: text("nobody"), ..none }).await, [0; 0]);
}

async fn a_repeated_put_adds_nothing(fresh: Fresh) {
    let (first, second) = (entry("a", 0), entry("b", 1));
    fresh.store.put_audit(std::slice::from_ref(&first)).await.unwrap();
    let other = AuditRecord { act: "c".into(), ..first.clone() };
    fresh.store.put_audit(&[other, second.clone()]).await.unwrap();
    let listed = fresh.store.list_audit(&AuditFilter::default(), None, 10).await.unwrap();
    assert_eq!(listed, [second, first]);
}

async fn a_put_of_more_than_a_transaction_takes_adds_all(fresh: Fresh) {
    let count = 2 * AUDIT_AT_ONCE + 7;
    let entries: Vec<_> =
        (0..).take(count).map(|second| entry("POST /api/v1/keys", second)).collect();
    for _ in 0..2 {
        fresh.store.put_audit(&entries).await.unwrap();
    }
    let listed = fresh.store.list_audit(&AuditFilter::default(), None, 2_000).await.unwrap();
    assert!(listed.iter().eq(entries.iter().rev()));
}
