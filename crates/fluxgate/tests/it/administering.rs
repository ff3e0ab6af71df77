//! The commands that talk to a running gateway.

use std::fs;
use std::net::TcpListener;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

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
    assert_eq!((&ours["name"], &ours["revoked_at"]), (&"laptop".into(), &Value::Null));
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

/// What stands behind the # of a link to one of our forms.
fn token_of(link: &str, form: &str) -> String {
    link.strip_prefix(&format!("{form}#")).unwrap_or_else(|| panic!("{link}")).to_owned()
}

#[test]
fn users_are_listed_with_their_team_and_when_they_were_last_seen() {
    let folder = Folder::new();
    let _up = folder.up(&[]);
    let ada = folder.json(&["user", "create", "--email", "Ada@b.example", "--admin"]);
    assert_eq!((&ada["email"], &ada["role"]), (&"ada@b.example".into(), &"admin".into()));
    let table = folder.run(&["user", "list"]).stdout;
    let headings = table.lines().next().unwrap();
    assert!(headings.contains("TEAM") && headings.ends_with("LAST SEEN"), "{headings}");
    let line = table.lines().find(|line| line.contains("ada@b.example")).unwrap();
    assert!(line.ends_with('-'), "nobody saw her yet: {line}");
}

#[test]
fn a_user_is_made_in_a_team_that_there_is() {
    let folder = Folder::new();
    let up = folder.up(&[]);
    let token = fs::read_to_string(folder.data("admin-token")).unwrap();
    let name = json!({ "name": "research" });
    let made =
        http::post(up.address("admin"), "/api/v1/admin/teams", Some(token.trim()), &name).rest();
    let team: Value = serde_json::from_str(&made).unwrap();
    let create = ["user", "create", "--email", "ada@b.example", "--team"];
    let ada = folder.json(&[&create[..], &["research"]].concat());
    assert!(team["id"].is_string(), "{made}");
    assert_eq!(ada["team"], team["id"]);
    let other = ["user", "create", "--email", "eve@b.example", "--team", "nowhere"];
    assert_eq!(folder.run(&other).code, Some(1));
}

#[test]
fn an_invitation_is_printed_once_and_registers_one_person() {
    let folder = Folder::new();
    let up = folder.up_with(&[], &[("FLUXGATE__AUTH__REGISTRATION", "invite")]);
    let ask = ["user", "invite", "--email", "ada@b.example", "--admin", "--expires", "1h"];
    let made = folder.json(&ask);
    let link = made["link"].as_str().unwrap();
    assert!(made["id"].is_string() && made["expires_at"].is_string(), "{made}");
    let invite = token_of(link, &up.url("web", "/register"));
    let person = json!({
        "email": "ada@b.example", "password": "correct horse battery", "invite": invite,
        "grant": "bearer",
    });
    let register = || http::post(up.address("web"), "/api/v1/auth/register", None, &person).status;
    assert!((200..300).contains(&register()));
    assert_eq!(register(), 403, "it works once");
    let table = folder.run(&["user", "list"]).stdout;
    let line = table.lines().find(|line| line.contains("ada@b.example")).unwrap();
    assert!(line.contains("admin"), "{line}");

    let shown = folder.run(&["user", "invite"]).stdout;
    assert_eq!(shown.matches(&up.url("web", "/register#")).count(), 1, "{shown}");
    assert_eq!(folder.run(&["user", "invite", "--expires", "31d"]).code, Some(1));
    assert_eq!(folder.run(&["user", "invite", "--expires", "soon"]).code, Some(2));
}

#[test]
fn a_resets_link_is_printed_once_and_sets_another_password() {
    let folder = Folder::new();
    let up = folder.up(&[]);
    folder.json(&["user", "create", "--email", "ada@b.example"]);
    let made = folder.json(&["user", "reset-password", "ADA@b.example"]);
    let token = token_of(made["link"].as_str().unwrap(), &up.url("web", "/reset"));
    let post = |route: &str, body| http::post(up.address("web"), route, None, &body).status;
    let new = json!({ "token": token, "new": "correct horse battery" });
    assert_eq!(post("/api/v1/auth/password", new.clone()), 204);
    assert_eq!(post("/api/v1/auth/password", new), 403, "it works once");
    let log_in = json!({
        "email": "ada@b.example", "password": "correct horse battery", "grant": "bearer",
    });
    assert_eq!(post("/api/v1/auth/login", log_in), 200);

    let shown = folder.run(&["user", "reset-password", "ada@b.example"]).stdout;
    assert_eq!(shown.matches(&up.url("web", "/reset#")).count(), 1, "{shown}");
    assert_eq!(folder.run(&["user", "reset-password", "eve@b.example"]).code, Some(1));
}
