//! What a connection is waiting for, and until when: the first byte, the rest of a header, the
//! next request, a client that takes its answer, or nothing that the connection itself must limit.
//!
//! hyper's own header timer also runs while a kept connection is idle, so a header limit of 10 s
//! beside an idle limit of 60 s needs this one.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use super::delivery::Delivery;

/// The limits of a connection's waiting.
#[derive(Clone, Copy, Debug)]
pub struct WaitLimits {
    pub first_byte: Duration,
    pub header: Duration,
    pub idle: Duration,
    pub answer_stall: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Accepted; not a byte has come.
    Fresh,
    /// Bytes of a header have come, its end hasn't.
    Header,
    /// Requests are being served.
    Serving,
    /// The last request was answered.
    Idle,
}

/// Shared between a connection's socket, its service and its driver, all on one thread.
#[derive(Debug)]
pub struct Deadline {
    limits: WaitLimits,
    phase: Cell<Phase>,
    since: Cell<Instant>,
    /// HTTP/2 serves several requests at a time.
    serving: Cell<u32>,
    /// On HTTP/2 bytes between requests are pings and window updates, not a header that drips.
    multiplexed: Cell<bool>,
    /// HTTP/2: since when a header has begun and not ended, whatever else is served meanwhile.
    header: Cell<Option<Instant>>,
    /// HTTP/2: a request was refused for its framing, so that the connection takes no more.
    refused: Cell<bool>,
    /// Since when what is written to the client has found no room.
    blocked: Cell<Option<Instant>>,
    /// When the answer under way is given up. HTTP/2's have a [`Delivery`] each.
    end: Cell<Option<Instant>>,
    /// That of the request which HTTP/2 has just accepted.
    newest: RefCell<Option<Rc<Delivery>>>,
    /// See [`Deadline::last_call`].
    called: Cell<bool>,
}

impl Deadline {
    #[must_use]
    pub fn new(limits: WaitLimits, now: Instant) -> Rc<Self> {
        Rc::new(Self {
            limits,
            phase: Cell::new(Phase::Fresh),
            since: Cell::new(now),
            serving: Cell::new(0),
            multiplexed: Cell::new(false),
            header: Cell::new(None),
            refused: Cell::new(false),
            blocked: Cell::new(None),
            end: Cell::new(None),
            newest: RefCell::default(),
            called: Cell::new(false),
        })
    }

    /// The client chose HTTP/2.
    pub fn multiplexed(&self) {
        self.multiplexed.set(true);
    }

    /// Bytes came from the client.
    pub fn received(&self) {
        match self.phase.get() {
            Phase::Fresh if self.multiplexed.get() => self.enter(Phase::Idle),
            Phase::Fresh => self.enter(Phase::Header),
            Phase::Idle if !self.multiplexed.get() => self.enter(Phase::Header),
            Phase::Idle | Phase::Header | Phase::Serving => {}
        }
    }

    /// HTTP/2: whether a header is open, perhaps another one than before.
    pub fn header(&self, open: bool, another: bool) {
        if !open {
            self.header.set(None);
        } else if another || self.header.get().is_none() {
            self.header.set(Some(Instant::now()));
        }
    }

    /// The connection ends with the answers under way. HTTP/1 says so in a header instead.
    pub fn refuse_more(&self) {
        self.refused.set(self.multiplexed.get());
    }

    /// Whether the client must be told so now.
    #[must_use]
    pub fn take_refused(&self) -> bool {
        self.refused.take()
    }

    /// The client has no room for what is written to it.
    pub fn blocked(&self) {
        if self.blocked.get().is_none() {
            self.blocked.set(Some(Instant::now()));
        }
    }

    /// The client took some of it.
    pub fn took(&self) {
        // Idle is who has all of the last answer.
        if self.blocked.take().is_some() && self.phase.get() == Phase::Idle {
            self.enter(Phase::Idle);
        }
    }

    /// A whole header was read; the request is served until the guard is dropped.
    #[must_use]
    pub fn serve(self: &Rc<Self>) -> Serving {
        self.serving.set(self.serving.get() + 1);
        self.phase.set(Phase::Serving);
        let delivery = self.multiplexed.get().then(Delivery::new);
        self.newest.replace(delivery.clone());
        Serving { deadline: Rc::clone(self), delivery }
    }

    /// The delivery of the request that was just accepted.
    #[must_use]
    pub fn take_newest(&self) -> Option<Rc<Delivery>> {
        self.newest.take()
    }

    #[must_use]
    pub const fn answer_stall(&self) -> Duration {
        self.limits.answer_stall
    }

    /// When the present wait is over, or `None` where nothing is waited for.
    #[must_use]
    pub fn at(&self) -> Option<Instant> {
        let since = self.since.get();
        let stalled_at = self.blocked.get().map(|since| since + self.limits.answer_stall);
        let over_at = match self.phase.get() {
            Phase::Fresh => Some(since + self.limits.first_byte),
            Phase::Header => Some(since + self.limits.header),
            Phase::Idle if stalled_at.is_some() => None,
            Phase::Idle => Some(since + self.limits.idle),
            Phase::Serving => self.end.get(),
        };
        let header_at = self.header.get().map(|since| since + self.limits.header);
        [over_at, stalled_at, header_at].into_iter().flatten().min()
    }

    /// Whether an idle client is told to go away before it is closed on. HTTP/2 may hold the last
    /// bytes of an answer for which the client has no room: they may go for once more that long.
    #[must_use]
    pub fn last_call(&self) -> bool {
        let waits = self.blocked.get().or(self.header.get());
        let idle = self.phase.get() == Phase::Idle && waits.is_none();
        let first = self.multiplexed.get() && idle && !self.called.replace(true);
        if first {
            self.enter(Phase::Idle);
        }
        first
    }

    fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.since.set(Instant::now());
    }
}

/// A request is being served, up to the end of its answer.
#[derive(Debug)]
pub struct Serving {
    deadline: Rc<Deadline>,
    delivery: Option<Rc<Delivery>>,
}

impl Serving {
    /// There is an answer. It is given up at `end`, however much of it was taken; where that is
    /// `None`, only a client that takes nothing ends it.
    pub fn answer(&self, end: Option<Instant>) {
        match &self.delivery {
            Some(delivery) => delivery.begin(end),
            None => self.deadline.end.set(end),
        }
    }

    /// More of the answer was asked for; its source may have had nothing.
    pub fn asked(&self, silent: bool) {
        if let Some(delivery) = &self.delivery {
            delivery.asked(silent);
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let left = self.deadline.serving.get().saturating_sub(1);
        self.deadline.serving.set(left);
        self.deadline.end.set(None);
        if left == 0 {
            self.deadline.enter(Phase::Idle);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deadline() -> Rc<Deadline> {
        let second = Duration::from_secs;
        let limits = WaitLimits {
            first_byte: second(10),
            header: second(10),
            idle: second(60),
            answer_stall: second(300),
        };
        Deadline::new(limits, Instant::now())
    }

    /// In so many seconds, from now on.
    fn left_s(deadline: &Deadline) -> Option<u64> {
        deadline.at().map(|at| at.duration_since(Instant::now()).as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn idle_is_who_has_all_of_the_last_answer() {
        let deadline = deadline();
        deadline.received();
        let serving = deadline.serve();
        serving.answer(None);
        assert_eq!(left_s(&deadline), None);
        deadline.blocked();
        drop(serving);
        assert_eq!(left_s(&deadline), Some(300), "its last bytes aren't taken yet");
        tokio::time::advance(Duration::from_secs(100)).await;
        deadline.took();
        assert_eq!(left_s(&deadline), Some(60));
    }

    #[tokio::test(start_paused = true)]
    async fn an_http2_header_has_its_limit_whatever_is_served_meanwhile() {
        let deadline = deadline();
        deadline.multiplexed();
        deadline.received();
        let _serving = deadline.serve();
        assert_eq!(left_s(&deadline), None);
        deadline.header(true, true);
        tokio::time::advance(Duration::from_secs(4)).await;
        deadline.header(true, false);
        assert_eq!(left_s(&deadline), Some(6), "dripping changes nothing");
        deadline.header(true, true);
        assert_eq!(left_s(&deadline), Some(10), "that is another one");
        deadline.header(false, true);
        assert_eq!(left_s(&deadline), None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_ends_at_its_end_and_where_nothing_is_taken() {
        let deadline = deadline();
        let serving = deadline.serve();
        serving.answer(Some(Instant::now() + Duration::from_secs(3_600)));
        assert_eq!(left_s(&deadline), Some(3_600));
        tokio::time::advance(Duration::from_secs(3_400)).await;
        deadline.blocked();
        assert_eq!(left_s(&deadline), Some(200));
        drop(serving);
        assert_eq!(left_s(&deadline), Some(300));
    }
}
