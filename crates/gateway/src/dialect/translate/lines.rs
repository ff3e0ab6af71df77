//! A stream of OpenAI's, chunk by chunk, as lines of Ollama's. Each chunk with text becomes a line
//! at once; the parts of a tool's call are put together, since Ollama has whole ones only; the last
//! line waits for the usage, which comes behind the end of the text.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use fluxgate_core::Usage;

use super::Asked;
use super::answer::{Call, CallPart, Choice, Chunk, End, Said, Timings, Untranslatable, object};
use super::error::error_line;
use crate::dialect::frames::event_data;

/// The most that is held of calls which aren't complete, all of a stream's together.
const CALL_BYTES_MAX: usize = 96 * 1024;
/// A model that calls more tools at once has lost its way.
const CALLS_MAX: usize = 128;

/// See the module.
#[derive(Debug)]
pub struct Lines {
    asked: Asked,
    sent: Instant,
    first_text: Option<Instant>,
    /// Lines that are ready.
    out: BytesMut,
    /// Calls whose parts are still coming, by the index that the server gives them.
    calls: Vec<(u32, Call)>,
    call_bytes: usize,
    finish_reason: Option<Box<str>>,
    timings: Option<Timings>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Going,
    /// The last line is out, or an error's.
    Over,
    /// The server said something that has no translation.
    Broken,
}

impl Lines {
    #[must_use]
    pub fn new(asked: Asked, sent: Instant) -> Self {
        Self {
            asked,
            sent,
            first_text: None,
            out: BytesMut::new(),
            calls: Vec::new(),
            call_bytes: 0,
            finish_reason: None,
            timings: None,
            state: State::Going,
        }
    }

    /// Takes one event.
    pub fn event(&mut self, frame: &[u8], usage: Option<Usage>) {
        if self.state != State::Going {
            return;
        }
        let Some(data) = event_data(frame) else { return };
        if data.trim_ascii() == b"[DONE]" {
            return self.end(usage);
        }
        match self.chunk(&data) {
            Ok(()) => {}
            Err(Untranslatable) => self.state = State::Broken,
        }
    }

    /// Part of an event that is too large to be held.
    pub fn oversize(&mut self) {
        if self.state == State::Going {
            self.state = State::Broken;
        }
    }

    /// The server's stream came to its end as it should.
    pub fn end(&mut self, usage: Option<Usage>) {
        if self.state != State::Going {
            return;
        }
        let written = self.flush_calls().and_then(|()| {
            let end = End {
                reason: self.finish_reason.as_deref().unwrap_or("stop"),
                usage,
                timings: self.timings,
                prompt: self.first_text.map(|first| first.duration_since(self.sent)),
                completion: self.first_text.map(|first| first.elapsed()),
            };
            object(&self.asked, &Said::default(), Some(&end))
        });
        match written {
            Ok(line) => {
                self.state = State::Over;
                self.put(&line);
            }
            Err(Untranslatable) => self.state = State::Broken,
        }
    }

    /// Whether the last line is out: the end, or what the server said of its failure.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Whether the server said something that has no translation.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.state == State::Broken
    }

    /// The lines that are ready.
    pub fn take(&mut self) -> Option<Bytes> {
        (!self.out.is_empty()).then(|| self.out.split().freeze())
    }

    fn chunk(&mut self, data: &[u8]) -> Result<(), Untranslatable> {
        let chunk: Chunk<'_> = serde_json::from_slice(data).map_err(|_| Untranslatable)?;
        self.timings = chunk.timings().or(self.timings);
        if chunk.is_error() {
            self.out.extend_from_slice(&error_line(data));
            self.state = State::Over;
            return Ok(());
        }
        for choice in chunk.choices.iter().filter(|choice| choice.index == 0) {
            self.choice(choice)?;
        }
        Ok(())
    }

    fn choice(&mut self, choice: &Choice<'_>) -> Result<(), Untranslatable> {
        let said = choice.said()?;
        if !said.is_nothing() {
            self.first_text.get_or_insert_with(Instant::now);
            let line = object(&self.asked, &said, None)?;
            self.put(&line);
        }
        for part in choice.calls() {
            self.first_text.get_or_insert_with(Instant::now);
            self.call_part(part)?;
        }
        if let Some(reason) = choice.finish_reason() {
            self.finish_reason = Some(reason.into());
            self.flush_calls()?;
        }
        Ok(())
    }

    fn call_part(&mut self, part: &CallPart<'_>) -> Result<(), Untranslatable> {
        let id = part.id.as_deref().unwrap_or_default();
        let named = part.function.as_ref().is_some_and(|function| function.name.is_some());
        let position = match part.index {
            // Another id under a known index is another call: some servers count none.
            Some(index) => self.calls.iter().rposition(|(known, call)| {
                *known == index && (id.is_empty() || call.id.is_empty() || call.id == id)
            }),
            None if !id.is_empty() => self.calls.iter().rposition(|(_, call)| call.id == id),
            // Without either a name begins another.
            None if named => None,
            None => self.calls.len().checked_sub(1),
        };
        let position = position.unwrap_or(self.calls.len());
        if position == self.calls.len() {
            if self.calls.len() == CALLS_MAX {
                return Err(Untranslatable);
            }
            let call = Call { id: String::new(), name: String::new(), arguments: String::new() };
            let next = u32::try_from(self.calls.len()).unwrap_or(u32::MAX);
            self.calls.push((part.index.unwrap_or(next), call));
        }
        let Some((_, call)) = self.calls.get_mut(position) else { return Ok(()) };
        if call.id.is_empty() {
            self.call_bytes += id.len();
            id.clone_into(&mut call.id);
        }
        let function = part.function.as_ref();
        let name = function.and_then(|function| function.name.as_deref());
        let arguments = function.and_then(|function| function.arguments.as_deref());
        for (to, more) in [(&mut call.name, name), (&mut call.arguments, arguments)] {
            let more = more.unwrap_or_default();
            self.call_bytes += more.len();
            to.push_str(more);
        }
        if self.call_bytes > CALL_BYTES_MAX { Err(Untranslatable) } else { Ok(()) }
    }

    /// The calls are complete: one line has them all.
    fn flush_calls(&mut self) -> Result<(), Untranslatable> {
        if self.calls.is_empty() {
            return Ok(());
        }
        let mut calls = std::mem::take(&mut self.calls);
        calls.sort_by_key(|(index, _)| *index);
        let calls = calls.into_iter().map(|(_, call)| call).collect();
        let calls = Call::passable(calls, self.finish_reason.as_deref().unwrap_or_default());
        self.call_bytes = 0;
        if calls.is_empty() {
            return Ok(());
        }
        let line = object(&self.asked, &Said { calls: &calls, ..Said::default() }, None)?;
        self.put(&line);
        Ok(())
    }

    fn put(&mut self, line: &[u8]) {
        self.out.extend_from_slice(line);
        self.out.extend_from_slice(b"\n");
    }
}
