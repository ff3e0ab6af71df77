//! Secrets that pass through the gateway, in every place where somebody might put one: none of them
//! is in its log at the highest level, its metrics, its database or an error of ours.

mod misplaced;
mod passing;
mod planted;
mod program;
mod trial;

use std::panic::{AssertUnwindSafe, catch_unwind};

use fluxgate_testkit::throwaway::Postgres;
use fluxgate_testkit::wire;
use fluxgate_testkit::{Plan, stack};

use crate::scripted_upstream::{ScriptedUpstream, Speaks};
use misplaced::{
    bodies_are_broken, secrets_stand_where_they_dont_belong, the_configuration_is_broken,
};
use passing::{models_are_asked, people_come_and_go, upstream};
use planted::Planted;
use program::Program;
use trial::Trial;

const EMAIL: &str = "ada@example.org";
const CHAT: &str = "/v1/chat/completions";
const PASSWORD: &str = "planted-password-Bt27 of ada";
const WRONG: &str = "planted-wrong-password-Ny18";
/// Somebody's hands were faster: the form takes it for an address.
const AS_EMAIL: &str = "planted-typed@address.qe09";
const DIGITS: &str = "86753098675309";
const PROMPT: &str = "planted-prompt-Jc90 that nobody else may read";

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
    let dump = planted::dump(&url).await;
    // What may stand there does: it is looked for in the whole of each.
    assert!(log.contains("TRACE") && log.contains("h2::") && log.contains(&key[6..18]));
    assert!(dump.contains(EMAIL) && dump.contains(&key[6..18]) && dump.contains("$argon2id$"));
    told.extend(planted.find("the metrics", &metrics));
    told.extend(planted.find_in_any_form("the log", &log));
    told.extend(planted.find_in_any_form("the database", &dump));
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
