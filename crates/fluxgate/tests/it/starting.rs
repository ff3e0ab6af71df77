//! What a start makes, says and serves.

use std::fs;
use std::net::TcpListener;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::json;

use crate::command::{FREE_PORTS, Folder, assert_private, wait_until};
use crate::http;
use crate::terminal::Screen;

#[test]
fn on_a_terminal_the_printed_command_streams_a_chat_and_the_printed_link_sets_up() {
    let folder = Folder::new();
    let mut command = folder.command(&[&["up"], &FREE_PORTS[..]].concat());
    let screen = Screen::of(&mut command);
    let mut child = command.spawn().unwrap();
    let text = wait_until("the banner is complete", || {
        Some(screen.text()).filter(|text| text.contains("Ctrl-C ends it."))
    });
    assert!(text.contains("DEMO MODEL"), "{text}");
    assert!(text.contains("starting it took"), "{text}");

    let curl: Vec<&str> =
        text.lines().skip_while(|line| !line.contains("curl -N")).take(4).collect();
    let pasted = Command::new("sh").arg("-c").arg(curl.join("\n")).stderr(Stdio::null()).output();
    let answer = String::from_utf8(pasted.unwrap().stdout).unwrap();
    assert!(answer.starts_with("data: {") && answer.contains("data: [DONE]"), "{curl:?}: {answer}");

    let link = text.lines().find_map(|line| line.trim().split_once("/setup#")).unwrap();
    let web = link.0.strip_prefix("http://").unwrap().parse().unwrap();
    assert_eq!(http::get(web, "/setup").status, 200);
    let admin =
        json!({ "token": link.1, "email": "a@b.example", "password": "correct horse battery" });
    let set_up = http::post(web, "/api/v1/auth/setup", None, &admin);
    assert!((200..300).contains(&set_up.status), "{}", set_up.rest());
    assert!(
        http::post(web, "/api/v1/auth/setup", None, &admin).status >= 400,
        "the link works once"
    );

    for name in ["first-key", "setup-link"] {
        assert!(!folder.data(name).exists(), "{name}: it was shown");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn without_a_terminal_the_key_and_the_link_are_files_and_nowhere_else() {
    let folder = Folder::new();
    let up = folder.up(&[]);
    let key = folder.first_key();
    let mut chat = http::chat(up.address("web"), &key);
    assert_eq!(chat.status, 200, "{}", chat.head);
    assert!(chat.line("data: ").contains("chat.completion.chunk"));
    let said = wait_until("the banner is complete", || {
        Some(up.stdout()).filter(|text| text.contains("Ctrl-C ends it."))
    });
    assert!(said.contains("$FLUXGATE_KEY") && said.contains("DEMO MODEL"), "{said}");
    let link = fs::read_to_string(folder.data("setup-link")).unwrap();
    assert!(link.starts_with(&up.url("web", "/setup#")), "{link}");

    for name in ["first-key", "setup-link", "admin-token", "guard-token", "jwt-secret", "audit-key"]
    {
        assert_private(&folder.data(name));
        let secret = fs::read_to_string(folder.data(name)).unwrap();
        for output in [up.stdout(), up.stderr()] {
            assert!(!output.contains(secret.trim()), "{name} is shown");
        }
    }
    wait_until("the log names the files", || {
        let log = up.stderr();
        (log.contains("first-key") && log.contains("setup-link")).then_some(())
    });
}

#[test]
fn a_second_start_keeps_the_secrets_and_the_key_and_makes_no_other() {
    let folder = Folder::new();
    folder.up(&[]).stop();
    let names = ["admin-token", "guard-token", "jwt-secret", "audit-key", "first-key"];
    let read = || names.map(|name| fs::read_to_string(folder.data(name)).unwrap());
    let made = read();
    let up = folder.up(&[]);
    assert_eq!(read(), made);
    assert_eq!(http::chat(up.address("web"), &folder.first_key()).status, 200);
    assert_eq!(folder.json(&["keys", "list"])["items"].as_array().unwrap().len(), 1);
}

#[test]
fn ports_json_says_where_it_listens_until_a_clean_exit() {
    let folder = Folder::new();
    let up = folder.up(&[]);
    for listener in ["https", "admin", "metrics", "web", "demo_model"] {
        assert_ne!(up.address(listener).port(), 0, "{listener}");
    }
    assert!(up.ports()["http"].is_null() && up.ports()["mcp"].is_null());
    assert_eq!(http::get(up.address("metrics"), "/healthz").status, 200);
    assert_private(&folder.data("ports.json"));
    up.stop();
    assert!(!folder.data("ports.json").exists());
}

#[test]
fn json_output_is_the_addresses() {
    let folder = Folder::new();
    let up = folder.up(&["-o", "json"]);
    let said: serde_json::Value =
        wait_until("it is printed", || serde_json::from_str(&up.stdout()).ok());
    for listener in ["pid", "https", "http", "admin", "metrics", "web", "demo_model"] {
        assert_eq!(said[listener], up.ports()[listener], "{listener}");
    }
}

#[test]
fn where_nobody_chose_the_port_the_next_free_one_is_taken() {
    let folder = Folder::new();
    // Somebody else may have it already, which is as good.
    let _taken = TcpListener::bind("127.0.0.1:3000");
    let up =
        crate::command::Up::start(&folder, folder.command(&[&["up"], &FREE_PORTS[2..]].concat()));
    let port = up.address("web").port();
    assert!((3001..3100).contains(&port), "{port}");
    let said = format!("http://127.0.0.1:{port} (port 3000 is in use)");
    wait_until("it is said", || up.stdout().contains(&said).then_some(()));
}

#[test]
fn the_page_says_how_to_connect_and_lets_nothing_foreign_in() {
    let folder = Folder::new();
    let up = folder.up(&[]);
    let web = up.address("web");
    for (path, part) in [
        ("/", "demo model"),
        ("/setup", "data-route=\"/api/v1/auth/setup\""),
        ("/register", "data-route=\"/api/v1/auth/register\""),
        ("/reset", "data-route=\"/api/v1/auth/password\""),
        ("/page.css", "prefers-color-scheme"),
        ("/form.js", "textContent"),
    ] {
        let answer = http::get(web, path);
        assert_eq!(answer.status, 200, "{path}");
        let head = answer.head.to_lowercase();
        assert!(head.contains("content-security-policy: default-src 'none'"), "{path}: {head}");
        let body = answer.rest();
        assert!(body.contains(part), "{path}: {body}");
        assert!(
            !body.contains("{{") && !body.contains("<script>") && !body.contains("style="),
            "{path}"
        );
    }
    assert!(http::get(web, "/").rest().contains(&format!("http://{web}/v1")));
}

#[test]
fn sighup_takes_a_new_upstream_and_leaves_the_old_configuration_where_the_new_one_is_faulty() {
    let folder = Folder::new();
    folder.write("fluxgate.toml", "");
    let up = folder.up(&[]);
    folder.write("other.toml", "");
    let names = || {
        let all = folder.json(&["upstreams", "list", "--config", "other.toml"]);
        let items = all["items"].as_array().unwrap().clone();
        items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(), ["demo-model"]);
    let model = crate::model::with_tokens(3);
    folder.write(
        "fluxgate.toml",
        &format!("[[upstreams]]\nname = \"other\"\nurl = \"http://{model}\"\n"),
    );
    up.signal(Signal::HUP);
    wait_until("the upstream is there", || (names() == ["other"]).then_some(()));
    folder.write("fluxgate.toml", "[listen]\nidle_s = 0\n");
    up.signal(Signal::HUP);
    wait_until("the fault is logged", || up.stderr().contains("listen.idle_s").then_some(()));
    assert_eq!(names(), ["other"]);
}
