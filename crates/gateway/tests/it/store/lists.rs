//! Lists in which a row can't be read, and what a newer version writes.

use fluxgate_core::TeamId;
use fluxgate_core::ids::OPERATOR;
use fluxgate_core::limits::{Budget, Limits, Period};
use fluxgate_gateway::store::{StoreError, TeamRef, UserRef};

use super::links::{make_link, open_invite};
use super::sessions::{IDLE, find, open};
use super::teams::make_team;
use super::users::{find_user, make_member};
use super::{Fresh, at, key_id, new_key, on_each_store};

on_each_store! {
    a_row_that_cant_be_read_takes_no_list_away,
    rows_that_cant_be_read_shorten_no_page,
    limits_of_a_newer_version_are_read_as_far_as_they_are_known,
}

async fn a_row_that_cant_be_read_takes_no_list_away(fresh: Fresh) {
    let store = &fresh.store;
    let (bob, eve) = (make_member(store, "bob", 0).await, make_member(store, "eve", 1).await);
    let (of_bob, of_eve) = (open(store, bob, 2).await, open(store, eve, 2).await);
    let (blue, red) = (make_team(store, "blue", 0).await, make_team(store, "red", 1).await);
    for (id, second) in [("a", 0), ("b", 1)] {
        store.create_key(new_key(id, at(second)), OPERATOR, None).await.unwrap();
    }
    make_link(store, 1, 0, open_invite()).await;
    let invite = make_link(store, 2, 1, open_invite()).await;
    fresh
        .execute(
            "UPDATE users SET email = 'nobody' WHERE email = 'bob@example.org'; \
             UPDATE teams SET limits = '{' WHERE name = 'blue'; \
             UPDATE api_keys SET settings = '{' WHERE name = 'key a'; \
             UPDATE links SET email = 'nobody' WHERE created_at = (SELECT min(created_at) FROM links)",
        )
        .await;

    let users = store.list_users(None, 10).await.unwrap();
    assert_eq!(users.iter().map(|user| user.id).collect::<Vec<_>>(), [eve]);
    let teams = store.list_teams(None, 10).await.unwrap();
    assert_eq!(teams.iter().map(|team| team.id).collect::<Vec<_>>(), [red]);
    let keys = store.list_keys(None, None, 10).await.unwrap();
    assert_eq!(keys.iter().map(|key| key.id).collect::<Vec<_>>(), [key_id("b")]);
    let invites = store.list_invites(None, 10).await.unwrap();
    assert_eq!(invites.iter().map(|invite| invite.id).collect::<Vec<_>>(), [invite]);
    assert_eq!(store.open_sessions(bob, None, 10, IDLE, at(3)).await.unwrap(), []);
    let sessions = store.open_sessions(eve, None, 10, IDLE, at(3)).await.unwrap();
    assert_eq!(sessions, [find(store, of_eve).await]);

    // Who asks for that row alone is told.
    let malformed = |error| matches!(error, StoreError::Malformed(_));
    assert!(malformed(store.find_user(&UserRef::Id(bob)).await.unwrap_err()));
    assert!(malformed(store.find_team(&TeamRef::Id(blue)).await.unwrap_err()));
    assert!(malformed(store.find_key(&key_id("a")).await.unwrap_err()));
    assert!(malformed(store.find_session(of_bob).await.unwrap_err()));
}

async fn rows_that_cant_be_read_shorten_no_page(fresh: Fresh) {
    let mut made: Vec<TeamId> = Vec::new();
    for number in 0..9 {
        made.push(make_team(&fresh.store, &format!("team {number}"), number).await);
    }
    // Of the first page all but one, and the last of the list.
    fresh
        .execute(
            "UPDATE teams SET limits = '{' WHERE name IN ('team 8', 'team 6', 'team 5', 'team 0')",
        )
        .await;
    let mut pages = Vec::new();
    let mut after = None;
    loop {
        let page = fresh.store.list_teams(after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.cursor());
        pages.push(page.iter().map(|team| team.id).collect::<Vec<_>>());
    }
    assert_eq!(pages, [vec![made[7], made[4]], vec![made[3], made[2]], vec![made[1]]]);
}

async fn limits_of_a_newer_version_are_read_as_far_as_they_are_known(fresh: Fresh) {
    let bob = make_member(&fresh.store, "bob", 0).await;
    let blue = make_team(&fresh.store, "blue", 0).await;
    fresh.store.create_key(new_key("a", at(0)), OPERATOR, None).await.unwrap();
    fresh
        .execute(
            r#"UPDATE users SET limits = '{"concurrent":2,"bytes":{"per_min":9},"budgets":[{"period":"day","tokens":5,"rollover":true},{"period":"week","tokens":6},{"period":"month","requests":7}]}';
            UPDATE teams SET limits = (SELECT min(limits) FROM users);
            UPDATE api_keys SET settings = (SELECT '{"limits":' || min(limits) || '}' FROM users)"#,
        )
        .await;
    let known = Limits {
        concurrent: Some(2),
        budgets: vec![Budget { period: Period::Day, tokens: Some(5), cost_micros: None }],
        ..Limits::default()
    };
    assert_eq!(find_user(&fresh.store, bob).await.limits, known);
    let team = fresh.store.find_team(&TeamRef::Id(blue)).await.unwrap().unwrap();
    assert_eq!(team.limits, known);
    let key = fresh.store.find_key(&key_id("a")).await.unwrap().unwrap();
    assert_eq!(key.settings.limits, known);
}
