//! What the mock model says: whole answers and frames, as bytes on the wire.

use super::words::{self, Event, Words};
use crate::dialect::Dialect;
use crate::model;

/// The body of a whole answer.
const JSON_BODY_BYTES: usize = 1 << 10;
/// The event of one token, in every dialect.
const TOKEN_BYTES: usize = 215;
/// Replaced by the time at which the frame is sent, plus [`STAMP_BASE`]. It stands in the text
/// itself, behind an `@`: nothing else is kept where a stream is translated.
const STAMP: &[u8] = b"1000000000000000000";
/// Keeps the stamp's length, and hence the frame's, the same without a leading zero.
pub const STAMP_BASE: u64 = 1_000_000_000_000_000_000;
const PROMPT_TOKENS: u64 = 200;
const STREAM_HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\
    cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n";

/// The answers that don't depend on the request, made once.
#[derive(Debug)]
pub struct Answers {
    pub models: Vec<u8>,
    pub unknown: Vec<u8>,
    chat: Answer,
    messages: Answer,
    responses: Answer,
}

/// How one dialect's requests are answered.
#[derive(Debug)]
pub struct Answer {
    pub whole: Vec<u8>,
    /// A stream's head, and what comes before its first token.
    pub opening: Vec<u8>,
    frame: Vec<u8>,
    stamp_at: usize,
    end: &'static [Event],
}

impl Answers {
    pub fn new() -> Self {
        Self {
            models: whole("200 OK", &models()),
            unknown: whole(
                "404 Not Found",
                "{\"error\":{\"message\":\"no such model\",\"code\":\"model_not_found\"}}",
            ),
            chat: Answer::new(&words::CHAT),
            messages: Answer::new(&words::MESSAGES),
            responses: Answer::new(&words::RESPONSES),
        }
    }

    /// The one that is meant by a path. This is no Ollama: what a gateway is asked in that dialect,
    /// it has to translate.
    pub fn at(&self, path: &str) -> Option<&Answer> {
        [
            (Dialect::Chat, &self.chat),
            (Dialect::Messages, &self.messages),
            (Dialect::Responses, &self.responses),
        ]
        .into_iter()
        .find_map(|(dialect, answer)| (dialect.path() == path).then_some(answer))
    }
}

impl Answer {
    fn new(words: &Words) -> Self {
        let frame = chunk(&filled(words.token, "<pad>", " ", TOKEN_BYTES - EVENT_END.len()));
        Self {
            whole: whole("200 OK", &filled(words.whole, "<text>", "token ", JSON_BODY_BYTES)),
            opening: std::iter::once(STREAM_HEAD.into())
                .chain(words.opening.iter().map(|event| chunk(event)))
                .flatten()
                .collect(),
            stamp_at: memchr::memmem::find(&frame, STAMP).unwrap_or(0),
            frame,
            end: words.end,
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
    pub fn push_end(&self, out: &mut Vec<u8>, tokens: u64, usage: bool) {
        for event in self.end {
            let text = match event {
                Event::Always(text) => text,
                Event::Usage(text) if usage => text,
                Event::Usage(_) => continue,
            };
            let text = text.replace("<tokens>", &tokens.to_string());
            let total = tokens.saturating_add(PROMPT_TOKENS);
            out.extend(chunk(&text.replace("<total>", &total.to_string())));
        }
        out.extend_from_slice(b"0\r\n\r\n");
    }
}

/// Ends a server-sent event (WHATWG HTML §9.2).
const EVENT_END: &str = "\n\n";

/// An event as an HTTP chunk of its own.
fn chunk(event: &str) -> Vec<u8> {
    format!("{:x}\r\n{event}{EVENT_END}\r\n", event.len() + EVENT_END.len()).into_bytes()
}

fn whole(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}

/// The text, of exactly so many bytes: a mark in it gives way to what is repeated.
fn filled(text: &str, mark: &str, repeated: &str, bytes: usize) -> String {
    let missing = (bytes + mark.len()).saturating_sub(text.len());
    text.replace(mark, &repeated.chars().cycle().take(missing).collect::<String>())
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
    use serde_json::{Value, json};

    use super::*;
    use crate::wire::{self, Body};

    const DIALECTS: [Dialect; 3] = [Dialect::Chat, Dialect::Messages, Dialect::Responses];

    /// The body of a response on the wire.
    fn body(wire: &[u8]) -> String {
        let head = wire::response_head(wire).unwrap().unwrap();
        let (mut body, mut content) = (Body::new(head.framing), Vec::new());
        let rest = wire.get(head.bytes..).unwrap();
        assert_eq!(body.feed(rest, |part| content.extend_from_slice(part)), Ok(rest.len()));
        assert!(body.is_done());
        String::from_utf8(content).unwrap()
    }

    /// The events of a stream of one token.
    fn stream(dialect: Dialect, usage: bool) -> Vec<String> {
        let answers = Answers::new();
        let answer = answers.at(dialect.path()).unwrap();
        let mut wire = answer.opening.clone();
        answer.push_frame(&mut wire, 1_234_567_890_123);
        answer.push_end(&mut wire, 7, usage);
        let text = body(&wire);
        text.strip_suffix("\n\n").unwrap().split("\n\n").map(str::to_owned).collect()
    }

    fn data(event: &str) -> Value {
        let data = event.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
        if data == "[DONE]" { json!("done") } else { serde_json::from_str(data).unwrap() }
    }

    #[test]
    fn whole_answers_are_json_of_the_stated_size_with_their_usage() {
        let answers = Answers::new();
        for dialect in DIALECTS {
            let text = body(&answers.at(dialect.path()).unwrap().whole);
            assert_eq!(text.len(), JSON_BODY_BYTES, "{dialect}");
            let read: Value = serde_json::from_str(&text).unwrap();
            assert!(read["usage"].is_object() && text.contains("token token"), "{text}");
        }
        serde_json::from_str::<Value>(&body(&answers.models)).unwrap();
        assert!(answers.at(Dialect::Ollama.path()).is_none());
    }

    #[test]
    fn a_token_is_stamped_in_its_text_and_of_one_length_in_every_dialect() {
        for (dialect, place) in [
            (Dialect::Chat, "/choices/0/delta/content"),
            (Dialect::Messages, "/delta/text"),
            (Dialect::Responses, "/delta"),
        ] {
            let events = stream(dialect, true);
            let token = events.iter().find(|event| event.contains('@')).unwrap();
            assert_eq!(token.len() + EVENT_END.len(), TOKEN_BYTES, "{dialect}");
            assert_eq!(data(token).pointer(place), Some(&json!("@1000001234567890123")));
        }
    }

    #[test]
    fn events_are_named_by_their_type_and_the_last_ones_tell_the_usage() {
        for dialect in [Dialect::Messages, Dialect::Responses] {
            for event in stream(dialect, true) {
                let name = event.lines().find_map(|line| line.strip_prefix("event: "));
                assert_eq!(data(&event)["type"].as_str(), name, "{dialect}");
            }
        }
        let told = |dialect, usage, place| -> Option<u64> {
            let events = stream(dialect, usage);
            events.iter().rev().find_map(|event| data(event).pointer(place)?.as_u64())
        };
        assert_eq!(told(Dialect::Chat, true, "/usage/total_tokens"), Some(207));
        assert_eq!(told(Dialect::Chat, false, "/usage/total_tokens"), None);
        assert_eq!(told(Dialect::Messages, false, "/usage/output_tokens"), Some(7));
        assert_eq!(told(Dialect::Responses, false, "/response/usage/total_tokens"), Some(207));
    }
}
