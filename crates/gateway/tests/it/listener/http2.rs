//! What one HTTP/2 connection may do: open so many streams, and not open and reset them for ever.

use std::time::Duration;

use fluxgate_testkit::{Plan, TestStack};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::secure;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: u8 = 4;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
/// END_STREAM and END_HEADERS.
const WHOLE_REQUEST: u8 = 0x1 | 0x4;
const ENHANCE_YOUR_CALM: [u8; 4] = [0, 0, 0, 11];
const CANCEL: [u8; 4] = [0, 0, 0, 8];
/// HPACK: GET, https and / from the static table, then `:authority: test`.
const GET_ROOT: &[u8] = b"\x82\x87\x84\x01\x04test";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

#[tokio::test]
async fn streams_opened_and_reset_in_a_row_end_the_connection_and_no_other() {
    let stack = TestStack::start().await;
    let mut honest = secure::http2(&stack).await;
    let mut attacker = secure::connect(&stack, &["h2"]).await;
    let mut attack = [PREFACE, &frame(SETTINGS, 0, 0, b"")].concat();
    for stream in (1..2_000).step_by(2) {
        attack.extend(frame(HEADERS, WHOLE_REQUEST, stream, GET_ROOT));
        attack.extend(frame(RST_STREAM, 0, stream, &CANCEL));
    }
    // The other side may close before it has all.
    let _ = attacker.write_all(&attack).await;
    let mut answer = Vec::new();
    let ended =
        tokio::time::timeout(Duration::from_secs(5), attacker.read_to_end(&mut answer)).await;
    assert!(ended.is_ok(), "the attacker's connection ends");
    if let Some(code) = goaway_code(&answer) {
        assert_eq!(code, ENHANCE_YOUR_CALM);
    }

    let chat = r#"{"model":"demo","messages":[{"role":"user","content":"hello"}]}"#;
    let request = secure::post(&stack, "https://localhost/v1/chat/completions", chat);
    assert_eq!(honest.send_request(request).await.unwrap().status(), 200);
    assert_eq!(stack.post("/v1/chat/completions", chat).await.status, 200);
}

/// The error in the GOAWAY among these frames.
fn goaway_code(mut frames: &[u8]) -> Option<[u8; 4]> {
    loop {
        let (head, rest) = frames.split_at_checked(9)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let (payload, rest) = rest.split_at_checked(length)?;
        if head[3] == GOAWAY {
            return payload.get(4..8)?.try_into().ok();
        }
        frames = rest;
    }
}

#[tokio::test]
async fn a_connection_has_so_many_streams_and_the_next_ones_wait() {
    let slow = "demo!pace=50000,tokens=10";
    let plan = Plan::default().models(&[slow]).set("listen.h2_streams_max", "5");
    let stack = plan.start().await;
    let body = format!(
        r#"{{"model":"{slow}","stream":true,"messages":[{{"role":"user","content":"hello"}}]}}"#
    );
    let mut sender = secure::http2(&stack).await;
    // With the answer the client has learnt the limit, and keeps to it.
    let request = secure::post(&stack, "https://localhost/v1/chat/completions", &body);
    secure::read(sender.send_request(request).await.unwrap()).await;
    let asking = (0..12).map(|_| {
        let (mut sender, body) = (sender.clone(), body.clone());
        let request = secure::post(&stack, "https://localhost/v1/chat/completions", &body);
        tokio::spawn(async move {
            sender.ready().await.unwrap();
            secure::read(sender.send_request(request).await.unwrap()).await
        })
    });
    let asking: Vec<_> = asking.collect();
    let mut most = 0;
    while asking.iter().any(|one| !one.is_finished()) {
        let open = stack.demo.stats.streams_open.load(std::sync::atomic::Ordering::Relaxed);
        most = most.max(open);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for one in asking {
        let (status, _, text) = one.await.unwrap();
        assert_eq!(status, 200);
        assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    }
    // One more may still be ending while the next begins.
    assert!((1..=6).contains(&most), "{most} streams at a time");
}
