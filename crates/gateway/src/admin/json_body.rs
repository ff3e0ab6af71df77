//! The JSON bodies of our own API: of the right media type, not too large, and without a member
//! that the route doesn't take.

use std::time::Duration;

use axum::body::Body;
use fluxgate_core::Reason;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body::Body as _;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};
use tokio::time::timeout;

use super::given::Given;
use super::problem::Problem;

/// The longest body has a key's globs: 16 KiB. This leaves room for escapes and white space.
const BODY_BYTES_MAX: usize = 64 << 10;
/// A whole body. Some routes read theirs before they know who is asking.
const BODY_WITHIN: Duration = Duration::from_secs(15);

/// Reads a body.
///
/// # Errors
/// 415, 413 or 400, which names the member.
pub async fn read<T: DeserializeOwned>(headers: &HeaderMap, body: Body) -> Result<T, Problem> {
    if !is_json(headers) {
        let text = "Send the body as JSON, with `Content-Type: application/json`.";
        return Err(Problem::new(Reason::UnsupportedMediaType, text));
    }
    let collected = Limited::new(body, BODY_BYTES_MAX).collect();
    let Ok(collected) = timeout(BODY_WITHIN, collected).await else {
        return Err(Problem::new(Reason::BodyStalled, "The body stopped coming."));
    };
    let bytes = match collected {
        Ok(collected) => collected.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            return Err(Problem::new(Reason::BodyTooLarge, "The body is larger than 64 KiB."));
        }
        Err(_) => return Err(Problem::new(Reason::BodyBroken, "The body ended early.")),
    };
    parse(&bytes)
}

/// The same where a body may be left out.
///
/// # Errors
/// As [`read`].
pub async fn read_or_default<T: DeserializeOwned + Default>(
    headers: &HeaderMap,
    body: Body,
) -> Result<T, Problem> {
    if body.is_end_stream() { Ok(T::default()) } else { read(headers, body).await }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(Ok(value)) = headers.get(CONTENT_TYPE).map(|value| value.to_str()) else {
        return false;
    };
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let not_an_object = || Problem::new(Reason::InvalidJson, "The body isn't one JSON object.");
    // serde takes an array for a struct: the members' values in their order.
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err(not_an_object());
    }
    let given: Given = serde_json::from_slice(bytes).map_err(|_| not_an_object())?;
    serde_path_to_error::deserialize(given).map_err(|error| {
        let misfit = error.inner();
        let text = match place(error.path(), misfit.unknown_member) {
            place if place.is_empty() => format!("The body can't be used: {misfit}."),
            place => format!("`{place}`: {misfit}."),
        };
        Problem::new(Reason::InvalidRequest, text)
    })
}

/// Of an unknown member, where it stands: its name is the client's own.
fn place(path: &Path, unknown_member: bool) -> String {
    let told = path.iter().count() - usize::from(unknown_member);
    path.iter().take(told).fold(String::new(), |place, segment| match segment {
        Segment::Seq { index } => format!("{place}[{index}]"),
        Segment::Map { key } if place.is_empty() => key.clone(),
        Segment::Map { key } => format!("{place}.{key}"),
        Segment::Enum { .. } | Segment::Unknown => place,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fluxgate_core::admin_api::CreateKey;
    use http::HeaderValue;

    use super::*;

    async fn read_as(media_type: &'static str, body: &'static str) -> Result<CreateKey, String> {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(media_type))]);
        let read = read(&headers, Body::from(body)).await;
        read.map_err(|problem| format!("{problem:?}"))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_coming_is_not_waited_for() {
        let json = HeaderValue::from_static("application/json");
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, json)]);
        let never = futures_util::stream::pending::<Result<bytes::Bytes, std::io::Error>>();
        let read = read::<CreateKey>(&headers, Body::from_stream(never)).await;
        assert!(format!("{:?}", read.unwrap_err()).contains("BodyStalled"));
    }

    #[tokio::test]
    async fn a_body_is_json_of_a_known_form() {
        let json = "application/json; charset=utf-8";
        assert_eq!(read_as(json, r#"{"name":"x"}"#).await.unwrap().name, "x");
        for (body, says) in [
            (r#"{"name":"x","scopes":["all"]}"#, "`scopes[0]`"),
            (r#"{"name":"x","colour":"red"}"#, "unknown member, expected one of `name`, `user`"),
            (r#"{"name":1}"#, "`name`: invalid type"),
            (r#"{"name":"x","name":"y"}"#, "duplicate field `name`"),
            (r#"{"name":["x"]}"#, "`name`: invalid type: an array, expected a string"),
            (r#"{"name":"x","limits":{"tokens":1}}"#, "`limits`: unknown member"),
            (r#"{"name":"x","limits":{"budgets":[{"a":1}]}}"#, "`limits.budgets[0]`: unknown"),
            (r#"{"name":"x","limits":{"tokens_per_min":"1"}}"#, "`limits.tokens_per_min`"),
            (r#"{}"#, "missing field `name`"),
            (r#"{"name":"x","expires_at":"tomorrow"}"#, "`expires_at`"),
            (r#"{"name":"x"} {}"#, "InvalidJson"),
            (r#"{"name""#, "InvalidJson"),
            ("", "InvalidJson"),
            (r#"["x"]"#, "InvalidJson"),
        ] {
            let problem = read_as(json, body).await.unwrap_err();
            assert!(problem.contains(says), "{body}: {problem}");
        }
    }

    #[tokio::test]
    async fn other_media_types_and_huge_bodies_are_refused() {
        for media_type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx"] {
            let problem = read_as(media_type, r#"{"name":"x"}"#).await.unwrap_err();
            assert!(problem.contains("UnsupportedMediaType"), "{problem}");
        }
        let headers =
            HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        let huge = Body::from(vec![b' '; BODY_BYTES_MAX + 1]);
        let problem = read::<CreateKey>(&headers, huge).await.unwrap_err();
        assert!(format!("{problem:?}").contains("BodyTooLarge"));
    }
}
