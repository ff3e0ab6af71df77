//! The scanner against `serde_json`: on documents made at random, and on the same with bytes broken.
//! What serde_json ignores unread (`IgnoredAny`) it checks by RFC 8259's grammar alone, numbers of any
//! size and halves of surrogate pairs included, which is what we promise.

use proptest::prelude::*;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::super::field::Member;
use super::super::{DEPTH_MAX, Field, OptionField, Outline, OutlineFault, StreamOption};

/// An object's members as they stand, repeated ones too.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> serde::Deserialize<'de> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        from.deserialize_map(Collect)
    }
}

/// How deep a valid document is nested.
fn depth(json: &str) -> u32 {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth -= 1,
            _ => {}
        }
    }
    deepest
}

fn means(key: &str, name: &str) -> bool {
    key.replace('ſ', "s").replace('\u{212a}', "k").eq_ignore_ascii_case(name)
}

/// Whether another server may read a member otherwise than we do.
fn is_ambiguous<M: Member>(all: &[M], name: fn(M) -> &'static str, members: &Members<'_>) -> bool {
    all.iter().filter(|member| member.is_policy()).any(|member| {
        let name = name(*member);
        let alike: Vec<_> = members.0.iter().filter(|(key, _)| means(key, name)).collect();
        alike.len() > 1 || alike.iter().any(|(key, _)| key != name)
    })
}

/// The members of an object inside the body; none where it is absent or no object.
///
/// # Errors
/// A key that can't be a `String`: half a surrogate pair.
fn inner<'a>(members: &Members<'a>, name: &str) -> serde_json::Result<Members<'a>> {
    match last(members, name) {
        Some(object) if object.starts_with('{') => serde_json::from_str(object),
        _ => Ok(Members(Vec::new())),
    }
}

/// Where a part of the body stands in it.
fn place(body: &str, part: &str) -> std::ops::Range<usize> {
    let start = part.as_ptr() as usize - body.as_ptr() as usize;
    start..start + part.len()
}

fn last<'a>(members: &Members<'a>, name: &str) -> Option<&'a str> {
    members.0.iter().rev().find(|(key, _)| key == name).map(|(_, raw)| raw.get())
}

/// Holds one body against the other parser.
fn compare(body: &[u8]) {
    let read = Outline::read(body);
    let shown = String::from_utf8_lossy(body);
    let Ok(text) = std::str::from_utf8(body) else {
        assert!(read.is_err(), "{shown}");
        return;
    };
    if serde_json::from_str::<IgnoredAny>(text).is_err() {
        assert!(read.is_err(), "{shown}");
        return;
    }
    if !text.trim_start().starts_with('{') {
        assert_eq!(read.unwrap_err(), OutlineFault::NotAnObject, "{shown}");
        return;
    }
    if depth(text) > DEPTH_MAX {
        assert!(read.is_err(), "{shown}");
        return;
    }
    let parsed = serde_json::from_str::<Members<'_>>(text).and_then(|members| {
        let options = inner(&members, "options")?;
        let stream_options = inner(&members, "stream_options")?;
        Ok((members, options, stream_options))
    });
    let Ok((members, options, stream_options)) = parsed else {
        // Only the grammar can be compared.
        assert!(matches!(read, Ok(_) | Err(OutlineFault::Ambiguous { .. })), "{shown}");
        return;
    };
    let ambiguous = is_ambiguous(Field::ALL, Field::name, &members)
        || is_ambiguous(OptionField::ALL, OptionField::name, &options)
        || is_ambiguous(StreamOption::ALL, StreamOption::name, &stream_options);
    if ambiguous {
        assert!(matches!(read, Err(OutlineFault::Ambiguous { .. })), "{shown}");
        return;
    }
    let outline = read.unwrap_or_else(|fault| panic!("{fault}: {shown}"));
    let same = |ours: Option<super::Value<'_>>, theirs: Option<&str>| {
        assert_eq!(ours.map(|value| value.range), theirs.map(|part| place(text, part)), "{shown}");
    };
    for field in Field::ALL {
        same(outline.field(*field), last(&members, field.name()));
    }
    for field in OptionField::ALL {
        same(outline.option_field(*field), last(&options, field.name()));
    }
    for field in StreamOption::ALL {
        same(outline.stream_option(*field), last(&stream_options, field.name()));
    }
}

fn space() -> impl Strategy<Value = String> {
    prop_oneof![3 => Just(String::new()), 1 => "[ \n\r\t]{1,9}"]
}

fn string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[ !#-\\[\\]-~]{0,40}",
        2 => r#"\\["\\/bfnrt]"#,
        1 => r"\\u[0-9a-fA-F]{4}",
        1 => r"\\ud83d\\ude00",
        1 => "[äß日😀\u{7f}ſ]{1,5}",
        1 => "[a-z ]{60,140}",
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

fn key() -> impl Strategy<Value = String> {
    let known: Vec<&str> = Field::ALL.iter().map(|field| field.name()).collect();
    prop_oneof![
        6 => string(),
        6 => prop::sample::select(known).prop_map(|name| format!("\"{name}\"")),
        2 => Just("\"options\"".to_owned()),
        2 => Just("\"stream_options\"".to_owned()),
        2 => Just("\"num_predict\"".to_owned()),
        2 => Just("\"include_usage\"".to_owned()),
        1 => prop::sample::select(vec![
            "\"Model\"", "\"mo\\u0064el\"", "\"ſtream\"", "\"n\\u0075m_ctx\"", "\"Num_Ctx\"", "\"TOOLS\"",
        ]).prop_map(str::to_owned),
    ]
}

fn number() -> impl Strategy<Value = String> {
    "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,5})?"
}

fn object(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let member = (space(), key(), space(), space(), value, space())
        .prop_map(|(a, key, b, c, value, d)| format!("{a}{key}{b}:{c}{value}{d}"));
    (space(), prop::collection::vec(member, 0..6)).prop_map(|(inside, members)| {
        if members.is_empty() {
            format!("{{{inside}}}")
        } else {
            format!("{{{}}}", members.join(","))
        }
    })
}

fn array(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let element = (space(), value, space()).prop_map(|(a, value, b)| format!("{a}{value}{b}"));
    (space(), prop::collection::vec(element, 0..6)).prop_map(|(inside, elements)| {
        if elements.is_empty() {
            format!("[{inside}]")
        } else {
            format!("[{}]", elements.join(","))
        }
    })
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        3 => string(),
        2 => number(),
        1 => prop::sample::select(vec!["true", "false", "null"]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| prop_oneof![object(inner.clone()), array(inner)])
}

fn body() -> impl Strategy<Value = String> {
    (space(), object(value()), space()).prop_map(|(a, object, b)| format!("{a}{object}{b}"))
}

/// A broken byte is mostly one that means something.
fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![
        8 => prop::sample::select(b"{}[]:,\"\\ \n\t0123456789-+.eEtrufalsn/".to_vec()),
        1 => any::<u8>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_valid_body_reads_as_the_other_parser_reads_it(body in body()) {
        compare(body.as_bytes());
    }

    #[test]
    fn a_value_at_the_top_is_judged_as_the_other_parser_judges_it(value in value()) {
        compare(value.as_bytes());
    }

    #[test]
    fn a_broken_body_is_refused_where_the_other_parser_refuses_it(
        body in body(),
        broken in prop::collection::vec((any::<prop::sample::Index>(), byte(), 0..3u8), 1..4),
    ) {
        let mut body = body.into_bytes();
        for (at, byte, how) in broken {
            if body.is_empty() {
                break;
            }
            let at = at.index(body.len());
            match how {
                0 => body[at] = byte,
                1 => body.insert(at, byte),
                _ => drop(body.remove(at)),
            }
        }
        compare(&body);
    }

    #[test]
    fn anything_like_a_number_is_judged_alike(digits in "[-+]?[0-9.eE+-]{0,8}") {
        compare(format!("{{\"a\":{digits}}}").as_bytes());
        compare(format!("{{\"a\":[{digits},1]}}").as_bytes());
    }

    #[test]
    fn anything_like_an_escape_is_judged_alike(escape in r#"\\[u"\\a-z]?[0-9a-gA-G]{0,5}"#) {
        compare(format!("{{\"a\":\"{escape}\"}}").as_bytes());
        compare(format!("{{\"{escape}\":1}}").as_bytes());
    }
}

#[test]
fn a_hundred_thousand_broken_bodies_end_in_an_answer() {
    let whole = br#"{"model":"m","messages":[{"role":"user","content":"a\u00e9\n\ud83d\ude00 b"}],"n":-1.5e+3,"options":{"num_ctx":[true,false,null]}}"#;
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut draw = move |below: usize| {
        // xorshift64: the same bodies in every run.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize % below
    };
    let (mut passed, mut refused) = (0u32, 0u32);
    for _ in 0..100_000 {
        let mut body = whole.to_vec();
        for _ in 0..1 + draw(3) {
            if body.is_empty() {
                break;
            }
            let at = draw(body.len());
            match draw(4) {
                0 => body[at] = draw(256) as u8,
                1 => body[at] = whole[draw(whole.len())],
                2 => drop(body.remove(at)),
                _ => body.truncate(at + 1),
            }
        }
        match Outline::read(&body) {
            Ok(_) => passed += 1,
            Err(_) => refused += 1,
        }
    }
    assert!(passed > 1_000 && refused > 50_000, "{passed} passed, {refused} were refused");
}
