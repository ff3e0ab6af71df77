//! Anthropic's dialect: its routes, its listing, its errors. Source: Anthropic's API reference and Python client,
//! and recordings of llama.cpp's server. Knows no sockets and no other dialect.

mod messages;
mod request;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::catalogue::{self, Catalogue, Skill};
use crate::fields::Fields;
use crate::handle::Work;
use crate::reply::{Fault, Reply};
use crate::route::percent_decoded;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Messages,
    CountTokens,
    Models,
    Model(String),
}

impl Endpoint {
    /// The endpoint of a path, and the method it takes.
    pub(crate) fn find(path: &str) -> Option<(Method, Self)> {
        Some(match path {
            "/v1/messages" => (Method::POST, Self::Messages),
            "/v1/messages/count_tokens" => (Method::POST, Self::CountTokens),
            "/v1/models" => (Method::GET, Self::Models),
            _ => (Method::GET, Self::Model(percent_decoded(path.strip_prefix("/v1/models/")?)?)),
        })
    }

    pub(crate) fn is_listing(&self) -> bool {
        match self {
            Self::Messages | Self::CountTokens => false,
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
        Endpoint::Messages => messages::answer(&Fields::of(body, "")?, work),
        Endpoint::CountTokens => messages::count_tokens(&Fields::of(body, "")?, work),
        Endpoint::Models => Ok(Reply::json(StatusCode::OK, &listing(work.catalogue))),
        Endpoint::Model(name) => match work.catalogue.find(name) {
            Some(_) => Ok(Reply::json(StatusCode::OK, &listed(name))),
            None => Err(Fault::new(StatusCode::NOT_FOUND, format!("model: {name}"))),
        },
    }
}

/// `{"type":"error","error":{"type","message"}}`
pub(crate) fn fault(fault: &Fault) -> Reply {
    Reply::json(fault.status, &fault_json(fault))
}

fn fault_json(fault: &Fault) -> Value {
    let kind = match fault.status.as_u16() {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    };
    json!({"type": "error", "error": {"type": kind, "message": fault.message}})
}

/// One page holds them all.
fn listing(catalogue: &Catalogue) -> Value {
    json!({
        "data": catalogue.names().map(listed).collect::<Vec<_>>(),
        "has_more": false,
        "first_id": catalogue.names().next(),
        "last_id": catalogue.names().last(),
    })
}

fn listed(name: &str) -> Value {
    json!({
        "type": "model", "id": name, "display_name": format!("Fluxgate demo model ({name})"),
        "created_at": catalogue::MADE_AT, "lifecycle": "active",
        "max_input_tokens": catalogue::CONTEXT_TOKENS,
    })
}

/// The model that the request names, known and able.
fn model<'a>(body: &Fields<'a>, catalogue: &Catalogue) -> Result<&'a str, Fault> {
    let model = body.string("model")?.ok_or_else(|| body.missing("model"))?;
    catalogue.check(model, Skill::Chat)?;
    Ok(model)
}
