//! Secrets that pass through the gateway, in every place where somebody might put one: none of them
//! is in its log at the highest level, its metrics, its database or an error of ours.

mod planted;
mod program;

use std::fs;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use fluxgate_testkit::throwaway::Postgres;
use fluxgate_testkit::wire::{self, Answer};
use fluxgate_testkit::{Plan, stack};
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};

use super::people::{self, LOGIN, LOGOUT, ME, REFRESH, SESSIONS, SET_PASSWORD};
use crate::forged_key::forged_key;
use crate::scripted_upstream::{JSON, MODEL, ScriptedUpstream, Seen, Speaks, Step, document};
use crate::secure;
use planted::Planted;
use program::Program;

const EMAIL: &str = "ada@example.org";
const CHAT: &str = "/v1/chat/completions";
/// Every route of ours that reads a body. `{id}` is anything.
const BODIES: [(&str, &str); 15] = [
    ("POST", "/api/v1/auth/setup"),
    ("POST", "/api/v1/auth/register"),
    ("POST", LOGIN),
    ("POST", REFRESH),
    ("POST", LOGOUT),
    ("POST", SET_PASSWORD),
    ("POST", "/api/v1/keys"),
    ("PATCH", "/api/v1/keys/{id}"),
    ("POST", "/api/v1/keys/{id}/rotate"),
    ("POST", "/api/v1/admin/users"),
    ("PATCH", "/api/v1/admin/users/{id}"),
    ("POST", "/api/v1/admin/users/{id}/reset"),
    ("POST", "/api/v1/admin/teams"),
    ("PATCH", "/api/v1/admin/teams/{id}"),
    ("POST", "/api/v1/admin/invites"),
];
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
/// Every member that a body of ours may have.
const MEMBERS: [&str; 22] = [
    "email",
    "password",
    "token",
    "grant",
    "invite",
    "refresh_token",
    "current",
    "new",
    "name",
    "user",
    "scopes",
    "models",
    "ips",
    "limits",
    "expires_at",
    "end_user_header",
    "in_path",
    "overlap_s",
    "role",
    "state",
    "team",
    "unheard_of",
];

/// The program under test, what was planted, and what must not tell of it.
struct Trial {
    program: Program,
    planted: Planted,
    admin_token: String,
    /// Errors of ours that hold what they shouldn't.
    told: Vec<String>,
}

impl Trial {
    async fn send(
        &mut self,
        to: SocketAddr,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let answer = people::send(to, method, path, headers, body).await;
        if answer.status >= 400 {
            let heads = answer.headers.iter().map(|(name, value)| format!("{name}: {value}\n"));
            let text = heads.collect::<String>() + &answer.text();
            let asked = format!("{method} {path} {}", String::from_utf8_lossy(body));
            let asked: String = asked.chars().take(300).collect();
            self.told.extend(self.planted.find(&format!("the answer to {asked}"), &text));
        }
        answer
    }

    async fn post(&mut self, path: &str, body: &Value) -> Answer {
        let (to, headers) = (self.program.clear, [("content-type", "application/json")]);
        self.send(to, "POST", path, &headers, body.to_string().as_bytes()).await
    }

    async fn operator(&mut self, method: &str, path: &str, body: &str) -> Answer {
        let authorization = format!("Bearer {}", self.admin_token);
        let headers =
            [("authorization", authorization.as_str()), ("content-type", "application/json")];
        self.send(self.program.admin, method, path, &headers, body.as_bytes()).await
    }

    /// Tokens of an answer that signs in.
    fn plant_tokens(&mut self, answer: &Answer) -> (String, String) {
        assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
        let tokens = answer.json();
        let token = |name: &str| tokens[name].as_str().unwrap().to_owned();
        let refresh = self.planted.add("a refresh token", &token("refresh_token"));
        (self.planted.add_token(&token("access_token")), refresh)
    }
}

/// What a model server does, by what it is asked.
fn upstream(answer: &str, key: &str) -> impl Fn(&Seen) -> Vec<Step> + Send + Sync + use<> {
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

#[tokio::test]
async fn no_secret_is_in_the_log_the_metrics_the_database_or_an_error() {
    let mut planted = Planted::default();
    let mut plant = |what, secret: &str| planted.add(what, secret);
    let jwt_secret = plant("JWT_SECRET", "planted-jwt-secret-Zq81-0123456789abcdef");
    let admin_token = plant("ADMIN_TOKEN", "planted-admin-token-Xw72-0123456789abcdef");
    let guard_token = plant("GUARD_TOKEN", "planted-guard-token-Vr63-0123456789abcdef");
    let database_password = plant("the database's password", "planted-database-Kd54");
    let upstream_key = plant("an upstream's key", "planted-upstream-key-Lp45");
    let answer = plant("a model's answer", "planted-answer-Hm36 of a model");
    plant("a prompt", PROMPT);
    for (what, secret) in [("the password", PASSWORD), ("a wrong password", WRONG)] {
        plant(what, secret);
    }
    plant("a password in the place of an address", AS_EMAIL);
    plant("a password of digits", DIGITS);

    let server = Postgres::start();
    let url = server.create_database().replace("throwaway-password", &database_password);
    let model_server =
        ScriptedUpstream::start(Speaks::OpenAi, upstream(&answer, &upstream_key)).await;
    let file = format!(
        "[[upstreams]]\nname = \"scripted\"\nkind = \"openai\"\nurl = \"{}\"\napi_key = \"{upstream_key}\"\n",
        model_server.url()
    );
    let variables = [
        ("DATABASE_URL", url.as_str()),
        ("JWT_SECRET", &jwt_secret),
        ("ADMIN_TOKEN", &admin_token),
        ("GUARD_TOKEN", &guard_token),
        ("FLUXGATE__AUTH__REGISTRATION", "invite"),
    ];
    let program = Program::start(&file, &variables).await;
    let mut trial = Trial { program, planted, admin_token, told: Vec::new() };

    let (key, access) = people_come_and_go(&mut trial).await;
    models_are_asked(&mut trial, &key).await;
    secrets_stand_where_they_dont_belong(&mut trial, &key, &access).await;
    bodies_are_broken(&mut trial, &key[6..18], &access).await;
    the_configuration_is_broken(&trial, &file, &upstream_key).await;

    let scrape = wire::request("GET", "/metrics", &[], b"");
    let metrics = wire::ask(trial.program.metrics, &scrape).await.text();
    assert!(metrics.contains("fluxgate_refusals_total"), "{metrics}");
    let Trial { program, planted, mut told, .. } = trial;
    let log = program.end().await;
    assert!(log.contains("TRACE") && log.contains("request answered"), "the log is a whole one");
    told.extend(planted.find("the metrics", &metrics));
    told.extend(planted.find_in_any_form("the log", &log));
    told.extend(planted.find_in_any_form("the database", &planted::dump(&url).await));
    assert!(told.is_empty(), "{}", told.join("\n\n"));
}

#[tokio::test]
async fn a_panic_that_told_all_that_runs_would_tell_no_secret() {
    let url = Postgres::shared().create_database();
    let mut stack = Plan::default().database(&url).start().await;
    let running = stack.running.as_ref().unwrap();
    let panicked = catch_unwind(AssertUnwindSafe(|| panic!("{running:?}")));
    let text = *panicked.unwrap_err().downcast::<String>().unwrap();
    assert!(text.contains("App {") && text.contains("Postgres"), "{text}");
    let link = running.setup_link().unwrap();
    let (_, setup) = link.split_once('#').unwrap();
    let secret = running.app.store.deployment_secret().await.unwrap();
    let bytes = format!("{secret:?}");
    for secret in [
        stack::ADMIN_TOKEN,
        stack::GUARD_TOKEN,
        stack::JWT_SECRET,
        "throwaway-password",
        &stack.key[19..],
        setup,
        bytes.trim_matches(['[', ']']),
    ] {
        assert!(!text.contains(secret), "{secret} stands in it: {text}");
    }
    stack.stop().await;
}

const PASSWORD: &str = "planted-password-Bt27 of ada";
const WRONG: &str = "planted-wrong-password-Ny18";
/// Somebody's hands were faster: the form takes it for an address.
const AS_EMAIL: &str = "planted-typed@address.qe09";
const DIGITS: &str = "86753098675309";
const PROMPT: &str = "planted-prompt-Jc90 that nobody else may read";

/// Every way to sign in, on, up and out. Gives a key and an access token that are still good.
async fn people_come_and_go(trial: &mut Trial) -> (String, String) {
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
async fn models_are_asked(trial: &mut Trial, key: &str) {
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

/// Each secret in the place of a credential, an id, a query, on every route.
async fn secrets_stand_where_they_dont_belong(trial: &mut Trial, key: &str, access: &str) {
    let (clear, admin) = (trial.program.clear, trial.program.admin);
    let forged = trial.planted.add_key("an unknown key", &forged_key(3));
    let broken = format!("{}x", &key[..key.len() - 1]);
    let operator = format!("Bearer {}", trial.admin_token);
    for secret in [key, access, &forged, &broken, PASSWORD] {
        let word = secret.replace(' ', "%20");
        let bearer = format!("Bearer {secret}");
        let cookie =
            format!("__Host-fluxgate_session={secret}; __Secure-fluxgate_refresh={secret}");
        for (method, route) in BODIES.iter().chain(&OTHERS) {
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
async fn bodies_are_broken(trial: &mut Trial, key_id: &str, access: &str) {
    let team = trial.operator("POST", "/api/v1/admin/teams", r#"{"name":"red"}"#).await.json();
    let team = team["id"].as_str().unwrap().to_owned();
    let large = format!(r#"{{"password":"{}"}}"#, PASSWORD.repeat(4_000));
    for (method, route) in BODIES {
        let id = match route {
            _ if route.contains("/keys/") => key_id,
            _ if route.contains("/teams/") => &team,
            _ => "bob@example.org",
        };
        let path = route.replace("{id}", id);
        for member in MEMBERS {
            for value in [
                json!(PASSWORD).to_string(),
                json!([PASSWORD]).to_string(),
                json!({ PASSWORD: access }).to_string(),
                DIGITS.to_owned(),
                format!("-{DIGITS}.5"),
            ] {
                let sound = r#""email":"bob@example.org","#;
                let sound = if member == "email" { "" } else { sound };
                trial.operator(method, &path, &format!("{{{sound}\"{member}\":{value}}}")).await;
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
            let headers = [("content-type", "text/plain")];
            trial.send(trial.program.clear, method, &path, &headers, body.as_bytes()).await;
        }
    }
}

/// A slip of the hand in the file with the credentials; the old configuration goes on.
async fn the_configuration_is_broken(trial: &Trial, file: &str, upstream_key: &str) {
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
