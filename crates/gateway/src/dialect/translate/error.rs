//! A server's refusal of a request, in Ollama's form.

use bytes::Bytes;
use fluxgate_core::text::is_printable;
use serde::Deserialize;
use serde_json::Value;

use super::members::Members;

/// What is told where the server's own words can't be read.
const UNSAID: &str = "The model server refused the request.";
/// Its own code, where it gives none.
const UNNAMED: &str = "upstream_refused";
/// The most that is passed on of its words.
const MESSAGE_CHARS_MAX: usize = 2_000;

/// OpenAI's form; some servers put the text itself, or FastAPI's `detail`, in its place. The latter
/// quotes the request beside its `msg`.
#[derive(Deserialize)]
struct Said {
    error: Option<Value>,
    message: Option<Value>,
    detail: Option<Value>,
    code: Option<Value>,
}

/// The body of the answer.
#[must_use]
pub fn error(body: &[u8]) -> Bytes {
    written(body).into()
}

/// The same as one line of a stream.
pub fn error_line(body: &[u8]) -> Vec<u8> {
    let mut line = written(body);
    line.push(b'\n');
    line
}

fn written(body: &[u8]) -> Vec<u8> {
    let said: Option<Said> = serde_json::from_slice(body).ok();
    let (message, code) = said.as_ref().map_or((plain(body), None), Said::words);
    let message = shortened(message.unwrap_or(UNSAID));
    let mut members = Members::new();
    members.put("error", &message);
    members.put("code", code.unwrap_or(UNNAMED));
    members.end()
}

/// What a document says of a failure, where it does.
#[must_use]
pub fn words(body: &[u8]) -> Option<String> {
    let said: Said = serde_json::from_slice(body).ok()?;
    said.words().0.map(shortened)
}

/// Words that stand there by themselves; a page isn't words.
fn plain(body: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(body).ok()?.trim();
    let words = !text.is_empty() && !text.starts_with(['<', '{', '[']) && text.chars().all(is_word);
    words.then_some(text)
}

fn is_word(c: char) -> bool {
    is_printable(c) || matches!(c, '\n' | '\t' | '\r')
}

fn shortened(message: &str) -> String {
    message.chars().take(MESSAGE_CHARS_MAX).collect()
}

impl Said {
    fn words(&self) -> (Option<&str>, Option<&str>) {
        let inner = |name: &str| self.error.as_ref().and_then(|error| error.get(name)?.as_str());
        let message = inner("message")
            .or(self.error.as_ref().and_then(Value::as_str))
            .or(self.message.as_ref().and_then(Value::as_str))
            .or(self.detail.as_ref().and_then(Value::as_str))
            .or(self.detail.as_ref().and_then(|detail| detail.pointer("/0/msg")?.as_str()))
            .or(self.message.as_ref().and_then(|said| said.pointer("/detail/0/msg")?.as_str()));
        let code = inner("code").or(self.code.as_ref().and_then(Value::as_str)).or(inner("type"));
        (message, code)
    }
}
