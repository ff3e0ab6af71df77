//! One request to a gateway or a model server, over clear HTTP: both are on this machine or on a
//! private network.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use thiserror::Error;
use url::Url;

/// A page of a list, with room to spare.
const ANSWER_BYTES_MAX: usize = 8 << 20;

/// What to ask.
pub struct Ask<'a> {
    pub method: Method,
    pub url: &'a Url,
    pub token: Option<&'a str>,
    pub json: Option<Vec<u8>>,
    /// For all of it.
    pub within: Duration,
}

/// An answer of any status.
pub struct Answer {
    pub status: StatusCode,
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum AskError {
    #[error("only http:// is spoken here")]
    NotHttp,
    #[error("the token can't stand in a header")]
    Token,
    #[error(transparent)]
    Request(#[from] http::Error),
    #[error("{0}")]
    Connect(String),
    #[error("the answer is broken: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    #[error("no answer within {0:?}")]
    Silent(Duration),
}

impl Ask<'_> {
    /// Asks, on a connection of its own.
    ///
    /// # Errors
    /// [`AskError`] where no whole answer came.
    pub async fn send(self) -> Result<Answer, AskError> {
        let within = self.within;
        let asked = tokio::time::timeout(within, self.exchange());
        asked.await.unwrap_or(Err(AskError::Silent(within)))
    }

    async fn exchange(self) -> Result<Answer, AskError> {
        if self.url.scheme() != "http" {
            return Err(AskError::NotHttp);
        }
        let mut request = Request::builder()
            .method(self.method)
            .uri(self.url.as_str())
            .header(ACCEPT, "application/json");
        if let Some(token) = self.token {
            let mut value =
                HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| AskError::Token)?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        if self.json.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(Bytes::from(self.json.unwrap_or_default())))?;
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
        let response =
            client.request(request).await.map_err(|error| AskError::Connect(cause(&error)))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
        let body = body.collect().await.map_err(AskError::Body)?.to_bytes();
        Ok(Answer { status, body })
    }
}

/// The innermost cause: "connection refused" says more than "client error".
fn cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    // Chains are short; the bound keeps a circular one from holding us.
    for _ in 0..16 {
        match innermost.source() {
            Some(source) => innermost = source,
            None => break,
        }
    }
    innermost.to_string()
}
