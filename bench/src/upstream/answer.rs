//! What the mock model says: whole answers and frames, as bytes on the wire.

use crate::model;

/// The body of a whole answer.
const JSON_BODY_BYTES: usize = 1 << 10;
/// Replaced by the time at which the frame is sent, plus [`STAMP_BASE`].
const STAMP: &[u8] = b"1000000000000000000";
/// Keeps the stamp's length, and hence the frame's, the same without a leading zero.
pub const STAMP_BASE: u64 = 1_000_000_000_000_000_000;
const STREAM_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\
    cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n";

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

/// The answers that don't depend on the request, made once.
#[derive(Debug)]
pub struct Answers {
    pub json: Vec<u8>,
    pub models: Vec<u8>,
    pub unknown: Vec<u8>,
    pub stream_head: &'static [u8],
    frame: Vec<u8>,
    stamp_at: usize,
}

impl Answers {
    pub fn new() -> Self {
        let frame = chunk(
            "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1790000000,\
             \"model\":\"bench-stream\",\"created_ns\":1000000000000000000,\
             \"choices\":[{\"index\":0,\"delta\":{\"content\":\" token\"},\"finish_reason\":null}]}\n\n",
        );
        let stamp_at = memchr::memmem::find(&frame, STAMP).unwrap_or(0);
        Self {
            json: whole("200 OK", &completion()),
            models: whole("200 OK", &models()),
            unknown: whole(
                "404 Not Found",
                "{\"error\":{\"message\":\"no such model\",\"code\":\"model_not_found\"}}",
            ),
            stream_head: STREAM_HEAD,
            frame,
            stamp_at,
        }
    }

    /// Adds one frame, stamped.
    pub fn push_frame(&self, out: &mut Vec<u8>, now_ns: u64) {
        let start = out.len().saturating_add(self.stamp_at);
        out.extend_from_slice(&self.frame);
        let mut left = now_ns.saturating_add(STAMP_BASE);
        for digit in out.iter_mut().skip(start).take(STAMP.len()).rev() {
            *digit = b'0' + u8::try_from(left % 10).unwrap_or(0);
            left /= 10;
        }
    }

    /// Adds a stream's last frames.
    pub fn push_end(&self, out: &mut Vec<u8>, chunks: u64, usage: bool) {
        const HEAD: &str = "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\
            \"created\":1790000000,\"model\":\"bench-stream\",";
        out.extend(chunk(&format!(
            "{HEAD}\"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"stop\"}}]}}\n\n"
        )));
        if usage {
            let total = chunks.saturating_add(200);
            out.extend(chunk(&format!(
                "{HEAD}\"choices\":[],\"usage\":{{\"prompt_tokens\":200,\"completion_tokens\":{chunks},\
                 \"total_tokens\":{total}}}}}\n\n"
            )));
        }
        out.extend(chunk("data: [DONE]\n\n"));
        out.extend_from_slice(b"0\r\n\r\n");
    }
}

fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

fn whole(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}

fn completion() -> String {
    let filled = |text: &str| {
        format!(
            "{{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion\",\"created\":1790000000,\
             \"model\":\"{}\",\"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",\
             \"content\":\"{text}\"}},\"finish_reason\":\"stop\"}}],\"usage\":{{\"prompt_tokens\":200,\
             \"completion_tokens\":150,\"total_tokens\":350}}}}",
            model::JSON
        )
    };
    filled(
        &"token "
            .repeat(JSON_BODY_BYTES)
            .chars()
            .take(JSON_BODY_BYTES - filled("").len())
            .collect::<String>(),
    )
}

fn models() -> String {
    let items: Vec<String> = model::ALL
        .iter()
        .map(|name| format!("{{\"id\":\"{name}\",\"object\":\"model\",\"created\":1790000000,\"owned_by\":\"bench\"}}"))
        .collect();
    format!("{{\"object\":\"list\",\"data\":[{}]}}", items.join(","))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::prompt::Prompt;

    fn asked(body: &[u8], read_bytes: usize) -> Asked {
        let mut search = Search::default();
        body.chunks(read_bytes).for_each(|data| search.feed(data));
        search.take()
    }

    #[test]
    fn the_model_is_found_in_every_prompt_wherever_reads_were_cut() {
        let pace = Pace { chunks: 12, interval_ns: 20_000_000 };
        for prompt in [Prompt::OneKb, Prompt::Agent, Prompt::OneMb] {
            for read_bytes in [100, 1_009, 65_536, 2_000_000] {
                assert_eq!(asked(&prompt.body(model::JSON, false), read_bytes), Asked::Json);
                let body = prompt.body("bench-stream-12-20000", true);
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

    #[test]
    fn whole_answers_and_frames_are_json_of_the_stated_size() {
        assert_eq!(completion().len(), JSON_BODY_BYTES);
        for text in [completion(), models()] {
            serde_json::from_str::<serde_json::Value>(&text).unwrap();
        }
        let (answers, mut out) = (Answers::new(), Vec::new());
        answers.push_frame(&mut out, 1_234_567_890_123);
        let frame = String::from_utf8(out).unwrap();
        assert!(frame.contains("\"created_ns\":1000001234567890123,"), "{frame}");
        assert!((190..=230).contains(&frame.len()), "{}", frame.len());
    }
}
