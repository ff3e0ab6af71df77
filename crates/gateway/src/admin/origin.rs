//! Whether a browser sends a request from a page of ours. Programs that aren't browsers send
//! neither header, and no other site can make them act.

use fluxgate_core::Reason;
use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, Uri};
use url::Url;

use super::problem::Problem;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Checks what a browser says of a request's origin, against the public URL, or without one
/// against the host and port that the request was sent to.
///
/// # Errors
/// 403 for another site's request, and for proof that contradicts itself.
pub fn check(headers: &HeaderMap, uri: &Uri, public_url: Option<&Url>) -> Result<(), Problem> {
    let site_is_ours =
        headers.get_all(SEC_FETCH_SITE).iter().all(|site| site.as_bytes() == b"same-origin");
    let mut origins = headers.get_all(ORIGIN).iter();
    let origin_is_ours = origins.all(|origin| {
        let origin = origin.to_str().ok().and_then(|origin| Url::parse(origin).ok());
        origin.is_some_and(|origin| match public_url {
            Some(public_url) => origin.origin() == public_url.origin(),
            None => is_sent_to(&origin, headers, uri),
        })
    });
    if site_is_ours && origin_is_ours {
        return Ok(());
    }
    let text = "A browser sent this from another site's page. Open the page under its own address.";
    Err(Problem::new(Reason::CrossOrigin, text))
}

fn is_sent_to(origin: &Url, headers: &HeaderMap, uri: &Uri) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    let Some(target) = host.as_ref().or(uri.authority()) else { return false };
    let default_port = match origin.scheme() {
        "https" => 443,
        "http" => 80,
        _ => return false,
    };
    origin.host_str().is_some_and(|host| host.eq_ignore_ascii_case(target.host()))
        && origin.port().unwrap_or(default_port) == target.port_u16().unwrap_or(default_port)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn passes(headers: &[(&'static str, &'static str)], public_url: Option<&str>) -> bool {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        let public_url = public_url.map(|url| url.parse().unwrap());
        check(&headers, &Uri::from_static("/api/v1/auth/setup"), public_url.as_ref()).is_ok()
    }

    #[test]
    fn our_own_page_and_programs_pass() {
        let host = ("host", "127.0.0.1:3000");
        assert!(passes(&[host], None));
        assert!(passes(&[host, ("origin", "http://127.0.0.1:3000")], None));
        let site = ("sec-fetch-site", "same-origin");
        assert!(passes(&[host, ("origin", "http://127.0.0.1:3000"), site], None));
        assert!(passes(&[("host", "[::1]:80"), ("origin", "http://[::1]")], None));
        let public = Some("https://ai.example.org");
        assert!(passes(&[host, ("origin", "https://ai.example.org")], public));
    }

    #[test]
    fn other_sites_and_contradictions_dont() {
        let host = ("host", "127.0.0.1:3000");
        for headers in [
            [host, ("origin", "http://evil.example")],
            [host, ("origin", "http://127.0.0.1:3001")],
            [host, ("origin", "null")],
            [host, ("sec-fetch-site", "cross-site")],
            [host, ("sec-fetch-site", "same-site")],
            [host, ("sec-fetch-site", "none")],
        ] {
            assert!(!passes(&headers, None), "{headers:?}");
        }
        let ours = ("origin", "http://127.0.0.1:3000");
        assert!(!passes(&[host, ours, ("sec-fetch-site", "cross-site")], None));
        assert!(!passes(&[host, ours], Some("https://ai.example.org")));
    }
}
