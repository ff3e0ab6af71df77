//! Whatever holds a secret shows `***` in its place: in a log line, and in a panic's message.

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};

use chrono::Utc;
use fluxgate_core::admin_api::{
    BearerTokens, CreateUser, Grant, LogIn, Refresh, Register, Role, SetPassword, SetUp, SignIn,
};
use fluxgate_core::secret::SecretUrl;
use fluxgate_core::{Secret, SessionId};
use http::Request;
use serde_json::json;

use super::access_token::AccessTokens;
use super::api_key::NewKey;
use super::credential::Credential;
use super::in_path::{self, KeyInPath};
use super::one_time::OneTimeTokens;
use super::password::NewPassword;
use super::pseudonym::Pseudonyms;
use super::refresh_token::RefreshTokens;
use crate::first_start::FirstStart;
use crate::store::Email;

const PLANTED: &str = "planted-secret-Wd31-of-somebody";

/// How a panic would tell it.
fn panicked(value: &dyn Debug) -> String {
    let panicked = catch_unwind(AssertUnwindSafe(|| panic!("{value:?} {value:#?}")));
    *panicked.unwrap_err().downcast::<String>().unwrap()
}

#[test]
fn neither_a_line_nor_a_panic_shows_a_secret() {
    let planted = || PLANTED.to_owned();
    let secret = Secret::from(PLANTED);
    assert_eq!(secret.to_string(), "***");
    let url: SecretUrl = format!("postgres://x:{PLANTED}@127.0.0.1/x").parse().unwrap();
    assert!(!url.to_string().contains(PLANTED));

    let key = NewKey::generate();
    let mut request = Request::builder().uri(format!("/k/{}/api/tags", key.reveal()));
    request = request.header("authorization", format!("Bearer {}", key.reveal()));
    let mut request = request.body(()).unwrap();
    let access_tokens = AccessTokens::new(&secret, Some(&secret));
    let headers = request.headers().clone();
    let now = Utc::now();
    let presented = Credential::read(&headers, None, &access_tokens, now).unwrap();
    in_path::take(&mut request);
    let key_in_path = request.extensions().get::<KeyInPath>().unwrap();

    let refresh_tokens = RefreshTokens::new(&[7; 32]);
    let refresh = refresh_tokens.draw(SessionId::generate(), Grant::Bearer);
    let presented_refresh = refresh_tokens.check(refresh.text.expose()).unwrap();
    let (access, _) = access_tokens.draw(SessionId::generate(), now, now).unwrap();
    let one_time = OneTimeTokens::new(&[7; 32]);
    let link = one_time.draw();
    let body = |value| serde_json::from_value::<BearerTokens>(value).unwrap();
    let tokens = body(json!({
        "access_token": access.expose(), "token_type": "Bearer", "expires_in": 600,
        "refresh_token": refresh.text.expose(),
        "user": { "id": fluxgate_core::ids::OPERATOR, "email": null, "role": "member", "team": null },
    }));
    let log_in = LogIn { email: planted(), password: planted(), grant: Grant::Bearer };
    let set_up =
        SetUp { token: planted(), email: planted(), password: planted(), grant: Grant::Bearer };
    let invite = Some(planted());
    let register =
        Register { email: planted(), password: planted(), invite, grant: Grant::default() };
    let set_password =
        SetPassword { current: Some(planted()), token: Some(planted()), new: planted() };
    let password = Some(planted());
    let create = CreateUser { email: planted(), password, role: Some(Role::Member), team: None };
    let first_start = FirstStart { setup_token: Some(planted()), ..FirstStart::default() };
    let email: Email = format!("{PLANTED}@example.org").parse().unwrap();

    let secrets = [
        PLANTED,
        &key.reveal()[19..],
        access.expose(),
        &refresh.text.expose()[4..],
        &link.text.expose()[4..],
        // The bytes of a key as a derived `Debug` would write them.
        "7, 7, 7",
    ];
    let values: [&dyn Debug; 25] = [
        &secret,
        &url,
        &key,
        &key.secret_sha256,
        &presented,
        key_in_path,
        &access_tokens,
        &access,
        &refresh_tokens,
        &refresh,
        &presented_refresh,
        &one_time,
        &link,
        &tokens,
        &SignIn::Bearer(tokens.clone()),
        &log_in,
        &set_up,
        &register,
        &set_password,
        &Refresh { refresh_token: Some(planted()) },
        &create,
        &first_start,
        &email,
        &NewPassword::check(secret.clone(), &[]).unwrap(),
        &Pseudonyms::new(&[7; 32]),
    ];
    for value in values {
        let text = panicked(value);
        let told =
            secrets.iter().find(|secret| text.to_lowercase().contains(&secret.to_lowercase()));
        assert_eq!(told, None, "{text}");
    }
}
