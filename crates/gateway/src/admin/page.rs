//! The short page of the web listener: what runs here and how to connect, and the forms behind
//! one-time links. The files stand in the program; they work without any other server.

use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName};

use crate::app::{App, SharedApp};
use crate::listen::ListenerKind;

const INDEX: &str = include_str!("page/index.html");
const SETUP: &str = include_str!("page/setup.html");
const REGISTER: &str = include_str!("page/register.html");
const RESET: &str = include_str!("page/reset.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/form.js");

/// Around what is shown only where the demo model answers.
const DEMO_NOTE: [&str; 2] = ["<!-- demo -->", "<!-- /demo -->"];
/// A model that every demo model has.
const DEMO_MODEL: &str = "demo";

/// Nothing but our own files, nothing inline, in no frame; a form only speaks through the script.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

/// What runs here and how to connect.
pub async fn index(
    State(app): State<SharedApp>,
    Extension(kind): Extension<ListenerKind>,
    headers: HeaderMap,
) -> Response {
    // Models are named to those alone who have a key; the demo model is no secret.
    let demo = app.listening.get().is_some_and(|listening| listening.demo_model.is_some());
    let page = if demo {
        DEMO_NOTE.iter().fold(INDEX.to_owned(), |page, mark| page.replace(mark, ""))
    } else {
        without_note(INDEX)
    };
    let page = page
        .replace("{{version}}", env!("CARGO_PKG_VERSION"))
        .replace("{{origin}}", &origin(&app, kind, &headers))
        .replace("{{model}}", if demo { DEMO_MODEL } else { "MODEL" });
    html(page)
}

/// The form of the first administrator.
pub async fn setup() -> Response {
    html(SETUP.to_owned())
}

/// The form of whoever has an invitation.
pub async fn register() -> Response {
    html(REGISTER.to_owned())
}

/// The form of whoever has the link of a reset.
pub async fn reset() -> Response {
    html(RESET.to_owned())
}

/// The style of all pages.
pub async fn style() -> Response {
    file("text/css; charset=utf-8", STYLE.to_owned())
}

/// The forms' script.
pub async fn script() -> Response {
    file("text/javascript; charset=utf-8", SCRIPT.to_owned())
}

fn html(page: String) -> Response {
    file("text/html; charset=utf-8", page)
}

fn file(media_type: &'static str, content: String) -> Response {
    let headers = [
        (CONTENT_TYPE, media_type),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        // A newer program brings newer files under the same names.
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, content).into_response()
}

/// Under which origin the reader reaches us: as configured, else as the browser says, else as we
/// listen.
fn origin(app: &App, kind: ListenerKind, headers: &HeaderMap) -> String {
    if let Some(url) = &app.settings.load().public_url {
        return escaped(url.as_str().trim_end_matches('/'));
    }
    let asked = headers.get(HOST).and_then(|host| host.to_str().ok());
    if let Some(host) = asked.filter(|host| is_plain_host(host)) {
        let scheme = if kind == ListenerKind::PublicTls { "https" } else { "http" };
        return format!("{scheme}://{host}");
    }
    app.address(ListenerKind::Web).map_or_else(String::new, |address| format!("http://{address}"))
}

/// Nothing in it that a page or a shell would read as something else.
fn is_plain_host(host: &str) -> bool {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']');
    !host.is_empty() && host.bytes().all(plain)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

fn without_note(page: &str) -> String {
    let [begin, end] = DEMO_NOTE;
    match (page.split_once(begin), page.split_once(end)) {
        (Some((before, _)), Some((_, after))) => format!("{before}{after}"),
        _ => page.to_owned(),
    }
}
