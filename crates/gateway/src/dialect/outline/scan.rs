//! The grammar of JSON (RFC 8259), read in one pass: objects, arrays and whatever stands in them are
//! checked and stepped over, and counted. It knows no field.

use super::strings::Stops;
use super::token::Key;
use super::{DEPTH_MAX, OutlineFault};

const NEXT_MEMBER: &str = "a comma or a closing brace";
const NEXT_ELEMENT: &str = "a comma or a closing bracket";

/// Steps over a body's tokens. Every method takes the offset to read at and gives the next one.
#[derive(Clone)]
pub struct Scanner<'a> {
    pub(super) body: &'a [u8],
    pub(super) stops: Stops<'a>,
    /// Containers that the members' and elements' readers have open: the body's own, one in it.
    depth: u32,
    /// Where the key begins that the next value stands under; 0, where none can begin, for none.
    pub(super) key_start: usize,
    /// What stood in the values since the caller last set it back.
    pub tally: Tally,
}

/// What stands in values. Keys aren't counted.
#[derive(Clone, Copy, Default)]
pub struct Tally {
    pub text_bytes: u64,
    pub payload_bytes: u64,
    pub payloads: u32,
    pub numbers: u32,
}

impl<'a> Scanner<'a> {
    pub fn new(body: &'a [u8]) -> Self {
        Self { body, stops: Stops::new(body), depth: 0, key_start: 0, tally: Tally::default() }
    }

    /// Reads up to the body's object and gives the offset behind its brace.
    pub fn object_open(&self) -> Result<usize, OutlineFault> {
        let at = self.skip_space(0);
        match self.byte(at) {
            b'{' => Ok(at + 1),
            b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => Err(OutlineFault::NotAnObject),
            _ => Err(not_json(at, "an object")),
        }
    }

    /// Nothing but white space may stand behind the body's object.
    pub fn finish(&self, at: usize) -> Result<(), OutlineFault> {
        let at = self.skip_space(at);
        if at == self.body.len() { Ok(()) } else { Err(not_json(at, "the end of the body")) }
    }

    /// Reads an object from behind its brace. `each` gets a key and reads its value.
    pub fn members(
        &mut self,
        open: usize,
        mut each: impl FnMut(&mut Self, Key<'a>) -> Result<usize, OutlineFault>,
    ) -> Result<usize, OutlineFault> {
        self.depth += 1;
        let mut at = self.skip_space(open);
        if self.byte(at) != b'}' {
            loop {
                let key = self.key(at)?;
                at = each(self, key)?;
                at = self.skip_space(at);
                match self.byte(at) {
                    b',' => at = self.skip_space(at + 1),
                    b'}' => break,
                    _ => return Err(not_json(at, NEXT_MEMBER)),
                }
            }
        }
        self.depth -= 1;
        self.key_start = 0;
        Ok(at + 1)
    }

    /// Reads an array from behind its bracket. `each` reads the element at the offset it gets.
    pub fn elements(
        &mut self,
        open: usize,
        mut each: impl FnMut(&mut Self, usize) -> Result<usize, OutlineFault>,
    ) -> Result<usize, OutlineFault> {
        self.depth += 1;
        let mut at = self.skip_space(open);
        if self.byte(at) != b']' {
            loop {
                at = each(self, at)?;
                at = self.skip_space(at);
                match self.byte(at) {
                    b',' => at = self.skip_space(at + 1),
                    b']' => break,
                    _ => return Err(not_json(at, NEXT_ELEMENT)),
                }
            }
        }
        self.depth -= 1;
        self.key_start = 0;
        Ok(at + 1)
    }

    /// The byte at an offset. Behind the body it is 0, which no grammar rule accepts.
    #[inline(always)]
    pub fn byte(&self, at: usize) -> u8 {
        self.body.get(at).copied().unwrap_or(0)
    }

    /// The first offset at or behind `at` that is no white space.
    #[inline(always)]
    pub fn skip_space(&self, mut at: usize) -> usize {
        while matches!(self.byte(at), b' ' | b'\n' | b'\r' | b'\t') {
            at += 1;
        }
        at
    }

    /// Reads a value of any kind.
    pub fn value(&mut self, mut at: usize) -> Result<usize, OutlineFault> {
        // One bit for each container, 1 for an object; the innermost is the lowest.
        let mut stack = 0u64;
        let mut depth = 0;
        'value: loop {
            match self.byte(at) {
                b'"' => at = self.string_value(at)?,
                b'{' => {
                    self.check_depth(depth, at)?;
                    at = self.skip_space(at + 1);
                    if self.byte(at) != b'}' {
                        stack = stack << 1 | 1;
                        depth += 1;
                        at = self.key(at)?.value;
                        continue;
                    }
                    at += 1;
                }
                b'[' => {
                    self.check_depth(depth, at)?;
                    at = self.skip_space(at + 1);
                    if self.byte(at) != b']' {
                        stack <<= 1;
                        depth += 1;
                        continue;
                    }
                    at += 1;
                }
                b'-' | b'0'..=b'9' => at = self.number(at)?,
                b't' => at = self.literal(at, b"true")?,
                b'f' => at = self.literal(at, b"false")?,
                b'n' => at = self.literal(at, b"null")?,
                _ => return Err(not_json(at, "a value")),
            }
            // Behind a value: the next one, or the end of as many containers as end here.
            loop {
                if depth == 0 {
                    return Ok(at);
                }
                at = self.skip_space(at);
                let byte = self.byte(at);
                if stack & 1 == 1 {
                    if byte == b',' {
                        at = self.skip_space(at + 1);
                        at = self.key(at)?.value;
                        continue 'value;
                    }
                    if byte != b'}' {
                        return Err(not_json(at, NEXT_MEMBER));
                    }
                } else {
                    if byte == b',' {
                        at = self.skip_space(at + 1);
                        continue 'value;
                    }
                    if byte != b']' {
                        return Err(not_json(at, NEXT_ELEMENT));
                    }
                }
                stack >>= 1;
                depth -= 1;
                self.key_start = 0;
                at += 1;
            }
        }
    }

    /// Whether one more container may be opened inside `depth` of them.
    #[inline(always)]
    fn check_depth(&self, depth: u32, at: usize) -> Result<(), OutlineFault> {
        if self.depth + depth == DEPTH_MAX {
            return Err(OutlineFault::TooDeep { at });
        }
        Ok(())
    }
}

#[cold]
pub fn not_json(at: usize, expected: &'static str) -> OutlineFault {
    OutlineFault::NotJson { at, expected }
}
