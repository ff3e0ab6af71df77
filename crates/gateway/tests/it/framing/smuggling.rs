//! A second request, hidden where a server before or behind us might find it. Ours never does: the
//! model server sees nothing of it, and the connection has no answer too many.

use super::lengths::chunked;
use super::trial::Closes::{May, Must};
use super::trial::{CHAT, Ground, Trial};

const POST: &str = "POST /v1/chat/completions HTTP/1.1\r\nhost: test\r\n";

pub fn trials(ground: &Ground) -> Vec<Trial> {
    let hidden = String::from_utf8(ground.post("/v1/chat/completions")).unwrap();
    let mut trials = at_odds(ground, &hidden);
    trials.extend(obscured(ground, &hidden));
    trials.extend(unread(ground, &hidden));
    trials
}

/// Length and coding tell of two different ends.
fn at_odds(ground: &Ground, hidden: &str) -> Vec<Trial> {
    let mut trials = Vec::new();
    let mut add = |what: &str, lines: &str, body: &str| {
        let bytes = ground.framed(&format!("{POST}{lines}"), body.as_bytes());
        trials.push(Trial::chat(what, bytes, &[200, 400], Must));
    };
    let coded = "transfer-encoding: chunked\r\n";
    let ended = format!("{}{hidden}", chunked(CHAT));
    add("behind the last chunk", &format!("content-length: {}\r\n{coded}", ended.len()), &ended);
    add(
        "behind the last chunk, length last",
        &format!("{coded}content-length: {}\r\n", ended.len()),
        &ended,
    );
    let empty = format!("0\r\n\r\n{hidden}");
    add("behind no chunk", &format!("content-length: {}\r\n{coded}", empty.len()), &empty);
    let inside = chunked(hidden);
    add("within a chunk", &format!("content-length: 4\r\n{coded}"), &inside);
    add("within a chunk, length 0", &format!("content-length: 0\r\n{coded}"), &inside);
    add(
        "behind a trailer",
        coded,
        &format!("{:x}\r\n{CHAT}\r\n0\r\nx: a\r\n\r\n{hidden}", CHAT.len()),
    );
    add("as a trailer", coded, &format!("{:x}\r\n{CHAT}\r\n0\r\n{hidden}\r\n\r\n", CHAT.len()));
    add("behind a broken chunk", coded, &format!("1\r\nxyz\r\n{hidden}"));
    add(
        "behind a size that overflows",
        coded,
        &format!("10000000000000005\r\n{{}}   \r\n0\r\n\r\n{hidden}"),
    );
    add("behind a bare LF", coded, &format!("0\n\n{hidden}"));
    trials
}

/// A coding that one server sees and the other doesn't. The length covers all of it.
fn obscured(ground: &Ground, hidden: &str) -> Vec<Trial> {
    let body = format!("0\r\n\r\n{hidden}");
    [
        "transfer-encoding : chunked\r\n",
        "transfer-encoding\t: chunked\r\n",
        " transfer-encoding: chunked\r\n",
        "transfer-encoding: xchunked\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: cow\r\n",
        "transfer-encoding: cow\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding:\tchunked\r\n",
        "transfer-encoding:\u{b}chunked\r\n",
        "transfer-encoding: chunked\0\r\n",
        "transfer-encoding: \"chunked\"\r\n",
        "transfer-encoding:\r\n chunked\r\n",
        "transfer-encoding\r\n: chunked\r\n",
        "x-a: b\ntransfer-encoding: chunked\r\n",
        "x-a: b\rtransfer-encoding: chunked\r\n",
        "x-a: b\r\n\ttransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked, identity\r\n",
        "transfer_encoding: chunked\r\n",
        "x-transfer-encoding: chunked\r\n",
        "transfer-encodin\u{1e3}: chunked\r\n",
        "te: chunked\r\n",
        "connection: content-length\r\n",
        "connection: transfer-encoding\r\ntransfer-encoding: chunked\r\n",
        "content-length: 0\r\n",
        "content-length : 0\r\n",
        "content_length: 0\r\n",
        "x-content-length: 0\r\n",
    ]
    .into_iter()
    .map(|line| {
        let lines = format!("{POST}content-length: {}\r\n{line}", body.len());
        Trial::new(
            format!("hidden by {line:?}"),
            ground.framed(&lines, body.as_bytes()),
            &[400],
            May,
        )
    })
    .collect()
}

/// In the body of a request that is answered without reading it.
fn unread(ground: &Ground, hidden: &str) -> Vec<Trial> {
    let mut trials = Vec::new();
    let answered: [(&str, &[u16]); 13] = [
        ("GET /v1/models", &[200, 400]),
        ("GET /api/version", &[200, 400]),
        ("GET /healthz", &[200, 400]),
        ("HEAD /", &[200, 400]),
        ("POST /v1/nothing", &[404]),
        ("POST /nothing", &[404]),
        ("POST /api/pull", &[403]),
        ("DELETE /api/delete", &[403]),
        ("PUT /v1/chat/completions", &[405]),
        ("POST /v1/models", &[405]),
        ("POST /v1/chat%2fcompletions", &[400]),
        ("TRACE /v1/chat/completions", &[405]),
        ("CONNECT test:80", &[405]),
    ];
    for (line, allowed) in answered {
        let lines = format!("{line} HTTP/1.1\r\nhost: test\r\n");
        trials.push(Trial::new(
            format!("{line}, with a body"),
            ground.request(&lines, hidden),
            allowed,
            May,
        ));
        let coded = format!("{lines}transfer-encoding: chunked\r\n");
        let body = chunked(hidden);
        let bytes = ground.framed(&coded, body.as_bytes());
        trials.push(Trial::new(format!("{line}, with a chunked body"), bytes, allowed, Must));
    }
    let nobody = format!("{POST}content-length: {}\r\n\r\n{hidden}", hidden.len());
    trials.push(Trial::new("without a key", nobody, &[401], May));
    let no_host = format!(
        "POST /v1/chat/completions HTTP/1.1\r\ncontent-length: {}\r\n\r\n{hidden}",
        hidden.len()
    );
    trials.push(Trial::new("without a host", no_host, &[400], Must));
    // The body is promised and never sent: what follows is the body, and no request.
    let lines = "POST /v1/nothing HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\n";
    trials.push(Trial::new(
        "a body that isn't asked for",
        ground.request(lines, hidden),
        &[404],
        May,
    ));
    trials
}
