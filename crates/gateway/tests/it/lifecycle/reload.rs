//! A reload takes effect as a whole, or not at all, and no request notices.

use std::time::{Duration, Instant};

use fluxgate_demo::{DemoConfig, Pace};
use fluxgate_testkit::{Demo, Plan, TestStack};

use super::{ENDLESS, SLOW, begin, rest};

const CHAT: &str = r#"{"model":"demo","messages":[{"role":"user","content":"hello"}]}"#;

fn write(stack: &TestStack, text: &str) {
    std::fs::write(stack.folder.path().join("fluxgate.toml"), text).unwrap();
}

/// A body of 3 KB.
fn large() -> String {
    format!("{CHAT}{}", " ".repeat(3_000))
}

async fn reload(stack: &TestStack) -> Result<Vec<&'static str>, String> {
    let reloaded = stack.running.as_ref().unwrap().reload().await;
    reloaded.map(|reloaded| reloaded.needs_restart).map_err(|error| error.to_string())
}

async fn second_model_server() -> Demo {
    let extra_models = vec!["late".to_owned()];
    Demo::start(DemoConfig { pace: Pace::NONE, extra_models, ..DemoConfig::default() }).await
}

#[tokio::test]
async fn limits_and_upstreams_change_while_a_stream_runs() {
    let plan = Plan::default().models(&[SLOW]).file("[listen]\nbody_bytes_max = \"1MiB\"\n");
    let stack = plan.start().await;
    let other = second_model_server().await;
    let mut stream = begin(&stack, "/v1/chat/completions", SLOW).await;
    let late = CHAT.replace("demo", "late");
    assert_eq!(stack.post("/v1/chat/completions", &large()).await.status, 200);
    assert_eq!(stack.post("/v1/chat/completions", &late).await.status, 404);

    let upstream = format!("[[upstreams]]\nname = \"other\"\nurl = \"{}\"\n", other.url());
    write(&stack, &format!("[listen]\nbody_bytes_max = \"2KiB\"\n{upstream}"));
    assert_eq!(reload(&stack).await, Ok(vec![]));
    assert_eq!(stack.post("/v1/chat/completions", &large()).await.status, 413);
    // Its listing is read in the background.
    let since = Instant::now();
    let answer = loop {
        let answer = stack.post("/v1/chat/completions", &late).await;
        if answer.status == 200 {
            break answer;
        }
        assert!(since.elapsed() < Duration::from_secs(3), "{}", answer.text());
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(answer.header("x-fluxgate-upstream"), Some("other"));

    write(&stack, "");
    assert_eq!(reload(&stack).await, Ok(vec![]));
    assert_eq!(stack.post("/v1/chat/completions", &large()).await.status, 200);
    assert_eq!(stack.post("/v1/chat/completions", &late).await.status, 404);

    let (text, whole) = rest(&mut stream).await;
    assert!(whole && text.ends_with("data: [DONE]\n\n"), "{text}");
}

#[tokio::test]
async fn a_stream_outlives_its_upstreams_entry() {
    let other = Demo::start(DemoConfig {
        extra_models: vec![SLOW.replace("demo", "late")],
        ..DemoConfig::default()
    })
    .await;
    let upstream = format!("[[upstreams]]\nname = \"other\"\nurl = \"{}\"\n", other.url());
    let stack = Plan::default().file(&upstream).start().await;
    let mut stream = begin(&stack, "/v1/chat/completions", &SLOW.replace("demo", "late")).await;
    write(&stack, "");
    assert_eq!(reload(&stack).await, Ok(vec![]));
    let (text, whole) = rest(&mut stream).await;
    assert!(whole && text.ends_with("data: [DONE]\n\n"), "{text}");
}

#[tokio::test]
async fn a_bad_file_leaves_the_old_configuration_in_force_and_names_each_fault() {
    let sound = "[listen]\nbody_bytes_max = \"2KiB\"\n";
    let stack = Plan::default().file(sound).start().await;
    for (bad, named) in [
        ("[listen]\nbody_bytes_max = \"1MiB\"\nidle_s = 0\n", "listen.idle_s"),
        ("[listen]\nbody_bytes_max = \"1MiB\"\nunknown = 1\n", "listen.unknown"),
        ("[listen]\nbody_bytes_max = \"1MiB\"\n[[upstreams]]\nname = \"x\"\n", "url"),
        ("[listen]\nbody_bytes_max = \"1MiB\"\n[[upstreams\n", "fluxgate.toml"),
    ] {
        write(&stack, bad);
        let faults = reload(&stack).await.unwrap_err();
        assert!(faults.contains(named), "{faults}");
        assert_eq!(stack.post("/v1/chat/completions", &large()).await.status, 413, "{bad}");
        assert_eq!(stack.post("/v1/chat/completions", CHAT).await.status, 200, "{bad}");

        let answer = stack.operator("POST", "/admin/v1/reload", "").await;
        let problem = answer.json();
        assert_eq!((answer.status, problem["code"].as_str()), (400, Some("invalid_request")));
        assert!(problem["detail"].as_str().unwrap().contains(named), "{problem}");
    }
    write(&stack, "");
    assert_eq!(stack.operator("POST", "/admin/v1/reload", "").await.status, 200);
    assert_eq!(stack.post("/v1/chat/completions", &large()).await.status, 200);
}

#[tokio::test]
async fn the_drains_limit_is_the_one_that_was_read_last() {
    let mut stack = Plan::default().models(&[ENDLESS]).file("").start().await;
    let mut stream = begin(&stack, "/v1/chat/completions", ENDLESS).await;
    write(&stack, "[listen]\ndrain_s = 1\n");
    assert_eq!(reload(&stack).await, Ok(vec![]));
    let since = Instant::now();
    let (_, (text, _)) = tokio::join!(stack.stop(), rest(&mut stream));
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
    assert!(text.contains("shutting_down"), "{text}");
}

#[tokio::test]
async fn what_takes_a_restart_is_named() {
    let stack = Plan::default().file("").start().await;
    write(&stack, "[listen]\nconnections_max = 17\nreplica_id = \"other\"\nidle_s = 17\n");
    let named = reload(&stack).await.unwrap();
    assert_eq!(named, ["listen.replica_id", "listen.connections_max"]);
    assert_eq!(reload(&stack).await, Ok(named), "until it was restarted");
    write(&stack, "[listen]\nidle_s = 18\n");
    assert_eq!(reload(&stack).await, Ok(vec![]), "it runs with these");
}

#[tokio::test]
async fn signing_keys_sessions_and_registration_take_no_restart() {
    let stack = Plan::default().file("").start().await;
    let secret = "0".repeat(32);
    let auth = format!(
        "[auth]\njwt_secret_previous = \"{secret}\"\nregistration = \"open\"\naudit_kept_days = 7\n\
         [auth.sessions]\nidle_s = 600\nmax_s = 3600\n"
    );
    write(&stack, &auth);
    assert_eq!(reload(&stack).await, Ok(vec![]));
    write(&stack, &format!("{auth}[auth.argon2]\niterations = 3\n"));
    assert_eq!(reload(&stack).await, Ok(vec!["auth"]));
}
