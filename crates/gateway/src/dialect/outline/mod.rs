//! The outline of a request's body: one pass over its bytes, borrowed, with no tree and no
//! allocation per token, before they are forwarded as they came. It owns the grammar (RFC 8259),
//! the closed lists of members that we look at, the refusal of ambiguous ones, and the counts that
//! an estimate needs. It must not know routes, dialects, limits or models.

mod field;
mod scan;
mod strings;
mod token;
mod value;

#[cfg(test)]
mod tests;

use std::fmt;

pub use field::{Field, OptionField, StreamOption};
pub use value::{Kind, Value};

use field::{Member, Spelling};
use scan::{Scanner, Tally};
use token::Key;
use value::Span;

/// How many containers may stand inside each other, the body's own object being the first. Real
/// requests stay under 20; the scanner keeps its stack in one word.
pub const DEPTH_MAX: u32 = 64;

/// What a body says, as far as we must know. Offsets count from the body's first byte.
#[derive(Clone)]
pub struct Outline<'a> {
    body: &'a [u8],
    open: usize,
    fields: [Span; Field::COUNT],
    options: [Span; OptionField::COUNT],
    stream_options: [Span; StreamOption::COUNT],
    stats: PromptStats,
}

/// What stands under the members that become part of a prompt: string values, never keys.
///
/// Text is counted in bytes of UTF-8, escapes resolved. A payload is a string of more than 1 KiB,
/// all ASCII and without a space, that stands directly under a key `url`, `image_url`, `data`,
/// `file_data` or `images`, or in an array under one: it counts as an image, not as text.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct PromptStats {
    /// Elements of the array `messages`.
    pub messages: u32,
    /// Elements of the array `input`; 1 where that is a lone string.
    pub inputs: u32,
    /// Bytes of text, payloads left out.
    pub text_bytes: u64,
    /// Bytes of payloads, as they stand in the body.
    pub image_bytes: u64,
    /// How many payloads.
    pub images: u32,
    /// Numbers in `prompt`, `input` and `context`, which may be given as tokens.
    pub token_ids: u32,
}

/// Why a body is refused. The sentences name our own fields and byte offsets, nothing of the body.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OutlineFault {
    #[error("The body is not valid UTF-8 at byte {at}.")]
    NotUtf8 { at: usize },
    #[error("The body begins with a byte order mark.")]
    Bom,
    #[error("The body is not valid JSON: {expected} was expected at byte {at}.")]
    NotJson { at: usize, expected: &'static str },
    #[error("The body is nested deeper than {DEPTH_MAX} levels at byte {at}.")]
    TooDeep { at: usize },
    #[error("The body must be a JSON object.")]
    NotAnObject,
    #[error("The field `{field}` stands twice, or in other letters than its own.")]
    Ambiguous { field: &'static str },
}

impl<'a> Outline<'a> {
    /// Reads a body from its first byte to its last.
    ///
    /// # Errors
    /// A body that isn't one JSON object in UTF-8, or in which a policy field is ambiguous.
    pub fn read(body: &'a [u8]) -> Result<Self, OutlineFault> {
        if body.starts_with(b"\xef\xbb\xbf") {
            return Err(OutlineFault::Bom);
        }
        // Valid JSON has bytes beyond ASCII in strings alone, and those are all looked at: only a body
        // that has any is gone over for UTF-8. Where both are at fault, that comes first.
        match Self::scan(body) {
            Ok((outline, true)) => Ok(outline),
            Ok((outline, false)) => check_utf8(body).map(|()| outline),
            Err(fault) => check_utf8(body).and(Err(fault)),
        }
    }

    /// Reads it as JSON, and tells whether all of it is ASCII.
    fn scan(body: &'a [u8]) -> Result<(Self, bool), OutlineFault> {
        let mut scanner = Scanner::new(body);
        let mut outline = Self {
            body,
            open: scanner.object_open()?,
            fields: [Span::ABSENT; Field::COUNT],
            options: [Span::ABSENT; OptionField::COUNT],
            stream_options: [Span::ABSENT; StreamOption::COUNT],
            stats: PromptStats::default(),
        };
        let end =
            scanner.members(outline.open, |scanner, key| outline.read_member(scanner, key))?;
        scanner.finish(end)?;
        Ok((outline, scanner.stops.all_ascii()))
    }

    /// A member of the body itself. One that may stand twice is its last.
    #[must_use]
    pub fn field(&self, field: Field) -> Option<Value<'a>> {
        self.fields.get(field.index())?.value(self.body)
    }

    /// A member of `options`, where that is an object.
    #[must_use]
    pub fn option_field(&self, field: OptionField) -> Option<Value<'a>> {
        self.options.get(field.index())?.value(self.body)
    }

    /// A member of `stream_options`, where that is an object.
    #[must_use]
    pub fn stream_option(&self, field: StreamOption) -> Option<Value<'a>> {
        self.stream_options.get(field.index())?.value(self.body)
    }

    /// Right behind the body's opening brace: where a member can be put in front of the others.
    #[must_use]
    pub fn body_open(&self) -> usize {
        self.open
    }

    /// Whether the body has no member: what is put in then takes no comma.
    #[must_use]
    pub fn is_empty_object(&self) -> bool {
        self.body.get(self.open..).is_some_and(|rest| rest.trim_ascii_start().starts_with(b"}"))
    }

    #[must_use]
    pub fn stats(&self) -> &PromptStats {
        &self.stats
    }

    /// Reads one member of the body and gives the offset behind its value.
    fn read_member(
        &mut self,
        scanner: &mut Scanner<'a>,
        key: Key<'a>,
    ) -> Result<usize, OutlineFault> {
        let Some((field, spelling)) = field::find(&key) else {
            return scanner.value(key.value);
        };
        check_ambiguity(field, spelling, &self.fields)?;
        scanner.tally = Tally::default();
        let mut elements = 0;
        let end = match (field, scanner.byte(key.value)) {
            (Field::Options, b'{') => {
                read_members::<OptionField>(scanner, key.value, &mut self.options)?
            }
            (Field::StreamOptions, b'{') => {
                read_members::<StreamOption>(scanner, key.value, &mut self.stream_options)?
            }
            (Field::Messages | Field::Input, b'[') => {
                scanner.elements(key.value + 1, |scanner, at| {
                    elements += 1;
                    scanner.value(at)
                })?
            }
            (_, first) => {
                elements = u32::from(field == Field::Input && first == b'"');
                scanner.value(key.value)?
            }
        };
        match field {
            Field::Messages => self.stats.messages = elements,
            Field::Input => self.stats.inputs = elements,
            _ => {}
        }
        self.stats.add(field, &scanner.tally);
        if spelling == Spelling::Exact {
            note(field, &mut self.fields, Span { start: key.value, end });
        }
        Ok(end)
    }
}

impl PromptStats {
    fn add(&mut self, field: Field, tally: &Tally) {
        if field.is_prompt() {
            self.text_bytes += tally.text_bytes;
            self.image_bytes += tally.payload_bytes;
            self.images += tally.payloads;
        }
        if field.holds_tokens() {
            self.token_ids += tally.numbers;
        }
    }
}

impl fmt::Debug for Outline<'_> {
    /// Without the body: it is a person's text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outline")
            .field("body_bytes", &self.body.len())
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

fn check_utf8(body: &[u8]) -> Result<(), OutlineFault> {
    if simdutf8::basic::from_utf8(body).is_ok() {
        return Ok(());
    }
    // The fast check doesn't say where.
    let at = std::str::from_utf8(body).err().map_or(0, |fault| fault.valid_up_to());
    Err(OutlineFault::NotUtf8 { at })
}

/// Reads an object in the body whose members we look at, from its brace.
fn read_members<M: Member>(
    scanner: &mut Scanner<'_>,
    brace: usize,
    spans: &mut [Span],
) -> Result<usize, OutlineFault> {
    scanner.members(brace + 1, |scanner, key| {
        let Some((member, spelling)) = field::find::<M>(&key) else {
            return scanner.value(key.value);
        };
        check_ambiguity(member, spelling, spans)?;
        let end = scanner.value(key.value)?;
        if spelling == Spelling::Exact {
            note(member, spans, Span { start: key.value, end });
        }
        Ok(end)
    })
}

fn check_ambiguity<M: Member>(
    member: M,
    spelling: Spelling,
    spans: &[Span],
) -> Result<(), OutlineFault> {
    let again = spans.get(member.index()).is_some_and(|span| *span != Span::ABSENT);
    if member.is_policy() && (again || spelling == Spelling::OtherCase) {
        return Err(OutlineFault::Ambiguous { field: member.path() });
    }
    Ok(())
}

fn note<M: Member>(member: M, spans: &mut [Span], at: Span) {
    if let Some(span) = spans.get_mut(member.index()) {
        *span = at;
    }
}
