//! Where strings end: the places in a body at which the reading of a string must stop, found a
//! block at a time. It knows bytes alone, neither grammar nor fields.

use wide::u8x16;

/// Bytes that are looked at in one go: one bit each of a word.
const BLOCK_BYTES: usize = 64;

/// The stops of one block at a time: quotes, backslashes and control bytes. A block's bits don't
/// depend on where a string begins, so a processor can work them out before that is known.
#[derive(Clone)]
pub struct Stops<'a> {
    body: &'a [u8],
    /// The block that `bits` stands for.
    block: usize,
    bits: u64,
    /// All bytes of the blocks so far, put over each other.
    seen: u8x16,
}

impl<'a> Stops<'a> {
    pub fn new(body: &'a [u8]) -> Self {
        let mut stops = Self { body, block: 0, bits: 0, seen: u8x16::new([0; 16]) };
        stops.bits = stops.of_block(0);
        stops
    }

    /// Whether every string that was read has ASCII alone.
    pub fn all_ascii(&self) -> bool {
        self.seen.to_bitmask() == 0
    }

    /// The first stop at or behind `from`. Everything behind the body is one.
    #[inline(always)]
    pub fn next(&mut self, from: usize) -> usize {
        let block = from / BLOCK_BYTES;
        if block != self.block {
            self.block = block;
            self.bits = self.of_block(block);
        }
        let ahead = self.bits >> (from % BLOCK_BYTES);
        if ahead != 0 {
            return from + ahead.trailing_zeros() as usize;
        }
        loop {
            self.block += 1;
            self.bits = self.of_block(self.block);
            if self.bits != 0 {
                return self.block * BLOCK_BYTES + self.bits.trailing_zeros() as usize;
            }
        }
    }

    #[inline(always)]
    fn of_block(&mut self, block: usize) -> u64 {
        let rest = self.body.get(block * BLOCK_BYTES..).unwrap_or_default();
        match rest.first_chunk() {
            Some(bytes) => self.of_bytes(bytes),
            None => self.of_last(rest),
        }
    }

    /// The stops of a block that isn't full: zero bytes fill it up, which are stops.
    #[cold]
    fn of_last(&mut self, rest: &[u8]) -> u64 {
        let mut bytes = [0; BLOCK_BYTES];
        for (to, from) in bytes.iter_mut().zip(rest) {
            *to = *from;
        }
        self.of_bytes(&bytes)
    }

    /// One bit a byte, the first byte's the lowest.
    #[inline(always)]
    fn of_bytes(&mut self, bytes: &[u8; BLOCK_BYTES]) -> u64 {
        const QUOTE: u8x16 = u8x16::new([b'"'; 16]);
        const BACKSLASH: u8x16 = u8x16::new([b'\\'; 16]);
        const LAST_CONTROL: u8x16 = u8x16::new([0x1f; 16]);
        let (lanes, _) = bytes.as_chunks::<16>();
        lanes.iter().rev().fold(0, |bits, lane| {
            let lane = u8x16::new(*lane);
            self.seen |= lane;
            // Not above the last control byte is the smaller of the two being the byte itself.
            let stops = lane.simd_eq(QUOTE)
                | lane.simd_eq(BACKSLASH)
                | lane.simd_eq(lane.min(LAST_CONTROL));
            bits << 16 | u64::from(stops.to_bitmask())
        })
    }
}
