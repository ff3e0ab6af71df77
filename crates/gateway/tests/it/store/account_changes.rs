//! What an administrator makes of a user.

use fluxgate_core::UserId;
use fluxgate_core::admin_api::{Role, UserState};
use fluxgate_core::ids::OPERATOR;
use fluxgate_core::limits::Limits;
use fluxgate_gateway::store::{ChangeOf, UserChange, UserRecord, UserUpdate};
use futures_util::future::join_all;

use super::sessions::{find, open};
use super::teams::make_team;
use super::users::{find_user, make_admin, make_member, member};
use super::{Fresh, at, on_each_store};

on_each_store! {
    a_user_is_changed_and_others_learn_of_it,
    a_user_has_a_team_and_limits,
    a_team_that_was_deleted_meanwhile_is_none,
    the_last_administrator_stays_one,
    two_administrators_cant_take_each_others_place_away,
    a_disabled_users_sessions_end,
}

async fn update(fresh: &Fresh, user: UserId, update: UserUpdate) -> UserRecord {
    match fresh.store.update_user(user, update, at(9)).await.unwrap() {
        UserChange::Changed(user) => user,
        other => panic!("{other:?}"),
    }
}

fn role(role: Role) -> UserUpdate {
    UserUpdate { role: Some(role), ..UserUpdate::default() }
}

fn state(state: UserState) -> UserUpdate {
    UserUpdate { state: Some(state), ..UserUpdate::default() }
}

async fn a_user_is_changed_and_others_learn_of_it(fresh: Fresh) {
    let bob = make_member(&fresh.store, "bob", 1).await;
    let changed = update(&fresh, bob, state(UserState::Disabled)).await;
    assert_eq!((changed.role, changed.state), (Role::Member, UserState::Disabled));
    assert_eq!(changed, find_user(&fresh.store, bob).await);
    let changes = fresh.store.changes_after(0).await.unwrap();
    assert_eq!(changes.last().unwrap().of, ChangeOf::User(bob));
    let changed = update(&fresh, bob, role(Role::Admin)).await;
    assert_eq!((changed.role, changed.state), (Role::Admin, UserState::Disabled));
    for nobody in [UserId::generate(), OPERATOR] {
        let outcome = fresh.store.update_user(nobody, state(UserState::Disabled), at(4)).await;
        assert_eq!(outcome.unwrap(), UserChange::Unknown);
    }
    assert_eq!(fresh.store.last_change().await.unwrap(), 2);
}

async fn a_user_has_a_team_and_limits(fresh: Fresh) {
    let team = make_team(&fresh.store, "blue", 0).await;
    let (mut user, address) = member("bob", 1);
    (user.team, user.limits.concurrent) = (Some(team), Some(2));
    fresh.store.create_user(&user, &address, None, OPERATOR, None).await.unwrap();
    assert_eq!(find_user(&fresh.store, user.id).await, user);

    let limits = Limits { requests_per_min: Some(5), ..Limits::default() };
    let limited = UserUpdate { limits: Some(limits.clone()), ..UserUpdate::default() };
    let changed = update(&fresh, user.id, limited).await;
    assert_eq!((changed.team, &changed.limits), (Some(team), &limits));
    let without = UserUpdate { team: Some(None), ..UserUpdate::default() };
    let changed = update(&fresh, user.id, without).await;
    assert_eq!((changed.team, &changed.limits), (None, &limits));
    let again = UserUpdate { team: Some(Some(team)), ..UserUpdate::default() };
    assert_eq!(update(&fresh, user.id, again).await.team, Some(team));
    assert_eq!(find_user(&fresh.store, user.id).await.team, Some(team));
}

async fn a_team_that_was_deleted_meanwhile_is_none(fresh: Fresh) {
    let team = make_team(&fresh.store, "blue", 0).await;
    assert!(fresh.store.delete_team(team, at(1)).await.unwrap());
    let (mut user, address) = member("bob", 1);
    user.team = Some(team);
    fresh.store.create_user(&user, &address, None, OPERATOR, None).await.unwrap();
    assert_eq!(find_user(&fresh.store, user.id).await.team, None);
    let late = UserUpdate { team: Some(Some(team)), ..UserUpdate::default() };
    assert_eq!(update(&fresh, user.id, late).await.team, None);
}

async fn the_last_administrator_stays_one(fresh: Fresh) {
    let ada = make_admin(&fresh.store).await;
    let bob = make_member(&fresh.store, "bob", 1).await;
    let refused = async |update| {
        let outcome = fresh.store.update_user(ada, update, at(2)).await.unwrap();
        assert_eq!(outcome, UserChange::LastAdmin);
    };
    refused(role(Role::Member)).await;
    refused(state(UserState::Disabled)).await;
    // One who can't sign in doesn't count.
    update(&fresh, bob, UserUpdate { role: Some(Role::Admin), ..state(UserState::Disabled) }).await;
    refused(role(Role::Member)).await;
    let before = fresh.store.last_change().await.unwrap();
    assert_eq!(find_user(&fresh.store, ada).await.role, Role::Admin);
    update(&fresh, ada, UserUpdate { role: Some(Role::Admin), ..state(UserState::Active) }).await;

    update(&fresh, bob, state(UserState::Active)).await;
    assert_eq!(update(&fresh, ada, role(Role::Member)).await.role, Role::Member);
    assert_eq!(fresh.store.last_change().await.unwrap(), before + 3);
}

async fn two_administrators_cant_take_each_others_place_away(fresh: Fresh) {
    let other = fresh.open_again().await;
    let mut admins = vec![make_admin(&fresh.store).await];
    for n in 0..5 {
        let admin = make_member(&fresh.store, &format!("admin{n}"), n).await;
        update(&fresh, admin, role(Role::Admin)).await;
        admins.push(admin);
    }
    let replicas = [&fresh.store, &other].into_iter().cycle();
    let changing = join_all(admins.iter().zip(replicas).enumerate().map(|(n, (admin, store))| {
        let away = if n % 2 == 0 { role(Role::Member) } else { state(UserState::Disabled) };
        store.update_user(*admin, away, at(10))
    }));
    let outcomes: Vec<_> = changing.await.into_iter().map(Result::unwrap).collect();
    let refused = outcomes.iter().filter(|outcome| **outcome == UserChange::LastAdmin).count();
    assert_eq!((refused, outcomes.len()), (1, 6), "{outcomes:?}");
}

async fn a_disabled_users_sessions_end(fresh: Fresh) {
    let bob = make_member(&fresh.store, "bob", 0).await;
    let eve = make_member(&fresh.store, "eve", 0).await;
    let (of_bob, of_eve) = (open(&fresh.store, bob, 1).await, open(&fresh.store, eve, 1).await);
    update(&fresh, bob, role(Role::Member)).await;
    assert_eq!(find(&fresh.store, of_bob).await.ended_at, None);
    update(&fresh, bob, state(UserState::Disabled)).await;
    assert_eq!(find(&fresh.store, of_bob).await.ended_at, Some(at(9)));
    assert_eq!(find(&fresh.store, of_eve).await.ended_at, None);
    // They stay so when their user comes back.
    update(&fresh, bob, state(UserState::Active)).await;
    assert_eq!(find(&fresh.store, of_bob).await.ended_at, Some(at(9)));
}
