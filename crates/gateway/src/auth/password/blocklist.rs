//! Passwords that are guessed first: those on the lists of leaked ones, a common word over and over
//! or with a run behind it, and runs along the alphabet or the keyboard. It copies nothing of the password that it looks at.
//!
//! The lists are data of others, under the MIT and BSD-3-Clause licences: each file's head names its
//! sources.

use std::sync::LazyLock;

/// Of 15 bytes and more: what a new password could be.
static COMMON: LazyLock<Vec<&str>> = LazyLock::new(|| entries(include_str!("blocklist.txt")));
/// Shorter ones, which many people lengthen by writing them again.
static STEMS: LazyLock<Vec<&str>> = LazyLock::new(|| entries(include_str!("blocklist_stems.txt")));
/// The longest stem, in bytes.
const STEM_BYTES_MAX: usize = 14;
/// Whatever so few bytes are, over and over they are easily guessed: one emoji, or four letters.
const TRIVIAL_BYTES: usize = 4;
/// What fingers run along, around and around, in both directions.
const ROUNDS: [&str; 13] = [
    "1234567890",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "qwertyuiopasdfghjklzxcvbnm",
    "1234567890qwertyuiopasdfghjklzxcvbnm",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
    "qwertzuiop",
    "qwertzuiopasdfghjklyxcvbnm",
    "1234567890qwertzuiopasdfghjklyxcvbnm",
    "azertyuiop",
    "azertyuiopqsdfghjklmwxcvbn",
];

/// Whether a password is one that is guessed first; the case of its letters doesn't matter.
pub fn is_common(password: &str) -> bool {
    let password = password.trim_ascii().as_bytes();
    contains(&COMMON, password)
        || is_repeated(password)
        || is_run(password)
        || is_word_and_run(password)
}

/// The lines that aren't comments; the files are sorted.
fn entries(file: &'static str) -> Vec<&'static str> {
    file.lines().filter(|line| !line.starts_with('#')).collect()
}

fn contains(sorted: &[&str], password: &[u8]) -> bool {
    let in_small_letters = || password.iter().map(u8::to_ascii_lowercase);
    sorted.binary_search_by(|entry| entry.bytes().cmp(in_small_letters())).is_ok()
}

/// One stem and nothing else; the last time it may be cut off.
fn is_repeated(password: &[u8]) -> bool {
    (1..=STEM_BYTES_MAX).any(|bytes| {
        let Some((stem, rest)) = password.split_at_checked(bytes) else { return false };
        !rest.is_empty()
            && rest.iter().zip(password).all(|(byte, before)| byte.eq_ignore_ascii_case(before))
            && (bytes <= TRIVIAL_BYTES || contains(&STEMS, stem))
    })
}

/// One stem, and a run behind it that makes it long enough.
fn is_word_and_run(password: &[u8]) -> bool {
    (1..=STEM_BYTES_MAX).any(|bytes| {
        let split = password.split_at_checked(bytes);
        split.is_some_and(|(stem, rest)| contains(&STEMS, stem) && is_run(rest))
    })
}

fn is_run(password: &[u8]) -> bool {
    ROUNDS
        .iter()
        .any(|round| follows(password, round.bytes()) || follows(password, round.bytes().rev()))
}

/// A byte stands once in a round: where the password enters it is certain.
fn follows(password: &[u8], round: impl Iterator<Item = u8> + Clone) -> bool {
    let is_first =
        |byte: u8| password.first().is_some_and(|first| first.eq_ignore_ascii_case(&byte));
    round.clone().position(is_first).is_some_and(|start| {
        let expected = round.cycle().skip(start);
        password.iter().zip(expected).all(|(byte, expected)| byte.eq_ignore_ascii_case(&expected))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted_and_hold_what_they_say() {
        assert!((3_000..5_000).contains(&COMMON.len()), "{}", COMMON.len());
        assert!((500..2_000).contains(&STEMS.len()), "{}", STEMS.len());
        for list in [&COMMON, &STEMS] {
            assert!(list.is_sorted_by(|one, next| one.as_bytes() < next.as_bytes()));
            let small = |entry: &&str| entry.is_ascii() && **entry == entry.to_ascii_lowercase();
            assert!(list.iter().all(small));
        }
        assert!(COMMON.iter().all(|entry| entry.len() > STEM_BYTES_MAX));
        assert!(STEMS.iter().all(|stem| (4..=STEM_BYTES_MAX).contains(&stem.len())));
    }

    #[test]
    fn what_is_on_the_lists_is_common_in_any_case() {
        for password in ["1qaz2wsx3edc4rfv", "spongebobsquarepants", "SpongeBobSquarePants"] {
            assert!(is_common(password), "{password}");
        }
        assert!(COMMON.iter().all(|entry| is_common(entry)));
    }

    #[test]
    fn one_common_word_over_and_over_is_common() {
        for password in [
            "letmeinletmeinletmein",
            "PasswordPassword",
            "passwordpassword  ",
            "Password12345678",
            "iloveyou1234567",
            "changemechangemechange",
            "123451234512345",
            "aaaaaaaaaaaaaaa",
            "xyzxyzxyzxyzxyz",
            "😀😀😀😀😀",
        ] {
            assert!(is_common(password), "{password}");
        }
    }

    #[test]
    fn a_run_along_the_alphabet_or_the_keyboard_is_common() {
        for password in [
            "123456789012345",
            "567890123456789012",
            "987654321098765",
            "abcdefghijklmnopqrst",
            "ZYXWVUTSRQPONMLK",
            "qwertyuiopasdfgh",
            "tyuiopqwertyuiopqwe",
            "lkjhgfdsalkjhgfdsa",
            "azertyuiopqsdfghj",
        ] {
            assert!(is_run(password.as_bytes()), "{password}");
        }
    }

    #[test]
    fn phrases_and_random_text_are_not_common() {
        for password in [
            "correct horse battery",
            "admin-password-12345",
            "test-password-0001",
            "operator-page-password",
            "password monkey dragon",
            "123456789012346",
            "abcdefghijklmnopqrsu",
            "Zq8vT2mK4xW9nB7",
            "passwordpassworx",
            "überraschungseier",
        ] {
            assert!(!is_common(password), "{password}");
        }
    }
}
