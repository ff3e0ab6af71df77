//! Which beginnings of prompts came before, for a dialect whose clients mark what is to be cached and pay for it
//! apart. Keeps fingerprints alone: the demo model has no work to save. Knows no dialect.
//!
//! As with a real provider the first request reports a beginning as created, later ones as read, and a longer
//! conversation reads what an earlier turn created. Unlike there, whole messages are cached, of any length, and
//! for as long as the process lives.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use crate::ask::{Ask, fnv};

/// Beginnings that are remembered. One more, and all are forgotten: a test has few, a benchmark marks none.
const BEGINNINGS_MAX: usize = 4096;

#[derive(Debug, Default)]
pub(crate) struct PromptCache {
    seen: Mutex<HashSet<u64>>,
}

/// What of a prompt's tokens the cache is concerned with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cached {
    pub created_tokens: u64,
    pub read_tokens: u64,
}

impl PromptCache {
    /// Caches the beginnings that end after so many messages each, and says what was there already.
    pub(crate) fn take(&self, model: &str, ask: &Ask, ends: &[usize]) -> Cached {
        let Some(last) = ends.iter().max() else {
            return Cached::default();
        };
        let beginnings: Vec<_> = ask.beginnings().take(last + 1).collect();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut whole_tokens, mut read_tokens) = (0, 0);
        let mut new = Vec::new();
        for (end, beginning) in beginnings.iter().enumerate() {
            let key = fnv(beginning.fingerprint, model.as_bytes());
            whole_tokens = beginning.tokens;
            if seen.contains(&key) {
                read_tokens = beginning.tokens;
            } else if ends.contains(&end) {
                new.push(key);
            }
        }
        if seen.len() + new.len() > BEGINNINGS_MAX {
            seen.clear();
        }
        seen.extend(new.into_iter().take(BEGINNINGS_MAX));
        Cached { created_tokens: whole_tokens - read_tokens, read_tokens }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::{Message, Role};

    fn ask(texts: &[&str]) -> Ask {
        let messages = texts.iter().map(|text| Message::new(Role::User, *text)).collect();
        Ask { messages, ..Ask::default() }
    }

    fn tokens(ask: &Ask, messages: usize) -> u64 {
        ask.beginnings().nth(messages).map_or(0, |beginning| beginning.tokens)
    }

    #[test]
    fn a_beginning_is_created_once_and_read_from_then_on() {
        let cache = PromptCache::default();
        let prompt = ask(&["one two three", "four"]);
        let first = tokens(&prompt, 1);
        let created = Cached { created_tokens: first, read_tokens: 0 };
        assert_eq!(cache.take("demo", &prompt, &[1]), created);
        let read = Cached { created_tokens: 0, read_tokens: first };
        assert_eq!(cache.take("demo", &prompt, &[1]), read);
        assert_eq!(cache.take("demo", &ask(&["one two three", "other"]), &[1]), read);
        assert_eq!(cache.take("demo2", &prompt, &[1]), created);
        assert_eq!(cache.take("demo", &prompt, &[]), Cached::default());
    }

    #[test]
    fn a_longer_conversation_reads_what_an_earlier_turn_created() {
        let cache = PromptCache::default();
        let first = ask(&["one", "two"]);
        cache.take("demo", &first, &[2]);
        let longer = ask(&["one", "two", "three", "four"]);
        let cached = cache.take("demo", &longer, &[4]);
        assert_eq!(cached.read_tokens, tokens(&first, 2));
        assert_eq!(cached.created_tokens, longer.prompt_tokens() - first.prompt_tokens());
    }

    #[test]
    fn it_forgets_everything_rather_than_grow() {
        let cache = PromptCache::default();
        for number in 0..=BEGINNINGS_MAX {
            cache.take("demo", &ask(&[&number.to_string()]), &[1]);
        }
        assert_eq!(cache.take("demo", &ask(&["0"]), &[1]).read_tokens, 0);
        let kept = cache.take("demo", &ask(&[&BEGINNINGS_MAX.to_string()]), &[1]);
        assert_ne!(kept.read_tokens, 0);
    }

    #[test]
    fn the_last_beginning_is_the_whole_prompt() {
        let prompt = ask(&["one", "two"]);
        assert_eq!(tokens(&prompt, 2), prompt.prompt_tokens());
    }
}
