//! Users and the first administrator.

use fluxgate_core::UserId;
use fluxgate_core::admin_api::{Role, UserState};
use fluxgate_core::ids::OPERATOR;
use fluxgate_gateway::store::{CreatedUser, Email, FirstAdmin, Store, UserRecord, UserRef};
use futures_util::future::join_all;

use super::{Fresh, at, on_each_store};

pub const PHC: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2g";

on_each_store! {
    a_new_database_has_the_operator_and_no_administrator,
    an_administrator_is_found_by_id_and_by_address,
    a_token_makes_one_administrator,
    only_one_of_many_at_the_same_moment_becomes_the_first,
    a_newer_token_ends_the_older,
    tokens_end_with_the_first_administrator,
    a_user_is_made_once_for_each_address,
    users_are_listed_page_by_page_without_the_built_in_one,
}

/// Makes the first administrator.
pub async fn make_admin(store: &Store) -> UserId {
    match store.create_first_admin(&email("ada@example.org"), PHC, None, at(0)).await.unwrap() {
        FirstAdmin::Created(user) => user.id,
        other => panic!("{other:?}"),
    }
}

pub fn email(text: &str) -> Email {
    text.parse().unwrap()
}

pub async fn find_user(store: &Store, user: UserId) -> UserRecord {
    store.find_user(&UserRef::Id(user)).await.unwrap().unwrap()
}

async fn a_new_database_has_the_operator_and_no_administrator(fresh: Fresh) {
    assert!(!fresh.store.has_admin().await.unwrap());
    let operator = fresh.store.find_user(&UserRef::Id(OPERATOR)).await.unwrap().unwrap();
    assert_eq!((operator.id, operator.email), (OPERATOR, None));
    assert_eq!((operator.role, operator.state), (Role::Admin, UserState::Active));
    let nobody = UserRef::Email(email("nobody@example.org"));
    assert_eq!(fresh.store.find_user(&nobody).await.unwrap(), None);
}

async fn an_administrator_is_found_by_id_and_by_address(fresh: Fresh) {
    let admin = make_admin(&fresh.store).await;
    assert!(fresh.store.has_admin().await.unwrap());
    for by in [UserRef::Id(admin), UserRef::Email(email("Ada@Example.ORG"))] {
        let found = fresh.store.find_user(&by).await.unwrap().unwrap();
        assert_eq!((found.id, found.role, found.created_at), (admin, Role::Admin, at(0)));
    }
}

async fn a_token_makes_one_administrator(fresh: Fresh) {
    let create = async |token| {
        let address = email("ada@example.org");
        fresh.store.create_first_admin(&address, PHC, Some(token), at(1)).await.unwrap()
    };
    fresh.store.put_setup_token(&[7; 32], at(0)).await.unwrap();
    assert!(fresh.store.has_setup_token(&[7; 32]).await.unwrap());
    assert_eq!(create(&[8; 32]).await, FirstAdmin::TokenRefused);
    assert!(matches!(create(&[7; 32]).await, FirstAdmin::Created(_)));
    assert_eq!(create(&[7; 32]).await, FirstAdmin::TokenRefused);
    assert!(!fresh.store.has_setup_token(&[7; 32]).await.unwrap());
}

async fn only_one_of_many_at_the_same_moment_becomes_the_first(fresh: Fresh) {
    let emails: Vec<_> = (0..5).map(|n| email(&format!("admin{n}@example.org"))).collect();
    let creating =
        emails.iter().map(|email| fresh.store.create_first_admin(email, PHC, None, at(0)));
    let outcomes: Vec<_> = join_all(creating).await.into_iter().map(Result::unwrap).collect();
    let created = outcomes.iter().filter(|outcome| matches!(outcome, FirstAdmin::Created(_)));
    assert_eq!(created.count(), 1);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == FirstAdmin::Exists).count(), 4);
}

async fn a_newer_token_ends_the_older(fresh: Fresh) {
    fresh.store.put_setup_token(&[1; 32], at(0)).await.unwrap();
    fresh.store.put_setup_token(&[2; 32], at(1)).await.unwrap();
    assert!(!fresh.store.has_setup_token(&[1; 32]).await.unwrap());
    assert!(fresh.store.has_setup_token(&[2; 32]).await.unwrap());
}

async fn tokens_end_with_the_first_administrator(fresh: Fresh) {
    fresh.store.put_setup_token(&[1; 32], at(0)).await.unwrap();
    make_admin(&fresh.store).await;
    assert!(!fresh.store.has_setup_token(&[1; 32]).await.unwrap());
    let address = email("eve@example.org");
    let late = fresh.store.create_first_admin(&address, PHC, Some(&[1; 32]), at(1)).await.unwrap();
    assert_eq!(late, FirstAdmin::TokenRefused);
}

/// A member who isn't kept yet.
pub fn member(name: &str, second: i64) -> (UserRecord, Email) {
    let address = email(&format!("{name}@example.org"));
    let user = UserRecord {
        id: UserId::generate(),
        email: Some(address.clone()),
        role: Role::Member,
        state: UserState::Active,
        team: None,
        limits: Default::default(),
        last_seen_at: None,
        created_at: at(second),
    };
    (user, address)
}

/// Makes a member, whose password's hash is [`PHC`].
pub async fn make_member(store: &Store, name: &str, second: i64) -> UserId {
    let (user, address) = member(name, second);
    let phc = Some(PHC.to_owned());
    let made = store.create_user(&user, &address, phc, OPERATOR, None).await.unwrap();
    assert_eq!(made, CreatedUser::Created);
    user.id
}

async fn a_user_is_made_once_for_each_address(fresh: Fresh) {
    let bob = make_member(&fresh.store, "bob", 1).await;
    let found = fresh.store.find_user(&UserRef::Id(bob)).await.unwrap().unwrap();
    assert_eq!((found.role, found.state), (Role::Member, UserState::Active));
    let again = UserRecord { id: UserId::generate(), ..found };
    let again_as_bob = async |key| {
        let address = email("Bob@Example.org");
        fresh.store.create_user(&again, &address, None, OPERATOR, key).await.unwrap()
    };
    let made = again_as_bob(Some("once")).await;
    assert_eq!(made, CreatedUser::EmailTaken);
    // The key is free still, and afterwards it isn't.
    let carol = email("carol@example.org");
    let make = || fresh.store.create_user(&again, &carol, None, OPERATOR, Some("once"));
    assert_eq!(make().await.unwrap(), CreatedUser::Created);
    assert_eq!(make().await.unwrap(), CreatedUser::AlreadyCreated(again.id));
    assert_eq!(fresh.store.list_users(None, 10).await.unwrap().len(), 2);
}

async fn users_are_listed_page_by_page_without_the_built_in_one(fresh: Fresh) {
    let mut made = Vec::new();
    for second in 0..5 {
        made.push(make_member(&fresh.store, &format!("user{second}"), second).await);
    }
    made.reverse();
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = fresh.store.list_users(after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.cursor().to_string().parse().unwrap());
        listed.extend(page.iter().map(|user| user.id));
    }
    assert_eq!(listed, made);
}
