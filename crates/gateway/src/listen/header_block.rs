//! Whether an HTTP/2 client is in the middle of a header: hyper has no limit for one that drips.
//! It follows frames (RFC 9113 §4.1) by their heads alone, as the bytes come.

const PREFACE_BYTES: usize = 24;
const HEAD_BYTES: usize = 9;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 0x4;

/// See the module.
#[derive(Debug)]
pub struct HeaderBlocks {
    preface_left: usize,
    head: [u8; HEAD_BYTES],
    head_bytes: usize,
    payload_left: usize,
    /// The frame whose payload is coming belongs to a header.
    of_header: bool,
    /// A header has begun, and its last frame hasn't ended.
    in_block: bool,
    ended: u64,
}

impl HeaderBlocks {
    #[must_use]
    pub const fn new() -> Self {
        Self {
            preface_left: PREFACE_BYTES,
            head: [0; HEAD_BYTES],
            head_bytes: 0,
            payload_left: 0,
            of_header: false,
            in_block: false,
            ended: 0,
        }
    }

    /// Follows these bytes.
    pub fn follow(&mut self, mut bytes: &[u8]) {
        take(&mut bytes, &mut self.preface_left);
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                take(&mut bytes, &mut self.payload_left);
            } else if let [first, rest @ ..] = bytes {
                bytes = rest;
                self.head_byte(*first);
            }
            if self.payload_left == 0 && self.head_bytes == 0 {
                self.frame_ended();
            }
        }
    }

    /// Whether what has begun of a header, or of a frame that may be one, still lacks its end.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        let in_preface = self.preface_left > 0 && self.preface_left < PREFACE_BYTES;
        self.in_block || self.head_bytes > 0 || in_preface
    }

    /// How many headers have ended.
    #[must_use]
    pub const fn ended(&self) -> u64 {
        self.ended
    }

    fn head_byte(&mut self, byte: u8) {
        if let Some(place) = self.head.get_mut(self.head_bytes) {
            *place = byte;
        }
        self.head_bytes += 1;
        if self.head_bytes < HEAD_BYTES {
            return;
        }
        self.head_bytes = 0;
        let [high, middle, low, kind, ..] = self.head;
        self.payload_left = u32::from_be_bytes([0, high, middle, low]) as usize;
        self.of_header = matches!(kind, HEADERS | CONTINUATION);
        self.in_block |= self.of_header;
    }

    fn frame_ended(&mut self) {
        let [_, _, _, _, flags, ..] = self.head;
        if self.of_header && flags & END_HEADERS != 0 {
            self.of_header = false;
            self.in_block = false;
            self.ended += 1;
        }
    }
}

/// Takes as many bytes as are left, where there are so many.
fn take(bytes: &mut &[u8], left: &mut usize) {
    let count = bytes.len().min(*left);
    *bytes = bytes.get(count..).unwrap_or_default();
    *left -= count;
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: u8 = 4;
    const DATA: u8 = 0;

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let length = u32::try_from(payload).unwrap_or_default().to_be_bytes();
        let [_, high, middle, low] = length;
        [vec![high, middle, low, kind, flags, 0, 0, 0, 1], vec![0x82; payload]].concat()
    }

    /// Whether a header is open after each of these parts, in pieces of so many bytes.
    fn open_after(parts: &[Vec<u8>], piece: usize) -> (Vec<bool>, u64) {
        let mut blocks = HeaderBlocks::new();
        let after = parts.iter().map(|part| {
            part.chunks(piece).for_each(|bytes| blocks.follow(bytes));
            blocks.is_open()
        });
        let after = after.collect();
        (after, blocks.ended())
    }

    #[test]
    fn a_header_is_open_from_its_first_frames_head_to_its_last_frames_end() {
        let headers = frame(HEADERS, END_HEADERS, 40);
        let (half, rest) = headers.split_at(20);
        let parts = [
            vec![b'P'; PREFACE_BYTES],
            frame(SETTINGS, 0, 6),
            half.to_vec(),
            rest.to_vec(),
            frame(DATA, 0, 100),
            frame(HEADERS, 0, 10),
            frame(CONTINUATION, 0, 300),
            frame(CONTINUATION, END_HEADERS, 0),
            frame(SETTINGS, 1, 0),
            vec![0, 0],
            vec![1, HEADERS],
        ];
        let expected =
            [false, false, true, false, false, true, true, false, false, true, true].to_vec();
        for piece in 1..400 {
            assert_eq!(open_after(&parts, piece), (expected.clone(), 2), "pieces of {piece}");
        }
    }

    #[test]
    fn half_a_preface_is_open() {
        assert_eq!(open_after(&[vec![b'P'; 10]], 10), (vec![true], 0));
        assert!(!HeaderBlocks::new().is_open());
    }
}
