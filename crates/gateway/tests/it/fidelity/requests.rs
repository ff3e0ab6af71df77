//! Requests on their way up.

use std::sync::atomic::Ordering::Relaxed;

use fluxgate_demo::{Behaviour, DemoConfig, Pace};
use fluxgate_testkit::{Plan, TestStack};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{SEED, model_name, number, object, put_through, space, string, value};

const CASES: u64 = 10_000;
/// One below the body itself leaves 63 of the 64 levels.
const DEEPEST: usize = 63;

/// A demo model that answers with the very bytes of the request's body.
async fn echoing() -> TestStack {
    let behaviour = Behaviour { echo: true, ..Behaviour::default() };
    Plan::default()
        .demo(DemoConfig { pace: Pace::NONE, behaviour, ..DemoConfig::default() })
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_arrive_byte_for_byte_but_for_the_splice_of_include_usage() {
    let stack = echoing().await;
    put_through(
        &stack,
        CASES,
        Case::make,
        |case| (case.path.to_owned(), case.sent.clone().into_bytes()),
        |case, answer| {
            assert_eq!(answer.status, 200, "{} {}\n{}", case.path, case.sent, answer.text());
            let arrived = answer.text();
            assert_eq!(arrived, case.expected, "{} {}", case.path, case.sent);
            check_meaning(&case, &arrived);
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_field_that_stands_twice_or_in_other_letters_never_passes() {
    let stack = echoing().await;
    let before = stack.demo.stats.requests.load(Relaxed);
    put_through(
        &stack,
        2_000,
        ambiguous,
        |case| (case.path.to_owned(), case.sent.clone().into_bytes()),
        |case, answer| {
            assert_eq!(answer.status, 400, "{} {}\n{}", case.path, case.sent, answer.text());
            assert!(answer.text().contains("\"ambiguous_field\""), "{}", answer.text());
        },
    )
    .await;
    assert_eq!(stack.demo.stats.requests.load(Relaxed), before, "something reached the model");
}

/// A request and what must arrive of it.
struct Case {
    path: &'static str,
    sent: String,
    expected: String,
    spliced: bool,
}

/// What is written for both sides, or for each.
#[derive(Default)]
struct Member {
    sent: String,
    expected: String,
}

impl Member {
    fn same(text: String) -> Self {
        Self { sent: text.clone(), expected: text }
    }
}

const ROUTES: [&str; 8] = [
    "/v1/chat/completions",
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/api/chat",
    "/api/generate",
    "/api/embed",
    "/api/show",
];

impl Case {
    fn make(number: u64) -> Self {
        let rng = &mut fastrand::Rng::with_seed(SEED + number);
        let path = ROUTES[rng.usize(0..ROUTES.len())];
        let streams = rng.bool();
        let mut members = required(path, rng);
        let spliceable = streams && path.ends_with("completions");
        match (path, streams) {
            ("/api/chat" | "/api/generate", _) if rng.bool() => {}
            (_, true) => members.push(Member::same(member(rng, "\"stream\"", "true"))),
            (_, false) => match rng.u8(0..3) {
                0 if !path.starts_with("/api") => {}
                1 => members.push(Member::same(member(rng, "\"stream\"", "false"))),
                _ => members.push(Member::same(member(rng, "\"stream\"", "null"))),
            },
        }
        let options = if path.ends_with("completions") { rng.u8(0..7) } else { 0 };
        members.extend(stream_options(rng, options, spliceable));
        members.extend(unknown(rng));
        rng.shuffle(&mut members);
        let put_in_front = spliceable && options == 0;
        let spliced = spliceable && options != 6;
        let mut whole = Member::same(format!("{}{{", space(rng)));
        if put_in_front {
            whole.expected.push_str(r#""stream_options":{"include_usage":true},"#);
        }
        for (at, member) in members.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            whole.sent.extend([comma, &member.sent]);
            whole.expected.extend([comma, &member.expected]);
        }
        let end = format!("}}{}", space(rng));
        whole.sent.push_str(&end);
        whole.expected.push_str(&end);
        Self { path, sent: whole.sent, expected: whole.expected, spliced }
    }
}

/// A member as one may write it, with white space wherever it may stand.
fn member(rng: &mut fastrand::Rng, quoted_name: &str, value: &str) -> String {
    format!("{}{quoted_name}{}:{}{value}{}", space(rng), space(rng), space(rng), space(rng))
}

/// What the route can't do without.
fn required(path: &str, rng: &mut fastrand::Rng) -> Vec<Member> {
    let name = model_name(rng, "demo");
    let messages = |rng: &mut fastrand::Rng| {
        let messages: Vec<String> =
            (0..rng.usize(1..4)).map(|_| format!("{}{}", space(rng), object(rng, 5))).collect();
        format!("[{}]", messages.join(","))
    };
    let text = |rng: &mut fastrand::Rng| match string(rng) {
        empty if empty == "\"\"" => "\"x\"".to_owned(),
        text => text,
    };
    let (field, wanted) = match path {
        "/v1/chat/completions" | "/api/chat" => ("\"messages\"", messages(rng)),
        "/v1/completions" | "/api/generate" => ("\"prompt\"", text(rng)),
        "/v1/embeddings" | "/api/embed" => ("\"input\"", format!("[{},{}]", text(rng), text(rng))),
        _ => ("\"verbose\"", "true".to_owned()),
    };
    [("\"model\"", name), (field, wanted)]
        .into_iter()
        .map(|(field, value)| Member::same(member(rng, field, &value)))
        .collect()
}

/// `stream_options` in each of its shapes, and what becomes of it where usage is asked for.
fn stream_options(rng: &mut fastrand::Rng, shape: u8, spliced: bool) -> Option<Member> {
    let other = format!("\"x_{}\":{}", rng.u8(..), value(rng, 3));
    let (sent, expected) = match shape {
        0 => return None,
        1 => ("null".to_owned(), r#"{"include_usage":true}"#.to_owned()),
        2 => (format!("{{{}}}", space(rng)), r#"{"include_usage":true}"#.to_owned()),
        3 => {
            let rest = format!("{}{other}{}}}", space(rng), space(rng));
            (format!("{{{rest}"), format!(r#"{{"include_usage":true,{rest}"#))
        }
        4 | 5 => {
            let without = if shape == 4 { "false" } else { "null" };
            let front = format!(
                "{{{other},{}\"include_us\\u0061ge\"{}:{}",
                space(rng),
                space(rng),
                space(rng)
            );
            let behind = format!("{},\"y\":{}}}", space(rng), value(rng, 2));
            (format!("{front}{without}{behind}"), format!("{front}true{behind}"))
        }
        _ => {
            let asked = format!("{{{}\"include_usage\"{}: true,{other}}}", space(rng), space(rng));
            (asked.clone(), asked)
        }
    };
    let expected = if spliced { expected } else { sent.clone() };
    let (before, behind) = (space(rng), space(rng));
    let write = |value: &str| format!("{before}\"stream_options\"{behind}:{value}{before}");
    Some(Member { sent: write(&sent), expected: write(&expected) })
}

/// Fields that nobody here knows, some of them twice, some deep.
fn unknown(rng: &mut fastrand::Rng) -> Vec<Member> {
    let mut members = Vec::new();
    for _ in 0..rng.usize(0..6) {
        let name = format!("\"x_{}", string(rng).strip_prefix('"').unwrap());
        let depth = if rng.u8(0..10) == 0 { 12 } else { 3 };
        let copies = if rng.u8(0..4) == 0 { 2 } else { 1 };
        for _ in 0..copies {
            let value = value(rng, depth);
            members.push(Member::same(member(rng, &name, &value)));
        }
    }
    if rng.u8(0..20) == 0 {
        let deep = format!("{}{}{}", "[".repeat(DEEPEST), number(rng), "]".repeat(DEEPEST));
        members.push(Member::same(member(rng, "\"x_deep\"", &deep)));
    }
    members
}

/// The splice once more, by meaning: the members that are not `stream_options` are the same in the
/// same order, and that one asks for the usage and has lost nothing.
fn check_meaning(case: &Case, arrived: &str) {
    if !case.spliced {
        assert_eq!(arrived, case.sent);
        return;
    }
    let (sent, arrived): (Members, Members) =
        (serde_json::from_str(&case.sent).unwrap(), serde_json::from_str(arrived).unwrap());
    assert_eq!(sent.without("stream_options"), arrived.without("stream_options"));
    let options: Members = serde_json::from_str(arrived.get("stream_options").unwrap()).unwrap();
    assert_eq!(options.get("include_usage"), Some("true"));
    let were: Option<Members> =
        sent.get("stream_options").and_then(|text| serde_json::from_str(text).ok());
    assert_eq!(were.unwrap_or_default().without("include_usage"), options.without("include_usage"));
}

/// An object's members as they are written, in their order.
#[derive(Default, Debug)]
struct Members(Vec<(String, Box<RawValue>)>);

impl Members {
    /// The value of the one member of this name.
    fn get(&self, name: &str) -> Option<&str> {
        let mut named = self.0.iter().filter(|(known, _)| known == name);
        let found = named.next()?.1.get();
        assert!(named.next().is_none(), "{name} stands twice");
        Some(found)
    }

    fn without(&self, name: &str) -> Vec<(&str, &str)> {
        let others = self.0.iter().filter(|(known, _)| known != name);
        others.map(|(name, value)| (name.as_str(), value.get())).collect()
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                // The name as it is written: it may hold half of a surrogate pair.
                while let Some(name) = map.next_key::<Name>()? {
                    members.push((name.0, map.next_value()?));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// A member's name, decoded as bytes since it need not be text.
struct Name(String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Name;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a name")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Name, E> {
                Ok(Name(String::from_utf8_lossy(bytes).into_owned()))
            }

            fn visit_str<E>(self, text: &str) -> Result<Name, E> {
                Ok(Name(text.to_owned()))
            }
        }
        deserializer.deserialize_bytes(Reader)
    }
}

/// The fields by which something is decided here: at the top, in `options`, in `stream_options`.
const POLICY: [&str; 15] = [
    "model",
    "messages",
    "stream",
    "stream_options",
    "options",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "max_tokens_to_sample",
    "n",
    "best_of",
    "prompt",
    "input",
    "keep_alive",
    "name",
];

/// A good request with one policy field too many.
fn ambiguous(number: u64) -> Case {
    let rng = &mut fastrand::Rng::with_seed(SEED ^ (number << 20));
    let path =
        ["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/api/chat"][rng.usize(0..4)];
    let mut members: Vec<String> =
        required(path, rng).into_iter().map(|member| member.sent).collect();
    members.extend(unknown(rng).into_iter().map(|member| member.sent));
    let (outer, field) = match rng.u8(0..4) {
        0 => ("options", *rng.choice(&["num_predict", "num_ctx"]).unwrap()),
        1 => ("stream_options", "include_usage"),
        _ => ("", *rng.choice(&POLICY).unwrap()),
    };
    let wrong = other_letters(rng, field);
    let extra = match rng.bool() {
        // In other letters once is enough.
        true => vec![member(rng, &wrong, "null")],
        false => {
            let right = spelled(rng, field);
            let again = spelled(rng, field);
            vec![member(rng, &right, "null"), member(rng, &again, "null")]
        }
    };
    if outer.is_empty() {
        members.extend(extra);
    } else {
        let value = format!("{{{}}}", extra.join(","));
        let outer = spelled(rng, outer);
        members.push(member(rng, &outer, &value));
    }
    rng.shuffle(&mut members);
    let sent = format!("{{{}}}", members.join(","));
    Case { path, expected: String::new(), sent, spliced: false }
}

/// The field's own name, perhaps with escapes.
fn spelled(rng: &mut fastrand::Rng, field: &str) -> String {
    model_name(rng, field)
}

/// The field's name as a server that matches without case would still take it.
fn other_letters(rng: &mut fastrand::Rng, field: &str) -> String {
    let at = rng.usize(0..field.len());
    let letters: String = field
        .chars()
        .enumerate()
        .map(|(index, letter)| match (index == at || rng.u8(0..4) == 0, letter) {
            (true, 's') if rng.bool() => 'ſ',
            (true, 'k') if rng.bool() => '\u{212a}',
            (true, letter) => letter.to_ascii_uppercase(),
            (false, letter) => letter,
        })
        .collect();
    if letters == field {
        format!("\"{}\"", field.to_ascii_uppercase())
    } else {
        spelled(rng, &letters)
    }
}
