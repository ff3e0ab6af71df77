//! Access tokens that aren't ours, or are ours no more: none opens anything.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::Utc;
use fluxgate_testkit::stack::JWT_SECRET;
use fluxgate_testkit::{Plan, TestStack};
use serde_json::{Value, json};

use super::people::{self, LOGOUT, ME, code, with};

/// HMAC as an attacker would compute it, with whatever key.
mod forger {
    use hmac::{Hmac, KeyInit, Mac};

    pub fn sign(key: &[u8], signed: &str) -> Vec<u8> {
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key).unwrap();
        mac.update(signed.as_bytes());
        mac.finalize().into_bytes().to_vec()
    }
}

fn encode(part: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(part)
}

fn decode(part: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// A token of these texts, signed with the deployment's own secret.
fn forge(header: &str, claims: &str) -> String {
    forge_with(JWT_SECRET.as_bytes(), header, claims)
}

fn forge_with(key: &[u8], header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", encode(header), encode(claims));
    format!("{signed}.{}", encode(forger::sign(key, &signed)))
}

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

#[tokio::test]
async fn none_of_sixty_hostile_tokens_opens_anything() {
    let mut stack = TestStack::start().await;
    people::make(&stack, "ada@example.org", "admin").await;
    let tokens = people::sign_in(&stack, "ada@example.org").await;
    let good = tokens.access_token.as_str();
    let parts: Vec<&str> = good.split('.').collect();
    let [header, payload, signature] = parts[..] else { panic!("{good}") };
    let claims = decode(payload);
    let with_claim = |name: &str, value: Value| {
        let mut changed = claims.clone();
        changed[name] = value;
        forge(HEADER, &changed.to_string())
    };
    let without = |name: &str| {
        let mut changed = claims.clone();
        changed.as_object_mut().unwrap().remove(name);
        forge(HEADER, &changed.to_string())
    };
    let with_header = |header: &str| forge(header, &claims.to_string());
    let now = Utc::now().timestamp();
    // The forger's hand is good: what is ours by every letter opens.
    let own = forge(HEADER, &claims.to_string());
    assert_eq!(with(stack.clear, &own, "GET", ME, "").await.status, 200);

    let mut hostile: Vec<(&str, String)> = vec![
        ("alg none", format!("{}.{payload}.", encode(r#"{"alg":"none","typ":"JWT"}"#))),
        ("alg None", format!("{}.{payload}.", encode(r#"{"alg":"None"}"#))),
        ("alg nOnE signed", with_header(r#"{"alg":"nOnE","typ":"JWT"}"#)),
        (
            "alg none with the good signature",
            format!("{}.{payload}.{signature}", encode(r#"{"alg":"none"}"#)),
        ),
        ("no signature", format!("{header}.{payload}.")),
        ("two parts", format!("{header}.{payload}")),
        ("one part", format!("{header}.")),
        ("four parts", format!("{good}.x")),
        ("five parts", format!("{good}.x.y")),
        ("empty parts", "..".to_owned()),
        ("empty payload", format!("{header}..{signature}")),
        ("alg RS256", with_header(r#"{"alg":"RS256","typ":"JWT"}"#)),
        ("alg ES256", with_header(r#"{"alg":"ES256","typ":"JWT"}"#)),
        ("alg HS384", with_header(r#"{"alg":"HS384","typ":"JWT"}"#)),
        ("alg HS512", with_header(r#"{"alg":"HS512","typ":"JWT"}"#)),
        ("alg PS256", with_header(r#"{"alg":"PS256","typ":"JWT"}"#)),
        ("alg in small letters", with_header(r#"{"alg":"hs256","typ":"JWT"}"#)),
        ("alg as a list", with_header(r#"{"alg":["HS256"],"typ":"JWT"}"#)),
        ("alg twice", with_header(r#"{"alg":"none","alg":"HS256","typ":"JWT"}"#)),
        ("no alg", with_header(r#"{"typ":"JWT"}"#)),
        ("typ refresh in the header", with_header(r#"{"alg":"HS256","typ":"refresh"}"#)),
        ("kid traversal", with_header(r#"{"alg":"HS256","kid":"../../../../dev/null"}"#)),
        ("kid SQL", with_header(r#"{"alg":"HS256","kid":"x' UNION SELECT 'k"}"#)),
        ("kid empty", with_header(r#"{"alg":"HS256","kid":""}"#)),
        ("jku", with_header(r#"{"alg":"HS256","jku":"https://evil.example/keys"}"#)),
        ("x5u", with_header(r#"{"alg":"HS256","x5u":"https://evil.example/cert"}"#)),
        ("x5c", with_header(r#"{"alg":"HS256","x5c":["MIIB"]}"#)),
        ("jwk", with_header(r#"{"alg":"HS256","jwk":{"kty":"oct","k":"AAAA"}}"#)),
        ("crit", with_header(r#"{"alg":"HS256","crit":["exp"]}"#)),
        ("b64", with_header(r#"{"alg":"HS256","b64":false,"crit":["b64"]}"#)),
        ("zip", with_header(r#"{"alg":"HS256","zip":"DEF"}"#)),
        ("cty", with_header(r#"{"alg":"HS256","cty":"JWT"}"#)),
        ("header not JSON", with_header("x")),
        ("header a list", with_header("[]")),
        ("exp a string", with_claim("exp", json!((now + 300).to_string()))),
        ("exp a float", with_claim("exp", json!(now as f64 + 300.5))),
        ("exp null", with_claim("exp", Value::Null)),
        ("exp true", with_claim("exp", json!(true))),
        ("exp far away", with_claim("exp", json!(now + 86_400))),
        ("exp beyond any time", with_claim("exp", json!(i64::MAX))),
        ("exp negative", with_claim("exp", json!(-1))),
        ("expired by the leeway and a second", with_claim("exp", json!(now - 6))),
        ("nbf to come", with_claim("nbf", json!(now + 30))),
        ("nbf a string", with_claim("nbf", json!("0"))),
        ("iss another", with_claim("iss", json!("https://evil.example"))),
        ("iss a list", with_claim("iss", json!(["fluxgate"]))),
        ("aud another", with_claim("aud", json!("admin"))),
        ("aud a list", with_claim("aud", json!(["fluxgate", "other"]))),
        ("typ refresh", with_claim("typ", json!("refresh"))),
        ("typ empty", with_claim("typ", json!(""))),
        ("sid nobody's", with_claim("sid", json!("00000000-0000-7000-8000-000000000000"))),
        ("sid SQL", with_claim("sid", json!("' OR 1=1 --"))),
        ("sid a number", with_claim("sid", json!(1))),
        ("jti not an id", with_claim("jti", json!("x"))),
        ("a claim too many", with_claim("role", json!("admin"))),
        ("claims a list", forge(HEADER, "[]")),
        ("claims not JSON", forge(HEADER, "x")),
        ("exp twice", forge(HEADER, &claims.to_string().replacen('{', "{\"exp\":1,", 1))),
        (
            "sid twice",
            forge(
                HEADER,
                &claims.to_string().replacen('{', &format!("{{\"sid\":{},", claims["sid"]), 1),
            ),
        ),
        (
            "another secret",
            forge_with(b"another-secret-0123456789abcdef0123", HEADER, &claims.to_string()),
        ),
        ("an empty secret", forge_with(b"", HEADER, &claims.to_string())),
        (
            "the operator's token as secret",
            forge_with(
                fluxgate_testkit::stack::ADMIN_TOKEN.as_bytes(),
                HEADER,
                &claims.to_string(),
            ),
        ),
        ("signature cut", good[..good.len() - 1].to_owned()),
        ("signature longer", format!("{good}A")),
        ("signature of another payload", {
            let mut changed = claims.clone();
            changed["exp"] = json!(now + 599);
            format!("{header}.{}.{signature}", encode(changed.to_string()))
        }),
        ("padded", format!("{good}=")),
        ("standard base64", good.replace('_', "/").replace('-', "+") + "+/"),
        ("huge", format!("{header}.{}.{signature}", "A".repeat(20_000))),
        ("a refresh token with dots", format!("{}.x.y", tokens.refresh_token)),
        ("a refresh token", tokens.refresh_token.clone()),
    ];
    for name in ["iss", "aud", "exp", "nbf", "jti", "typ", "sid"] {
        hostile.push(("a claim missing", without(name)));
    }
    assert!(hostile.len() >= 60, "{}", hostile.len());
    for (what, token) in &hostile {
        for path in [ME, "/v1/models", "/api/v1/keys"] {
            let answer = with(stack.clear, token, "GET", path, "").await;
            assert_eq!(answer.status, 401, "{what} at {path}: {}", answer.text());
        }
        let cookie = format!("__Host-fluxgate_session={token}");
        let origin = format!("http://{}", stack.web);
        let headers = [("cookie", cookie.as_str()), ("origin", &origin)];
        let answer = people::send(stack.web, "GET", ME, &headers, b"").await;
        assert_eq!(answer.status, 401, "{what} as a cookie");
    }
    assert_eq!(with(stack.clear, good, "GET", ME, "").await.status, 200, "the good one still does");
    // What was signed out is good no more, however well it is signed.
    assert_eq!(with(stack.clear, good, "POST", LOGOUT, "").await.status, 204);
    for token in [good, &own] {
        let answer = with(stack.clear, token, "GET", ME, "").await;
        assert_eq!((answer.status, code(&answer).as_str()), (401, "session_ended"));
    }
    stack.stop().await;
}

#[tokio::test]
async fn a_rotated_secret_refuses_nobody_who_is_signed_in() {
    let toml = |now: &str, previous: &str| {
        format!("[auth]\njwt_secret = \"{now}\"\njwt_secret_previous = \"{previous}\"\n")
    };
    let (old, new) = ("old-jwt-secret-0123456789abcdef0123", "new-jwt-secret-0123456789abcdef0123");
    let plan = Plan::default().file(&toml(old, new)).without_jwt_secret();
    let mut stack = plan.start().await;
    people::make(&stack, "ada@example.org", "member").await;
    let before = people::sign_in(&stack, "ada@example.org").await.access_token;
    let (clear, token) = (stack.clear, before.clone());
    let asking = tokio::spawn(async move {
        let mut asked = 0;
        for _ in 0..400 {
            for path in ["/v1/models", ME] {
                let answer = with(clear, &token, "GET", path, "").await;
                assert_eq!(answer.status, 200, "{path}: {}", answer.text());
                asked += 1;
            }
        }
        asked
    });
    for turn in 0..6 {
        let (now, previous) = if turn % 2 == 0 { (new, old) } else { (old, new) };
        let file = stack.folder.path().join("fluxgate.toml");
        std::fs::write(file, toml(now, previous)).unwrap();
        assert!(stack.running.as_ref().unwrap().reload().await.unwrap().needs_restart.is_empty());
        let tokens = people::sign_in(&stack, "ada@example.org").await;
        assert_eq!(with(stack.clear, &tokens.access_token, "GET", ME, "").await.status, 200);
    }
    assert_eq!(asking.await.unwrap(), 800);
    // In the end the old one counts no more.
    let file = stack.folder.path().join("fluxgate.toml");
    std::fs::write(file, format!("[auth]\njwt_secret = \"{new}\"\n")).unwrap();
    stack.running.as_ref().unwrap().reload().await.unwrap();
    assert_eq!(with(stack.clear, &before, "GET", ME, "").await.status, 401);
    // Keys have never had anything to do with it.
    assert_eq!(stack.get("/v1/models").await.status, 200);
    stack.stop().await;
}
