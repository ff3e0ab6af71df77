use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use super::Asker::{Known, Stranger};
use super::*;
use crate::auth::login_throttle::LoginThrottle;

type Outcome = Result<(), PasswordError>;

/// A test that fails ends all the same.
const WITHIN: Duration = Duration::from_secs(20);

fn one_thread() -> (PasswordHasher, JoinHandle<()>) {
    let (hasher, mut threads) = PasswordHasher::with_threads(config::Argon2::default(), 1).unwrap();
    (hasher, threads.pop().unwrap())
}

/// Keeps the one thread at work until the sender is dropped.
async fn occupy(hasher: &PasswordHasher) -> mpsc::Sender<()> {
    let (release, held) = mpsc::channel();
    let (begun, has_begun) = oneshot::channel();
    let hasher = hasher.clone();
    tokio::spawn(async move {
        let work = move |_: &Cost| {
            let _ = begun.send(());
            let _ = held.recv_timeout(WITHIN);
            Ok(())
        };
        hasher.run(Known, work).await
    });
    has_begun.await.unwrap();
    release
}

#[tokio::test]
async fn a_password_that_was_hashed_is_right_and_another_wrong() {
    let hasher = PasswordHasher::start(config::Argon2::default()).unwrap();
    let password = NewPassword::check("correct horse battery".into(), &[]).unwrap();
    let phc = hasher.hash(password, Known).await.unwrap();
    let verify = async |text: &str, phc: Option<&str>| {
        hasher.verify(text.into(), phc.map(Into::into), Known).await
    };
    let right = verify("correct horse battery", Some(&phc)).await.unwrap();
    assert_eq!(right, Verified::Right { outdated: false });
    assert_eq!(verify("correct horse batterz", Some(&phc)).await.unwrap(), Verified::Wrong);
    assert_eq!(verify("correct horse battery", None).await.unwrap(), Verified::Wrong);
    let unreadable = verify("correct horse battery", Some("$argon2id$")).await;
    assert!(matches!(unreadable, Err(PasswordError::Stored(_))));
}

/// Asks, and is in the queue.
fn ask<'a>(
    asking: impl Future<Output = Outcome> + 'a,
) -> Pin<Box<dyn Future<Output = Outcome> + 'a>> {
    let mut asking = Box::pin(asking);
    assert!(asking.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    asking
}

#[tokio::test]
async fn a_full_queue_is_busy_at_once_and_takes_the_next_when_it_has_room() {
    let (hasher, _thread) = one_thread();
    let release = occupy(&hasher).await;
    let waiting: Vec<_> = (0..WAITING_MAX).map(|_| ask(hasher.run(Known, |_| Ok(())))).collect();
    let refused = hasher.run(Known, |_| Ok(())).await;
    assert!(matches!(refused, Err(PasswordError::Busy { retry_after: RETRY_AFTER })));
    drop(release);
    for one in waiting {
        one.await.unwrap();
    }
    hasher.run(Known, |_| Ok(())).await.unwrap();
}

#[tokio::test]
async fn strangers_leave_places_for_whoever_is_known() {
    let (hasher, _thread) = one_thread();
    let release = occupy(&hasher).await;
    let strangers: Vec<_> =
        (0..STRANGERS_WAITING_MAX).map(|_| ask(hasher.run(Stranger, |_| Ok(())))).collect();
    let refused = hasher.run(Stranger, |_| Ok(())).await;
    assert!(matches!(refused, Err(PasswordError::Busy { retry_after: RETRY_AFTER })));
    let known: Vec<_> =
        (STRANGERS_WAITING_MAX..WAITING_MAX).map(|_| ask(hasher.run(Known, |_| Ok(())))).collect();
    assert!(matches!(hasher.run(Known, |_| Ok(())).await, Err(PasswordError::Busy { .. })));
    drop(release);
    for one in strangers.into_iter().chain(known) {
        one.await.unwrap();
    }
    // Their places are free again.
    let again: Vec<_> =
        (0..STRANGERS_WAITING_MAX).map(|_| hasher.run(Stranger, |_| Ok(()))).collect();
    for outcome in futures_util::future::join_all(again).await {
        outcome.unwrap();
    }
}

#[tokio::test]
async fn strangers_who_keep_everything_full_keep_no_known_owner_out() {
    let (throttle, (hasher, _thread)) = (LoginThrottle::default(), one_thread());
    let release = occupy(&hasher).await;
    let now = Instant::now();
    let at = |number| IpAddr::V4(Ipv4Addr::from_bits(number)).into();
    let (ada, home) = (throttle.account("ada@example.org"), at(1_000_000));
    throttle.admit(home, ada, now).unwrap().succeeded(now);
    let (mut inside, mut waiting) = (Vec::new(), Vec::new());
    for number in 0..1_000 {
        let account = throttle.account(&format!("person{number}@example.org"));
        let Ok(admitted) = throttle.admit(at(number / 8), account, now) else { continue };
        let mut asking = Box::pin(hasher.run(admitted.asker(), |_| Ok(())));
        if asking.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            waiting.push(asking);
        }
        inside.push(admitted);
    }
    assert_eq!(waiting.len(), STRANGERS_WAITING_MAX);
    let owner = throttle.admit(home, ada, now).unwrap();
    let hers = ask(hasher.run(owner.asker(), |_| Ok(())));
    drop(release);
    hers.await.unwrap();
}

#[tokio::test]
async fn whoever_waited_for_too_long_is_told_and_gets_nothing_hashed() {
    let (hasher, _thread) = one_thread();
    let release = occupy(&hasher).await;
    tokio::time::pause();
    let hashed = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&hashed);
    let mut late = ask(hasher.run(Stranger, move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }));
    let mut poll = || late.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    tokio::time::advance(WAIT_MAX - Duration::from_millis(1)).await;
    assert!(poll().is_pending());
    tokio::time::advance(Duration::from_millis(2)).await;
    assert!(matches!(poll(), Poll::Ready(Err(PasswordError::Busy { .. }))));
    tokio::time::resume();
    drop((late, release));
    hasher.run(Known, |_| Ok(())).await.unwrap();
    assert_eq!(hashed.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn nothing_is_hashed_for_whoever_went_away() {
    let (hasher, _thread) = one_thread();
    let release = occupy(&hasher).await;
    let hashed = Arc::new(AtomicUsize::new(0));
    let counted = || {
        let hashed = Arc::clone(&hashed);
        ask(hasher.run(Known, move |_| {
            hashed.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }))
    };
    let (leaves, stays) = (counted(), counted());
    drop(leaves);
    drop(release);
    stays.await.unwrap();
    assert_eq!(hashed.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_panic_fails_its_asker_and_the_thread_goes_on() {
    let (hasher, _thread) = one_thread();
    let failed: Result<(), _> = hasher.run(Known, |_| panic!("on purpose")).await;
    assert!(matches!(failed, Err(PasswordError::Thread)));
    hasher.run(Known, |_| Ok(())).await.unwrap();
}

#[tokio::test]
async fn the_threads_end_with_the_last_handle() {
    let (hasher, threads) = PasswordHasher::with_threads(config::Argon2::default(), 3).unwrap();
    let other = hasher.clone();
    drop(hasher);
    other.run(Known, |_| Ok(())).await.unwrap();
    assert!(threads.iter().all(|thread| !thread.is_finished()));
    drop(other);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_threads_are_named_and_get_the_time_that_nobody_else_needs() {
    let (hasher, _thread) = one_thread();
    let seen = hasher.run(Known, |_| {
        let own = Some(rustix::thread::gettid());
        let name = thread::current().name().map(str::to_owned);
        Ok((name, rustix::process::getpriority_process(own).unwrap()))
    });
    assert_eq!(seen.await.unwrap(), (Some("hash-0".to_owned()), 19));
    let own = Some(rustix::thread::gettid());
    assert!(rustix::process::getpriority_process(own).unwrap() < 19, "nobody else's");
}
