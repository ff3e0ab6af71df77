//! Which dialect and endpoint a request is for. Knows paths and methods, no bodies.

use http::{Method, StatusCode};

use crate::Speaks;
use crate::reply::{Fault, Reply};
use crate::{anthropic, ollama, openai};

/// The dialects. A further one is a variant here and a module of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    OpenAi,
    Anthropic,
    Ollama,
}

/// What a request is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    OpenAi(openai::Endpoint),
    Anthropic(anthropic::Endpoint),
    Ollama(ollama::Endpoint),
    /// `GET /`, by which Ollama's clients see whether anyone is there.
    Greeting,
}

/// A request that no route takes, and the dialect to say so in.
#[derive(Debug)]
pub(crate) struct NoRoute {
    pub dialect: Dialect,
    pub fault: Fault,
    /// The method that the path takes, on a 405.
    pub allow: Option<Method>,
}

impl Dialect {
    pub(crate) fn fault(self, fault: &Fault) -> Reply {
        match self {
            Self::OpenAi => openai::fault(fault),
            Self::Anthropic => anthropic::fault(fault),
            Self::Ollama => ollama::fault(fault),
        }
    }
}

impl Route {
    /// # Errors
    /// 404 for a path that there is not, 405 for a method that it does not take.
    pub(crate) fn find(method: &Method, path: &str, speaks: Speaks) -> Result<Self, NoRoute> {
        let dialect = match speaks {
            Speaks::OpenAi => Dialect::OpenAi,
            Speaks::Anthropic => Dialect::Anthropic,
            Speaks::Ollama => Dialect::Ollama,
            Speaks::All if path.starts_with("/api") => Dialect::Ollama,
            Speaks::All if path.starts_with("/v1/messages") => Dialect::Anthropic,
            Speaks::All => Dialect::OpenAi,
        };
        let found =
            match dialect {
                _ if path == "/" => Some((Method::GET, Self::Greeting)),
                Dialect::OpenAi => openai::Endpoint::find(path)
                    .map(|(method, found)| (method, Self::OpenAi(found))),
                Dialect::Anthropic => anthropic::Endpoint::find(path)
                    .map(|(method, found)| (method, Self::Anthropic(found))),
                Dialect::Ollama => ollama::Endpoint::find(path)
                    .map(|(method, found)| (method, Self::Ollama(found))),
            };
        let Some((wanted, route)) = found else {
            return Err(NoRoute { dialect, fault: unknown(path), allow: None });
        };
        if wanted == method || (wanted == Method::GET && method == Method::HEAD) {
            return Ok(route);
        }
        let message = format!("{method} is not allowed on {path}; use {wanted}.");
        let fault = Fault::new(StatusCode::METHOD_NOT_ALLOWED, message).code("method_not_allowed");
        Err(NoRoute { dialect, fault, allow: Some(wanted) })
    }

    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Self::OpenAi(_) => Dialect::OpenAi,
            Self::Anthropic(_) => Dialect::Anthropic,
            Self::Ollama(_) | Self::Greeting => Dialect::Ollama,
        }
    }

    /// Whether it only lists what there is, and reads no body.
    pub(crate) fn is_listing(&self) -> bool {
        match self {
            Self::OpenAi(endpoint) => endpoint.is_listing(),
            Self::Anthropic(endpoint) => endpoint.is_listing(),
            Self::Ollama(endpoint) => endpoint.is_listing(),
            Self::Greeting => true,
        }
    }
}

/// 404 for a path.
pub(crate) fn unknown(path: &str) -> Fault {
    let message = format!("There is no {path} on this server.");
    Fault::new(StatusCode::NOT_FOUND, message).code("unknown_route")
}

/// The rest of a path, decoded; none for what is no text.
pub(crate) fn percent_decoded(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let high = char::from(rest.next()?).to_digit(16)?;
                let low = char::from(rest.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            _ => byte,
        });
    }
    String::from_utf8(bytes).ok().filter(|name| !name.is_empty())
}
