//! Globs of names: `*` stands for any characters, `?` for one byte; case counts.
//!
//! What is set for models by name stands under globs. Of those that match a name the most specific
//! one counts: [`most_specific`].

use std::cmp::Reverse;
use std::collections::BTreeMap;

/// What a name doesn't have and a glob may.
pub const WILDCARDS: [char; 2] = ['*', '?'];

/// Whether a glob matches the whole name.
#[must_use]
pub fn matches(glob: &str, name: &str) -> bool {
    let (glob, name) = (glob.as_bytes(), name.as_bytes());
    let (mut at, mut in_glob) = (0, 0);
    // Where to go on when what follows the last star doesn't match.
    let mut star: Option<(usize, usize)> = None;
    while let Some(byte) = name.get(at) {
        match glob.get(in_glob) {
            Some(b'*') => {
                star = Some((in_glob + 1, at));
                in_glob += 1;
                continue;
            }
            Some(b'?') => {}
            Some(wanted) if wanted == byte => {}
            _ => match &mut star {
                Some((after, from)) => {
                    *from += 1;
                    (in_glob, at) = (*after, *from);
                    continue;
                }
                None => return false,
            },
        }
        at += 1;
        in_glob += 1;
    }
    glob.get(in_glob..).is_none_or(|rest| rest.iter().all(|byte| *byte == b'*'))
}

/// What stands under the glob that says most about a name: of those that match it, the one with
/// the longest text before its first wildcard, then the first in the alphabet. A glob without
/// wildcards thus goes before all others.
#[must_use]
pub fn most_specific<'a, T>(
    by_glob: &'a BTreeMap<String, T>,
    name: &str,
) -> Option<(&'a str, &'a T)> {
    by_glob
        .iter()
        .filter(|(glob, _)| matches(glob, name))
        .min_by_key(|(glob, _)| Reverse(literal_bytes(glob)))
        .map(|(glob, value)| (glob.as_str(), value))
}

fn literal_bytes(glob: &str) -> usize {
    glob.find(WILDCARDS).unwrap_or(glob.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_whole_names() {
        for (glob, name, expected) in [
            ("llama*", "llama3:8b", true),
            ("llama*", "codellama", false),
            ("*", "", true),
            ("gpt-?o", "gpt-4o", true),
            ("gpt-?o", "gpt-4.1o", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b-cd", false),
            ("exact", "exact", true),
            ("exact", "exactly", false),
        ] {
            assert_eq!(matches(glob, name), expected, "{glob} {name}");
        }
    }

    #[test]
    fn the_longest_literal_start_counts_then_the_alphabet() {
        let globs = ["*", "?pt-4o", "gpt-4*", "gpt-4?", "gpt-4o", "gpt-4o*", "gpt-4o*mini", "x*"];
        let by_glob: BTreeMap<String, ()> =
            globs.into_iter().map(|glob| (glob.to_owned(), ())).collect();
        for (name, expected) in [
            ("gpt-4o", "gpt-4o"),
            ("gpt-4o-mini", "gpt-4o*"),
            ("gpt-41", "gpt-4*"),
            ("gpt-4", "gpt-4*"),
            ("opt-4o", "*"),
            ("llama", "*"),
        ] {
            assert_eq!(
                most_specific(&by_glob, name).map(|(glob, ())| glob),
                Some(expected),
                "{name}"
            );
        }
        assert_eq!(most_specific(&BTreeMap::<String, ()>::new(), "a"), None);
    }
}
