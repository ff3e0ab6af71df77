//! What becomes of answers under way when the program ends.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::command::{Folder, Up};
use crate::{http, model};

/// An `up` with a model whose answers take that many times 20 ms, and a stream under way.
fn streaming(tokens: u32, arguments: &[&str]) -> (Folder, Up, http::Answer) {
    let folder = Folder::new();
    let url = format!("http://{}", model::with_tokens(tokens));
    let up = folder.up_with(arguments, &[("DOWNSTREAM_AI_URLS", &url)]);
    let mut answer = http::chat(up.address("web"), &folder.first_key());
    assert_eq!(answer.status, 200, "{}", answer.head);
    answer.line("data: ");
    (folder, up, answer)
}

#[test]
fn ctrl_c_lets_a_stream_end_and_then_exits_at_once() {
    for signal in [Signal::INT, Signal::TERM] {
        let (folder, mut up, answer) = streaming(40, &[]);
        up.signal(signal);
        let rest = answer.rest();
        assert!(rest.contains("data: [DONE]"), "{rest}");
        let ended = Instant::now();
        assert_eq!(up.wait().code(), Some(0), "{}", up.stderr());
        assert!(ended.elapsed() < Duration::from_secs(3), "{:?}", ended.elapsed());
        assert!(!folder.data("ports.json").exists());
    }
}

#[test]
fn at_the_drain_limit_a_stream_ends_with_an_error() {
    let (_folder, mut up, answer) = streaming(3_000, &["--set", "listen.drain_s=1"]);
    up.signal(Signal::INT);
    let rest = answer.rest();
    assert!(rest.contains("\"error\"") && rest.contains("shutting_down"), "{rest}");
    assert!(!rest.contains("[DONE]"), "{rest}");
    assert_eq!(up.wait().code(), Some(0), "{}", up.stderr());
}

#[test]
fn a_second_ctrl_c_ends_it_at_once() {
    let (folder, mut up, answer) = streaming(3_000, &[]);
    up.signal(Signal::INT);
    crate::command::wait_until("it drains", || up.stderr().contains("draining").then_some(()));
    let asked = Instant::now();
    up.signal(Signal::INT);
    assert_eq!(up.wait().code(), Some(130), "{}", up.stderr());
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    assert!(!answer.rest().contains("[DONE]"));
    assert!(!folder.data("ports.json").exists());
}

#[test]
fn a_drain_asked_for_by_the_operator_ends_it_too() {
    let (folder, mut up, answer) = streaming(10, &[]);
    let token = fs::read_to_string(folder.data("admin-token")).unwrap();
    let body = serde_json::Value::Null;
    let asked = http::post(up.address("admin"), "/admin/v1/drain", Some(token.trim()), &body);
    assert_eq!(asked.status, 202, "{}", asked.head);
    assert!(answer.rest().contains("data: [DONE]"));
    assert_eq!(up.wait().code(), Some(0), "{}", up.stderr());
}
