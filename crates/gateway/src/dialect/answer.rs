//! Reads an answer as it passes: what it used, how much of it was delivered, whether it ended.

use std::collections::VecDeque;

use bytes::Bytes;
use fluxgate_core::Usage;
use fluxgate_core::usage::UsageSource;

use super::capture::Capture;
use super::frames::{FrameSplitter, Inspect, Verdict};
use super::translate::Lines;
use super::{Ask, Dialect, Framing, anthropic, ollama, openai, responses};

/// The most that is held of a frame which is translated: it can't pass in pieces.
const TRANSLATED_BYTES_MAX: usize = 96 * 1024;

/// What an answer has shown so far.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Shown {
    /// The provider's own count, as last reported.
    pub reported: Option<Usage>,
    /// Frames, whatever they brought.
    pub frames: u64,
    /// Frames that brought text.
    pub text_frames: u64,
    /// Bytes of that text.
    pub text_bytes: u64,
    /// Choices that told why they ended, where the dialect has several.
    pub choices_ended: u64,
    /// The dialect's own end mark was seen.
    pub ended: bool,
    /// The upstream itself sent an error frame.
    pub errored: bool,
}

/// What was asked of a stream, as far as its reader must know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Streamed {
    /// The usage frame is ours.
    pub withhold_usage: bool,
    pub choices: u32,
}

impl Streamed {
    /// One answer, whose usage the client wants too.
    pub const PLAIN: Self = Self { withhold_usage: false, choices: 1 };

    #[must_use]
    pub fn of(ask: &Ask) -> Self {
        Self { withhold_usage: ask.withhold_usage, choices: ask.choices }
    }
}

/// How an upstream's stream ended, judged by what it had shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// As the dialect wants it, or with an error that the client has seen.
    Whole,
    /// Without its end mark: something in between died.
    Cut,
}

#[derive(Debug)]
pub struct AnswerReader {
    splitter: FrameSplitter,
    /// As the client sees it.
    framing: Framing,
    reader: Reader,
}

#[derive(Debug)]
struct Reader {
    dialect: Dialect,
    asked: Streamed,
    shown: Shown,
    /// For documents and oversize frames, which pass in pieces. Boxed: most streams need none.
    captures: Option<Box<[Capture]>>,
    /// Puts the stream into Ollama's form; the upstream's own frames don't pass then.
    lines: Option<Box<Lines>>,
}

impl AnswerReader {
    pub fn new(dialect: Dialect, framing: Framing, asked: Streamed) -> Self {
        let reader =
            Reader { dialect, asked, shown: Shown::default(), captures: None, lines: None };
        Self { splitter: FrameSplitter::new(framing), framing, reader }
    }

    /// Reads a stream of OpenAI's that goes on as lines of Ollama's.
    pub fn translated(lines: Box<Lines>) -> Self {
        let mut reader = Self::new(Dialect::OpenAi, Framing::Sse, Streamed::PLAIN);
        reader.splitter = FrameSplitter::holding(Framing::Sse, TRANSLATED_BYTES_MAX);
        reader.framing = Framing::Ndjson;
        reader.reader.lines = Some(lines);
        reader
    }

    /// Whether nothing that may still come passes on.
    pub fn is_over(&self) -> bool {
        self.reader.lines.as_ref().is_some_and(|lines| lines.is_over())
    }

    /// Whether the upstream said something that the client's dialect has no words for.
    pub fn is_broken(&self) -> bool {
        self.reader.lines.as_ref().is_some_and(|lines| lines.is_broken())
    }

    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Whether a frame of ours may be put in now.
    pub fn between_frames(&self) -> bool {
        self.reader.lines.is_some()
            || self.framing != Framing::Whole && self.splitter.between_frames()
    }

    /// Takes what arrived; what may pass is put at the end of `out`.
    pub fn push(&mut self, chunk: Bytes, out: &mut VecDeque<Bytes>) {
        if self.framing == Framing::Whole {
            self.reader.piece(&chunk);
            out.push_back(chunk);
        } else if self.reader.lines.is_some() {
            // Nothing of the upstream's own passes.
            self.splitter.push(chunk, &mut self.reader, &mut VecDeque::new());
            out.extend(self.reader.lines.as_mut().and_then(|lines| lines.take()));
        } else {
            self.splitter.push(chunk, &mut self.reader, out);
        }
    }

    /// The upstream's body is over: gives the rest of it, and how it ended.
    pub fn finish(&mut self) -> (Bytes, Ending) {
        let mut rest = self.splitter.finish(&mut self.reader);
        let Reader { shown, lines, .. } = &mut self.reader;
        let mut whole = self.framing == Framing::Whole || shown.ended || shown.errored;
        if let Some(lines) = lines {
            if shown.ended {
                lines.end(shown.reported);
            }
            whole = lines.is_over();
            rest = lines.take().unwrap_or_default();
        }
        (rest, if whole { Ending::Whole } else { Ending::Cut })
    }

    /// What the answer used: the provider's own count, else one from what was delivered.
    pub fn usage(&self, prompt_estimate: u64) -> Usage {
        let captured =
            self.reader.captures.as_deref().and_then(|captures| match self.reader.dialect {
                Dialect::OpenAi => openai::captured_usage(captures),
                Dialect::Responses => responses::captured_usage(captures),
                Dialect::Anthropic => anthropic::captured_usage(captures),
                Dialect::Ollama => ollama::captured_usage(captures),
            });
        let shown = &self.reader.shown;
        shown.reported.or(captured).unwrap_or(Usage {
            prompt: prompt_estimate,
            // A frame is a token at least; text has about four bytes a token.
            completion: shown.text_frames.max(shown.text_bytes.div_ceil(4)),
            source: UsageSource::Estimated,
            ..Usage::default()
        })
    }

    /// Whole frames that have passed.
    pub fn frames(&self) -> u64 {
        self.reader.shown.frames
    }

    /// Whether text has been delivered: the time of the first is the time to first token.
    pub fn has_text(&self) -> bool {
        self.reader.shown.text_frames > 0
    }
}

impl Inspect for Reader {
    fn frame(&mut self, frame: &[u8]) -> Verdict {
        let shown = &mut self.shown;
        shown.frames += 1;
        match self.dialect {
            Dialect::OpenAi => {
                let verdict = openai::inspect(frame, self.asked, shown);
                let Some(lines) = &mut self.lines else { return verdict };
                lines.event(frame, shown.reported);
                return Verdict::Withhold;
            }
            Dialect::Responses => responses::inspect(frame, shown),
            Dialect::Anthropic => anthropic::inspect(frame, shown),
            Dialect::Ollama => ollama::inspect(frame, shown),
        }
        Verdict::Pass
    }

    fn piece(&mut self, piece: &[u8]) {
        if let Some(lines) = &mut self.lines {
            return lines.oversize();
        }
        let captures = self.captures.get_or_insert_with(|| match self.dialect {
            Dialect::OpenAi => openai::captures(),
            Dialect::Responses => responses::captures(),
            Dialect::Anthropic => anthropic::captures(),
            Dialect::Ollama => ollama::captures(),
        });
        captures.iter_mut().for_each(|capture| capture.push(piece));
        self.shown.text_bytes += match self.dialect {
            Dialect::OpenAi => openai::text_bytes(piece),
            Dialect::Responses => responses::text_bytes(piece),
            Dialect::Anthropic => anthropic::text_bytes(piece),
            Dialect::Ollama => ollama::text_bytes(piece),
        };
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    /// What a real server answered (llama.cpp's), by dialect and framing.
    const RECORDINGS: [(&str, Dialect, Framing); 9] = [
        ("anthropic-count-tokens", Dialect::Anthropic, Framing::Whole),
        ("anthropic-messages", Dialect::Anthropic, Framing::Whole),
        ("anthropic-messages-stream", Dialect::Anthropic, Framing::Sse),
        ("openai-responses", Dialect::Responses, Framing::Whole),
        ("openai-responses-stream", Dialect::Responses, Framing::Sse),
        ("openai-chat", Dialect::OpenAi, Framing::Whole),
        ("openai-chat-stream-usage", Dialect::OpenAi, Framing::Sse),
        ("openai-chat-tools-stream", Dialect::OpenAi, Framing::Sse),
        ("openai-completions-stream", Dialect::OpenAi, Framing::Sse),
    ];

    fn body(name: &str) -> String {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/recordings");
        let text = std::fs::read_to_string(format!("{folder}/{name}.http")).unwrap();
        text.replace("\r\n", "\n").split_once("\n\n").unwrap().1.to_owned()
    }

    fn read<'a>(
        dialect: Dialect,
        framing: Framing,
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> (Vec<u8>, Usage, Ending) {
        let mut reader = AnswerReader::new(dialect, framing, Streamed::PLAIN);
        let (mut out, mut passed) = (VecDeque::new(), Vec::new());
        for piece in pieces {
            reader.push(Bytes::copy_from_slice(piece), &mut out);
            out.drain(..).for_each(|bytes: Bytes| passed.extend_from_slice(&bytes));
        }
        let (rest, ending) = reader.finish();
        passed.extend_from_slice(&rest);
        (passed, reader.usage(3), ending)
    }

    #[test]
    fn recordings_read_the_same_at_every_split() {
        for (name, dialect, framing) in RECORDINGS {
            let body = body(name);
            let body = body.as_bytes();
            let (passed, usage, ending) = read(dialect, framing, [body]);
            assert_eq!((&*passed, ending), (body, Ending::Whole), "{name}");
            // This one wasn't asked for its usage.
            let reported = name != "openai-chat-tools-stream";
            assert_eq!(usage.source == UsageSource::Reported, reported, "{name}: {usage:?}");
            for cut in 0..=body.len() {
                let (first, second) = body.split_at(cut);
                let told = read(dialect, framing, [first, second]);
                assert_eq!((&*told.0, told.1, told.2), (body, usage, ending), "{name} at {cut}");
            }
            for step in 1..=16 {
                let told = read(dialect, framing, body.chunks(step));
                assert_eq!((&*told.0, told.1, told.2), (body, usage, ending), "{name} by {step}");
            }
        }
    }

    #[test]
    fn a_stream_of_several_choices_is_over_when_each_of_them_is() {
        let end = |index: u32| {
            format!(
                "data: {{\"choices\":[{{\"index\":{index},\"delta\":{{}},\"finish_reason\":\"stop\"}}]}}\n\n"
            )
        };
        for (choices, stream, ending) in [
            (1, end(0), Ending::Whole),
            (2, end(1), Ending::Cut),
            (2, end(1) + &end(0), Ending::Whole),
            (2, end(1) + "data: [DONE]\n\n", Ending::Whole),
        ] {
            let asked = Streamed { choices, ..Streamed::PLAIN };
            let mut reader = AnswerReader::new(Dialect::OpenAi, Framing::Sse, asked);
            reader.push(Bytes::from(stream.clone()), &mut VecDeque::new());
            assert_eq!(reader.finish().1, ending, "{choices}: {stream}");
        }
    }

    #[test]
    fn a_recording_cut_off_before_its_end_is_never_whole() {
        for (name, dialect, framing) in RECORDINGS {
            if framing == Framing::Whole {
                continue;
            }
            let body = body(name);
            let whole_at = (0..=body.len())
                .find(|end| read(dialect, framing, [&body.as_bytes()[..*end]]).2 == Ending::Whole)
                .unwrap();
            let before = &body[..whole_at];
            let marks = ["\"finish_reason\":\"", "message_stop", "response.completed"];
            assert!(marks.iter().any(|mark| before.contains(mark)), "{name} at {whole_at}");
        }
    }
}
