//! What one-time links are used for: registering, setting another password.

use fluxgate_core::admin_api::{Role, UserState};
use fluxgate_gateway::store::{ChangeOf, LinkAbout, Registered, UserRecord, UserRef, UserUpdate};
use futures_util::future::join_all;

use super::links::{make_link, open_invite, usable};
use super::passwords::password;
use super::sessions::{find, open};
use super::teams::make_team;
use super::users::{PHC, email, find_user, make_member, member};
use super::{Fresh, at, on_each_store};

on_each_store! {
    somebody_registers_without_an_invitation,
    an_invitation_says_what_they_become_and_works_once,
    an_invitation_for_one_address_is_for_no_other,
    a_taken_address_leaves_the_invitation_as_it_was,
    what_isnt_a_usable_invitation_registers_nobody,
    one_of_many_registers_by_an_invitation,
    a_reset_sets_the_password_and_ends_the_sessions,
    what_isnt_a_usable_reset_sets_nothing,
    one_of_many_sets_a_password_by_a_link,
}

async fn register(fresh: &Fresh, name: &str, invite: Option<u8>, second: i64) -> Registered {
    let (user, address) = member(name, second);
    let sha256 = invite.map(|token| [token; 32]);
    let phc = format!("hash of {name}");
    fresh.store.register(&user, &address, &phc, sha256.as_ref(), at(second)).await.unwrap()
}

fn created(outcome: Registered) -> UserRecord {
    match outcome {
        Registered::Created(user) => user,
        other => panic!("{other:?}"),
    }
}

async fn is_known(fresh: &Fresh, name: &str) -> bool {
    let by = UserRef::Email(email(&format!("{name}@example.org")));
    fresh.store.find_user(&by).await.unwrap().is_some()
}

async fn somebody_registers_without_an_invitation(fresh: Fresh) {
    let bob = created(register(&fresh, "bob", None, 1).await);
    assert_eq!((bob.role, bob.team, bob.created_at), (Role::Member, None, at(1)));
    let login = fresh.store.find_login(&email("bob@example.org")).await.unwrap();
    assert_eq!(login, Some((bob, Some("hash of bob".into()))));
    assert_eq!(register(&fresh, "bob", None, 2).await, Registered::EmailTaken);
}

async fn an_invitation_says_what_they_become_and_works_once(fresh: Fresh) {
    let team = Some(make_team(&fresh.store, "blue", 0).await);
    let about = LinkAbout::Invite { email: None, role: Role::Admin, team };
    let invite = make_link(&fresh.store, 1, 0, about).await;
    let bob = created(register(&fresh, "bob", Some(1), 1).await);
    assert_eq!((bob.role, bob.team), (Role::Admin, team));
    assert_eq!(find_user(&fresh.store, bob.id).await, bob);
    assert_eq!(usable(&fresh, 1, 2).await, None);
    assert_eq!(register(&fresh, "eve", Some(1), 2).await, Registered::LinkRefused);
    assert!(!is_known(&fresh, "eve").await);
    let listed = fresh.store.list_invites(None, 10).await.unwrap();
    assert_eq!((listed[0].id, listed[0].used_at), (invite, Some(at(1))));
}

async fn an_invitation_for_one_address_is_for_no_other(fresh: Fresh) {
    let address = Some(email("bob@example.org"));
    let about = LinkAbout::Invite { email: address, role: Role::Admin, team: None };
    make_link(&fresh.store, 1, 0, about).await;
    assert_eq!(register(&fresh, "eve", Some(1), 1).await, Registered::LinkRefused);
    assert!(!is_known(&fresh, "eve").await);
    assert_eq!(created(register(&fresh, "Bob", Some(1), 2).await).role, Role::Admin);
}

async fn a_taken_address_leaves_the_invitation_as_it_was(fresh: Fresh) {
    let bob = make_member(&fresh.store, "bob", 0).await;
    make_link(&fresh.store, 1, 0, open_invite()).await;
    assert_eq!(register(&fresh, "bob", Some(1), 1).await, Registered::EmailTaken);
    let phc = password(&fresh, bob).await;
    assert_eq!(phc.as_deref(), Some(PHC));
    created(register(&fresh, "bobby", Some(1), 2).await);
}

async fn what_isnt_a_usable_invitation_registers_nobody(fresh: Fresh) {
    let bob = make_member(&fresh.store, "bob", 0).await;
    make_link(&fresh.store, 1, 0, LinkAbout::Reset { user: bob }).await;
    make_link(&fresh.store, 2, 0, open_invite()).await;
    for (token, second) in [(1, 1), (2, 1000), (3, 1)] {
        let outcome = register(&fresh, "eve", Some(token), second).await;
        assert_eq!(outcome, Registered::LinkRefused, "{token}");
    }
    assert!(!is_known(&fresh, "eve").await);
    assert!(usable(&fresh, 1, 1).await.is_some());
}

async fn one_of_many_registers_by_an_invitation(fresh: Fresh) {
    make_link(&fresh.store, 1, 0, open_invite()).await;
    let names: Vec<_> = (0..6).map(|n| format!("user{n}")).collect();
    let outcomes = join_all(names.iter().map(|name| register(&fresh, name, Some(1), 1))).await;
    let refused = outcomes.iter().filter(|outcome| **outcome == Registered::LinkRefused).count();
    assert_eq!(refused, 5, "{outcomes:?}");
    assert_eq!(fresh.store.list_users(None, 10).await.unwrap().len(), 1);
}

async fn a_reset_sets_the_password_and_ends_the_sessions(fresh: Fresh) {
    let bob = make_member(&fresh.store, "bob", 0).await;
    let eve = make_member(&fresh.store, "eve", 0).await;
    let (of_bob, of_eve) = (open(&fresh.store, bob, 1).await, open(&fresh.store, eve, 1).await);
    make_link(&fresh.store, 1, 0, LinkAbout::Reset { user: bob }).await;
    let reset = async |phc| fresh.store.reset_password(&[1; 32], phc, at(2)).await.unwrap();
    assert_eq!(reset("new").await, Some(bob));
    assert_eq!(find(&fresh.store, of_bob).await.ended_at, Some(at(2)));
    assert_eq!(find(&fresh.store, of_eve).await.ended_at, None);
    let changes = fresh.store.changes_after(0).await.unwrap();
    assert_eq!(changes.last().unwrap().of, ChangeOf::User(bob));

    assert_eq!(reset("newer").await, None, "it works once");
    let phc = password(&fresh, bob).await;
    assert_eq!(phc.as_deref(), Some("new"));
    assert_eq!(fresh.store.last_change().await.unwrap(), 1);
}

async fn what_isnt_a_usable_reset_sets_nothing(fresh: Fresh) {
    let bob = make_member(&fresh.store, "bob", 0).await;
    let eve = make_member(&fresh.store, "eve", 0).await;
    let session = open(&fresh.store, bob, 0).await;
    make_link(&fresh.store, 1, 0, LinkAbout::Reset { user: bob }).await;
    make_link(&fresh.store, 2, 0, open_invite()).await;
    make_link(&fresh.store, 3, 0, LinkAbout::Reset { user: eve }).await;
    let disabled = UserUpdate { state: Some(UserState::Disabled), ..UserUpdate::default() };
    fresh.store.update_user(eve, disabled, at(1)).await.unwrap();
    for (token, second) in [(1, 1000), (2, 2), (3, 2), (4, 2)] {
        let set = fresh.store.reset_password(&[token; 32], "new", at(second)).await.unwrap();
        assert_eq!(set, None, "{token}");
    }
    for user in [bob, eve] {
        let phc = password(&fresh, user).await;
        assert_eq!(phc.as_deref(), Some(PHC));
    }
    assert_eq!(find(&fresh.store, session).await.ended_at, None);
    assert!(usable(&fresh, 1, 2).await.is_some() && usable(&fresh, 2, 2).await.is_some());
}

async fn one_of_many_sets_a_password_by_a_link(fresh: Fresh) {
    let bob = make_member(&fresh.store, "bob", 0).await;
    make_link(&fresh.store, 1, 0, LinkAbout::Reset { user: bob }).await;
    let hashes: Vec<_> = (0..5).map(|n| format!("new {n}")).collect();
    let setting =
        join_all(hashes.iter().map(|phc| fresh.store.reset_password(&[1; 32], phc, at(2))));
    // A newer link is made meanwhile: nobody waits for the other in a circle.
    let newer = make_link(&fresh.store, 2, 2, LinkAbout::Reset { user: bob });
    let (set, _) = tokio::join!(setting, newer);
    let set: Vec<_> = set.into_iter().map(Result::unwrap).collect();
    assert!(set.iter().filter(|set| set.is_some()).count() <= 1);
    let expected = set.iter().position(Option::is_some).map_or(PHC, |winner| &hashes[winner]);
    let phc = password(&fresh, bob).await;
    assert_eq!(phc.as_deref(), Some(expected));
    assert!(usable(&fresh, 2, 3).await.is_some());
}
