//! Which stream has a frame due, and when.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Streams by the time of their next frame. A serial number tells a stream from a later one in the
/// same place.
#[derive(Debug, Default)]
pub struct Pacer(BinaryHeap<Reverse<(u64, usize, u64)>>);

impl Pacer {
    pub fn push(&mut self, due_ns: u64, index: usize, serial: u64) {
        self.0.push(Reverse((due_ns, index, serial)));
    }

    /// When the next is due.
    pub fn next(&self) -> Option<u64> {
        self.0.peek().map(|Reverse((due, _, _))| *due)
    }

    /// One that is due by `now_ns`.
    pub fn pop(&mut self, now_ns: u64) -> Option<(usize, u64)> {
        self.next().filter(|&due| due <= now_ns)?;
        self.0.pop().map(|Reverse((_, index, serial))| (index, serial))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_come_in_the_order_of_their_frames_and_not_early() {
        let mut pacer = Pacer::default();
        pacer.push(30, 1, 7);
        pacer.push(10, 2, 8);
        assert_eq!((pacer.next(), pacer.pop(9)), (Some(10), None));
        assert_eq!(
            (pacer.pop(10), pacer.pop(10), pacer.pop(30)),
            (Some((2, 8)), None, Some((1, 7)))
        );
    }
}
