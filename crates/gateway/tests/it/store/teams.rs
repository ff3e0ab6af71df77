//! Teams and their members.

use fluxgate_core::TeamId;
use fluxgate_core::ids::OPERATOR;
use fluxgate_core::limits::Limits;
use fluxgate_gateway::store::{
    ChangeOf, CreatedTeam, Store, TeamChange, TeamRecord, TeamRef, UserUpdate,
};
use futures_util::future::join_all;

use super::users::{find_user, make_member};
use super::{Fresh, at, on_each_store};

on_each_store! {
    a_team_is_found_by_id_and_by_name,
    a_team_is_made_once_for_each_name,
    teams_are_listed_page_by_page_the_newest_first,
    a_team_is_changed_and_others_learn_of_it,
    no_team_takes_the_name_of_another,
    one_of_many_who_take_a_name_at_the_same_moment_gets_it,
    members_stay_when_their_team_goes,
}

fn team(name: &str, second: i64) -> TeamRecord {
    TeamRecord {
        id: TeamId::generate(),
        name: name.into(),
        limits: Limits::default(),
        created_at: at(second),
    }
}

pub async fn make_team(store: &Store, name: &str, second: i64) -> TeamId {
    let team = team(name, second);
    assert_eq!(store.create_team(&team, OPERATOR, None).await.unwrap(), CreatedTeam::Created);
    team.id
}

fn named(name: &str) -> TeamRef {
    TeamRef::Name(name.into())
}

async fn a_team_is_found_by_id_and_by_name(fresh: Fresh) {
    make_team(&fresh.store, "red", 0).await;
    let limits = Limits { tokens_per_min: Some(7), ..Limits::default() };
    let blue = TeamRecord { limits, ..team("blue", 1) };
    let made = fresh.store.create_team(&blue, OPERATOR, None).await.unwrap();
    assert_eq!(made, CreatedTeam::Created);
    for by in [TeamRef::Id(blue.id), named("blue")] {
        assert_eq!(fresh.store.find_team(&by).await.unwrap().as_ref(), Some(&blue));
    }
    for by in [TeamRef::Id(TeamId::generate()), named("green")] {
        assert_eq!(fresh.store.find_team(&by).await.unwrap(), None);
    }
}

async fn a_team_is_made_once_for_each_name(fresh: Fresh) {
    let blue = make_team(&fresh.store, "blue", 0).await;
    let make = async |team: &TeamRecord| {
        fresh.store.create_team(team, OPERATOR, Some("once")).await.unwrap()
    };
    assert_eq!(make(&team("blue", 1)).await, CreatedTeam::NameTaken);
    // The key is free still, and afterwards it isn't.
    let red = team("red", 1);
    assert_eq!(make(&red).await, CreatedTeam::Created);
    assert_eq!(make(&team("green", 2)).await, CreatedTeam::AlreadyCreated(red.id));
    let listed = fresh.store.list_teams(None, 10).await.unwrap();
    assert_eq!(listed.iter().map(|team| team.id).collect::<Vec<_>>(), [red.id, blue]);
}

async fn teams_are_listed_page_by_page_the_newest_first(fresh: Fresh) {
    let mut made = Vec::new();
    for second in [0, 1, 1, 2, 3] {
        made.push(make_team(&fresh.store, &format!("team {}", made.len()), second).await);
    }
    made.reverse();
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = fresh.store.list_teams(after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.cursor().to_string().parse().unwrap());
        listed.extend(page.iter().map(|team| team.id));
    }
    assert_eq!(listed, made);
}

async fn a_team_is_changed_and_others_learn_of_it(fresh: Fresh) {
    let blue = make_team(&fresh.store, "blue", 0).await;
    let update = async |id, name: Option<&str>, limits| {
        let name = name.map(str::to_owned);
        fresh.store.update_team(id, name, limits, at(1)).await.unwrap()
    };
    let limits = Limits { concurrent: Some(3), ..Limits::default() };
    let limited =
        TeamRecord { id: blue, name: "blue".into(), limits: limits.clone(), created_at: at(0) };
    let changed = update(blue, None, Some(limits)).await;
    assert_eq!(changed, TeamChange::Changed(limited.clone()));
    let renamed = TeamRecord { name: "navy".into(), ..limited };
    assert_eq!(update(blue, Some("navy"), None).await, TeamChange::Changed(renamed.clone()));
    assert_eq!(fresh.store.find_team(&named("navy")).await.unwrap(), Some(renamed));
    assert_eq!(update(TeamId::generate(), Some("red"), None).await, TeamChange::Unknown);
    let changes = fresh.store.changes_after(0).await.unwrap();
    let of: Vec<_> = changes.into_iter().map(|change| change.of).collect();
    assert_eq!(of, [ChangeOf::Team(blue), ChangeOf::Team(blue)]);
}

async fn no_team_takes_the_name_of_another(fresh: Fresh) {
    let blue = make_team(&fresh.store, "blue", 0).await;
    make_team(&fresh.store, "red", 0).await;
    let rename = async |name: &str| {
        fresh.store.update_team(blue, Some(name.into()), None, at(1)).await.unwrap()
    };
    assert_eq!(rename("red").await, TeamChange::NameTaken);
    assert_eq!(fresh.store.last_change().await.unwrap(), 0);
    assert!(fresh.store.find_team(&named("blue")).await.unwrap().is_some());
    // Its own it may keep.
    assert!(matches!(rename("blue").await, TeamChange::Changed(_)));
}

async fn one_of_many_who_take_a_name_at_the_same_moment_gets_it(fresh: Fresh) {
    let mut teams = Vec::new();
    for n in 0..4 {
        teams.push(make_team(&fresh.store, &format!("team {n}"), n).await);
    }
    let renaming =
        teams.iter().map(|id| fresh.store.update_team(*id, Some("blue".into()), None, at(5)));
    let new = team("blue", 5);
    let making = fresh.store.create_team(&new, OPERATOR, None);
    let (renamed, made) = tokio::join!(join_all(renaming), making);
    let taken = renamed.into_iter().filter(|outcome| match outcome.as_ref().unwrap() {
        TeamChange::Changed(_) => false,
        TeamChange::NameTaken => true,
        TeamChange::Unknown => panic!("{outcome:?}"),
    });
    let taken = taken.count() + usize::from(made.unwrap() == CreatedTeam::NameTaken);
    assert_eq!(taken, 4);
}

async fn members_stay_when_their_team_goes(fresh: Fresh) {
    let blue = make_team(&fresh.store, "blue", 0).await;
    let bob = make_member(&fresh.store, "bob", 0).await;
    let joined = UserUpdate { team: Some(Some(blue)), ..UserUpdate::default() };
    fresh.store.update_user(bob, joined, at(1)).await.unwrap();
    let before = fresh.store.last_change().await.unwrap();
    assert!(fresh.store.delete_team(blue, at(2)).await.unwrap());
    assert_eq!(find_user(&fresh.store, bob).await.team, None);
    assert_eq!(fresh.store.find_team(&TeamRef::Id(blue)).await.unwrap(), None);
    assert!(!fresh.store.delete_team(blue, at(3)).await.unwrap());
    let changes = fresh.store.changes_after(before).await.unwrap();
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].of, ChangeOf::Team(blue));
    make_team(&fresh.store, "blue", 3).await;
}
