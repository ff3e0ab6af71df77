//! Secrets where they don't belong: in the place of a credential, an id, a query, a member; in bodies
//! that are none, and in a configuration with a slip of the hand.

use std::fs;

use fluxgate_testkit::wire;
use serde_json::json;

use super::trial::Trial;
use super::{CHAT, DIGITS, PASSWORD};
use crate::forged_key::forged_key;
use crate::sessions::people::{LOGIN, LOGOUT, ME, REFRESH, SESSIONS, SET_PASSWORD};

/// Every route of ours that reads a body, and what may stand in it. `{id}` is anything.
const BODIES: [(&str, &str, &[&str]); 15] = [
    ("POST", "/api/v1/auth/setup", &["token", "email", "password", "grant"]),
    ("POST", "/api/v1/auth/register", &["email", "password", "invite", "grant"]),
    ("POST", LOGIN, &["email", "password", "grant"]),
    ("POST", REFRESH, &["refresh_token"]),
    ("POST", LOGOUT, &["refresh_token"]),
    ("POST", SET_PASSWORD, &["current", "token", "new"]),
    ("POST", "/api/v1/keys", &KEY),
    ("PATCH", "/api/v1/keys/{id}", &KEY),
    ("POST", "/api/v1/keys/{id}/rotate", &["overlap_s"]),
    ("POST", "/api/v1/admin/users", &["email", "password", "role", "team"]),
    ("PATCH", "/api/v1/admin/users/{id}", &["role", "state", "team", "limits"]),
    ("POST", "/api/v1/admin/users/{id}/reset", &["expires_at"]),
    ("POST", "/api/v1/admin/teams", &["limits"]),
    ("PATCH", "/api/v1/admin/teams/{id}", &["limits"]),
    ("POST", "/api/v1/admin/invites", &["email", "role", "team", "expires_at"]),
];
/// Names and globs may be whatever somebody likes, and are kept: they stand nowhere here.
const KEY: [&str; 7] =
    ["user", "expires_at", "scopes", "ips", "limits", "end_user_header", "in_path"];
const OTHERS: [(&str, &str); 14] = [
    ("GET", ME),
    ("GET", SESSIONS),
    ("DELETE", "/api/v1/auth/sessions/{id}"),
    ("GET", "/api/v1/keys"),
    ("DELETE", "/api/v1/keys/{id}"),
    ("GET", "/api/v1/usage"),
    ("GET", "/api/v1/admin/users"),
    ("GET", "/api/v1/admin/teams"),
    ("DELETE", "/api/v1/admin/teams/{id}"),
    ("GET", "/api/v1/admin/invites"),
    ("DELETE", "/api/v1/admin/invites/{id}"),
    ("GET", "/api/v1/admin/audit"),
    ("GET", "/api/v1/nothing"),
    ("GET", "/{id}"),
];
/// Each secret in the place of a credential, an id, a query, on every route.
pub async fn secrets_stand_where_they_dont_belong(trial: &mut Trial, key: &str, access: &str) {
    let (clear, admin) = (trial.program.clear, trial.program.admin);
    let forged = trial.planted.add_key("an unknown key", &forged_key(3));
    let operator = format!("Bearer {}", trial.admin_token);
    for secret in [key, access, &forged, PASSWORD] {
        let word = secret.replace(' ', "%20");
        let bearer = format!("Bearer {secret}");
        let cookie =
            format!("__Host-fluxgate_session={secret}; __Secure-fluxgate_refresh={secret}");
        for (method, route) in BODIES
            .iter()
            .map(|(method, route, _)| (method, route))
            .chain(OTHERS.iter().map(|(method, route)| (method, route)))
        {
            let path = route.replace("{id}", &word);
            for query in ["", "?limit=", "?cursor=", "?"] {
                let path = match query {
                    "" => path.clone(),
                    _ => format!("{path}{query}{word}"),
                };
                trial.send(admin, method, &path, &[("authorization", &operator)], b"").await;
            }
            for headers in [
                [("authorization", bearer.as_str())],
                [("authorization", secret)],
                [("x-api-key", secret)],
                [("cookie", &cookie)],
                [("idempotency-key", "")],
            ] {
                trial.send(clear, method, &path, &headers, b"").await;
            }
        }
        for path in [
            format!("/k/{word}"),
            format!("/k/{word}/v1/models"),
            format!("/k/{word}/api/v1/keys"),
            format!("//k/{word}/v1/models"),
            format!("/v1/{word}"),
            format!("/v1/models/{word}"),
            format!("/api/{word}"),
            format!("/{word}%2f"),
            format!("/v1/models?key={word}"),
        ] {
            trial.send(clear, "GET", &path, &[("authorization", &bearer)], b"").await;
        }
        // Not HTTP, and HTTP that could be read in two ways.
        for request in [
            format!("{secret}\r\n\r\n"),
            format!("GET /v1/models HTTP/1.1\r\nhost: test\r\n{secret}\r\n\r\n"),
            format!("GET /v1/models HTTP/1.1\r\nhost: {word}\r\nauthorization : {secret}\r\n\r\n"),
            format!("POST {CHAT} HTTP/1.1\r\nhost: test\r\ncontent-length: {secret}\r\n\r\n"),
            format!("POST {CHAT} HTTP/1.1\r\nhost: test\r\ntransfer-encoding: {secret}\r\n\r\n"),
        ] {
            let mut connection = wire::Connection::open(clear).await;
            connection.send(request.as_bytes()).await;
            let answer = connection.try_answer().await;
            let text = answer.map(|answer| answer.text()).unwrap_or_default();
            trial.told.extend(trial.planted.find("an answer to what isn't HTTP", &text));
        }
    }
}

/// Each member of each body as something that it can't be, and bodies that are none.
pub async fn bodies_are_broken(trial: &mut Trial, key_id: &str, access: &str) {
    let team = trial.operator("POST", "/api/v1/admin/teams", r#"{"name":"red"}"#).await.json();
    let team = team["id"].as_str().unwrap().to_owned();
    let large = format!(r#"{{"password":"{}"}}"#, PASSWORD.repeat(4_000));
    for (method, route, members) in BODIES {
        let id = match route {
            _ if route.contains("/keys/") => key_id,
            _ if route.contains("/teams/") => &team,
            _ => "bob@example.org",
        };
        let path = route.replace("{id}", id);
        for member in members {
            for value in [
                json!(PASSWORD).to_string(),
                json!([PASSWORD]).to_string(),
                json!({ PASSWORD: access }).to_string(),
                DIGITS.to_owned(),
                format!("-{DIGITS}.5"),
            ] {
                trial.operator(method, &path, &format!("{{\"{member}\":{value}}}")).await;
            }
        }
        for body in [
            format!(r#"{{"{PASSWORD}":1}}"#),
            format!(r#"{{"password":"{PASSWORD}""#),
            format!(r#"{{"password":{PASSWORD}}}"#),
            format!(r#"["{PASSWORD}"]"#),
            format!(r#"{{"password":"{PASSWORD}"}} {PASSWORD}"#),
            format!(r#"{{"password":"{PASSWORD}","password":"{PASSWORD}"}}"#),
            PASSWORD.to_owned(),
            large.clone(),
        ] {
            trial.operator(method, &path, &body).await;
        }
        let headers = [("content-type", "text/plain")];
        trial.send(trial.program.clear, method, &path, &headers, PASSWORD.as_bytes()).await;
    }
}

/// A slip of the hand in the file with the credentials; the old configuration goes on.
pub async fn the_configuration_is_broken(trial: &Trial, file: &str, upstream_key: &str) {
    let file_path = trial.program.file("fluxgate.toml");
    for broken in [
        file.replace(&format!("{upstream_key}\""), upstream_key),
        file.replace(&format!("\"{upstream_key}\""), upstream_key),
        file.replace(&format!("\"{upstream_key}\""), &format!("[\"{upstream_key}\"]")),
        format!("{file}\n[auth]\njwt_secret_previous = {DIGITS}\n"),
        format!("{file}\n[[upstreams]]\nname = \"x\"\nurl = \"http://x:{PASSWORD}@[::1\"\n"),
    ] {
        fs::write(&file_path, broken).unwrap();
        trial.program.reload("configuration not reloaded").await;
    }
    fs::write(&file_path, file).unwrap();
    trial.program.reload("configuration reloaded").await;
}
