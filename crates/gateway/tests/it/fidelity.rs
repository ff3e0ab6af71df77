//! What a client wrote arrives, and what a model server answered comes back, byte for byte, but for
//! the one splice and the one frame that are ours.

mod answers;
mod requests;

use fluxgate_testkit::TestStack;
use fluxgate_testkit::wire::{self, Answer, Connection};

use crate::scripted_upstream::MODEL;

/// Fixed, so that a failure comes again; the case's number is added.
const SEED: u64 = 0x00f1_de11_7700;
/// Kept connections that share the work of one test.
const CONNECTIONS: u64 = 8;

/// Puts `cases` cases through, each connection taking every n-th of them in turn.
async fn put_through<C: Send + 'static>(
    stack: &TestStack,
    cases: u64,
    make: impl Fn(u64) -> C + Copy + Send + Sync + 'static,
    request_of: impl Fn(&C) -> (String, Vec<u8>) + Copy + Send + Sync + 'static,
    check: impl Fn(C, Answer) + Copy + Send + Sync + 'static,
) {
    let mut working = tokio::task::JoinSet::new();
    for first in 0..CONNECTIONS {
        let (to, authorization) = (stack.clear, format!("Bearer {}", stack.key));
        working.spawn(async move {
            let mut connection = Connection::open(to).await;
            for number in (first..cases).step_by(CONNECTIONS as usize) {
                let case = make(number);
                let (path, body) = request_of(&case);
                let number = number.to_string();
                let headers = [
                    ("authorization", authorization.as_str()),
                    ("content-type", "application/json"),
                    ("x-case", number.as_str()),
                ];
                connection.send(&wire::request("POST", &path, &headers, &body)).await;
                check(case, connection.answer().await);
            }
        });
    }
    while let Some(done) = working.join_next().await {
        done.unwrap();
    }
}

/// A character of anywhere in Unicode.
fn any_char(rng: &mut fastrand::Rng) -> char {
    match rng.u8(0..6) {
        0 => char::from(rng.u8(0x20..0x7f)),
        1 => {
            *rng.choice(&['\u{0}', '\u{7f}', '\u{85}', '\u{2028}', '\u{feff}', '\u{fffd}']).unwrap()
        }
        2 => rng.char('\u{80}'..='\u{7ff}'),
        3 => rng.char('\u{800}'..='\u{ffff}'),
        4 => rng.char('\u{10000}'..='\u{10ffff}'),
        _ => rng.alphanumeric(),
    }
}

/// A string of JSON, quotes included: some characters as they are, some escaped in each legal way.
fn string(rng: &mut fastrand::Rng) -> String {
    let mut text = String::from('"');
    for _ in 0..rng.usize(0..12) {
        let letter = any_char(rng);
        match letter {
            '"' | '\\' => text.extend(['\\', letter]),
            '\u{0}'..='\u{1f}' => text.push_str(&unicode_escape(letter, rng)),
            _ if rng.u8(0..8) == 0 => text.push_str(&unicode_escape(letter, rng)),
            _ => text.push(letter),
        }
        if rng.u8(0..16) == 0 {
            // Half of a surrogate pair is legal in JSON's grammar, and not ours to mend.
            text.push_str(
                rng.choice(&["\\n", "\\/", "\\b", "\\ud800", "\\uDC00", "\\\""]).unwrap(),
            );
        }
    }
    text.push('"');
    text
}

fn unicode_escape(letter: char, rng: &mut fastrand::Rng) -> String {
    let mut units = [0; 2];
    let upper = rng.bool();
    letter
        .encode_utf16(&mut units)
        .iter()
        .map(|unit| if upper { format!("\\u{unit:04X}") } else { format!("\\u{unit:04x}") })
        .collect()
}

fn number(rng: &mut fastrand::Rng) -> String {
    match rng.u8(0..7) {
        0 => rng.i64(..).to_string(),
        1 => format!("{}{}", rng.u64(1..), rng.u64(..)),
        2 => "-0".to_owned(),
        3 => format!("{}.{:05}0", rng.i32(..), rng.u32(0..100_000)),
        4 => format!("{}E+{}", rng.u8(..), rng.u16(..)),
        5 => "1e400".to_owned(),
        _ => rng.u8(..).to_string(),
    }
}

fn space(rng: &mut fastrand::Rng) -> &'static str {
    rng.choice(&["", "", "", " ", "\n", "\t", "\r\n  ", " \t \n"]).unwrap()
}

/// Any value, at most `depth` containers deep.
fn value(rng: &mut fastrand::Rng, depth: u32) -> String {
    let container = depth > 0 && rng.u8(0..3) == 0;
    match (container, rng.u8(0..6)) {
        (true, 0..3) => object(rng, depth),
        (true, _) => {
            let items: Vec<String> = (0..rng.usize(0..4))
                .map(|_| format!("{}{}{}", space(rng), value(rng, depth - 1), space(rng)))
                .collect();
            format!("[{}]", items.join(","))
        }
        (false, 0) => "null".to_owned(),
        (false, 1) => rng.bool().to_string(),
        (false, 2 | 3) => number(rng),
        (false, _) => string(rng),
    }
}

/// An object whose members may well have the names of ours: deeper down they are the client's own.
fn object(rng: &mut fastrand::Rng, depth: u32) -> String {
    let members: Vec<String> = (0..rng.usize(0..4))
        .map(|_| {
            let ours = [
                "\"model\"",
                "\"stream\"",
                "\"Stream\"",
                "\"usage\"",
                "\"choices\"",
                "\"stream_options\"",
            ];
            let name = if rng.u8(0..4) == 0 {
                (*rng.choice(&ours).unwrap()).to_owned()
            } else {
                string(rng)
            };
            let (before, behind) = (space(rng), space(rng));
            format!("{before}{name}{behind}:{}{}{}", space(rng), value(rng, depth - 1), space(rng))
        })
        .collect();
    format!("{{{}}}", members.join(","))
}

/// The scripted model's name as JSON may write it.
fn model_name(rng: &mut fastrand::Rng, name: &str) -> String {
    let letters = name.chars().map(|letter| match rng.u8(0..8) {
        0 => unicode_escape(letter, rng),
        _ => letter.to_string(),
    });
    format!("\"{}\"", letters.collect::<String>())
}

/// A body for the scripted model that has nothing special.
fn plain_body(stream: bool, asks_usage: bool) -> String {
    let options = if asks_usage { r#","stream_options":{"include_usage":true}"# } else { "" };
    format!(
        r#"{{"model":"{MODEL}","stream":{stream}{options},"messages":[{{"role":"user","content":"hi"}}],"prompt":"hi"}}"#
    )
}
