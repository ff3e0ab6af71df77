//! People of a test: made by the operator, signed in as a browser or as a program would.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fluxgate_core::admin_api::BearerTokens;
use fluxgate_testkit::TestStack;
use fluxgate_testkit::wire::{self, Answer};
use serde_json::{Value, json};

pub const PASSWORD: &str = "correct horse battery";
pub const LOGIN: &str = "/api/v1/auth/login";
pub const REFRESH: &str = "/api/v1/auth/refresh";
pub const LOGOUT: &str = "/api/v1/auth/logout";
pub const ME: &str = "/api/v1/auth/me";
pub const SESSIONS: &str = "/api/v1/auth/sessions";
pub const SET_PASSWORD: &str = "/api/v1/auth/password";
const JSON: (&str, &str) = ("content-type", "application/json");

/// A request as it is sent to an address that is its host as well.
pub async fn send(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let bytes = wire::request(method, path, headers, body);
    let head = format!("{method} {path} HTTP/1.1\r\nhost: ");
    let rest = bytes.strip_prefix(format!("{head}test").as_bytes()).unwrap();
    wire::ask(to, &[head.as_bytes(), to.to_string().as_bytes(), rest].concat()).await
}

pub async fn post(to: SocketAddr, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    let headers = [headers, &[JSON]].concat();
    send(to, "POST", path, &headers, body.to_string().as_bytes()).await
}

/// Makes a user and gives their id.
pub async fn make(stack: &TestStack, email: &str, role: &str) -> String {
    let body = json!({ "email": email, "password": PASSWORD, "role": role }).to_string();
    let answer = stack.operator("POST", "/api/v1/admin/users", &body).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["id"].as_str().unwrap().to_owned()
}

/// A browser with its two cookies.
#[derive(Clone, Debug)]
pub struct Browser {
    pub at: SocketAddr,
    pub session: String,
    pub refresh: String,
}

impl Browser {
    /// Signs in from the web page.
    pub async fn sign_in(stack: &TestStack, email: &str) -> Self {
        let origin = format!("http://{}", stack.web);
        let asked = json!({ "email": email, "password": PASSWORD });
        let answer = post(stack.web, LOGIN, &[("origin", &origin)], &asked).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        Self::of(stack.web, &answer)
    }

    /// What an answer's cookies make of it.
    pub fn of(at: SocketAddr, answer: &Answer) -> Self {
        let cookies = cookies(answer);
        Self {
            at,
            session: cookies[0].split(';').next().unwrap().to_owned(),
            refresh: cookies[1].split(';').next().unwrap().to_owned(),
        }
    }

    /// Sends what its page asks for.
    pub async fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        self.ask_at(self.at, method, path, body).await
    }

    pub async fn ask_at(&self, at: SocketAddr, method: &str, path: &str, body: &str) -> Answer {
        let origin = format!("http://{at}");
        let cookie = format!("{}; {}", self.session, self.refresh);
        let headers = [
            ("cookie", cookie.as_str()),
            ("origin", &origin),
            JSON,
            ("sec-fetch-site", "same-origin"),
        ];
        send(at, method, path, &headers, body.as_bytes()).await
    }
}

/// The values of `set-cookie`.
pub fn cookies(answer: &Answer) -> Vec<&str> {
    let set = answer.headers.iter().filter(|(name, _)| name == "set-cookie");
    set.map(|(_, value)| value.as_str()).collect()
}

/// Signs in as a program.
pub async fn sign_in(stack: &TestStack, email: &str) -> BearerTokens {
    let asked = json!({ "email": email, "password": PASSWORD, "grant": "bearer" });
    let answer = post(stack.clear, LOGIN, &[], &asked).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(cookies(&answer), Vec::<&str>::new());
    serde_json::from_slice(&answer.body).unwrap()
}

/// Asks with a bearer token.
pub async fn with(to: SocketAddr, token: &str, method: &str, path: &str, body: &str) -> Answer {
    let authorization = format!("Bearer {token}");
    let headers = [("authorization", authorization.as_str()), JSON];
    send(to, method, path, &headers, body.as_bytes()).await
}

pub fn code(answer: &Answer) -> String {
    let body = answer.json();
    body["code"].as_str().or(body["error"]["code"].as_str()).unwrap_or_default().to_owned()
}

/// The newest entry of the audit log that the query asks for, once it is there.
pub async fn audited(stack: &TestStack, query: &str) -> Value {
    let path = format!("/api/v1/admin/audit?{query}");
    let began = Instant::now();
    loop {
        let list = stack.operator("GET", &path, "").await;
        assert_eq!(list.status, 200, "{}", list.text());
        let newest = list.json()["items"][0].clone();
        if !newest.is_null() {
            return newest;
        }
        assert!(began.elapsed() < Duration::from_secs(5), "{query} isn't written down");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
