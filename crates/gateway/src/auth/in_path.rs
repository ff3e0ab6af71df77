//! A key that stands in the path, `/k/<key>/…`, for clients that can't send a header. It is taken
//! out before anybody else reads the path, so that it stands in no log and no refusal.

use std::fmt;

use http::uri::PathAndQuery;
use http::{Request, Uri};

const PREFIX: &str = "/k/";

/// The key's text, on its way to whoever checks it.
#[derive(Clone)]
pub struct KeyInPath(Box<str>);

impl KeyInPath {
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for KeyInPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyInPath(***)")
    }
}

/// Takes a key out of the request's path and puts it beside the request.
pub fn take<B>(request: &mut Request<B>) {
    let Some(rest) = request.uri().path().strip_prefix(PREFIX) else { return };
    let (key, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, "/"),
    };
    let Ok(path) = path.parse::<PathAndQuery>() else { return };
    let key = KeyInPath(key.into());
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = Some(path);
    let Ok(uri) = Uri::from_parts(parts) else { return };
    *request.uri_mut() = uri;
    request.extensions_mut().insert(key);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_taken_out_with_the_query() {
        for (uri, key, path) in [
            ("/k/sk-fg-a-b/api/chat?x=1", Some("sk-fg-a-b"), "/api/chat"),
            ("/k/sk-fg-a-b", Some("sk-fg-a-b"), "/"),
            ("/k/sk-fg-a-b/", Some("sk-fg-a-b"), "/"),
            ("/k//api/chat", Some(""), "/api/chat"),
            ("/kk/x", None, "/kk/x"),
            ("/api/chat", None, "/api/chat"),
        ] {
            let mut request = Request::builder().uri(uri).body(()).unwrap();
            take(&mut request);
            let taken = request.extensions().get::<KeyInPath>().map(|key| key.0.to_string());
            assert_eq!((taken.as_deref(), request.uri().path()), (key, path), "{uri}");
        }
    }
}
