//! Keys and the changes by which replicas learn of them.

use chrono::TimeDelta;
use fluxgate_core::UserId;
use fluxgate_core::admin_api::{KeySettings, UpdateKey, UserState};
use fluxgate_core::ids::OPERATOR;
use fluxgate_gateway::store::{
    ChangeOf, CreateOutcome, KeyRecord, NewKeyRecord, Revocation, Rotation, UserRecord, UserUpdate,
};
use futures_util::future::join_all;

use super::users::find_user;
use super::{Fresh, at, key_id, new_key, on_each_store};

on_each_store! {
    a_key_is_found_as_it_was_made,
    an_unknown_key_isnt_found,
    a_key_needs_an_owner_who_exists,
    a_repeated_create_makes_one_key,
    repeats_at_the_same_moment_make_one_key,
    each_caller_has_its_own_idempotency_keys,
    an_idempotency_key_is_forgotten_after_a_day,
    keys_are_listed_page_by_page_the_newest_first,
    keys_of_one_owner_are_listed_alone,
    a_key_is_revoked_once_and_for_good,
    a_revocation_is_a_change_that_others_learn_of,
    changes_are_numbered_in_the_order_in_which_they_took_effect,
    changes_are_listed_for_an_hour,
    the_first_key_is_made_once,
    a_keys_settings_are_changed_member_by_member,
    a_rotated_key_keeps_its_id_and_for_a_while_its_old_secret,
    a_key_that_has_ended_gets_no_new_secret,
    the_newest_use_is_kept,
    a_keys_owner_may_be_disabled,
    keys_that_can_be_used_are_counted,
}

async fn a_key_is_found_as_it_was_made(fresh: Fresh) {
    let mut new = new_key("a", at(0));
    new.expires_at = Some(at(3600));
    let outcome = fresh.store.create_key(new.clone(), OPERATOR, None).await.unwrap();
    assert_eq!(outcome, CreateOutcome::Created);
    let found = fresh.open_again().await.find_key(&new.id).await.unwrap().unwrap();
    assert_eq!(
        found,
        KeyRecord {
            id: key_id("a"),
            owner: OPERATOR,
            name: "key a".into(),
            secret_sha256: [b'a'; 32],
            created_at: at(0),
            expires_at: Some(at(3600)),
            revoked_at: None,
            last_used_at: None,
            previous: None,
            settings: KeySettings::default(),
            owner_state: UserState::Active,
        }
    );
}

async fn an_unknown_key_isnt_found(fresh: Fresh) {
    assert_eq!(fresh.store.find_key(&key_id("a")).await.unwrap(), None);
    assert_eq!(fresh.store.revoke_key(&key_id("a"), at(0)).await.unwrap(), None);
    assert_eq!(fresh.store.last_change().await.unwrap(), 0);
}

async fn a_key_needs_an_owner_who_exists(fresh: Fresh) {
    let mut new = new_key("a", at(0));
    new.owner = UserId::generate();
    let error = fresh.store.create_key(new, OPERATOR, Some("once")).await.unwrap_err();
    assert!(!error.is_unavailable(), "{error}");
    // Nothing of it has stayed.
    let retried = fresh.store.create_key(new_key("b", at(0)), OPERATOR, Some("once")).await;
    assert_eq!(retried.unwrap(), CreateOutcome::Created);
}

async fn a_repeated_create_makes_one_key(fresh: Fresh) {
    let create = |id: &str, idempotency_key| {
        let (store, new) = (fresh.store.clone(), new_key(id, at(0)));
        async move { store.create_key(new, OPERATOR, idempotency_key).await.unwrap() }
    };
    assert_eq!(create("a", Some("once")).await, CreateOutcome::Created);
    assert_eq!(create("b", Some("once")).await, CreateOutcome::AlreadyCreated(key_id("a")));
    assert_eq!(create("c", Some("twice")).await, CreateOutcome::Created);
    assert_eq!(create("d", None).await, CreateOutcome::Created);
    assert_eq!(fresh.store.find_key(&key_id("b")).await.unwrap(), None);
}

async fn repeats_at_the_same_moment_make_one_key(fresh: Fresh) {
    let outcomes =
        join_all("abcdef".chars().map(|id| {
            fresh.store.create_key(new_key(&id.to_string(), at(0)), OPERATOR, Some("once"))
        }));
    let outcomes: Vec<_> = outcomes.await.into_iter().map(Result::unwrap).collect();
    let created = outcomes.iter().filter(|outcome| **outcome == CreateOutcome::Created).count();
    let keys = fresh.store.list_keys(None, None, 10).await.unwrap();
    assert_eq!((created, keys.len()), (1, 1));
    let repeat = CreateOutcome::AlreadyCreated(keys[0].id);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == repeat).count(), 5);
}

async fn each_caller_has_its_own_idempotency_keys(fresh: Fresh) {
    let admin = super::users::make_admin(&fresh.store).await;
    let mine = fresh.store.create_key(new_key("a", at(0)), OPERATOR, Some("once")).await.unwrap();
    let theirs = fresh.store.create_key(new_key("b", at(0)), admin, Some("once")).await.unwrap();
    assert_eq!((mine, theirs), (CreateOutcome::Created, CreateOutcome::Created));
}

async fn an_idempotency_key_is_forgotten_after_a_day(fresh: Fresh) {
    for (id, second) in [("a", 0), ("b", 86_401)] {
        let outcome = fresh.store.create_key(new_key(id, at(second)), OPERATOR, Some("once")).await;
        assert_eq!(outcome.unwrap(), CreateOutcome::Created);
    }
}

async fn keys_are_listed_page_by_page_the_newest_first(fresh: Fresh) {
    // Two of them at the same time: their ids decide.
    for (id, second) in [("d", 1), ("a", 2), ("c", 3), ("b", 3), ("e", 4)] {
        fresh.store.create_key(new_key(id, at(second)), OPERATOR, None).await.unwrap();
    }
    let (mut seen, mut after) = (String::new(), None);
    for _ in 0..3 {
        let page = fresh.store.list_keys(None, after, 2).await.unwrap();
        seen.extend(page.iter().map(|key| &key.id.as_str()[..1]));
        after = page.last().map(KeyRecord::cursor);
    }
    assert_eq!(seen, "ecbad");
    assert!(fresh.store.list_keys(None, after, 2).await.unwrap().is_empty());
}

async fn keys_of_one_owner_are_listed_alone(fresh: Fresh) {
    let admin = super::users::make_admin(&fresh.store).await;
    let mut theirs = new_key("b", at(1));
    theirs.owner = admin;
    fresh.store.create_key(theirs, OPERATOR, None).await.unwrap();
    fresh.store.create_key(new_key("a", at(0)), OPERATOR, None).await.unwrap();
    let of = async |owner| fresh.store.list_keys(owner, None, 10).await.unwrap();
    assert_eq!(of(Some(admin)).await.iter().map(|key| key.id).collect::<Vec<_>>(), [key_id("b")]);
    assert_eq!(of(Some(OPERATOR)).await.len(), 1);
    assert_eq!(of(None).await.len(), 2);
}

async fn a_key_is_revoked_once_and_for_good(fresh: Fresh) {
    let key = key_id("a");
    fresh.store.create_key(new_key("a", at(0)), OPERATOR, None).await.unwrap();
    assert_eq!(fresh.store.revoke_key(&key, at(1)).await.unwrap(), Some(Revocation::Now));
    assert_eq!(fresh.store.revoke_key(&key, at(2)).await.unwrap(), Some(Revocation::Before));
    let found = fresh.store.find_key(&key).await.unwrap().unwrap();
    assert_eq!(found.revoked_at, Some(at(1)));
}

async fn a_revocation_is_a_change_that_others_learn_of(fresh: Fresh) {
    let other = fresh.open_again().await;
    for id in ["a", "b"] {
        fresh.store.create_key(new_key(id, at(0)), OPERATOR, None).await.unwrap();
    }
    let start = other.last_change().await.unwrap();
    assert!(other.changes_after(start).await.unwrap().is_empty());
    fresh.store.revoke_key(&key_id("a"), at(1)).await.unwrap();
    fresh.store.revoke_key(&key_id("a"), at(2)).await.unwrap();
    fresh.store.revoke_key(&key_id("b"), at(3)).await.unwrap();
    let changes = other.changes_after(start).await.unwrap();
    let of: Vec<_> = changes.iter().map(|change| change.of.clone()).collect();
    assert_eq!(of, [ChangeOf::Key(key_id("a")), ChangeOf::Key(key_id("b"))]);
    assert_eq!(other.last_change().await.unwrap(), changes[1].id);
    assert_eq!(other.changes_after(changes[0].id).await.unwrap(), changes[1..]);
}

async fn changes_are_numbered_in_the_order_in_which_they_took_effect(fresh: Fresh) {
    let ids: Vec<_> = ('a'..='l').map(|id| id.to_string()).collect();
    for id in &ids {
        fresh.store.create_key(new_key(id, at(0)), OPERATOR, None).await.unwrap();
    }
    let revoking = join_all(ids.iter().map(|id| async {
        fresh.store.revoke_key(&key_id(id), at(1)).await.unwrap();
    }));
    // A reader who follows meanwhile misses none.
    let following = async {
        let (mut last, mut seen) = (0, 0);
        let until = std::time::Instant::now() + std::time::Duration::from_secs(15);
        while std::time::Instant::now() < until {
            for change in fresh.store.changes_after(last).await.unwrap() {
                assert_eq!(change.id, last + 1);
                (last, seen) = (change.id, seen + 1);
            }
            if seen == ids.len() {
                break;
            }
        }
        seen
    };
    let (_, seen) = tokio::join!(revoking, following);
    assert_eq!(seen, ids.len());
}

async fn changes_are_listed_for_an_hour(fresh: Fresh) {
    for id in ["a", "b"] {
        fresh.store.create_key(new_key(id, at(0)), OPERATOR, None).await.unwrap();
    }
    fresh.store.revoke_key(&key_id("a"), at(0)).await.unwrap();
    fresh.store.revoke_key(&key_id("b"), at(1) + TimeDelta::hours(1)).await.unwrap();
    let listed = fresh.store.changes_after(0).await.unwrap();
    assert_eq!(listed.iter().map(|change| change.id).collect::<Vec<_>>(), [2]);
}

async fn the_first_key_is_made_once(fresh: Fresh) {
    assert!(fresh.store.create_first_key(new_key("a", at(0))).await.unwrap());
    fresh.store.revoke_key(&key_id("a"), at(1)).await.unwrap();
    assert!(!fresh.store.create_first_key(new_key("b", at(2))).await.unwrap());
    assert_eq!(fresh.store.list_keys(None, None, 10).await.unwrap().len(), 1);
}

async fn a_keys_settings_are_changed_member_by_member(fresh: Fresh) {
    let mut new = new_key("a", at(0));
    new.expires_at = Some(at(100));
    fresh.store.create_key(new, OPERATOR, None).await.unwrap();
    let update: UpdateKey =
        serde_json::from_str(r#"{"models":["a*"],"ips":["10.0.0.0/8"],"limits":{"concurrent":2}}"#)
            .unwrap();
    let changed = fresh.store.update_key(&key_id("a"), update, at(1)).await.unwrap().unwrap();
    assert_eq!(changed, fresh.store.find_key(&key_id("a")).await.unwrap().unwrap());
    assert_eq!((changed.settings.models.len(), changed.settings.limits.concurrent), (1, Some(2)));
    assert_eq!(changed.expires_at, Some(at(100)));
    let update: UpdateKey = serde_json::from_str(r#"{"name":"b","expires_at":null}"#).unwrap();
    let changed =
        fresh.store.update_key(&key_id("a"), update.clone(), at(2)).await.unwrap().unwrap();
    assert_eq!((changed.name.as_str(), changed.expires_at), ("b", None));
    assert_eq!(changed.settings.ips.len(), 1);
    assert_eq!(fresh.store.update_key(&key_id("z"), update, at(2)).await.unwrap(), None);
    assert_eq!(fresh.store.last_change().await.unwrap(), 2);
}

async fn a_rotated_key_keeps_its_id_and_for_a_while_its_old_secret(fresh: Fresh) {
    fresh.store.create_key(new_key("a", at(0)), OPERATOR, None).await.unwrap();
    let rotate = async |secret: u8, until| {
        let rotated = fresh.store.rotate_key(&key_id("a"), [secret; 32], until, at(1)).await;
        match rotated.unwrap() {
            Some(Rotation::Rotated(record)) => *record,
            other => panic!("{other:?}"),
        }
    };
    let record = rotate(1, Some(at(60))).await;
    assert_eq!((record.secret_sha256, record.previous), ([1; 32], Some(([b'a'; 32], at(60)))));
    let record = rotate(2, None).await;
    assert_eq!((record.secret_sha256, record.previous), ([2; 32], None));
    let gone = fresh.store.rotate_key(&key_id("z"), [1; 32], None, at(1)).await.unwrap();
    assert_eq!(gone, None);
    assert_eq!(fresh.store.last_change().await.unwrap(), 2);
}

async fn a_key_that_has_ended_gets_no_new_secret(fresh: Fresh) {
    let mut expiring = new_key("a", at(0));
    expiring.expires_at = Some(at(10));
    fresh.store.create_key(expiring, OPERATOR, None).await.unwrap();
    fresh.store.create_key(new_key("b", at(0)), OPERATOR, None).await.unwrap();
    fresh.store.revoke_key(&key_id("b"), at(1)).await.unwrap();
    for id in ["a", "b"] {
        let outcome = fresh.store.rotate_key(&key_id(id), [9; 32], None, at(10)).await.unwrap();
        assert_eq!(outcome, Some(Rotation::Ended));
        let record = fresh.store.find_key(&key_id(id)).await.unwrap().unwrap();
        assert_ne!(record.secret_sha256, [9; 32]);
    }
}

async fn the_newest_use_is_kept(fresh: Fresh) {
    let bob = super::users::make_member(&fresh.store, "bob", 0).await;
    let mut new = new_key("a", at(0));
    new.owner = bob;
    fresh.store.create_key(new, OPERATOR, None).await.unwrap();
    for second in [20, 10] {
        let used = [(key_id("a"), at(second).into()), (key_id("z"), at(second).into())];
        fresh.store.note_used(&used).await.unwrap();
    }
    let record = fresh.store.find_key(&key_id("a")).await.unwrap().unwrap();
    assert_eq!(record.last_used_at, Some(at(20)));
    let seen_at = |user: UserRecord| user.last_seen_at.unwrap();
    assert_eq!(seen_at(find_user(&fresh.store, bob).await), at(20));
    // Another key of theirs was used before that.
    let mut new = new_key("b", at(0));
    new.owner = bob;
    fresh.store.create_key(new, OPERATOR, None).await.unwrap();
    fresh.store.note_used(&[(key_id("b"), at(15).into())]).await.unwrap();
    assert_eq!(seen_at(find_user(&fresh.store, bob).await), at(20));
    assert_eq!(fresh.store.last_change().await.unwrap(), 0, "nobody has to know");
}

async fn a_keys_owner_may_be_disabled(fresh: Fresh) {
    let owner = super::users::make_member(&fresh.store, "bob", 0).await;
    let mut new = new_key("a", at(0));
    new.owner = owner;
    fresh.store.create_key(new, OPERATOR, None).await.unwrap();
    let update = UserUpdate { state: Some(UserState::Disabled), ..UserUpdate::default() };
    fresh.store.update_user(owner, update, at(1)).await.unwrap();
    let record = fresh.store.find_key(&key_id("a")).await.unwrap().unwrap();
    assert_eq!(record.owner_state, UserState::Disabled);
}

async fn keys_that_can_be_used_are_counted(fresh: Fresh) {
    let bob = super::users::make_member(&fresh.store, "bob", 0).await;
    for (id, expires_at) in [("a", None), ("b", Some(at(10))), ("c", None), ("d", Some(at(20)))] {
        let new = NewKeyRecord { owner: bob, expires_at, ..new_key(id, at(0)) };
        fresh.store.create_key(new, OPERATOR, None).await.unwrap();
    }
    fresh.store.create_key(new_key("e", at(0)), OPERATOR, None).await.unwrap();
    fresh.store.revoke_key(&key_id("c"), at(1)).await.unwrap();
    for (second, open) in [(9, 3), (10, 2), (20, 1)] {
        assert_eq!(fresh.store.count_open_keys(bob, at(second)).await.unwrap(), open);
    }
    assert_eq!(fresh.store.count_open_keys(UserId::generate(), at(0)).await.unwrap(), 0);
}
