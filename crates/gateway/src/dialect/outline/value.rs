//! A member's value: its kind, its place, and how it reads as a Rust value. It trusts that the
//! scanner has been over its bytes, and answers `None` where they say something else.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

/// What stands in for what no `char` can hold: half of a surrogate pair.
const NOT_A_CHAR: char = char::REPLACEMENT_CHARACTER;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

/// A value as it stands in the body.
#[derive(Clone)]
pub struct Value<'a> {
    pub kind: Kind,
    /// Its bytes' place in the body, quotes and brackets included.
    pub range: Range<usize>,
    pub raw: &'a [u8],
}

/// Where a value stands. None stands at 0: there is the body's brace.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub start: usize,
    pub end: usize,
}

impl Kind {
    /// For a sentence: "must be …".
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Number => "a number",
            Self::String => "a string",
            Self::Array => "an array",
            Self::Object => "an object",
        }
    }

    /// What a value is, by its first byte.
    #[must_use]
    pub fn of(first: u8) -> Option<Self> {
        Some(match first {
            b'n' => Self::Null,
            b't' | b'f' => Self::Bool,
            b'-' | b'0'..=b'9' => Self::Number,
            b'"' => Self::String,
            b'[' => Self::Array,
            b'{' => Self::Object,
            _ => return None,
        })
    }
}

impl Span {
    pub const ABSENT: Self = Self { start: 0, end: 0 };

    pub fn value(self, body: &[u8]) -> Option<Value<'_>> {
        if self == Self::ABSENT {
            return None;
        }
        let range = self.start..self.end;
        let raw = body.get(range.clone())?;
        Some(Value { kind: Kind::of(*raw.first()?)?, range, raw })
    }
}

impl<'a> Value<'a> {
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.kind == Kind::Null
    }

    /// A string, array or object with nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self.kind, Kind::String | Kind::Array | Kind::Object)
            && self.inner().is_some_and(|inner| match self.kind {
                Kind::String => inner.is_empty(),
                _ => inner.trim_ascii().is_empty(),
            })
    }

    /// A string's text, escapes resolved; an unpaired surrogate becomes U+FFFD.
    #[must_use]
    pub fn as_str(&self) -> Option<Cow<'a, str>> {
        if self.kind != Kind::String {
            return None;
        }
        Some(unescape(std::str::from_utf8(self.inner()?).ok()?))
    }

    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self.raw {
            b"true" => Some(true),
            b"false" => Some(false),
            _ => None,
        }
    }

    /// A number without sign, fraction and exponent, if it fits.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        self.number()?.parse().ok()
    }

    /// A number without fraction and exponent, if it fits.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        self.number()?.parse().ok()
    }

    fn number(&self) -> Option<&'a str> {
        if self.kind != Kind::Number {
            return None;
        }
        std::str::from_utf8(self.raw).ok()
    }

    fn inner(&self) -> Option<&'a [u8]> {
        self.raw.get(1..self.raw.len().checked_sub(1)?)
    }
}

impl fmt::Debug for Value<'_> {
    /// Without the bytes: they may be a person's text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Value")
            .field("kind", &self.kind)
            .field("range", &self.range)
            .finish_non_exhaustive()
    }
}

/// The text that stands between a string's quotes.
pub fn unescape(raw: &str) -> Cow<'_, str> {
    let Some((plain, mut rest)) = raw.split_once('\\') else {
        return Cow::Borrowed(raw);
    };
    let mut text = String::with_capacity(raw.len());
    text.push_str(plain);
    loop {
        let mut letters = rest.chars();
        let letter = letters.next();
        rest = letters.as_str();
        match letter {
            Some('b') => text.push('\u{8}'),
            Some('f') => text.push('\u{c}'),
            Some('n') => text.push('\n'),
            Some('r') => text.push('\r'),
            Some('t') => text.push('\t'),
            Some('u') => {
                let letter;
                (letter, rest) = code_point(rest);
                text.push(letter);
            }
            Some(itself) => text.push(itself),
            None => {}
        }
        let Some((plain, more)) = rest.split_once('\\') else {
            break;
        };
        text.push_str(plain);
        rest = more;
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// The character that one `\uXXXX` or a pair of them stands for, from behind the first `u`, and
/// what follows.
fn code_point(text: &str) -> (char, &str) {
    let Some((high, rest)) = code_unit(text) else {
        return (NOT_A_CHAR, text);
    };
    if (0xd800..0xdc00).contains(&high)
        && let Some((low, behind)) = rest.strip_prefix("\\u").and_then(code_unit)
        && (0xdc00..0xe000).contains(&low)
    {
        let point = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
        return (char::from_u32(point).unwrap_or(NOT_A_CHAR), behind);
    }
    (char::from_u32(high).unwrap_or(NOT_A_CHAR), rest)
}

fn code_unit(text: &str) -> Option<(u32, &str)> {
    let (digits, rest) = text.split_at_checked(4)?;
    Some((u32::from_str_radix(digits, 16).ok()?, rest))
}
