//! The demo model's tokenizer: one rule that counts prompts and answers alike, and cuts streams.
//! Knows text alone.
//!
//! A token is a word of at most [`WORD_CHARS_MAX`] letters and digits, or one other character; a single
//! space in front belongs to it. The pieces of a text, put together, are the text. The pieces of its
//! beginning are the beginning of its pieces, so a text cut after k tokens still counts k.

use std::ops::Range;

/// Longer words are several tokens, as with real tokenizers; else a megabyte of letters would count one.
const WORD_CHARS_MAX: usize = 12;

/// How many tokens a text is.
#[must_use]
pub fn count(text: &str) -> u64 {
    let mut rest = text;
    let mut tokens = 0;
    while let Some(length) = first_piece_bytes(rest) {
        rest = rest.get(length..).unwrap_or_default();
        tokens += 1;
    }
    tokens
}

/// The tokens of a text, in order.
pub fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (piece, after) = rest.split_at_checked(first_piece_bytes(rest)?)?;
        rest = after;
        Some(piece)
    })
}

/// The beginning of a text: as many tokens as `tokens_max`, and how many they are.
#[must_use]
pub fn cut(text: &str, tokens_max: u64) -> (&str, u64) {
    let mut end = 0;
    let mut tokens = 0;
    for piece in pieces(text) {
        if tokens == tokens_max {
            break;
        }
        end += piece.len();
        tokens += 1;
    }
    (text.get(..end).unwrap_or(text), tokens)
}

/// The pieces of a text that the iterator owns. The first piece spans at least `first_bytes`.
pub(crate) fn owned_pieces(
    text: String,
    first_bytes: usize,
) -> impl Iterator<Item = String> + Send {
    let mut at = 0;
    std::iter::from_fn(move || {
        let span = next_span(&text, at, if at == 0 { first_bytes } else { 0 })?;
        at = span.end;
        text.get(span).map(str::to_owned)
    })
}

fn next_span(text: &str, start: usize, bytes_min: usize) -> Option<Range<usize>> {
    let mut end = start + first_piece_bytes(text.get(start..)?)?;
    while end - start < bytes_min
        && let Some(length) = first_piece_bytes(text.get(end..)?)
    {
        end += length;
    }
    Some(start..end)
}

fn first_piece_bytes(text: &str) -> Option<usize> {
    let mut chars = text.chars();
    let first = chars.next()?;
    let (lead, head) = match (first, chars.next()) {
        (' ', Some(next)) if !next.is_whitespace() => (1, next),
        _ => (0, first),
    };
    if !head.is_alphanumeric() {
        return Some(lead + head.len_utf8());
    }
    let word = text.get(lead..)?.chars().take(WORD_CHARS_MAX).take_while(|c| c.is_alphanumeric());
    Some(lead + word.map(char::len_utf8).sum::<usize>())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const TEXTS: [&str; 6] = [
        "",
        "Hello, world! It costs 12.50 €.",
        "  two  spaces\n\tand a tab ",
        "日本語のテキストはとても長くて一つの単語に見えます",
        "👩‍👩‍👧 family, naïve café “quoted”",
        "antidisestablishmentarianism",
    ];

    #[test]
    fn the_pieces_of_a_text_put_together_are_the_text() {
        for text in TEXTS {
            assert_eq!(pieces(text).collect::<String>(), text);
            assert_eq!(owned_pieces(text.to_owned(), 0).collect::<String>(), text);
            assert_eq!(pieces(text).count() as u64, count(text));
        }
    }

    #[test]
    fn a_text_cut_after_k_tokens_counts_k() {
        for text in TEXTS {
            for k in 0..=count(text) {
                let (beginning, tokens) = cut(text, k);
                assert_eq!((tokens, count(beginning)), (k, k), "{text:?}");
            }
            assert_eq!(cut(text, u64::MAX), (text, count(text)));
        }
    }

    #[test]
    fn a_word_takes_its_space_along_and_a_long_one_is_several() {
        assert_eq!(pieces("a bc, d").collect::<Vec<_>>(), ["a", " bc", ",", " d"]);
        assert_eq!(count("antidisestablishmentarianism"), 3);
    }

    #[test]
    fn the_first_owned_piece_can_be_made_long() {
        let parts: Vec<_> = owned_pieces("one two three four".to_owned(), 6).collect();
        assert_eq!(parts, ["one two", " three", " four"]);
    }
}
