//! A model server, or whoever stands on the way to it, that lies about where its answers end: no
//! client ever sees what was another one's, and no request is served twice.

use fluxgate_testkit::stack::{Plan, TestStack};
use fluxgate_testkit::wire::{Answer, Connection};

use crate::scripted_upstream::{
    JSON, MODEL, SSE, ScriptedUpstream, Seen, Speaks, Step, chunk, document, stream_head,
};

const CHAT: &str = "/v1/chat/completions";
const FORGED: &str = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged";

/// A request that says who asks.
fn chat(who: &str) -> String {
    format!(r#"{{"model":"{MODEL}","user":"{who}","messages":[]}}"#)
}

fn who(seen: &Seen) -> String {
    let body: serde_json::Value = serde_json::from_slice(&seen.body).unwrap();
    body["user"].as_str().unwrap().to_owned()
}

/// An answer that says whom it is for.
fn own(who: &str) -> Vec<u8> {
    document(JSON, format!(r#"{{"for":"{who}"}}"#).as_bytes())
}

/// One data thread, so that all share its connections.
async fn in_front_of(upstream: &ScriptedUpstream) -> TestStack {
    Plan::default().upstreams(&[upstream.url()]).set("listen.workers", "1").start().await
}

async fn ask(stack: &TestStack, who: &str) -> Option<Answer> {
    let mut client = Connection::open(stack.clear).await;
    client.send(&stack.posting(CHAT, &chat(who))).await;
    client.try_answer().await
}

async fn gets_its_own(stack: &TestStack, who: &str) {
    let answer = ask(stack, who).await.expect("an answer");
    assert_eq!((answer.status, answer.json()["for"].as_str()), (200, Some(who)));
}

/// How an answer looks to the client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    Whole(u16),
    /// It broke off, or never began.
    Cut,
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_lies_about_its_end_harms_nobody_else() {
    use Outcome::{Cut, Whole};
    let refused = Whole(502);
    let head = |lines: &str| format!("HTTP/1.1 200 OK\r\n{JSON}\r\n{lines}\r\n");
    let coded = head("transfer-encoding: chunked\r\n");
    let length = |bytes: &str| head(&format!("content-length: {bytes}\r\n"));
    let cases: Vec<(String, Outcome)> = vec![
        // Where another would see a longer or a shorter answer.
        (
            head("content-length: 6\r\ntransfer-encoding: chunked\r\n")
                + "2\r\n{}\r\n0\r\n\r\n"
                + FORGED,
            Whole(200),
        ),
        (length("2") + "{}" + FORGED, Whole(200)),
        (length("2, 2") + "{}" + FORGED, Whole(200)),
        (coded.clone() + "2\r\n{}\r\n0\r\ncontent-length: 9\r\n\r\n" + FORGED, Whole(200)),
        (format!("HTTP/1.1 204 No Content\r\n\r\n{FORGED}"), Whole(204)),
        (format!("HTTP/1.1 204 No Content\r\ncontent-length: 99\r\n\r\n{FORGED}"), Whole(204)),
        (format!("HTTP/1.1 304 Not Modified\r\n\r\n{FORGED}"), refused),
        (format!("HTTP/1.1 100 Continue\r\n\r\n{}{{}}{FORGED}", length("2")), Whole(200)),
        (format!("HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n{FORGED}"), refused),
        (format!("HTTP/1.1 400 No\r\ncontent-length: 2\r\n\r\n{{}}{FORGED}"), Whole(400)),
        (length("2").replace("\r\n", "\n") + "{}" + FORGED, Whole(200)),
        // What isn't taken at all.
        (head("content-length: 2\r\ncontent-length: 3\r\n") + "{}" + FORGED, refused),
        (length("-2") + "{}" + FORGED, refused),
        (length("+2") + "{}" + FORGED, refused),
        (length("18446744073709551616") + "{}" + FORGED, refused),
        (head("content-length : 2\r\n") + "{}" + FORGED, refused),
        (head("content-length: 2\r\n x\r\n") + "{}" + FORGED, refused),
        (head("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n") + FORGED, refused),
        (head("transfer-encoding: chunked, identity\r\n") + FORGED, refused),
        (head("transfer-encoding: gzip, chunked\r\n") + "0\r\n\r\n" + FORGED, refused),
        (format!("HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n{FORGED}"), refused),
        (format!("HTTP/1.1 100 Go\r\ncontent-length: 6\r\n\r\nforged{FORGED}"), refused),
        ("HTTP/1.1 103 Early Hints\r\n\r\n".repeat(5_000) + FORGED, refused),
        (head(&"a: b\r\n".repeat(200)) + FORGED, refused),
        // What breaks off.
        (coded.clone() + "2\r\n{}x\r\n0\r\n\r\n" + FORGED, Cut),
        (coded.clone() + "fffffffffffffffff\r\n{}" + FORGED, Cut),
        (coded.clone() + "-2\r\n{}" + FORGED, Cut),
        (coded.clone() + "2\n{}\n0\n\n" + FORGED, Cut),
        (coded.clone() + "2\r\n{}\r\n0\r\n" + &"a: b\r\n".repeat(9_000), Cut),
        (coded.clone() + &"1;abcdefgh\r\nx\r\n".repeat(9_000), Cut),
        (length("18446744073709551615") + "{}", Cut),
        (coded + "ffffffffffffffff\r\n{}", Cut),
    ];
    let wires: Vec<String> = cases.iter().map(|(wire, _)| wire.clone()).collect();
    let upstream = ScriptedUpstream::start(Speaks::OpenAi, move |seen| {
        let who = who(seen);
        match who.strip_prefix("case-").map(|number| number.parse::<usize>().unwrap()) {
            Some(number) => {
                let wire = wires[number].clone().into_bytes();
                // Where the body has no end in reach, the connection's is one.
                let ends = wire.ends_with(b"{}");
                let close = ends.then_some(Step::Close);
                std::iter::once(Step::Send(wire)).chain(close).collect()
            }
            None => vec![Step::Send(own(&who))],
        }
    })
    .await;
    let stack = in_front_of(&upstream).await;
    for (number, (wire, expected)) in cases.iter().enumerate() {
        let what: String = wire.chars().take(120).collect();
        // On a connection that is kept from this one.
        gets_its_own(&stack, "before").await;
        let answer = ask(&stack, &format!("case-{number}")).await;
        let outcome = match &answer {
            Some(answer) if answer.whole => Outcome::Whole(answer.status),
            _ => Outcome::Cut,
        };
        assert_eq!(outcome, *expected, "{what:?}");
        let text = answer.map(|answer| answer.text()).unwrap_or_default();
        assert!(!text.contains("forged"), "{what:?}: {text}");
        for after in ["one", "two"] {
            gets_its_own(&stack, after).await;
        }
    }
    let of_cases = upstream.seen().iter().filter(|seen| who(seen).starts_with("case-")).count();
    assert_eq!(of_cases, cases.len(), "each was asked once");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_behind_an_answer_reaches_nobody_however_many_ask() {
    let upstream = ScriptedUpstream::start(Speaks::OpenAi, |seen| {
        vec![Step::Send([own(&who(seen)), own("nobody")].concat())]
    })
    .await;
    let stack = std::sync::Arc::new(in_front_of(&upstream).await);
    let clients = (0..16).map(|client| {
        let stack = std::sync::Arc::clone(&stack);
        tokio::spawn(async move {
            for turn in 0..25 {
                gets_its_own(&stack, &format!("client-{client}-{turn}")).await;
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_takes_the_rest_of_its_answer_with_it() {
    let upstream = ScriptedUpstream::start(Speaks::OpenAi, |seen| {
        let who = who(seen);
        if !who.starts_with("leaver") {
            return vec![Step::Send(own(&who))];
        }
        let late = std::time::Duration::from_millis(20);
        let rest = [chunk(b"data: {}\n\n"), FORGED.as_bytes().to_vec()].concat();
        vec![
            Step::Send([stream_head(SSE), chunk(b"data: {\"for\":\"leaver\"}\n\n")].concat()),
            Step::Wait(late),
            Step::Send(rest.clone()),
            Step::Wait(late),
            Step::Send(rest),
        ]
    })
    .await;
    let stack = in_front_of(&upstream).await;
    for turn in 0..10 {
        gets_its_own(&stack, "before").await;
        let mut leaver = Connection::open(stack.clear).await;
        leaver.send(&stack.posting(CHAT, &chat(&format!("leaver-{turn}")))).await;
        if turn % 2 == 0 {
            assert_eq!(leaver.head().await.status, 200);
        }
        drop(leaver);
        for after in 0..4 {
            gets_its_own(&stack, &format!("after-{after}")).await;
            tokio::time::sleep(std::time::Duration::from_millis(7)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_on_a_kept_connection_is_served_once_however_that_ends() {
    let partial = ["", "HTTP/1.1 2", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 200 OK\r\na"];
    let late = [Step::Wait(std::time::Duration::from_millis(5)), Step::Close];
    let steps: Vec<Vec<Step>> = partial
        .into_iter()
        .flat_map(|partial| {
            let begun = Step::Send(partial.into());
            let later = std::iter::once(begun.clone()).chain(late.clone());
            [vec![begun, Step::Close], later.collect()]
        })
        .collect();
    let count = steps.len();
    let upstream = ScriptedUpstream::start(Speaks::OpenAi, move |seen| {
        let who = who(seen);
        match who.strip_prefix("end-").map(|number| number.parse::<usize>().unwrap()) {
            Some(number) => steps[number % count].clone(),
            None => vec![Step::Send(own(&who))],
        }
    })
    .await;
    let stack = in_front_of(&upstream).await;
    for turn in 0..count * 5 {
        gets_its_own(&stack, "before").await;
        let answer = ask(&stack, &format!("end-{turn}")).await.expect("an answer");
        assert_eq!(answer.status, 502, "{turn}: {}", answer.text());
    }
    let mut asked: Vec<String> = upstream.seen().iter().map(who).collect();
    asked.retain(|who| who.starts_with("end-"));
    let expected: Vec<String> = (0..count * 5).map(|turn| format!("end-{turn}")).collect();
    assert_eq!(asked, expected);
}
