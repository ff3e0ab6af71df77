//! A session's next tokens: one of many who ask gets them, and a token that is used twice ends it.

use chrono::TimeDelta;
use fluxgate_core::SessionId;
use fluxgate_core::admin_api::UserState;
use fluxgate_gateway::store::{ChangeOf, NewSession, Refreshed, SessionRecord, Store, UserUpdate};
use futures_util::future::join_all;
use proptest::prelude::{Just, Strategy, prop_oneof};
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::sessions::{IDLE, find, new_session, open};
use super::users::{find_user, make_member};
use super::{Fresh, at, on_each_store};

on_each_store! {
    a_refresh_replaces_the_token_and_notes_the_use,
    of_a_hundred_with_one_token_one_gets_the_next,
    a_token_that_was_replaced_a_moment_ago_changes_nothing,
    a_token_that_is_used_twice_ends_the_session,
    a_session_that_has_ended_gets_no_tokens,
    a_session_that_ends_meanwhile_stays_ended,
    a_model_knows_what_becomes_of_each_refresh,
}

/// A user's session that was opened at 0, and its token.
async fn opened(fresh: &Fresh) -> NewSession {
    let new = new_session(make_member(&fresh.store, "bob", 0).await, 0);
    assert!(fresh.store.open_session(&new, None).await.unwrap());
    new
}

async fn refresh(
    store: &Store,
    session: SessionId,
    presented: [u8; 32],
    next: [u8; 32],
    second: i64,
) -> Refreshed {
    let address = format!("192.0.2.{}", second % 256);
    store.refresh_session(session, &presented, &next, IDLE, &address, at(second)).await.unwrap()
}

fn record(refreshed: Refreshed) -> SessionRecord {
    match refreshed {
        Refreshed::Refreshed(record) => *record,
        other => panic!("{other:?}"),
    }
}

async fn a_refresh_replaces_the_token_and_notes_the_use(fresh: Fresh) {
    let new = opened(&fresh).await;
    let found = find(&fresh.store, new.id).await;
    let refreshed = record(refresh(&fresh.store, new.id, new.refresh_sha256, [1; 32], 60).await);
    let expected = SessionRecord { last_used_at: at(60), address: "192.0.2.60".into(), ..found };
    assert_eq!(refreshed, expected);
    assert_eq!(find(&fresh.store, new.id).await, refreshed);
    assert_eq!(find_user(&fresh.store, new.user).await.last_seen_at, Some(at(60)));
    // The next one opens it, as often as it is replaced.
    for n in 1..4 {
        record(refresh(&fresh.store, new.id, [n; 32], [n + 1; 32], 60 + i64::from(n)).await);
    }
    assert_eq!(fresh.store.last_change().await.unwrap(), 0, "nobody has to know");
}

async fn of_a_hundred_with_one_token_one_gets_the_next(fresh: Fresh) {
    let new = opened(&fresh).await;
    let other = fresh.open_again().await;
    let replicas = [&fresh.store, &other].into_iter().cycle();
    let asking = join_all(
        (0..100)
            .zip(replicas)
            .map(|(n, store)| refresh(store, new.id, new.refresh_sha256, [n + 1; 32], 60)),
    );
    let outcomes = asking.await;
    let winners: Vec<_> =
        (0..100).filter(|n| matches!(outcomes[usize::from(*n)], Refreshed::Refreshed(_))).collect();
    let superseded = outcomes.iter().filter(|outcome| **outcome == Refreshed::Superseded).count();
    assert_eq!((winners.len(), superseded), (1, 99), "{outcomes:?}");
    // The winner's is the one that opens it.
    record(refresh(&fresh.store, new.id, [winners[0] + 1; 32], [200; 32], 61).await);
}

async fn a_token_that_was_replaced_a_moment_ago_changes_nothing(fresh: Fresh) {
    let new = opened(&fresh).await;
    record(refresh(&fresh.store, new.id, new.refresh_sha256, [1; 32], 60).await);
    let before = find(&fresh.store, new.id).await;
    for second in [60, 65, 70] {
        let again = refresh(&fresh.store, new.id, new.refresh_sha256, [9; 32], second).await;
        assert_eq!(again, Refreshed::Superseded);
    }
    assert_eq!(find(&fresh.store, new.id).await, before);
    assert_eq!(find_user(&fresh.store, new.user).await.last_seen_at, Some(at(60)));
    record(refresh(&fresh.store, new.id, [1; 32], [2; 32], 70).await);
}

async fn a_token_that_is_used_twice_ends_the_session(fresh: Fresh) {
    let new = opened(&fresh).await;
    let untouched = open(&fresh.store, new.user, 0).await;
    record(refresh(&fresh.store, new.id, new.refresh_sha256, [1; 32], 60).await);
    let thief = refresh(&fresh.store, new.id, new.refresh_sha256, [9; 32], 71).await;
    assert_eq!(thief, Refreshed::Replayed(new.user));
    let session = find(&fresh.store, new.id).await;
    assert_eq!((session.ended_at, session.last_used_at), (Some(at(71)), at(60)));
    let changes = fresh.store.changes_after(0).await.unwrap();
    let of: Vec<_> = changes.into_iter().map(|change| change.of).collect();
    assert_eq!(of, [ChangeOf::Session(new.id)]);
    // Neither of the two goes on with it.
    for token in [new.refresh_sha256, [1; 32], [9; 32]] {
        assert_eq!(refresh(&fresh.store, new.id, token, [2; 32], 72).await, Refreshed::Ended);
    }
    assert_eq!(find(&fresh.store, untouched).await.ended_at, None);
}

async fn a_session_that_has_ended_gets_no_tokens(fresh: Fresh) {
    let new = opened(&fresh).await;
    let ask = async |session: &NewSession, now| {
        let (token, next) = (session.refresh_sha256, [7; 32]);
        let store = &fresh.store;
        store.refresh_session(session.id, &token, &next, IDLE, "::1", now).await.unwrap()
    };
    assert_eq!(ask(&new_session(new.user, 0), at(1)).await, Refreshed::Unknown);
    assert_eq!(ask(&new, at(0) + IDLE).await, Refreshed::Ended, "unused for too long");
    let short = NewSession { expires_at: at(50), ..new_session(new.user, 0) };
    assert!(fresh.store.open_session(&short, None).await.unwrap());
    assert_eq!(ask(&short, at(50)).await, Refreshed::Ended, "expired");
    let signed_out = new_session(new.user, 0);
    assert!(fresh.store.open_session(&signed_out, None).await.unwrap());
    fresh.store.end_session(signed_out.id, None, at(1)).await.unwrap();
    assert_eq!(ask(&signed_out, at(2)).await, Refreshed::Ended, "signed out");
    // None of it has touched them.
    record(ask(&short, at(49)).await);
    record(ask(&new, at(0) + IDLE - TimeDelta::microseconds(1)).await);

    let disabled = UserUpdate { state: Some(UserState::Disabled), ..UserUpdate::default() };
    let last = new_session(new.user, 0);
    assert!(fresh.store.open_session(&last, None).await.unwrap());
    fresh.store.update_user(new.user, disabled, at(2)).await.unwrap();
    assert_eq!(ask(&last, at(3)).await, Refreshed::Ended, "its user is disabled");
}

async fn a_session_that_ends_meanwhile_stays_ended(fresh: Fresh) {
    let new = opened(&fresh).await;
    let refreshing = join_all(
        (0..4).map(|n| refresh(&fresh.store, new.id, new.refresh_sha256, [n + 1; 32], 60)),
    );
    let ending = fresh.store.end_session(new.id, None, at(60));
    let (outcomes, ended) = tokio::join!(refreshing, ending);
    assert!(ended.unwrap());
    assert_eq!(find(&fresh.store, new.id).await.ended_at, Some(at(60)));
    assert!(outcomes.iter().all(|outcome| !matches!(outcome, Refreshed::Replayed(_))));
}

/// What happens to a session.
#[derive(Clone, Copy, Debug)]
enum Step {
    WaitS(i64),
    /// The present token, or one that many rotations before it.
    Present(usize),
    /// A token of another session.
    PresentForeign,
}

const CASES: u32 = 20;
const MODEL_IDLE_S: i64 = 60;
const MODEL_LIFE_S: i64 = 150;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => Just(Step::Present(0)),
        4 => (1_usize..4).prop_map(Step::Present),
        5 => (0_i64..12).prop_map(Step::WaitS),
        1 => (55_i64..62).prop_map(Step::WaitS),
        1 => Just(Step::PresentForeign),
    ];
    proptest::collection::vec(step, 1..24)
}

/// A session as the model sees it: the seconds at which tokens were replaced, in their order.
struct Model {
    now: i64,
    last_used: i64,
    ended: bool,
    replaced: Vec<i64>,
}

#[derive(PartialEq, Eq, Debug)]
enum Outcome {
    Refreshed,
    Superseded,
    Replayed,
    Ended,
}

impl Model {
    fn present(&mut self, replaced_at: Option<Option<i64>>) -> Outcome {
        if self.ended || self.now >= MODEL_LIFE_S || self.now - self.last_used >= MODEL_IDLE_S {
            return Outcome::Ended;
        }
        match replaced_at {
            Some(None) => {
                self.last_used = self.now;
                self.replaced.push(self.now);
                Outcome::Refreshed
            }
            Some(Some(at)) if self.now - at <= 10 => Outcome::Superseded,
            Some(Some(_)) | None => {
                self.ended = true;
                Outcome::Replayed
            }
        }
    }
}

/// The token of that case after so many rotations.
fn token(case: u32, rotations: usize) -> [u8; 32] {
    let mut token = [0; 32];
    token[..4].copy_from_slice(&case.to_be_bytes());
    token[4..12].copy_from_slice(&rotations.to_be_bytes());
    token
}

async fn a_model_knows_what_becomes_of_each_refresh(fresh: Fresh) {
    let user = make_member(&fresh.store, "bob", 0).await;
    let (mut runner, idle) = (TestRunner::default(), TimeDelta::seconds(MODEL_IDLE_S));
    for case in 0..CASES {
        let steps = steps().new_tree(&mut runner).unwrap().current();
        let (refresh_sha256, expires_at) = (token(case, 0), at(MODEL_LIFE_S));
        let new = NewSession { refresh_sha256, expires_at, ..new_session(user, 0) };
        assert!(fresh.store.open_session(&new, None).await.unwrap());
        let mut model = Model { now: 0, last_used: 0, ended: false, replaced: Vec::new() };
        for (index, step) in steps.iter().enumerate() {
            let rotations = model.replaced.len();
            let presented = match *step {
                Step::WaitS(seconds) => {
                    model.now += seconds;
                    continue;
                }
                Step::Present(age) => rotations.checked_sub(age),
                Step::PresentForeign => None,
            };
            let sha256 = presented.map_or([0xff; 32], |rotations| token(case, rotations));
            let expected =
                model.present(presented.map(|rotations| model.replaced.get(rotations).copied()));
            let (next, now) = (token(case, rotations + 1), at(model.now));
            let asked = fresh.store.refresh_session(new.id, &sha256, &next, idle, "::1", now);
            let outcome = match asked.await.unwrap() {
                Refreshed::Refreshed(_) => Outcome::Refreshed,
                Refreshed::Superseded => Outcome::Superseded,
                Refreshed::Replayed(_) => Outcome::Replayed,
                Refreshed::Ended => Outcome::Ended,
                Refreshed::Unknown => panic!("{steps:?}"),
            };
            assert_eq!(outcome, expected, "step {index} of {steps:?}");
        }
        let session = find(&fresh.store, new.id).await;
        assert_eq!(session.ended_at.is_some(), model.ended, "{steps:?}");
        assert_eq!(session.last_used_at, at(model.last_used), "{steps:?}");
    }
}
