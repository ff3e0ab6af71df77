//! From whose page a browser sends a request (Fetch Metadata, RFC 6454). Programs that aren't
//! browsers send neither header, and no other site can make them act.

use fluxgate_core::Reason;
use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, Uri};
use url::Url;

use crate::listen::ListenerKind;
use crate::refusal::Refusal;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What a request's headers prove of its origin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A page of ours sent it.
    Ours,
    /// Nothing: a program, or a browser that doesn't say.
    Untold,
    /// Another site's page, or proof that contradicts itself.
    Foreign,
}

impl Origin {
    /// Looks at what a browser says, against the public URL, or without one against the scheme,
    /// host and port that the request was sent to.
    #[must_use]
    pub fn of(
        headers: &HeaderMap,
        uri: &Uri,
        kind: ListenerKind,
        public_url: Option<&Url>,
    ) -> Self {
        let is_ours = |origin: Url| match public_url {
            Some(public_url) => origin.origin() == public_url.origin(),
            None => is_sent_to(&origin, headers, uri, kind),
        };
        let sites = headers.get_all(SEC_FETCH_SITE).iter();
        let sites = sites.map(|site| site.as_bytes() == b"same-origin");
        let origins = headers
            .get_all(ORIGIN)
            .iter()
            .map(|origin| origin.to_str().ok().and_then(parse).is_some_and(is_ours));
        sites.chain(origins).fold(Self::Untold, |so_far, ours| match so_far {
            Self::Foreign => Self::Foreign,
            Self::Ours | Self::Untold if ours => Self::Ours,
            Self::Ours | Self::Untold => Self::Foreign,
        })
    }

    /// Lets pass what a page of ours sent.
    ///
    /// # Errors
    /// 403.
    pub fn require_ours(self) -> Result<(), Refusal> {
        match self {
            Self::Ours => Ok(()),
            Self::Untold | Self::Foreign => Err(cross_origin()),
        }
    }

    /// Lets pass what no other site's page sent.
    ///
    /// # Errors
    /// 403.
    pub fn refuse_foreign(self) -> Result<(), Refusal> {
        match self {
            Self::Ours | Self::Untold => Ok(()),
            Self::Foreign => Err(cross_origin()),
        }
    }
}

fn cross_origin() -> Refusal {
    let text = "A browser sent this from another site's page. Open the page under its own address.";
    Refusal::new(Reason::CrossOrigin, text)
}

/// An origin as browsers write it (RFC 6454 §6.2), and nothing that only has one.
fn parse(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| url.origin().ascii_serialization() == text)
}

/// A page in clear text isn't ours where we speak TLS: anybody on the way may have written it.
fn is_sent_to(origin: &Url, headers: &HeaderMap, uri: &Uri, kind: ListenerKind) -> bool {
    let (scheme, default_port) = match kind {
        ListenerKind::PublicTls => ("https", 443),
        ListenerKind::PublicClear
        | ListenerKind::Web
        | ListenerKind::Admin
        | ListenerKind::Metrics => ("http", 80),
    };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    let Some(target) = host.as_ref().or(uri.authority()) else { return false };
    origin.scheme() == scheme
        && origin.host_str().is_some_and(|host| host.eq_ignore_ascii_case(target.host()))
        && origin.port().unwrap_or(default_port) == target.port_u16().unwrap_or(default_port)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn of(headers: &[(&'static str, &'static str)], public_url: Option<&str>) -> Origin {
        on(ListenerKind::Web, headers, public_url)
    }

    fn on(
        kind: ListenerKind,
        headers: &[(&'static str, &'static str)],
        public_url: Option<&str>,
    ) -> Origin {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        let public_url = public_url.map(|url| url.parse().unwrap());
        Origin::of(&headers, &Uri::from_static("/api/v1/auth/setup"), kind, public_url.as_ref())
    }

    #[test]
    fn our_own_page_is_ours_and_a_program_says_nothing() {
        let host = ("host", "127.0.0.1:3000");
        assert_eq!(of(&[host], None), Origin::Untold);
        let ours = ("origin", "http://127.0.0.1:3000");
        let site = ("sec-fetch-site", "same-origin");
        for headers in [&[host, ours][..], &[host, ours, site], &[host, site]] {
            assert_eq!(of(headers, None), Origin::Ours, "{headers:?}");
        }
        assert_eq!(of(&[("host", "[::1]:80"), ("origin", "http://[::1]")], None), Origin::Ours);
        let public = Some("https://ai.example.org");
        assert_eq!(of(&[host, ("origin", "https://ai.example.org")], public), Origin::Ours);
    }

    #[test]
    fn a_page_in_clear_text_is_not_ours_where_we_speak_tls() {
        let host = ("host", "ai.example.org");
        let (clear, tls) =
            (("origin", "http://ai.example.org"), ("origin", "https://ai.example.org"));
        assert_eq!(on(ListenerKind::PublicTls, &[host, tls], None), Origin::Ours);
        assert_eq!(on(ListenerKind::PublicTls, &[host, clear], None), Origin::Foreign);
        assert_eq!(on(ListenerKind::PublicClear, &[host, clear], None), Origin::Ours);
        assert_eq!(on(ListenerKind::PublicClear, &[host, tls], None), Origin::Foreign);
    }

    #[test]
    fn other_sites_and_contradictions_are_foreign() {
        let host = ("host", "127.0.0.1:3000");
        for headers in [
            [host, ("origin", "http://evil.example")],
            [host, ("origin", "http://127.0.0.1:3001")],
            [host, ("origin", "null")],
            [host, ("origin", "blob:http://127.0.0.1:3000/x")],
            [host, ("origin", "http://127.0.0.1:3000/x")],
            [host, ("origin", "http://x@127.0.0.1:3000")],
            [host, ("sec-fetch-site", "cross-site")],
            [host, ("sec-fetch-site", "same-site")],
            [host, ("sec-fetch-site", "none")],
        ] {
            assert_eq!(of(&headers, None), Origin::Foreign, "{headers:?}");
        }
        let ours = ("origin", "http://127.0.0.1:3000");
        for site in ["cross-site", "same-site", "none"] {
            assert_eq!(of(&[host, ours, ("sec-fetch-site", site)], None), Origin::Foreign);
        }
        assert_eq!(of(&[host, ours], Some("https://ai.example.org")), Origin::Foreign);
    }
}
