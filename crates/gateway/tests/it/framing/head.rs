//! Hosts, versions, the syntax of header lines, and their number and size.

use super::trial::Closes::{May, Must, MustNot};
use super::trial::{CHAT, Closes, Ground, NO_ANSWER, Trial};

const LINE: &str = "POST /v1/chat/completions HTTP/1.1\r\n";

pub fn trials(ground: &Ground) -> Vec<Trial> {
    let kinds = [hosts, versions, lines, sizes, upgrades];
    kinds.into_iter().flat_map(|kind| kind(ground)).collect()
}

fn chat(
    ground: &Ground,
    what: &str,
    lines: &str,
    allowed: &'static [u16],
    closes: Closes,
) -> Trial {
    Trial::chat(what, ground.request(&format!("{LINE}{lines}"), CHAT), allowed, closes)
}

fn hosts(ground: &Ground) -> Vec<Trial> {
    let mut trials = Vec::new();
    for host in [
        "localhost",
        "127.0.0.1:8443",
        "[::1]",
        "[::1]:8443",
        "test:",
        "TEST",
        "a.b-c.d",
        "xn--bcher-kva.de",
        "localhost. ",
        "  test",
    ] {
        trials.push(chat(
            ground,
            &format!("host {host:?}"),
            &format!("host: {host}\r\n"),
            &[200],
            MustNot,
        ));
    }
    for host in [
        "",
        " ",
        "te st",
        "te\tst",
        "test/",
        "test/v1",
        "test?x",
        "test#x",
        "user@test",
        "user:pass@test",
        "te\"st",
        "<test>",
        "te\\st",
        "te^st",
        "{test}",
        "te|st",
        "te`st",
        "test:80:80",
        "test:99999",
        "test:-1",
        "test:8a",
        "test:+80",
        "[::1",
        "::1",
        "[::1]x",
        "http://test",
        "t\u{f6}st",
        "test, other",
    ] {
        trials.push(chat(
            ground,
            &format!("host {host:?}"),
            &format!("host: {host}\r\n"),
            &[400],
            Must,
        ));
    }
    for (what, lines) in [
        ("no host", ""),
        ("two hosts", "host: test\r\nhost: other\r\n"),
        ("a host twice", "host: test\r\nhost: test\r\n"),
        ("a host twice, spelled otherwise", "host: test\r\nHOST: test\r\n"),
        ("an empty second host", "host: test\r\nhost:\r\n"),
        ("another header's host", "x-host: test\r\nx-forwarded-host: test\r\n"),
    ] {
        trials.push(chat(ground, what, lines, &[400], Must));
    }
    trials
}

fn versions(ground: &Ground) -> Vec<Trial> {
    let mut trials = Vec::new();
    for version in [
        "HTTP/1.2",
        "HTTP/2.0",
        "HTTP/2",
        "HTTP/3",
        "HTTP/0.9",
        "HTTP/1",
        "HTTP/1.10",
        "HTTP/01.1",
        "http/1.1",
        "HTP/1.1",
        "HTTP/ 1.1",
        "HTTP 1.1",
        "HTTP/1.1 x",
        "HTTP/1.1\tx",
        "HTTP/1,1",
        "/1.1",
        "\u{1}",
    ] {
        let lines = format!("POST /v1/chat/completions {version}\r\nhost: test\r\n");
        trials.push(Trial::chat(
            format!("version {version:?}"),
            ground.request(&lines, CHAT),
            &[400, NO_ANSWER],
            Must,
        ));
    }
    // HTTP/0.9 has neither version nor headers.
    let allowed: &[u16] = &[400, NO_ANSWER];
    trials.push(Trial::new("HTTP/0.9", "GET /v1/models\r\n\r\n", allowed, Must));
    trials.push(Trial::new(
        "HTTP/0.9 with a host",
        "GET /v1/models\r\nhost: test\r\n\r\n",
        allowed,
        Must,
    ));
    trials.push(Trial::new("HTTP/2's preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", allowed, Must));
    trials.push(Trial::new(
        "a TLS hello",
        [22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3, 13, 10, 13, 10],
        allowed,
        Must,
    ));
    let lines = "POST /v1/chat/completions HTTP/1.0\r\n";
    trials.push(Trial::chat(
        "HTTP/1.0",
        ground.request(&format!("{lines}host: test\r\n"), CHAT),
        &[200],
        Must,
    ));
    let kept = format!("{lines}host: test\r\nconnection: keep-alive\r\n");
    trials.push(Trial::chat("HTTP/1.0, kept", ground.request(&kept, CHAT), &[200], May));
    trials.push(Trial::chat("HTTP/1.0 without host", ground.request(lines, CHAT), &[400], Must));
    let coded = format!("{lines}host: test\r\ntransfer-encoding: chunked\r\n");
    let body = format!("{:x}\r\n{CHAT}\r\n0\r\n\r\n", CHAT.len());
    trials.push(Trial::new(
        "HTTP/1.0 with a transfer coding",
        ground.framed(&coded, body.as_bytes()),
        &[400],
        Must,
    ));
    trials
}

/// The syntax of header lines.
fn lines(ground: &Ground) -> Vec<Trial> {
    let mut trials = Vec::new();
    let mut add = |line: &str, allowed, closes| {
        let lines = format!("host: test\r\n{line}");
        trials.push(chat(ground, &format!("line {line:?}"), &lines, allowed, closes));
    };
    for line in [
        "x-a : b\r\n",
        "x-a\t: b\r\n",
        " x-a: b\r\n",
        "\tx-a: b\r\n",
        "x-a: b\r\n c\r\n",
        "x-a: b\r\n\tc\r\n",
        "x-a\r\n",
        "x-a b\r\n",
        ": b\r\n",
        "x(a: b\r\n",
        "x a: b\r\n",
        "x/a: b\r\n",
        "x@a: b\r\n",
        "x\"a: b\r\n",
        "x\0a: b\r\n",
        "x\u{e4}: b\r\n",
        "[x]: b\r\n",
        "x-a: b\0c\r\n",
        "x-a: b\u{1}c\r\n",
        "x-a: b\u{b}c\r\n",
        "x-a: b\u{1f}\r\n",
        "x-a: b\u{7f}c\r\n",
        "x-a: b\rc\r\n",
        "x-a: b\r\r\n",
        "x-a\r: b\r\n",
        "content-length : 5\r\n",
        "transfer-encoding : chunked\r\n",
        "host : other\r\n",
    ] {
        add(line, &[400], Must);
    }
    // Where the lines end is read in one way, or not at all.
    for line in ["x-a: b\n", "x-a: b\nx-b: c\r\n", "x-a:\n"] {
        add(line, &[200, 400], May);
    }
    for line in [
        "x-a:\r\n",
        "x-a:   b   \r\n",
        "x-a:\tb\t\r\n",
        "x-a: \u{e4}\r\n",
        "x!#$%&'*+.^_`|~: b\r\n",
    ] {
        add(line, &[200], MustNot);
    }
    for (what, start) in [("an empty line", "\r\n"), ("two", "\r\n\r\n"), ("a bare LF", "\n")] {
        let mut bytes = start.as_bytes().to_vec();
        bytes.extend(ground.post("/v1/chat/completions"));
        trials.push(Trial::chat(format!("{what} in front"), bytes, &[200, 400], May));
    }
    for (what, start) in [("spaces", "  "), ("a NUL", "\0"), ("junk", "junk\r\n"), ("a CR", "\rx")]
    {
        let mut bytes = start.as_bytes().to_vec();
        bytes.extend(ground.post("/v1/chat/completions"));
        trials.push(Trial::chat(format!("{what} in front"), bytes, &[400], Must));
    }
    let bare =
        String::from_utf8(ground.post("/v1/chat/completions")).unwrap().replace("\r\n", "\n");
    trials.push(Trial::chat("bare LF throughout", bare, &[200, 400], May));
    let cr =
        String::from_utf8(ground.post("/v1/chat/completions")).unwrap().replacen("\r\n", "\r", 3);
    trials.push(Trial::chat("bare CR", cr, &[400], Must));
    trials
}

fn sizes(ground: &Ground) -> Vec<Trial> {
    let mut trials = Vec::new();
    let mut add = |what: &str, lines: String, allowed, closes| {
        trials.push(chat(ground, what, &format!("host: test\r\n{lines}"), allowed, closes));
    };
    add("a header of 16 KB", format!("x-a: {}\r\n", "a".repeat(16_000)), &[200], MustNot);
    add("90 headers", "x-a: b\r\n".repeat(90), &[200], MustNot);
    add("a header of 40 KB", format!("x-a: {}\r\n", "a".repeat(40_000)), &[431], Must);
    add("a name of 40 KB", format!("{}: a\r\n", "a".repeat(40_000)), &[400, 431], Must);
    add("120 headers", "x-a: b\r\n".repeat(120), &[431], Must);
    add("5,000 headers", "x-a: b\r\n".repeat(5_000), &[431], Must);
    // More than one read takes: the end of the connection may overtake the answer.
    add(
        "headers of 100 KB",
        format!("x-a: {}\r\n", "a".repeat(1_000)).repeat(100),
        &[431, NO_ANSWER],
        Must,
    );
    add("a header of 1 MB", format!("x-a: {}\r\n", "a".repeat(1_000_000)), &[431, NO_ANSWER], Must);
    trials
}

/// Nobody changes the protocol of a connection.
fn upgrades(ground: &Ground) -> Vec<Trial> {
    [
        (
            "to WebSocket",
            "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n",
        ),
        (
            "to HTTP/2",
            "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n",
        ),
        ("to TLS", "connection: upgrade\r\nupgrade: TLS/1.0\r\n"),
        ("without saying so", "upgrade: websocket\r\n"),
        ("to nothing", "connection: upgrade\r\n"),
    ]
    .map(|(what, lines)| {
        chat(ground, &format!("upgrade {what}"), &format!("host: test\r\n{lines}"), &[200], MustNot)
    })
    .into()
}
