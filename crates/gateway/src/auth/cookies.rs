//! The cookies of a session. No script can read them and no other site's page sends them. By its
//! prefix a browser takes the access token's from this very host alone; the refresh token's, which
//! has a path of its own, from any host of the same site over TLS (RFC 6265bis §4.1.3).

use std::time::Duration;

use fluxgate_core::Secret;
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

/// The access token, on every path.
pub const SESSION: &str = "__Host-fluxgate_session";
/// The refresh token, for the routes that sign in and out.
pub const REFRESH: &str = "__Secure-fluxgate_refresh";
const SESSION_PATH: &str = "/";
const REFRESH_PATH: &str = "/api/v1/auth";

/// The value of a cookie. Two of one name are none: only one can be ours.
#[must_use]
pub fn find<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let pairs = headers.get_all(COOKIE).iter().flat_map(|line| line.as_bytes().split(is_semicolon));
    let mut values = pairs
        .filter_map(|pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="));
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

const fn is_semicolon(byte: &u8) -> bool {
    *byte == b';'
}

/// Gives a browser both tokens.
#[must_use]
pub fn set(
    session: &Secret,
    session_for: Duration,
    refresh: &Secret,
    refresh_for: Duration,
) -> [HeaderValue; 2] {
    [
        cookie(SESSION, session.expose(), SESSION_PATH, session_for),
        cookie(REFRESH, refresh.expose(), REFRESH_PATH, refresh_for),
    ]
}

/// Takes both away.
#[must_use]
pub fn clear() -> [HeaderValue; 2] {
    [
        cookie(SESSION, "", SESSION_PATH, Duration::ZERO),
        cookie(REFRESH, "", REFRESH_PATH, Duration::ZERO),
    ]
}

fn cookie(name: &str, value: &str, path: &str, lasts: Duration) -> HeaderValue {
    let text = format!(
        "{name}={value}; Path={path}; Max-Age={}; Secure; HttpOnly; SameSite=Strict",
        lasts.as_secs()
    );
    // Base64url and our own words: nothing that a header can't hold.
    let mut header = HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""));
    header.set_sensitive(true);
    header
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_among_others_and_refused_twice() {
        let find_in = |lines: &[&'static str]| {
            let lines = lines.iter().map(|line| (COOKIE, HeaderValue::from_static(line)));
            find(&lines.collect(), SESSION).map(<[u8]>::to_vec)
        };
        assert_eq!(find_in(&["a=b; __Host-fluxgate_session=x.y.z;c=d"]).unwrap(), b"x.y.z");
        assert_eq!(find_in(&["a=b", "__Host-fluxgate_session=x"]).unwrap(), b"x");
        for lines in [
            &["a=b"][..],
            &["__Host-fluxgate_session"],
            &["__Host-fluxgate_sessions=x"],
            &["__host-fluxgate_session=x"],
            &["__Host-fluxgate_session=x; __Host-fluxgate_session=y"],
            &["__Host-fluxgate_session=x", "__Host-fluxgate_session=x"],
        ] {
            assert_eq!(find_in(lines), None, "{lines:?}");
        }
    }

    #[test]
    fn cookies_are_for_our_own_pages_and_no_script() {
        let minutes = |n: u64| Duration::from_secs(n * 60);
        let [session, refresh] = set(&"a.b.c".into(), minutes(10), &"fgr_x".into(), minutes(60));
        assert_eq!(
            session,
            "__Host-fluxgate_session=a.b.c; Path=/; Max-Age=600; Secure; HttpOnly; SameSite=Strict"
        );
        assert!(refresh.to_str().unwrap().contains("Path=/api/v1/auth; Max-Age=3600;"));
        assert!(session.is_sensitive() && refresh.is_sensitive());
        assert!(clear().iter().all(|cookie| cookie.to_str().unwrap().contains("Max-Age=0;")));
    }
}
