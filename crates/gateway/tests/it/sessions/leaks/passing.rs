//! Secrets on their way: people who come and go, and models that are asked.

use std::fs;

use http::Request;
use http_body_util::Full;
use serde_json::json;

use super::trial::Trial;
use super::{AS_EMAIL, CHAT, EMAIL, PASSWORD, PROMPT, WRONG};
use crate::scripted_upstream::{JSON, MODEL, Seen, Step, document};
use crate::secure;
use crate::sessions::people::{self, LOGIN, LOGOUT, ME, REFRESH, SET_PASSWORD};

const MODEL_ROUTES: [&str; 10] = [
    CHAT,
    "/v1/completions",
    "/v1/embeddings",
    "/v1/responses",
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/api/chat",
    "/api/generate",
    "/api/embed",
    "/api/show",
];

/// What a model server does, by what it is asked.
pub fn upstream(answer: &str, key: &str) -> impl Fn(&Seen) -> Vec<Step> + Send + Sync + use<> {
    let chat = json!({
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": answer } }],
        "usage": { "prompt_tokens": 3, "completion_tokens": 5 },
    });
    let (good, key) = (document(JSON, chat.to_string().as_bytes()), key.to_owned());
    move |seen| {
        let body = String::from_utf8_lossy(&seen.body);
        // As a careless server would quote what it was sent.
        let quoted = format!("{key} isn't good for {body}");
        let error = |status: &str| {
            let head = format!("HTTP/1.1 {status}\r\nx-key: {key}\r\ncontent-length: ");
            format!("{head}{}\r\n\r\n{quoted}", quoted.len()).into_bytes()
        };
        let answer = match () {
            () if body.contains("refuse us") => error("401 Unauthorized"),
            () if body.contains("fail") => error("500 Internal Server Error"),
            () if body.contains("redirect") => error("302 Found"),
            () if body.contains("babble") => quoted.into_bytes(),
            () => good.clone(),
        };
        vec![Step::Send(answer), Step::Close]
    }
}

/// Every way to sign in, on, up and out. Gives a key and an access token that are still good.
pub async fn people_come_and_go(trial: &mut Trial) -> (String, String) {
    let link = fs::read_to_string(trial.program.file("setup-link")).unwrap();
    let token = trial.planted.add_link("the setup's token", &link);
    let bearer = |email: &str, password: &str| json!({ "email": email, "password": password, "grant": "bearer" });
    let mut asked = bearer(EMAIL, PASSWORD);
    asked["token"] = json!(token);
    let answer = trial.post("/api/v1/auth/setup", &asked).await;
    let (admin, _) = trial.plant_tokens(&answer);
    assert_eq!(trial.post("/api/v1/auth/setup", &asked).await.status, 403);

    for (email, password, status) in [
        (EMAIL, WRONG, 401),
        (AS_EMAIL, PASSWORD, 401),
        (PASSWORD, PASSWORD, 400),
        (EMAIL, PASSWORD, 200),
    ] {
        let answer = trial.post(LOGIN, &bearer(email, password)).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        if status == 200 {
            let (_, refresh) = trial.plant_tokens(&answer);
            let body = json!({ "refresh_token": refresh });
            let answer = trial.post(REFRESH, &body).await;
            let (_, next) = trial.plant_tokens(&answer);
            // Superseded, then used once more: it is kept as a hash in both tables.
            assert_eq!(trial.post(REFRESH, &body).await.status, 409);
            assert_eq!(trial.post(LOGOUT, &json!({ "refresh_token": next })).await.status, 204);
            assert_eq!(trial.post(REFRESH, &json!({ "refresh_token": next })).await.status, 401);
        }
    }
    a_browser_signs_in(trial).await;

    let invite = trial.operator("POST", "/api/v1/admin/invites", "").await.json();
    let invite = trial.planted.add_link("an invitation's token", invite["link"].as_str().unwrap());
    let mut asked = bearer("bob@example.org", WRONG);
    asked["invite"] = json!(invite);
    let answer = trial.post("/api/v1/auth/register", &asked).await;
    let (bob, _) = trial.plant_tokens(&answer);
    assert_eq!(trial.post("/api/v1/auth/register", &asked).await.status, 403);
    let reset = trial.operator("POST", "/api/v1/admin/users/bob@example.org/reset", "").await;
    let reset = reset.json()["link"].as_str().unwrap().to_owned();
    let reset = trial.planted.add_link("a reset's token", &reset);
    let asked = json!({ "token": reset, "new": PASSWORD });
    assert_eq!(trial.post(SET_PASSWORD, &asked).await.status, 204);
    assert_eq!(trial.post(SET_PASSWORD, &asked).await.status, 403);
    // The reset ended bob's sessions.
    let answer = people::with(trial.program.clear, &bob, "GET", ME, "").await;
    assert_eq!(answer.status, 401);

    let created = trial.operator("POST", "/api/v1/keys", r#"{"name":"x","in_path":true}"#).await;
    let key = trial.planted.add_key("a key", created.json()["key"].as_str().unwrap());
    let rotate = format!("/api/v1/keys/{}/rotate", &key[6..18]);
    let rotated = trial.operator("POST", &rotate, r#"{"overlap_s":60}"#).await.json();
    let key = trial.planted.add_key("a rotated key", rotated["key"].as_str().unwrap());
    (key, admin)
}

async fn a_browser_signs_in(trial: &mut Trial) {
    let web = trial.program.web;
    let origin = format!("http://{web}");
    let headers = [("content-type", "application/json"), ("origin", origin.as_str())];
    let asked = json!({ "email": EMAIL, "password": PASSWORD }).to_string();
    let answer = trial.send(web, "POST", LOGIN, &headers, asked.as_bytes()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let browser = people::Browser::of(web, &answer);
    for cookie in [&browser.session, &browser.refresh] {
        let (_, token) = cookie.split_once('=').unwrap();
        trial.planted.add("a cookie", token);
    }
    for (method, path) in [("GET", ME), ("GET", "/v1/models"), ("POST", LOGOUT), ("GET", ME)] {
        let cookie = format!("{}; {}", browser.session, browser.refresh);
        let headers = [("cookie", cookie.as_str()), ("origin", &origin)];
        trial.send(web, method, path, &headers, b"").await;
    }
}

/// Over HTTP/1.1 and HTTP/2, well and badly, with the key in each of its places.
pub async fn models_are_asked(trial: &mut Trial, key: &str) {
    let clear = trial.program.clear;
    let bearer = format!("Bearer {key}");
    let with_key = [("authorization", bearer.as_str())];
    for what in ["", "refuse us", "fail", "redirect", "babble"] {
        let messages = json!([{ "role": "user", "content": format!("{PROMPT} {what}") }]);
        for stream in [false, true] {
            let body = json!({ "model": MODEL, "messages": messages, "stream": stream });
            let body = body.to_string();
            let answer = trial.send(clear, "POST", CHAT, &with_key, body.as_bytes()).await;
            assert_eq!(answer.status == 200, what.is_empty(), "{}", answer.text());
            let path = format!("/k/{key}{CHAT}");
            trial.send(clear, "POST", &path, &[], body.as_bytes()).await;
        }
    }
    for route in MODEL_ROUTES {
        for body in [
            format!(
                r#"{{"model":"{MODEL}","messages":"{PROMPT}","prompt":["{PROMPT}"],"input":{{"x":"{PROMPT}"}}}}"#
            ),
            format!(
                r#"{{"model":"{MODEL}","messages":[{{"role":"{PROMPT}","content":"{PROMPT}"}}],"max_tokens":"{PROMPT}"}}"#
            ),
            format!(r#"{{"model":["{PROMPT}"],"stream":"{PROMPT}","n":"{PROMPT}"}}"#),
            format!(r#"{{"model":"{MODEL}","model":"{MODEL}","prompt":"{PROMPT}"}}"#),
            format!(r#"{{"{PROMPT}":1,"options":{{"{PROMPT}":"#),
            format!(r#""{PROMPT}""#),
        ] {
            for headers in [&with_key[..], &[("x-api-key", key)], &[]] {
                trial.send(clear, "POST", route, headers, body.as_bytes()).await;
            }
        }
    }
    let (tls, folder) = (trial.program.tls, trial.program.folder.path());
    let mut client = secure::http2_over(secure::connect_to(tls, folder, &["h2"]).await).await;
    for path in [CHAT, &format!("/k/{key}{CHAT}"), LOGIN, &format!("/k/{key}"), &format!("/?{key}")]
    {
        let body = json!({ "model": MODEL, "messages": [{ "role": "user", "content": PROMPT }] });
        let request = Request::post(format!("https://localhost{path}"))
            .header("authorization", &bearer)
            .header("x-api-key", key)
            .header("cookie", format!("__Host-fluxgate_session={key}"))
            .header("content-type", "application/json")
            .body(Full::from(body.to_string()))
            .unwrap();
        client.send_request(request).await.unwrap();
    }
}
