//! Where strings end: the places in a body at which the reading of a string must stop, found a
//! block at a time. It knows bytes alone, neither grammar nor fields.

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
}

impl<'a> Stops<'a> {
    pub fn new(body: &'a [u8]) -> Self {
        Self { body, block: 0, bits: block_stops(body, 0) }
    }

    /// The first stop at or behind `from`. Everything behind the body is one.
    #[inline(always)]
    pub fn next(&mut self, from: usize) -> usize {
        let block = from / BLOCK_BYTES;
        if block != self.block {
            self.block = block;
            self.bits = block_stops(self.body, block);
        }
        let ahead = self.bits >> (from % BLOCK_BYTES);
        if ahead != 0 {
            return from + ahead.trailing_zeros() as usize;
        }
        loop {
            self.block += 1;
            self.bits = block_stops(self.body, self.block);
            if self.bits != 0 {
                return self.block * BLOCK_BYTES + self.bits.trailing_zeros() as usize;
            }
        }
    }
}

#[inline(always)]
fn block_stops(body: &[u8], block: usize) -> u64 {
    let rest = body.get(block * BLOCK_BYTES..).unwrap_or_default();
    match rest.first_chunk() {
        Some(bytes) => stop_bits(bytes),
        None => last_stops(rest),
    }
}

/// The stops of a block that isn't full: zero bytes fill it up, which are stops.
#[cold]
fn last_stops(rest: &[u8]) -> u64 {
    let mut bytes = [0; BLOCK_BYTES];
    for (to, from) in bytes.iter_mut().zip(rest) {
        *to = *from;
    }
    stop_bits(&bytes)
}

/// One bit a byte, the first byte's the lowest. The compiler makes vector instructions of the first
/// loop (twice as fast as eight bytes at a time in a word), so it has no branch.
#[inline(always)]
fn stop_bits(bytes: &[u8; BLOCK_BYTES]) -> u64 {
    // Each byte of the product's highest one is the sum of eight marks, each moved to its own bit.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let mut marks = [0u8; BLOCK_BYTES];
    for (mark, byte) in marks.iter_mut().zip(bytes) {
        *mark = u8::from((*byte == b'"') | (*byte == b'\\') | (*byte < 0x20));
    }
    let (words, _) = marks.as_chunks::<8>();
    words
        .iter()
        .rev()
        .fold(0, |bits, word| bits << 8 | u64::from_le_bytes(*word).wrapping_mul(GATHER) >> 56)
}
