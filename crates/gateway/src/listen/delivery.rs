//! One HTTP/2 stream on its way to its client, and how long it may take. hyper asks for no more of
//! an answer than the client has room for, so whoever gives a stream no room would hold it, and
//! with it an upstream's connection, for ever.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};
use tracing::debug;

/// What became of the answer in the present turn of its stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Turn {
    /// Nobody asked for more of it: the client has no room.
    Unasked,
    /// A piece was taken.
    Taken,
    /// Its source has nothing yet, and limits that itself.
    Silent,
}

/// What the stream's answer tells its driver.
#[derive(Debug)]
pub struct Delivery {
    turn: Cell<Turn>,
    begun: Cell<bool>,
    end: Cell<Option<Instant>>,
}

impl Delivery {
    #[must_use]
    pub fn new() -> Rc<Self> {
        Rc::new(Self {
            turn: Cell::new(Turn::Unasked),
            begun: Cell::new(false),
            end: Cell::new(None),
        })
    }

    /// There is an answer, which is given up at `end`.
    pub fn begin(&self, end: Option<Instant>) {
        self.begun.set(true);
        self.end.set(end);
    }

    /// More of the answer was asked for.
    pub fn asked(&self, silent: bool) {
        self.turn.set(if silent { Turn::Silent } else { Turn::Taken });
    }
}

/// Drives a stream until it has ended, its client has taken nothing for `stall`, or the answer's
/// end has come. Then the stream is reset, by dropping it, and the connection goes on.
pub async fn deliver(stream: impl Future<Output = ()>, delivery: Rc<Delivery>, stall: Duration) {
    let mut stream = pin!(stream);
    let mut wait = Wait { stall, blocked: None, timer: None };
    poll_fn(|cx| {
        delivery.turn.set(Turn::Unasked);
        if stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        ready!(wait.poll(cx, &delivery));
        debug!("stream closed: its client doesn't take the answer");
        Poll::Ready(())
    })
    .await;
}

/// The wait for a client to have room.
struct Wait {
    stall: Duration,
    blocked: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Wait {
    fn poll(&mut self, cx: &mut Context<'_>, delivery: &Delivery) -> Poll<()> {
        let since = match delivery.turn.get() {
            _ if !delivery.begun.get() => return Poll::Pending,
            Turn::Silent => {
                self.blocked = None;
                return Poll::Pending;
            }
            Turn::Taken => *self.blocked.insert(Instant::now()),
            Turn::Unasked => *self.blocked.get_or_insert_with(Instant::now),
        };
        let stalled_at = since + self.stall;
        let at = delivery.end.get().map_or(stalled_at, |end| end.min(stalled_at));
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
        // It may ring too early, never too late: moving it at each piece would cost more.
        if timer.deadline() > at {
            timer.as_mut().reset(at);
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            if timer.deadline() >= at {
                return Poll::Ready(());
            }
            timer.as_mut().reset(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALL: Duration = Duration::from_secs(10);

    /// What a stream does each second: takes a piece, waits for its source, or has no room.
    async fn given_up_after(turns: &[Turn], end: Option<Instant>) -> Option<u64> {
        let (delivery, began) = (Delivery::new(), Instant::now());
        delivery.begin(end);
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        let seconds = turns.len() as u64;
        let mut turns = turns.iter();
        let stream = poll_fn({
            let delivery = Rc::clone(&delivery);
            move |cx| {
                while tick.poll_tick(cx).is_ready() {
                    match turns.next() {
                        Some(Turn::Taken) => delivery.asked(false),
                        Some(Turn::Silent) => delivery.asked(true),
                        Some(Turn::Unasked) => {}
                        None => return Poll::Ready(()),
                    }
                }
                Poll::Pending
            }
        });
        deliver(stream, delivery, STALL).await;
        Some(began.elapsed().as_secs()).filter(|took| *took < seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_without_room_is_given_up_and_a_silent_source_isnt() {
        assert_eq!(given_up_after(&[Turn::Unasked; 40], None).await, Some(10));
        assert_eq!(given_up_after(&[Turn::Silent; 40], None).await, None);
        let one_piece: Vec<_> = [Turn::Taken].into_iter().chain([Turn::Unasked; 40]).collect();
        let drip = one_piece.get(..9).unwrap_or_default().repeat(5);
        assert_eq!(given_up_after(&drip, None).await, None);
        assert_eq!(given_up_after(&[&drip[..], &one_piece].concat(), None).await, Some(55));
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_is_kept_however_slowly_pieces_are_taken() {
        let end = Instant::now() + Duration::from_secs(25);
        assert_eq!(given_up_after(&[Turn::Taken; 40], Some(end)).await, Some(25));
    }
}
