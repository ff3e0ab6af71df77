//! The commands that talk to a running gateway.

use std::fs;
use std::net::TcpListener;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::command::{Folder, ended, wait_until};
use crate::http;

#[test]
fn a_created_key_works_is_listed_and_once_revoked_is_refused_within_a_second() {
    let folder = Folder::new();
    let up = folder.up(&[]);
    let created = folder.json(&["keys", "create", "--name", "laptop", "--expires", "30d"]);
    let (id, key) = (created["id"].as_str().unwrap(), created["key"].as_str().unwrap());
    assert_eq!(created["subject"], format!("key:{id}"));
    assert!(created["expires_at"].is_string());
    assert_eq!(http::chat(up.address("web"), key).status, 200);

    let listed = folder.json(&["keys", "list"]);
    let ours = listed["items"].as_array().unwrap().iter().find(|item| item["id"] == id).unwrap();
    assert_eq!((&ours["name"], &ours["revoked_at"]), (&"laptop".into(), &serde_json::Value::Null));
    assert!(!listed.to_string().contains(key), "a key is shown once");

    let revoked = folder.run(&["keys", "revoke", id]);
    assert_eq!((revoked.code, revoked.stderr.as_str()), (Some(0), ""));
    let since = Instant::now();
    while http::chat(up.address("web"), key).status != 401 {
        assert!(since.elapsed() < Duration::from_secs(1), "it is still served");
        sleep(Duration::from_millis(5));
    }
    let table = folder.run(&["keys", "list"]).stdout;
    let line = table.lines().find(|line| line.starts_with(id)).unwrap();
    assert!(line.contains("laptop") && line.ends_with("revoked"), "{line}");
}

#[test]
fn what_the_gateway_refuses_is_exit_1_with_its_reason() {
    let folder = Folder::new();
    let _up = folder.up(&[]);
    let unknown = folder.run(&["keys", "revoke", "abcDEF012345"]);
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.stderr.contains("not_found"), "{}", unknown.stderr);
    let nameless = folder.run(&["keys", "create", "--name", ""]);
    assert_eq!(nameless.code, Some(1), "{}", nameless.stderr);
    assert_eq!(folder.run(&["keys", "revoke", "short"]).code, Some(2));
    let nobody = folder.run(&["keys", "create", "--name", "x", "--user", "nobody@b.example"]);
    assert_eq!(nobody.code, Some(1), "{}", nobody.stderr);
}

#[test]
fn where_no_gateway_is_the_exit_code_is_69() {
    let folder = Folder::new();
    for arguments in [&["keys", "list"][..], &["upstreams", "list"], &["healthcheck"]] {
        let ended = folder.run(arguments);
        assert_eq!(ended.code, Some(69), "{arguments:?}: {}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    }
}

#[test]
fn a_killed_ups_file_does_not_mislead() {
    let folder = Folder::new();
    drop(folder.up(&[]));
    assert!(folder.data("ports.json").exists());
    assert_eq!(folder.run(&["keys", "list"]).code, Some(69));
    folder.up(&[]).stop();
}

#[test]
fn a_named_gateway_gets_the_given_token_and_never_the_folders() {
    let folder = Folder::new();
    let up = folder.up(&[]);
    let token = fs::read_to_string(folder.data("admin-token")).unwrap();
    let elsewhere = Folder::new();
    let ask = |token: Option<&str>| {
        let mut command = elsewhere.command(&["keys", "list"]);
        command.env("GATEWAY_ADMIN_URL", up.url("admin", ""));
        if let Some(token) = token {
            command.env("ADMIN_TOKEN", token);
        }
        ended(command)
    };
    assert_eq!(ask(Some(token.trim())).code, Some(0));
    assert_eq!(ask(Some(&"x".repeat(48))).code, Some(1));
    fs::create_dir(elsewhere.path(".fluxgate")).unwrap();
    fs::write(elsewhere.data("admin-token"), &token).unwrap();
    let without = ask(None);
    assert_eq!(without.code, Some(78), "{}", without.stderr);
    assert!(without.stderr.contains("ADMIN_TOKEN"));
}

#[test]
fn upstreams_are_listed_with_what_they_offer() {
    let folder = Folder::new();
    let _up = folder.up(&[]);
    let item = wait_until("the models are listed", || {
        let item = folder.json(&["upstreams", "list"])["items"][0].clone();
        item["models"].as_array().is_some_and(|models| !models.is_empty()).then_some(item)
    });
    assert_eq!((&item["name"], &item["up"]), (&"demo-model".into(), &true.into()));
    let table = folder.run(&["upstreams", "list"]).stdout;
    assert!(table.starts_with("NAME") && table.contains("demo-model"), "{table}");
}

#[test]
fn healthcheck_is_0_for_a_good_answer_and_1_for_a_bad_one() {
    let folder = Folder::new();
    let up = folder.up(&[]);
    assert_eq!(folder.run(&["healthcheck"]).code, Some(0));
    wait_until("it is ready", || {
        (http::get(up.address("web"), "/readyz").status == 200).then_some(())
    });
    assert_eq!(folder.run(&["healthcheck", &up.url("metrics", "/readyz")]).code, Some(0));
    assert_eq!(folder.run(&["healthcheck", &up.url("metrics", "/nothing")]).code, Some(1));
    assert_eq!(folder.run(&["healthcheck", "nonsense"]).code, Some(2));
}

#[test]
fn doctor_finds_the_running_gateway_and_a_dead_model_server() {
    let folder = Folder::new();
    let up = folder.up(&[]);
    wait_until("it is ready", || {
        (http::get(up.address("web"), "/readyz").status == 200).then_some(())
    });
    let found = folder.json(&["doctor"]);
    let gateway = found["items"].as_array().unwrap().iter().find(|item| item["check"] == "gateway");
    assert_eq!(gateway.unwrap()["state"], "good", "{found}");
    up.stop();

    let mut command = folder.command(&["doctor"]);
    // Bound and closed again: nobody listens there.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    command.env("DOWNSTREAM_AI_URLS", format!("http://{nobody}"));
    let ill = ended(command);
    assert_eq!(ill.code, Some(1), "{}", ill.stdout);
    let line = ill.stdout.lines().find(|line| line.starts_with("upstream")).unwrap();
    assert!(line.contains("BAD") && line.contains("refused"), "{line}");
}
