//! What RFC 9112 and RFC 9113 leave to a server to refuse, beyond what hyper's parsers refuse
//! themselves: one framing, one host, one target.
//!
//! hyper answers 400 and closes on: two different lengths, malformed chunks, obsolete folding,
//! control bytes, a space before the colon, HTTP/1.0 with Transfer-Encoding. It drops a
//! Content-Length beside a Transfer-Encoding before anybody sees it, so an HTTP/1 connection whose
//! request had a Transfer-Encoding ends with its answer: if a length stood beside it, nothing of
//! what follows on the connection is trusted (RFC 9112 §6.1).

use fluxgate_core::Reason;
use http::header::{HOST, TRANSFER_ENCODING};
use http::uri::Authority;
use http::{Method, Request, Version};

/// What the request line and the headers mean for the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    Sound,
    /// Sound, but the connection ends with this answer.
    Last,
}

/// Checks a request before anything else looks at it. A refusal here ends the connection.
///
/// # Errors
/// The reason and a sentence that says what is wrong.
pub fn check<B>(request: &Request<B>) -> Result<Framing, (Reason, &'static str)> {
    let bad = |text| Err((Reason::BadFraming, text));
    if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
        return Err((Reason::MethodNotAllowed, "CONNECT and TRACE aren't served."));
    }
    // RFC 9112 §3.2: a path, or the asterisk of OPTIONS.
    if !request.uri().path().starts_with('/') && request.uri().path() != "*" {
        return bad("The request's target isn't a path.");
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return bad("The request names its Host twice.");
    }
    let target = request.uri().authority();
    // RFC 9110 §4.2.4: it is there to make one host look like another.
    if target.is_some_and(|target| target.as_str().contains('@')) {
        return bad("The request's target holds user information.");
    }
    match (host, target) {
        (None, None) => return bad("The request has no Host."),
        (Some(host), target) => {
            if !is_host(host.as_bytes()) {
                return bad("The request's Host isn't a host.");
            }
            if target.is_some_and(|target| !same_host(target, host.as_bytes())) {
                return bad("The request's target and its Host differ.");
            }
        }
        // HTTP/2 and 3 name the host in `:authority` alone.
        (None, Some(_)) if request.version() >= Version::HTTP_2 => {}
        (None, Some(_)) => return bad("The request has no Host."),
    }
    if request.version() < Version::HTTP_2 && request.headers().contains_key(TRANSFER_ENCODING) {
        return Ok(Framing::Last);
    }
    Ok(Framing::Sound)
}

/// Whether the bytes are `host[:port]` (RFC 3986 §3.2.2), user information left out.
fn is_host(bytes: &[u8]) -> bool {
    let known = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~:[]!$&'()*+,;=".contains(byte);
    if !bytes.iter().all(known) {
        return false;
    }
    let Ok(authority) = Authority::try_from(bytes) else { return false };
    let host = authority.host();
    let is_port = |port: &str| {
        port.bytes().all(|byte| byte.is_ascii_digit())
            && (port.is_empty() || port.parse::<u16>().is_ok())
    };
    !host.is_empty()
        && authority
            .as_str()
            .strip_prefix(host)
            .is_some_and(|rest| rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port))
}

fn same_host(target: &Authority, host: &[u8]) -> bool {
    let Ok(host) = Authority::try_from(host) else { return false };
    // A default port may be written or left out, so it counts as equal to none.
    let port =
        |authority: &Authority| authority.port_u16().filter(|port| !matches!(port, 80 | 443));
    target.host().eq_ignore_ascii_case(host.host()) && port(target) == port(&host)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn request(method: &str, uri: &str, version: Version, headers: &[(&str, &str)]) -> Request<()> {
        let mut builder = Request::builder().method(method).uri(uri).version(version);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap()
    }

    #[test]
    fn exactly_one_host_that_agrees_with_the_target_is_sound() {
        let h1 = Version::HTTP_11;
        for (uri, hosts, sound) in [
            ("/", vec!["localhost"], true),
            ("/", vec!["localhost:8443"], true),
            ("/", vec!["[::1]:8443"], true),
            ("/", vec![], false),
            ("/", vec![""], false),
            ("/", vec!["a", "a"], false),
            ("/", vec!["a b"], false),
            ("/", vec!["user@a"], false),
            ("/", vec!["a:"], true),
            ("/", vec![":80"], false),
            ("/", vec!["a:80:80"], false),
            ("/", vec!["a:65536"], false),
            ("/", vec!["a:+80"], false),
            ("/", vec!["::1"], false),
            ("/", vec!["[::1"], false),
            ("/", vec!["[::1]x"], false),
            ("http://user@a/", vec!["a"], false),
            ("http://a/", vec!["a"], true),
            ("http://A/", vec!["a"], true),
            ("http://a:80/", vec!["a"], true),
            ("http://a/", vec!["b"], false),
            ("http://a:81/", vec!["a:82"], false),
            ("http://a/", vec![], false),
        ] {
            let headers: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
            let checked = check(&request("GET", uri, h1, &headers));
            assert_eq!(checked.is_ok(), sound, "{uri} {hosts:?}");
        }
    }

    #[test]
    fn over_http2_the_authority_is_the_host() {
        let h2 = Version::HTTP_2;
        assert!(check(&request("GET", "https://a/", h2, &[])).is_ok());
        assert!(check(&request("GET", "https://a/", h2, &[("host", "a")])).is_ok());
        assert!(check(&request("GET", "https://a/", h2, &[("host", "b")])).is_err());
    }

    #[test]
    fn a_transfer_encoding_makes_the_answer_the_last() {
        let sent = [("host", "a"), ("transfer-encoding", "chunked")];
        assert_eq!(check(&request("POST", "/", Version::HTTP_11, &sent)), Ok(Framing::Last));
    }

    #[test]
    fn connect_and_trace_are_methods_that_nobody_serves() {
        for method in ["CONNECT", "TRACE"] {
            let checked = check(&request(method, "/", Version::HTTP_11, &[("host", "a")]));
            assert_eq!(checked.unwrap_err().0, Reason::MethodNotAllowed);
        }
    }
}
