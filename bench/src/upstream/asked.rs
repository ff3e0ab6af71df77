//! What a request asks for, found in its body while it passes.

use crate::model;

/// How a stream runs, read from the model's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    pub chunks: u64,
    pub interval_ns: u64,
}

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    Json,
    Stream { pace: Pace, usage: bool },
    Unknown,
}

/// Looks for `model` in a body while it passes, keeping nothing but its last bytes. Inside a JSON
/// string the quotes would be escaped: what people write can't be taken for it.
#[derive(Debug, Default)]
pub struct Search {
    carry: Vec<u8>,
    model: Vec<u8>,
    usage: bool,
}

/// Longer than any needle with its value: a match cut by two reads is found in their joint.
const CARRY_BYTES: usize = 128;

impl Search {
    pub fn feed(&mut self, data: &[u8]) {
        let joined = if self.carry.is_empty() { 0 } else { CARRY_BYTES.min(data.len()) };
        if joined > 0 {
            let mut joint = std::mem::take(&mut self.carry);
            joint.extend(data.iter().take(CARRY_BYTES));
            self.look(&joint);
            self.carry = joint;
        }
        self.look(data);
        self.carry.extend_from_slice(data.get(joined..).unwrap_or_default());
        let surplus = self.carry.len().saturating_sub(CARRY_BYTES);
        self.carry.drain(..surplus);
    }

    /// What was found; ready for the next body then.
    pub fn take(&mut self) -> Asked {
        let found = std::mem::take(self);
        if found.model == model::JSON.as_bytes() {
            return Asked::Json;
        }
        match std::str::from_utf8(&found.model).ok().and_then(pace) {
            Some(pace) => Asked::Stream { pace, usage: found.usage },
            None => Asked::Unknown,
        }
    }

    fn look(&mut self, text: &[u8]) {
        const MODEL: &[u8] = b"\"model\":\"";
        const USAGE: &[u8] = b"\"include_usage\":true";
        if self.model.is_empty()
            && let Some(at) = memchr::memmem::find(text, MODEL)
            && let Some(name) = text.get(at.saturating_add(MODEL.len())..)
            && let Some(end) = memchr::memchr(b'"', name)
        {
            self.model.extend(name.iter().take(end));
        }
        self.usage = self.usage || memchr::memmem::find(text, USAGE).is_some();
    }
}

fn pace(model: &str) -> Option<Pace> {
    let (chunks, interval_us) = model.strip_prefix("bench-stream-")?.split_once('-')?;
    let interval_us: u64 = interval_us.parse().ok()?;
    Some(Pace { chunks: chunks.parse().ok()?, interval_ns: interval_us.checked_mul(1_000)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Dialect;
    use crate::prompt::Prompt;

    fn asked(body: &[u8], read_bytes: usize) -> Asked {
        let mut search = Search::default();
        body.chunks(read_bytes).for_each(|data| search.feed(data));
        search.take()
    }

    #[test]
    fn the_model_is_found_in_every_prompt_wherever_reads_were_cut() {
        let pace = Pace { chunks: 12, interval_ns: 20_000_000 };
        for (prompt, dialect) in [
            (Prompt::OneKb, Dialect::Chat),
            (Prompt::OneKb, Dialect::Messages),
            (Prompt::OneKb, Dialect::Responses),
            (Prompt::Agent, Dialect::Chat),
            (Prompt::OneMb, Dialect::Chat),
        ] {
            for read_bytes in [100, 1_009, 65_536, 2_000_000] {
                let body = prompt.body(dialect, model::JSON, false);
                assert_eq!(asked(&body, read_bytes), Asked::Json);
                let body = prompt.body(dialect, "bench-stream-12-20000", true);
                assert_eq!(asked(&body, read_bytes), Asked::Stream { pace, usage: false });
            }
        }
        assert_eq!(asked(b"{\"model\":\"gpt\"}", 100), Asked::Unknown);
    }

    #[test]
    fn usage_is_sent_where_it_was_asked_for() {
        let body = b"{\"model\":\"bench-stream-1-0\",\"stream_options\":{\"include_usage\":true}}";
        for read_bytes in [7, 50, 100] {
            assert!(
                matches!(asked(body, read_bytes), Asked::Stream { usage: true, .. }),
                "{read_bytes}"
            );
        }
    }
}
