//! What a connection is waiting for, and until when: the first byte, the rest of a header, the
//! next request, or nothing that the connection itself must limit.
//!
//! hyper's own header timer also runs while a kept connection is idle, so a header limit of 10 s
//! beside an idle limit of 60 s needs this one.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

/// The limits of a connection's waiting.
#[derive(Clone, Copy, Debug)]
pub struct WaitLimits {
    pub first_byte: Duration,
    pub header: Duration,
    pub idle: Duration,
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

    /// A whole header was read; the request is served until the guard is dropped.
    #[must_use]
    pub fn serve(self: &Rc<Self>) -> Serving {
        self.serving.set(self.serving.get() + 1);
        self.phase.set(Phase::Serving);
        Serving(Rc::clone(self))
    }

    /// When the present wait is over, or `None` where nothing is waited for.
    #[must_use]
    pub fn at(&self) -> Option<Instant> {
        let limit = match self.phase.get() {
            Phase::Fresh => self.limits.first_byte,
            Phase::Header => self.limits.header,
            Phase::Idle => self.limits.idle,
            Phase::Serving => return None,
        };
        Some(self.since.get() + limit)
    }

    fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.since.set(Instant::now());
    }
}

/// A request is being served, up to the end of its answer.
#[derive(Debug)]
pub struct Serving(Rc<Deadline>);

impl Drop for Serving {
    fn drop(&mut self) {
        let left = self.0.serving.get().saturating_sub(1);
        self.0.serving.set(left);
        if left == 0 {
            self.0.enter(Phase::Idle);
        }
    }
}
