//! One-time links: made, listed, withdrawn.

use fluxgate_core::admin_api::{Role, UserState};
use fluxgate_core::ids::OPERATOR;
use fluxgate_core::{LinkId, UserId};
use fluxgate_gateway::store::{
    InviteRecord, LinkAbout, LinkCreation, NewLink, Registered, Store, UserUpdate, Withdrawal,
};

use super::teams::make_team;
use super::users::{email, make_member, member};
use super::{Fresh, at, on_each_store};

on_each_store! {
    a_link_is_usable_until_it_expires,
    a_repeated_create_makes_one_link,
    a_newer_reset_takes_the_place_of_the_older,
    only_a_person_gets_a_reset,
    a_disabled_user_gets_no_reset_and_keeps_none,
    invitations_are_listed_page_by_page,
    a_withdrawn_invitation_is_useless,
    an_invitation_that_was_used_cant_be_withdrawn,
    an_invitation_outlives_its_team,
}

/// A link that expires at 1000.
pub fn link(token: u8, second: i64, about: LinkAbout) -> NewLink {
    let (id, expires_at) = (LinkId::generate(), at(1000));
    NewLink { id, sha256: [token; 32], created_at: at(second), expires_at, about }
}

/// For anybody, to become a member.
pub fn open_invite() -> LinkAbout {
    LinkAbout::Invite { email: None, role: Role::Member, team: None }
}

pub async fn make_link(store: &Store, token: u8, second: i64, about: LinkAbout) -> LinkId {
    let link = link(token, second, about);
    assert_eq!(store.create_link(&link, OPERATOR, None).await.unwrap(), LinkCreation::Created);
    link.id
}

pub async fn usable(fresh: &Fresh, token: u8, second: i64) -> Option<LinkAbout> {
    fresh.store.usable_link(&[token; 32], at(second)).await.unwrap()
}

async fn a_link_is_usable_until_it_expires(fresh: Fresh) {
    let bob = make_member(&fresh.store, "bob", 0).await;
    let team = Some(make_team(&fresh.store, "blue", 0).await);
    let email = Some(email("eve@example.org"));
    let invite = LinkAbout::Invite { email, role: Role::Admin, team };
    for (token, about) in [(1, open_invite()), (2, invite), (3, LinkAbout::Reset { user: bob })] {
        make_link(&fresh.store, token, 0, about.clone()).await;
        assert_eq!(usable(&fresh, token, 999).await, Some(about));
        assert_eq!(usable(&fresh, token, 1000).await, None);
    }
    assert_eq!(usable(&fresh, 4, 1).await, None);
}

async fn a_repeated_create_makes_one_link(fresh: Fresh) {
    let bob = make_member(&fresh.store, "bob", 0).await;
    let eve = make_member(&fresh.store, "eve", 0).await;
    let abouts = [open_invite(), LinkAbout::Reset { user: bob }, LinkAbout::Reset { user: eve }];
    for (token, about) in (1..).zip(abouts) {
        // Each of them has its own keys.
        let make = async |link: &NewLink| {
            fresh.store.create_link(link, OPERATOR, Some("once")).await.unwrap()
        };
        let first = link(token, 0, about.clone());
        assert_eq!(make(&first).await, LinkCreation::Created);
        let repeat = link(token + 10, 1, about.clone());
        assert_eq!(make(&repeat).await, LinkCreation::AlreadyCreated(first.id));
        assert_eq!(usable(&fresh, token, 2).await, Some(about));
        assert_eq!(usable(&fresh, token + 10, 2).await, None);
    }
}

async fn a_newer_reset_takes_the_place_of_the_older(fresh: Fresh) {
    let bob = make_member(&fresh.store, "bob", 0).await;
    let eve = make_member(&fresh.store, "eve", 0).await;
    for (token, user) in [(1, bob), (2, eve), (3, bob)] {
        make_link(&fresh.store, token, i64::from(token), LinkAbout::Reset { user }).await;
    }
    make_link(&fresh.store, 4, 4, open_invite()).await;
    assert_eq!(usable(&fresh, 1, 5).await, None);
    for token in [2, 3, 4] {
        assert!(usable(&fresh, token, 5).await.is_some(), "{token}");
    }
}

async fn only_a_person_gets_a_reset(fresh: Fresh) {
    for user in [UserId::generate(), OPERATOR] {
        let reset = link(1, 0, LinkAbout::Reset { user });
        let made = fresh.store.create_link(&reset, OPERATOR, Some("once")).await.unwrap();
        assert_eq!(made, LinkCreation::UnknownUser);
        assert_eq!(usable(&fresh, 1, 1).await, None);
    }
}

async fn a_disabled_user_gets_no_reset_and_keeps_none(fresh: Fresh) {
    let bob = make_member(&fresh.store, "bob", 0).await;
    let make = async |token| {
        let reset = link(token, 0, LinkAbout::Reset { user: bob });
        fresh.store.create_link(&reset, OPERATOR, Some("again")).await.unwrap()
    };
    make_link(&fresh.store, 1, 0, LinkAbout::Reset { user: bob }).await;
    let make_it = async |state, second| {
        let update = UserUpdate { state: Some(state), ..UserUpdate::default() };
        fresh.store.update_user(bob, update, at(second)).await.unwrap();
    };
    make_it(UserState::Disabled, 1).await;
    assert_eq!(usable(&fresh, 1, 2).await, None);
    assert_eq!(make(2).await, LinkCreation::UserDisabled);
    make_it(UserState::Active, 2).await;
    assert_eq!(usable(&fresh, 1, 3).await, None, "it is over for good");
    assert_eq!(usable(&fresh, 2, 3).await, None);
    // The key is free still.
    assert_eq!(make(3).await, LinkCreation::Created);
    assert!(usable(&fresh, 3, 3).await.is_some());
}

async fn invitations_are_listed_page_by_page(fresh: Fresh) {
    let bob = make_member(&fresh.store, "bob", 0).await;
    make_link(&fresh.store, 9, 2, LinkAbout::Reset { user: bob }).await;
    let team = Some(make_team(&fresh.store, "blue", 0).await);
    let address = Some(email("eve@example.org"));
    let about = LinkAbout::Invite { email: address.clone(), role: Role::Admin, team };
    let oldest = make_link(&fresh.store, 1, 1, about).await;
    let mut made = vec![oldest];
    for token in 2..5 {
        made.push(make_link(&fresh.store, token, 3, open_invite()).await);
    }
    made.reverse();
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = fresh.store.list_invites(after, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.cursor().to_string().parse().unwrap());
        listed.extend(page);
    }
    assert_eq!(listed.iter().map(|invite| invite.id).collect::<Vec<_>>(), made);
    let expected = InviteRecord {
        id: oldest,
        email: address,
        role: Role::Admin,
        team,
        created_at: at(1),
        expires_at: at(1000),
        used_at: None,
        withdrawn_at: None,
    };
    assert_eq!(listed.last(), Some(&expected));
}

async fn a_withdrawn_invitation_is_useless(fresh: Fresh) {
    let bob = make_member(&fresh.store, "bob", 0).await;
    let reset = make_link(&fresh.store, 1, 0, LinkAbout::Reset { user: bob }).await;
    let invite = make_link(&fresh.store, 2, 0, open_invite()).await;
    for second in [1, 2] {
        let withdrawal = fresh.store.withdraw_invite(invite, at(second)).await.unwrap();
        assert_eq!(withdrawal, Withdrawal::Withdrawn);
        assert_eq!(usable(&fresh, 2, second).await, None);
        let listed = fresh.store.list_invites(None, 10).await.unwrap();
        assert_eq!((listed[0].used_at, listed[0].withdrawn_at), (None, Some(at(1))));
    }
    let (user, address) = member("eve", 3);
    let late = fresh.store.register(&user, &address, "hash", Some(&[2; 32]), at(3)).await.unwrap();
    assert_eq!(late, Registered::LinkRefused);
    for id in [reset, LinkId::generate()] {
        let withdrawal = fresh.store.withdraw_invite(id, at(1)).await.unwrap();
        assert_eq!(withdrawal, Withdrawal::Unknown);
    }
    assert!(usable(&fresh, 1, 3).await.is_some());
}

async fn an_invitation_that_was_used_cant_be_withdrawn(fresh: Fresh) {
    let invite = make_link(&fresh.store, 1, 0, open_invite()).await;
    let (user, address) = member("eve", 1);
    let outcome = fresh.store.register(&user, &address, "hash", Some(&[1; 32]), at(1)).await;
    assert!(matches!(outcome.unwrap(), Registered::Created(_)));
    let withdrawal = fresh.store.withdraw_invite(invite, at(2)).await.unwrap();
    assert_eq!(withdrawal, Withdrawal::Used);
    let listed = fresh.store.list_invites(None, 10).await.unwrap();
    assert_eq!((listed[0].used_at, listed[0].withdrawn_at), (Some(at(1)), None));
}

async fn an_invitation_outlives_its_team(fresh: Fresh) {
    let team = make_team(&fresh.store, "blue", 0).await;
    let about = LinkAbout::Invite { email: None, role: Role::Member, team: Some(team) };
    make_link(&fresh.store, 1, 0, about.clone()).await;
    assert!(fresh.store.delete_team(team, at(1)).await.unwrap());
    assert_eq!(usable(&fresh, 1, 2).await, Some(open_invite()));
    // So does one that is made a moment later.
    make_link(&fresh.store, 2, 2, about).await;
    assert_eq!(usable(&fresh, 2, 3).await, Some(open_invite()));
}
