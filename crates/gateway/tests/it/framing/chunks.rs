//! Chunks, well-formed and not.

use super::trial::Closes::Must;
use super::trial::{CHAT, Ground, Trial};

const LINES: &str =
    "POST /v1/chat/completions HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n";

pub fn trials(ground: &Ground) -> Vec<Trial> {
    let size = CHAT.len();
    let mut trials = Vec::new();
    let mut add = |body: &str, allowed| {
        let bytes = ground.framed(LINES, body.as_bytes());
        trials.push(Trial::chat(format!("chunks {body:.60?}"), bytes, allowed, Must));
    };
    // Sound, if odd.
    let (start, rest) = CHAT.split_at(7);
    let one_by_one: String =
        CHAT.chars().map(|character| format!("1\r\n{character}\r\n")).collect();
    for body in [
        format!("{size:x}\r\n{CHAT}\r\n0\r\n\r\n"),
        format!("{size:X}\r\n{CHAT}\r\n0\r\n\r\n"),
        format!("00{size:x}\r\n{CHAT}\r\n000\r\n\r\n"),
        format!("{size:x};name=value\r\n{CHAT}\r\n0;last\r\n\r\n"),
        format!("{size:x};name=\"a b\"\r\n{CHAT}\r\n0\r\n\r\n"),
        format!("7\r\n{start}\r\n{:x}\r\n{rest}\r\n0\r\n\r\n", rest.len()),
        format!("{one_by_one}0\r\n\r\n"),
        format!("{size:x}\r\n{CHAT}\r\n0\r\nx-trailer: a\r\n\r\n"),
        format!("{size:x}\r\n{CHAT}\r\n0\r\ncontent-length: 5\r\nhost: other\r\n\r\n"),
        format!("{size:x}\r\n{CHAT}\r\n0\r\nauthorization: Bearer other\r\n\r\n"),
    ] {
        add(&body, &[200]);
    }
    // What some servers take: one reading, ours, or none.
    for body in [
        format!("{size:x} \r\n{CHAT}\r\n0\r\n\r\n"),
        format!("{size:x}\t\r\n{CHAT}\r\n0\r\n\r\n"),
        format!("{size:x}\n{CHAT}\r\n0\r\n\r\n"),
        format!("{size:x}\r\n{CHAT}\n0\r\n\r\n"),
        format!("{size:x}\r\n{CHAT}\r\n0\n\n"),
    ] {
        add(&body, &[200, 400]);
    }
    for body in [
        format!("zz\r\n{CHAT}\r\n0\r\n\r\n"),
        format!("\r\n{CHAT}\r\n0\r\n\r\n"),
        format!("-{size:x}\r\n{CHAT}\r\n0\r\n\r\n"),
        format!("+{size:x}\r\n{CHAT}\r\n0\r\n\r\n"),
        format!("0x{size:x}\r\n{CHAT}\r\n0\r\n\r\n"),
        format!("{size:x}h\r\n{CHAT}\r\n0\r\n\r\n"),
        format!("{size:x}_0\r\n{CHAT}\r\n0\r\n\r\n"),
        format!("{size:x},\r\n{CHAT}\r\n0\r\n\r\n"),
        format!("{size:x}\0\r\n{CHAT}\r\n0\r\n\r\n"),
        format!("{size:x}\r{CHAT}\r\n0\r\n\r\n"),
        format!("{size:x}\r\r\n{CHAT}\r\n0\r\n\r\n"),
        format!("fffffffffffffffff\r\n{CHAT}\r\n0\r\n\r\n"),
        format!("1{size:016x}\r\n{CHAT}\r\n0\r\n\r\n"),
        format!("{:x}\r\n{CHAT}\r\n0\r\n\r\n", size - 1),
        format!("{:x}\r\n{CHAT}\r\n0\r\n\r\n", size - 7),
        format!("{:x}\r\n{CHAT}\r\n0\r\n\r\n", size + 1),
        format!("{size:x}\r\n{CHAT}0\r\n\r\n"),
        format!("{size:x}\r\n{CHAT}xx0\r\n\r\n"),
        format!("{size:x};{}\r\n{CHAT}\r\n0\r\n\r\n", "x".repeat(40_000)),
        format!("{size:x};\n0\r\n\r\n{CHAT}\r\n0\r\n\r\n"),
        CHAT.to_owned(),
        format!("{size:x}\r\n{CHAT}\r\n0\r\n{}: a\r\n\r\n", "x".repeat(40_000)),
        format!("{size:x}\r\n{CHAT}\r\n0\r\n{}\r\n", "x: a\r\n".repeat(5_000)),
    ] {
        add(&body, &[400, 413]);
    }
    // No body, a body that is nothing.
    for body in ["0\r\n\r\n", "00000\r\n\r\n", "0\r\nx: a\r\n\r\n", "1\r\n \r\n0\r\n\r\n"] {
        add(body, &[400]);
    }
    trials
}
