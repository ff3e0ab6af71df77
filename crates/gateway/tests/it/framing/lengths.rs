//! The length of a body: `Content-Length`, `Transfer-Encoding`, and the two at odds.

use super::trial::Closes::{May, Must, MustNot};
use super::trial::{CHAT, Ground, Trial};

const LINES: &str = "POST /v1/chat/completions HTTP/1.1\r\nhost: test\r\n";

pub fn trials(ground: &Ground) -> Vec<Trial> {
    let mut trials = content_lengths(ground);
    trials.extend(transfer_codings(ground));
    trials.extend(both(ground));
    trials
}

/// One chunk with the whole body, and the end.
pub fn chunked(body: &str) -> String {
    format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
}

fn content_lengths(ground: &Ground) -> Vec<Trial> {
    let right = CHAT.len();
    let mut trials = Vec::new();
    let mut add = |lines: String, allowed, closes| {
        let bytes = ground.framed(&format!("{LINES}{lines}"), CHAT.as_bytes());
        trials.push(Trial::chat(format!("{lines:?}"), bytes, allowed, closes));
    };
    add(format!("content-length: {right}\r\n"), &[200], MustNot);
    add(format!("content-length:{right}\r\n"), &[200], MustNot);
    add(format!("Content-Length: {right}  \r\n"), &[200], MustNot);
    add(format!("content-length: 000{right}\r\n"), &[200, 400], May);
    add(format!("content-length: {right}\r\ncontent-length: {right}\r\n"), &[200, 400], May);
    add(format!("content-length: {right}, {right}\r\n"), &[200, 400], May);
    for other in [0, 1, right - 1, right + 1, 1_000_000] {
        add(format!("content-length: {right}\r\ncontent-length: {other}\r\n"), &[400], Must);
        add(format!("content-length: {other}\r\ncontent-length: {right}\r\n"), &[400], Must);
        add(format!("content-length: {right}, {other}\r\n"), &[400], Must);
    }
    for wrong in [
        "",
        "-1",
        "+{}",
        "0x3f",
        "{}a",
        "a{}",
        "{} {}",
        "{}.0",
        "6e1",
        "\"{}\"",
        "{};x",
        "{},",
        ",{}",
        "\u{b}{}",
        "99999999999999999999",
        "-0",
        "NaN",
        "\u{ff16}\u{ff13}",
        "{}\0",
        "1_0",
    ] {
        let value = wrong.replace("{}", &right.to_string());
        add(format!("content-length: {value}\r\n"), &[400], Must);
    }
    // Numbers, but beyond any body.
    for huge in ["18446744073709551615", "18446744073709551614", "9223372036854775807", "33554433"]
    {
        add(format!("content-length: {huge}\r\n"), &[400, 413, 431], May);
    }
    trials
}

fn transfer_codings(ground: &Ground) -> Vec<Trial> {
    let body = chunked(CHAT);
    let mut trials = Vec::new();
    let mut add = |lines: &str, allowed| {
        let bytes = ground.framed(&format!("{LINES}{lines}"), body.as_bytes());
        trials.push(Trial::chat(format!("{lines:?}"), bytes, allowed, Must));
    };
    for lines in [
        "transfer-encoding: chunked\r\n",
        "Transfer-Encoding: CHUNKED\r\n",
        "transfer-encoding:chunked\r\n",
        "transfer-encoding: \tchunked \r\n",
    ] {
        add(lines, &[200]);
    }
    // Codings that we don't know in front of the framing: it is our framing all the same.
    for lines in [
        "transfer-encoding: gzip, chunked\r\n",
        "transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: identity, chunked\r\n",
        "transfer-encoding: chunked, chunked\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: , chunked\r\n",
        "transfer-encoding: chunked,\r\n",
        "transfer-encoding: x chunked\r\n",
    ] {
        add(lines, &[200, 400, 501]);
    }
    for lines in [
        "transfer-encoding:\r\n",
        "transfer-encoding: identity\r\n",
        "transfer-encoding: gzip\r\n",
        "transfer-encoding: chunked, identity\r\n",
        "transfer-encoding: chunked, gzip\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
        "transfer-encoding: xchunked\r\n",
        "transfer-encoding: chunkedx\r\n",
        "transfer-encoding: \"chunked\"\r\n",
        "transfer-encoding: chunked;q=1\r\n",
        "transfer-encoding: chu nked\r\n",
        "transfer-encoding: \u{b}chunked\r\n",
        "transfer-encoding: chunked\0\r\n",
        "transfer-encoding: c\u{212a}unked\r\n",
    ] {
        add(lines, &[400, 501]);
    }
    // Another header's name: the request has no body, hence nothing to read.
    let bytes = ground.framed(&format!("{LINES}transfer_encoding: chunked\r\n"), b"");
    trials.push(Trial::new("transfer_encoding", bytes, &[400], May));
    trials
}

/// RFC 9112 §6.1: refused, or read by the transfer coding alone; the connection ends either way.
fn both(ground: &Ground) -> Vec<Trial> {
    let body = chunked(CHAT);
    let mut trials = Vec::new();
    for length in [0, 1, CHAT.len(), body.len(), 10_000] {
        for lines in [
            format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n"),
            format!("transfer-encoding: chunked\r\ncontent-length: {length}\r\n"),
        ] {
            let bytes = ground.framed(&format!("{LINES}{lines}"), body.as_bytes());
            trials.push(Trial::chat(format!("{lines:?}"), bytes, &[200, 400], Must));
        }
        let lines = format!("transfer-encoding: identity\r\ncontent-length: {length}\r\n");
        let bytes = ground.framed(&format!("{LINES}{lines}"), body.as_bytes());
        trials.push(Trial::new(format!("{lines:?}"), bytes, &[400, 501], Must));
    }
    trials
}
