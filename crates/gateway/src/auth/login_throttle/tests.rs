use std::net::{IpAddr, Ipv4Addr};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::auth::password::Asker;

const ADA: &str = "ada@example.org";
const HER_HOME: u32 = 1_000_000;

fn at(number: u32) -> AddressPrefix {
    IpAddr::V4(Ipv4Addr::from_bits(number)).into()
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A throttle, a clock that stands until it is moved, and people at numbered addresses.
struct Door {
    throttle: LoginThrottle,
    now: Instant,
}

impl Door {
    fn new() -> Self {
        Self { throttle: LoginThrottle::default(), now: Instant::now() }
    }

    fn try_to_enter(&self, address: u32, email: &str) -> Result<Admitted<'_>, Throttled> {
        self.throttle.admit(at(address), self.throttle.account(email), self.now)
    }

    fn refused(&self, address: u32, email: &str) -> Throttled {
        self.try_to_enter(address, email).map(drop).unwrap_err()
    }

    fn fail(&self, address: u32, email: &str) {
        self.try_to_enter(address, email).unwrap().failed(self.now);
    }

    fn log_in(&self, address: u32, email: &str) {
        self.try_to_enter(address, email).unwrap().succeeded(self.now);
    }

    /// The delay that somebody is let in after, who then isn't looked at.
    fn delay(&self, address: u32, email: &str) -> Duration {
        let admitted = self.try_to_enter(address, email).unwrap();
        let delay = admitted.delay();
        admitted.spared();
        delay
    }

    /// As a botnet does it: each address fails once.
    fn fail_from_many_addresses(&self, first: u32, failures: u32, email: &str) {
        (first..first + failures).for_each(|address| self.fail(address, email));
    }
}

#[test]
fn five_failures_are_free_and_from_there_the_wait_doubles_up_to_a_minute() {
    let mut door = Door::new();
    (0..5).for_each(|_| door.fail(1, ADA));
    for wait_s in [1, 2, 4, 8, 16, 32, 60, 60] {
        let refused = door.refused(1, ADA);
        assert_eq!((refused.retry_after, refused.reason), (s(wait_s), ThrottleReason::TooMany));
        door.now += s(wait_s) - Duration::from_millis(1);
        assert_eq!(door.refused(1, ADA).retry_after, Duration::from_millis(1));
        door.now += Duration::from_millis(1);
        door.fail(1, ADA);
    }
    assert_eq!(door.delay(1, "bob@example.org"), s(0), "another account");
    assert_eq!(door.delay(2, ADA), s(0), "another address");
}

#[test]
fn trying_many_at_once_gains_nothing() {
    let mut door = Door::new();
    (0..3).for_each(|_| door.fail(1, ADA));
    let two = [door.try_to_enter(1, ADA).unwrap(), door.try_to_enter(1, ADA).unwrap()];
    assert_eq!(door.refused(1, ADA).retry_after, s(1));
    for one in two {
        one.failed(door.now);
    }
    assert_eq!(door.refused(1, ADA).retry_after, s(1));
    door.now += s(1);
    let one = door.try_to_enter(1, ADA).unwrap();
    assert_eq!(door.refused(1, ADA).retry_after, s(2), "one at a time from here on");
    one.spared();
    assert!(door.try_to_enter(1, ADA).is_ok());
}

#[test]
fn whoever_leaves_before_the_answer_has_failed_and_our_own_outage_is_nobodys_failure() {
    let door = Door::new();
    (0..20).for_each(|_| door.try_to_enter(1, ADA).unwrap().spared());
    (0..5).for_each(|_| drop(door.try_to_enter(1, ADA).unwrap()));
    assert_eq!(door.refused(1, ADA).retry_after, s(1));
}

#[test]
fn the_right_password_clears_the_pair_and_nothing_else() {
    let door = Door::new();
    door.fail_from_many_addresses(100, 22, ADA);
    (0..4).for_each(|_| door.fail(1, ADA));
    door.log_in(1, ADA);
    (0..4).for_each(|_| door.fail(1, ADA));
    assert!(door.try_to_enter(1, ADA).is_ok());
    assert!(door.delay(2, ADA) > s(1), "the account is guessed at all the same");
}

#[test]
fn failures_fade() {
    let mut door = Door::new();
    (0..5).for_each(|_| door.fail(1, ADA));
    door.now += tally::HALF_LIFE;
    // Of the five, three are left.
    (0..2).for_each(|_| door.fail(1, ADA));
    assert_eq!(door.refused(1, ADA).retry_after, s(1));
    door.now += tally::HALF_LIFE * 5;
    (0..5).for_each(|_| door.fail(1, ADA));
}

#[test]
fn an_address_that_tries_many_accounts_waits_up_to_half_a_minute() {
    let mut door = Door::new();
    let mut names = (0..).map(|number| format!("person{number}@example.org"));
    let mut next = || names.next().unwrap();
    (0..50).for_each(|_| door.fail(1, &next()));
    for wait_s in [1, 2, 4, 8] {
        let refused = door.refused(1, &next());
        assert_eq!((refused.retry_after, refused.reason), (s(wait_s), ThrottleReason::TooMany));
        door.now += s(wait_s);
        door.fail(1, &next());
    }
    // Failures fade meanwhile: what is left is a guess each half a minute.
    let (begun, mut guesses) = (door.now, 0);
    while door.now < begun + s(3_600) {
        let wait = door.refused(1, &next()).retry_after;
        assert!(wait <= s(30), "{wait:?}");
        door.now += wait;
        door.fail(1, &next());
        guesses += 1;
    }
    assert!((120..180).contains(&guesses), "{guesses}");
    assert_eq!(door.delay(2, &next()), s(0), "another address");
}

#[test]
fn in_an_office_the_failures_of_others_keep_nobody_out_who_logged_in_there() {
    let door = Door::new();
    door.log_in(1, ADA);
    (0..100).for_each(|number| {
        if let Ok(admitted) = door.try_to_enter(1, &format!("person{number}@example.org")) {
            admitted.failed(door.now);
        }
    });
    assert!(!door.refused(1, "bob@example.org").retry_after.is_zero());
    door.log_in(1, ADA);
}

#[test]
fn where_an_owner_is_known_failures_delay_and_never_refuse() {
    let mut door = Door::new();
    door.log_in(1, ADA);
    (0..5).for_each(|_| door.fail(1, ADA));
    for delay_s in [1, 2, 4, 5, 5] {
        assert_eq!(door.delay(1, ADA), s(delay_s));
        door.fail(1, ADA);
    }
    door.now += s(3);
    assert_eq!(door.delay(1, ADA), s(2), "what is left of it");
    door.now += s(2);
    assert_eq!(door.delay(1, ADA), s(0));
    door.log_in(1, ADA);
    assert_eq!(door.delay(1, ADA), s(0));
}

#[test]
fn a_known_pair_has_eight_in_flight() {
    let door = Door::new();
    for number in 1..=2 {
        door.log_in(number, ADA);
    }
    let eight: Vec<_> = (0..8).map(|_| door.try_to_enter(1, ADA).unwrap()).collect();
    let refused = Throttled { retry_after: s(1), reason: ThrottleReason::TooMany };
    assert_eq!(door.refused(1, ADA), refused);
    assert!(door.try_to_enter(2, ADA).is_ok(), "where she is known as well");
    drop(eight);
    assert!(door.try_to_enter(1, ADA).is_ok());
}

#[test]
fn an_asker_is_known_where_they_logged_in_before() {
    let door = Door::new();
    assert_eq!(door.try_to_enter(1, ADA).unwrap().asker(), Asker::Stranger);
    door.log_in(1, ADA);
    assert_eq!(door.try_to_enter(1, ADA).unwrap().asker(), Asker::Known);
    assert_eq!(door.try_to_enter(2, ADA).unwrap().asker(), Asker::Stranger);
    assert_eq!(door.try_to_enter(1, "bob@example.org").unwrap().asker(), Asker::Stranger);
}

#[test]
fn an_account_that_is_guessed_at_is_delayed_and_never_refused() {
    let mut door = Door::new();
    door.log_in(HER_HOME, ADA);
    door.fail_from_many_addresses(0, 20, ADA);
    for (failures, delay_ms) in [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000].iter().enumerate()
    {
        let address = u32::try_from(100 + failures).unwrap();
        assert_eq!(door.delay(address, ADA), Duration::from_millis(*delay_ms));
        door.fail(address, ADA);
    }
    door.fail_from_many_addresses(200, 5_000, ADA);
    assert_eq!(door.delay(2_000_000, ADA), s(5));
    assert_eq!(door.delay(HER_HOME, ADA), s(0), "where she logged in before");
    assert_eq!(door.delay(2_000_000, "bob@example.org"), s(0), "another account");
    door.now += tally::HALF_LIFE * 9;
    assert_eq!(door.delay(2_000_000, ADA), s(0));
}

#[test]
fn guesses_in_flight_delay_the_next_ones() {
    let door = Door::new();
    let first: Vec<_> = (0..20).map(|address| door.try_to_enter(address, ADA).unwrap()).collect();
    assert!(first.iter().all(|admitted| admitted.delay().is_zero()));
    assert_eq!(door.delay(100, ADA), Duration::from_millis(100));
}

#[test]
fn a_strange_address_has_eight_in_flight() {
    let door = Door::new();
    let name = |number| format!("person{number}@example.org");
    let eight: Vec<_> = (0..8).map(|number| door.try_to_enter(1, &name(number)).unwrap()).collect();
    let expected = Throttled { retry_after: s(1), reason: ThrottleReason::TooMany };
    assert_eq!(door.refused(1, &name(8)), expected);
    assert_eq!(door.throttle.admit_hash(at(1), door.now).map(drop).unwrap_err().retry_after, s(1));
    drop(eight);
    assert!(door.try_to_enter(1, &name(8)).is_ok());
}

#[test]
fn strangers_leave_room_for_those_who_are_known() {
    let door = Door::new();
    let name = |number| format!("person{number}@example.org");
    (0..100).for_each(|number| door.log_in(HER_HOME, &name(number)));
    let mut inside: Vec<_> =
        (0..448).map(|number| door.try_to_enter(number / 8, &name(number)).unwrap()).collect();
    let refused = door.refused(500, ADA);
    assert_eq!(refused, Throttled { retry_after: s(1), reason: ThrottleReason::Busy });
    let hash = door.throttle.admit_hash(at(500), door.now).map(drop).unwrap_err();
    assert_eq!(hash.reason, ThrottleReason::Busy);
    inside.extend((0..64).map(|number| door.try_to_enter(HER_HOME, &name(number)).unwrap()));
    assert_eq!(door.refused(HER_HOME, &name(64)).reason, ThrottleReason::Busy, "there is an end");
    drop(inside);
    assert!(door.try_to_enter(500, ADA).is_ok());
}

#[test]
fn a_strangers_new_passwords_have_a_small_budget() {
    let mut door = Door::new();
    let admit = |door: &Door, address| door.throttle.admit_hash(at(address), door.now).map(drop);
    (0..10).for_each(|_| admit(&door, 1).unwrap());
    let refused = admit(&door, 1).unwrap_err();
    assert_eq!(refused.reason, ThrottleReason::TooMany);
    assert!(refused.retry_after > s(9) && refused.retry_after <= s(10));
    admit(&door, 2).unwrap();
    door.now += s(10);
    admit(&door, 1).unwrap();
    assert!(admit(&door, 1).is_err());
    // It has nothing to do with logging in.
    assert_eq!(door.delay(1, ADA), s(0));
}

#[test]
fn an_account_is_known_by_its_address_of_mail_alone() {
    let door = Door::new();
    assert_eq!(door.throttle.account(ADA), door.throttle.account(ADA));
    assert_ne!(door.throttle.account(ADA), door.throttle.account("bob@example.org"));
    assert_ne!(door.throttle.account(ADA), Door::new().throttle.account(ADA), "a key of its own");
}

/// What a stranger does next, from one of many addresses.
#[derive(Clone, Debug)]
enum Move {
    Fails {
        address: u32,
        own_account: bool,
    },
    /// Whoever shares the owner's address fails for her there.
    FailsAtHerHome {
        times: u32,
    },
    LogsInElsewhere {
        address: u32,
    },
    Stays {
        first_address: u32,
        addresses: u32,
    },
    StopsStaying,
    HashesNew {
        address: u32,
    },
    Waits(Duration),
}

fn moves() -> impl Strategy<Value = Move> {
    let address = 0..200_u32;
    prop_oneof![
        8 => (address.clone(), any::<bool>())
            .prop_map(|(address, own_account)| Move::Fails { address, own_account }),
        4 => (1..8_u32).prop_map(|times| Move::FailsAtHerHome { times }),
        1 => address.clone().prop_map(|address| Move::LogsInElsewhere { address }),
        2 => (address.clone(), 1..100_u32)
            .prop_map(|(first_address, addresses)| Move::Stays { first_address, addresses }),
        1 => Just(Move::StopsStaying),
        1 => address.prop_map(|address| Move::HashesNew { address }),
        2 => (0..200_000_u64).prop_map(|ms| Move::Waits(Duration::from_millis(ms))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever strangers do, at her own address too: the owner comes in within five seconds where
    /// she is known, at once while nobody fails there, and anywhere else within five seconds where
    /// there is room at all.
    #[test]
    fn a_stranger_never_keeps_an_owner_out(moves in vec(moves(), 1..200)) {
        let throttle = LoginThrottle::default();
        let (ada, eve) = (throttle.account(ADA), throttle.account("eve@example.org"));
        let mut now = Instant::now();
        throttle.admit(at(HER_HOME), ada, now).unwrap().succeeded(now);
        let (mut staying, mut failed_at_home) = (Vec::new(), false);
        for (number, next) in (0_u32..).zip(moves) {
            match next {
                Move::Fails { address, own_account } => {
                    let account = if own_account { eve } else { ada };
                    if let Ok(admitted) = throttle.admit(at(address), account, now) {
                        admitted.failed(now);
                    }
                }
                Move::FailsAtHerHome { times } => {
                    for _ in 0..times {
                        throttle.admit(at(HER_HOME), ada, now).unwrap().failed(now);
                    }
                    failed_at_home = true;
                }
                Move::LogsInElsewhere { address } => {
                    if let Ok(admitted) = throttle.admit(at(address), eve, now) {
                        admitted.succeeded(now);
                    }
                }
                Move::Stays { first_address, addresses } => {
                    let tried = (first_address..first_address + addresses)
                        .flat_map(|address| [ada, eve].map(|account| (address, account)))
                        .flat_map(|tried| [tried; 5])
                        .filter_map(|(from, of)| throttle.admit(at(from), of, now).ok());
                    staying.extend(tried);
                }
                Move::StopsStaying => staying.clear(),
                Move::HashesNew { address } => {
                    let _ = throttle.admit_hash(at(address), now);
                }
                Move::Waits(wait) => now += wait,
            }
            let home = throttle.admit(at(HER_HOME), ada, now);
            let home = home.map_err(|refused| TestCaseError::fail(format!("{refused:?}")))?;
            let longest = if failed_at_home { s(5) } else { Duration::ZERO };
            prop_assert!(home.delay() <= longest);
            // Most of the time she is away.
            if number % 8 == 0 {
                home.succeeded(now);
                failed_at_home = false;
            } else {
                home.spared();
            }
            match throttle.admit(at(2_000_000 + number), ada, now) {
                Ok(elsewhere) => {
                    prop_assert!(elsewhere.delay() <= s(5));
                    elsewhere.spared();
                }
                Err(refused) => prop_assert_eq!(refused.reason, ThrottleReason::Busy),
            }
        }
    }
}
