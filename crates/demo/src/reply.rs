//! What a dialect hands to the server: an answer, or a fault that the dialect puts into its own words.
//! Knows nothing of sockets.

use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;

use crate::behaviour::Behaviour;

pub(crate) const JSON: &str = "application/json";
pub(crate) const NDJSON: &str = "application/x-ndjson";
pub(crate) const SSE: &str = "text/event-stream";
pub(crate) const TEXT: &str = "text/plain; charset=utf-8";

/// Tokens of an answer whose provider lost its mind.
const ABSURD_TOKENS: u64 = 999_999_999_999;

pub(crate) struct Reply {
    pub status: StatusCode,
    pub content_type: &'static str,
    pub body: ReplyBody,
}

pub(crate) enum ReplyBody {
    /// `tokens` is how many it took to make: the server's pace makes it wait for them.
    Whole {
        bytes: Bytes,
        tokens: u64,
    },
    Frames(Frames),
}

/// A stream's frames, made one by one as the client takes them.
pub(crate) type Frames = Box<dyn Iterator<Item = Frame> + Send>;

pub(crate) struct Frame {
    pub bytes: Bytes,
    pub tokens: u32,
}

impl Frame {
    /// `data: …`
    pub(crate) fn sse(data: &str, tokens: u32) -> Self {
        Self { bytes: format!("data: {data}\n\n").into(), tokens }
    }

    /// `event: NAME` and its data, which says the name again as its `type`.
    pub(crate) fn event(name: &str, mut data: Value, tokens: u32) -> Self {
        if let Some(members) = data.as_object_mut() {
            members.insert("type".to_owned(), name.into());
        }
        Self { bytes: format!("event: {name}\ndata: {data}\n\n").into(), tokens }
    }

    /// A line of NDJSON.
    pub(crate) fn line(json: &Value, tokens: u32) -> Self {
        Self { bytes: format!("{json}\n").into(), tokens }
    }
}

impl Reply {
    pub(crate) fn whole(
        status: StatusCode,
        content_type: &'static str,
        bytes: impl Into<Bytes>,
    ) -> Self {
        Self { status, content_type, body: ReplyBody::Whole { bytes: bytes.into(), tokens: 0 } }
    }

    pub(crate) fn json(status: StatusCode, value: &Value) -> Self {
        Self::whole(status, JSON, value.to_string())
    }

    /// A model's answer in one piece.
    pub(crate) fn answer(value: &Value, tokens: u64) -> Self {
        Self {
            status: StatusCode::OK,
            content_type: JSON,
            body: ReplyBody::Whole { bytes: value.to_string().into(), tokens },
        }
    }

    pub(crate) fn frames(content_type: &'static str, frames: Frames) -> Self {
        Self { status: StatusCode::OK, content_type, body: ReplyBody::Frames(frames) }
    }

    /// The stream ends in `failure` after so many frames, where it has more.
    pub(crate) fn failing(
        self,
        after: Option<u32>,
        failure: impl FnOnce(Sent) -> Frame + Send + 'static,
    ) -> Self {
        let body = match (after, self.body) {
            (Some(after), ReplyBody::Frames(frames)) => {
                ReplyBody::Frames(failing(frames, after, failure))
            }
            (_, body) => body,
        };
        Self { body, ..self }
    }
}

/// What went out before a stream failed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sent {
    pub frames: u32,
    pub tokens: u64,
}

fn failing(
    frames: Frames,
    after: u32,
    failure: impl FnOnce(Sent) -> Frame + Send + 'static,
) -> Frames {
    let mut sent = Sent::default();
    let mut failure = Some(failure);
    Box::new(frames.map_while(move |frame| {
        if sent.frames < after {
            sent.frames += 1;
            sent.tokens += u64::from(frame.tokens);
            return Some(frame);
        }
        failure.take().map(|failure| failure(sent))
    }))
}

/// Why a request gets no answer.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub status: StatusCode,
    pub message: String,
    /// The member that is wrong, such as `messages[0].role`.
    pub field: Option<String>,
    pub code: Option<&'static str>,
}

impl Fault {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), field: None, code: None }
    }

    /// 400 for one member of the body.
    pub(crate) fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..Self::new(StatusCode::BAD_REQUEST, message) }
    }

    /// What a stream ends in that fails as it was told.
    pub(crate) fn told_to_fail() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "The demo model was told to fail here.")
    }

    pub(crate) fn code(self, code: &'static str) -> Self {
        Self { code: Some(code), ..self }
    }
}

/// What a request used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
}

impl Usage {
    /// What is said of it: the truth, unless told otherwise.
    pub(crate) fn told(self, behaviour: &Behaviour) -> Option<Self> {
        match behaviour {
            Behaviour { no_usage: true, .. } => None,
            Behaviour { absurd_usage: true, .. } => {
                Some(Self { prompt_tokens: ABSURD_TOKENS, completion_tokens: ABSURD_TOKENS })
            }
            _ => Some(self),
        }
    }
}
