//! OpenAI's dialect: its routes, its listing, its errors. Source: OpenAI's API reference, and recordings
//! of llama.cpp's server. Knows no sockets and no other dialect.

mod chat;
mod completions;
mod embeddings;
mod responses;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::ask::Role;
use crate::catalogue::{self, Catalogue, Skill};
use crate::fields::Fields;
use crate::handle::Work;
use crate::reply::{Fault, Frame, Reply, Usage};
use crate::route::percent_decoded;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Chat,
    Completions,
    Embeddings,
    Responses,
    Models,
    Model(String),
}

impl Endpoint {
    /// The endpoint of a path, and the method it takes.
    pub(crate) fn find(path: &str) -> Option<(Method, Self)> {
        Some(match path {
            "/v1/chat/completions" => (Method::POST, Self::Chat),
            "/v1/completions" => (Method::POST, Self::Completions),
            "/v1/embeddings" => (Method::POST, Self::Embeddings),
            "/v1/responses" => (Method::POST, Self::Responses),
            "/v1/models" => (Method::GET, Self::Models),
            _ => (Method::GET, Self::Model(percent_decoded(path.strip_prefix("/v1/models/")?)?)),
        })
    }

    pub(crate) fn is_listing(&self) -> bool {
        match self {
            Self::Chat | Self::Completions | Self::Embeddings | Self::Responses => false,
            Self::Models | Self::Model(_) => true,
        }
    }
}

/// Answers a request; `body` is null on a listing.
///
/// # Errors
/// What is wrong with the request.
pub(crate) fn answer(endpoint: &Endpoint, body: &Value, work: &Work<'_>) -> Result<Reply, Fault> {
    match endpoint {
        Endpoint::Chat => chat::answer(&Fields::of(body, "")?, work),
        Endpoint::Completions => completions::answer(&Fields::of(body, "")?, work),
        Endpoint::Embeddings => embeddings::answer(&Fields::of(body, "")?, work),
        Endpoint::Responses => responses::answer(&Fields::of(body, "")?, work),
        Endpoint::Models => {
            let models: Vec<_> = work.catalogue.names().map(listed).collect();
            Ok(Reply::json(StatusCode::OK, &json!({"object": "list", "data": models})))
        }
        Endpoint::Model(name) => {
            let known = work.catalogue.find(name).is_some();
            // Whether it chats or embeds does not matter here; an unknown one is refused in the usual words.
            if !known {
                work.catalogue.check(name, Skill::Chat)?;
            }
            Ok(Reply::json(StatusCode::OK, &listed(name)))
        }
    }
}

/// `{"error":{"message","type","param","code"}}`
pub(crate) fn fault(fault: &Fault) -> Reply {
    Reply::json(fault.status, &fault_json(fault))
}

/// The frame that ends a stream which fails.
fn failure() -> Frame {
    Frame::sse(&fault_json(&Fault::told_to_fail()).to_string(), 0)
}

fn fault_json(fault: &Fault) -> Value {
    let kind = match fault.status.as_u16() {
        401 => "authentication_error",
        403 => "permission_error",
        429 => "requests",
        500.. => "server_error",
        _ => "invalid_request_error",
    };
    let code = fault
        .code
        .or((fault.status == StatusCode::TOO_MANY_REQUESTS).then_some("rate_limit_exceeded"));
    let error = json!({"message": fault.message, "type": kind, "param": fault.field, "code": code});
    json!({"error": error})
}

fn listed(name: &str) -> Value {
    json!({
        "id": name, "object": "model", "created": catalogue::MADE_AT_UNIX_S, "owned_by": "fluxgate-demo",
        "meta": {"n_ctx": catalogue::CONTEXT_TOKENS},
    })
}

/// The model that the request names, known and able.
fn model<'a>(body: &Fields<'a>, catalogue: &Catalogue, skill: Skill) -> Result<&'a str, Fault> {
    let model = body.string("model")?.ok_or_else(|| body.missing("model"))?;
    catalogue.check(model, skill)?;
    Ok(model)
}

fn role(message: &Fields<'_>) -> Result<Role, Fault> {
    let role = message.string("role")?.ok_or_else(|| message.missing("role"))?;
    let path = message.path("role");
    Role::read(role).ok_or_else(|| {
        let message = format!("'{path}' has an unknown role.");
        Fault::field(path, message)
    })
}

/// How an answer is to come.
struct Manner {
    stream: bool,
    include_usage: bool,
    choices: u32,
    tokens_max: Option<u64>,
    stop: Vec<String>,
}

/// Most choices of one request, as OpenAI has it.
const CHOICES_MAX: i64 = 128;

fn manner(body: &Fields<'_>, tokens_fields: &[&str], work: &Work<'_>) -> Result<Manner, Fault> {
    for name in ["temperature", "top_p", "frequency_penalty", "presence_penalty"] {
        body.number(name)?;
    }
    body.integer("seed")?;
    let include_usage = match stream_options(body, work)? {
        Some(options) => options.flag("include_usage")?.unwrap_or(false),
        None => false,
    };
    let choices = body.at_least("n", 1)?.unwrap_or(1);
    if choices > CHOICES_MAX {
        return Err(Fault::field("n", format!("'n' must be at most {CHOICES_MAX}.")));
    }
    let mut tokens_max = None;
    for name in tokens_fields {
        // −1 is llama.cpp's way of saying: none given.
        tokens_max = body.at_least(name, -1)?.or(tokens_max);
    }
    Ok(Manner {
        stream: body.flag("stream")?.unwrap_or(false),
        include_usage,
        choices: u32::try_from(choices).unwrap_or(1),
        tokens_max: tokens_max.and_then(|max| u64::try_from(max).ok()),
        stop: body.strings("stop")?,
    })
}

/// The options of a stream, where the server takes them.
fn stream_options<'a>(body: &Fields<'a>, work: &Work<'_>) -> Result<Option<Fields<'a>>, Fault> {
    let options = body.object("stream_options")?;
    if options.is_some() && work.behaviour.refuse_stream_options {
        let message = "Unrecognized request argument supplied: stream_options";
        return Err(Fault::field("stream_options", message));
    }
    Ok(options)
}

fn usage_json(usage: Usage) -> Value {
    json!({
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    })
}

/// What all chunks of a stream, or the one answer, have in common.
#[derive(Clone)]
struct Envelope {
    id: String,
    object: &'static str,
    created: i64,
    model: String,
    null_usage: bool,
}

const FINGERPRINT: &str = "fp_fluxgate_demo";

impl Envelope {
    fn new(prefix: &str, object: &'static str, model: &str, work: &Work<'_>) -> Self {
        Self {
            id: format!("{prefix}-demo{:016x}", work.number),
            object,
            created: chrono::Utc::now().timestamp(),
            model: model.to_owned(),
            null_usage: work.behaviour.null_usage_on_chunks,
        }
    }

    fn whole(&self, choices: Vec<Value>, usage: Option<Usage>) -> Value {
        let mut whole = self.around(choices);
        if let (Some(usage), Some(members)) = (usage, whole.as_object_mut()) {
            members.insert("usage".to_owned(), usage_json(usage));
        }
        whole
    }

    fn around(&self, choices: Vec<Value>) -> Value {
        json!({
            "id": self.id, "object": self.object, "created": self.created, "model": self.model,
            "system_fingerprint": FINGERPRINT, "choices": choices,
        })
    }

    fn chunk(&self, choice: Value, tokens: u32) -> Frame {
        let mut chunk = self.around(vec![choice]);
        if let (true, Some(members)) = (self.null_usage, chunk.as_object_mut()) {
            members.insert("usage".to_owned(), Value::Null);
        }
        Frame::sse(&chunk.to_string(), tokens)
    }

    /// What ends a stream: the usage where it was asked for, and the mark of the end.
    fn end(&self, usage: Option<Usage>) -> impl Iterator<Item = Frame> + Send + use<> {
        let usage =
            usage.map(|usage| Frame::sse(&self.whole(Vec::new(), Some(usage)).to_string(), 0));
        usage.into_iter().chain(std::iter::once_with(|| Frame::sse("[DONE]", 0)))
    }
}
