//! Through which door somebody signs in: whether their browser would keep a cookie there, and
//! whether a page of ours sent them.

use fluxgate_core::Reason;
use fluxgate_core::admin_api::Grant;
use http::header::HOST;
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, Uri};

use crate::admin::actor::CameFrom;
use crate::admin::problem::Problem;
use crate::app::App;
use crate::auth::origin::Origin;
use crate::listen::{ClientAddr, ListenerKind};

/// The most that is kept of a user agent.
const DEVICE_CHARS_MAX: usize = 128;

/// What of a request decides how somebody may sign in.
#[derive(Debug)]
pub struct Door {
    pub client: ClientAddr,
    /// The user agent, cut to a line.
    pub device: String,
    origin: Origin,
    keeps_cookies: bool,
    https: String,
}

impl Door {
    /// # Errors
    /// 500 where the listener didn't tell who asks.
    pub fn of(app: &App, head: &Parts) -> Result<Self, Problem> {
        let CameFrom { client, kind } = CameFrom::of(head)?;
        let settings = app.settings.load();
        let public_url = settings.public_url.as_ref();
        let host = host(&head.headers, &head.uri);
        let name = host.as_ref().map(Authority::host);
        Ok(Self {
            client,
            device: device(&head.headers),
            origin: Origin::of(&head.headers, &head.uri, kind, public_url),
            keeps_cookies: kind == ListenerKind::PublicTls
                || public_url.is_some_and(|url| url.scheme() == "https")
                || name.is_some_and(is_loopback),
            https: public_url.filter(|url| url.scheme() == "https").map_or_else(
                || https_address(app, name),
                |url| url.as_str().trim_end_matches('/').to_owned(),
            ),
        })
    }

    /// Lets pass what no other site's page sent.
    ///
    /// # Errors
    /// 403.
    pub fn refuse_foreign(&self) -> Result<(), Problem> {
        Ok(self.origin.refuse_foreign()?)
    }

    /// By cookie only a page of ours signs in, where the browser keeps the cookies.
    ///
    /// # Errors
    /// 403 or 400.
    pub fn check(&self, grant: Grant) -> Result<(), Problem> {
        match grant {
            Grant::Bearer => Ok(self.origin.refuse_foreign()?),
            Grant::Cookie => {
                self.origin.require_ours()?;
                self.check_cookies()
            }
        }
    }

    /// As [`Self::check`], for whoever proves by a one-time token what they are: a program may.
    ///
    /// # Errors
    /// 403 or 400.
    pub fn check_with_token(&self, grant: Grant) -> Result<(), Problem> {
        self.origin.refuse_foreign()?;
        match (grant, self.origin) {
            (Grant::Cookie, Origin::Ours) => self.check_cookies(),
            (Grant::Bearer | Grant::Cookie, _) => Ok(()),
        }
    }

    fn check_cookies(&self) -> Result<(), Problem> {
        if self.keeps_cookies {
            return Ok(());
        }
        let text = format!(
            "A browser keeps no session's cookie over clear text. Open {} instead.",
            self.https
        );
        Err(Problem::new(Reason::HttpsRequired, text))
    }
}

fn host(headers: &HeaderMap, uri: &Uri) -> Option<Authority> {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()?.parse().ok());
    host.or_else(|| uri.authority().cloned())
}

/// Names whose cookies browsers take for safe over clear text as well.
fn is_loopback(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || matches!(name, "127.0.0.1" | "[::1]")
}

/// The TLS listener under the name by which the reader reaches us.
fn https_address(app: &App, name: Option<&str>) -> String {
    match (app.address(ListenerKind::PublicTls), name) {
        (Some(address), Some(name)) if address.port() == 443 => format!("https://{name}"),
        (Some(address), Some(name)) => format!("https://{name}:{}", address.port()),
        (Some(address), None) => format!("https://{address}"),
        (None, _) => "its https address, which `PUBLIC_URL` has to name,".to_owned(),
    }
}

fn device(headers: &HeaderMap) -> String {
    let agent = headers.get(http::header::USER_AGENT).and_then(|value| value.to_str().ok());
    agent.unwrap_or_default().chars().take(DEVICE_CHARS_MAX).collect()
}
