//! What a body's outline tells, and what is refused. `oracle` compares with another parser.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod counts;
mod grammar;
mod oracle;

use std::borrow::Cow;

use super::{Field, Kind, OptionField, Outline, OutlineFault, StreamOption, Value};

fn fault(body: impl AsRef<[u8]>) -> OutlineFault {
    Outline::read(body.as_ref()).unwrap_err()
}

fn ambiguous(field: &'static str) -> OutlineFault {
    OutlineFault::Ambiguous { field }
}

/// The member `n` of a body that holds nothing else.
fn with_value<T>(json: &str, look: impl FnOnce(Value<'_>) -> T) -> T {
    let body = format!("{{\"n\":{json}}}");
    look(Outline::read(body.as_bytes()).unwrap().field(Field::N).unwrap())
}

#[test]
fn each_member_is_found_at_its_place() {
    let body = br#" { "model" : "m" ,"temperature":0.2, "stream":true,"messages":[{"role":"user"}],
        "stream_options":{ "include_usage" : false , "x":1 }, "options":{"num_ctx":8192,"num_predict":-1},
        "max_tokens":null,"stop":["\n"] } "#;
    let outline = Outline::read(body).unwrap();
    let found = [
        (outline.field(Field::Model), Kind::String, r#""m""#),
        (outline.field(Field::Stream), Kind::Bool, "true"),
        (outline.field(Field::Messages), Kind::Array, r#"[{"role":"user"}]"#),
        (
            outline.field(Field::StreamOptions),
            Kind::Object,
            r#"{ "include_usage" : false , "x":1 }"#,
        ),
        (outline.field(Field::Options), Kind::Object, r#"{"num_ctx":8192,"num_predict":-1}"#),
        (outline.field(Field::MaxTokens), Kind::Null, "null"),
        (outline.stream_option(StreamOption::IncludeUsage), Kind::Bool, "false"),
        (outline.option_field(OptionField::NumCtx), Kind::Number, "8192"),
        (outline.option_field(OptionField::NumPredict), Kind::Number, "-1"),
    ];
    for (value, kind, raw) in found {
        let value = value.unwrap();
        assert_eq!((value.kind, value.raw), (kind, raw.as_bytes()));
        assert_eq!(&body[value.range], raw.as_bytes());
    }
    assert!(outline.field(Field::Prompt).is_none());
    assert_eq!(outline.body_open(), 2);
    assert!(!outline.is_empty_object());
}

#[test]
fn a_member_can_be_put_in_behind_the_brace() {
    for (body, expected) in [
        (" { \"model\":1}", " {\"n\":1, \"model\":1}"),
        ("{}", "{\"n\":1}"),
        ("{ \n}", "{\"n\":1 \n}"),
    ] {
        let outline = Outline::read(body.as_bytes()).unwrap();
        let (before, behind) = body.split_at(outline.body_open());
        let comma = if outline.is_empty_object() { "" } else { "," };
        let spliced = format!("{before}\"n\":1{comma}{behind}");
        assert_eq!(spliced, expected);
        assert_eq!(
            Outline::read(spliced.as_bytes()).unwrap().field(Field::N).unwrap().as_u64(),
            Some(1)
        );
    }
}

#[test]
fn fields_of_a_level_are_not_looked_for_on_another() {
    let body = br#"{"num_ctx":1,"include_usage":true,"options":{"model":"x","include_usage":1},
        "stream_options":[{"include_usage":true}],"metadata":{"model":1,"model":2,"MODEL":3}}"#;
    let outline = Outline::read(body).unwrap();
    assert!(outline.field(Field::Model).is_none());
    assert!(outline.option_field(OptionField::NumCtx).is_none());
    assert!(outline.stream_option(StreamOption::IncludeUsage).is_none());
    assert_eq!(outline.field(Field::StreamOptions).unwrap().kind, Kind::Array);
}

#[test]
fn a_policy_field_that_stands_twice_is_refused() {
    for field in Field::ALL {
        let name = field.name();
        let body = format!("{{\"{name}\":null,\"x\":{{}},\"{name}\":1}}");
        let read = Outline::read(body.as_bytes());
        if super::Member::is_policy(*field) {
            assert_eq!(read.unwrap_err(), ambiguous(name));
        } else {
            assert_eq!(read.unwrap().field(*field).unwrap().as_u64(), Some(1), "the last counts");
        }
    }
    assert_eq!(
        fault(r#"{"options":{"num_predict":1,"num_predict":1}}"#),
        ambiguous("options.num_predict")
    );
    assert_eq!(
        fault(r#"{"options":{"num_ctx":1,"a":2,"num_ctx":1}}"#),
        ambiguous("options.num_ctx")
    );
    assert_eq!(
        fault(r#"{"stream_options":{"include_usage":true,"include_usage":false}}"#),
        ambiguous("stream_options.include_usage"),
    );
}

#[test]
fn a_policy_field_in_another_case_is_refused_even_alone() {
    for (body, field) in [
        (r#"{"MODEL":"m"}"#, "model"),
        (r#"{"Model":"m"}"#, "model"),
        (r#"{"model":"m","modeL":"n"}"#, "model"),
        (r#"{"N":2}"#, "n"),
        (r#"{"ſtream":true}"#, "stream"),
        (r#"{"\u017ftream":true}"#, "stream"),
        (r#"{"\u017FTREAM_OPTION\u017f":{}}"#, "stream_options"),
        (r#"{"max_to\u212aens":1}"#, "max_tokens"),
        ("{\"max_to\u{212a}ens\":1}", "max_tokens"),
        ("{\"\u{212a}eep_alive\":0}", "keep_alive"),
        (r#"{"\u004dodel":"m"}"#, "model"),
        (r#"{"\u004d\u004f\u0044\u0045\u004c":"m"}"#, "model"),
        (r#"{"Max_Completion_Tokens":1}"#, "max_completion_tokens"),
        (r#"{"options":{"Num_Predict":1}}"#, "options.num_predict"),
        (r#"{"options":{"num_\u0050redict":1}}"#, "options.num_predict"),
        (r#"{"stream_options":{"include_uſage":true}}"#, "stream_options.include_usage"),
    ] {
        assert_eq!(fault(body), ambiguous(field), "{body}");
    }
}

#[test]
fn escapes_in_a_key_are_resolved_before_it_is_compared() {
    let alone = Outline::read(br#"{"mo\u0064el":"m"}"#).unwrap();
    assert_eq!(alone.field(Field::Model).unwrap().raw, br#""m""#);
    for body in [
        r#"{"model":"m","mo\u0064el":"n"}"#,
        r#"{"mo\u0064el":"m","model":"n"}"#,
        r#"{"\u006d\u006f\u0064\u0065\u006c":"m","mo\u0064el":"n"}"#,
    ] {
        assert_eq!(fault(body), ambiguous("model"), "{body}");
    }
    let longest: String =
        "max_completion_tokens".bytes().map(|byte| format!("\\u{byte:04x}")).collect();
    let body = format!("{{\"max_completion_tokens\":1,\"{longest}\":2}}");
    assert_eq!(fault(body), ambiguous("max_completion_tokens"));
}

#[test]
fn keys_that_only_look_alike_pass() {
    let body = "{\"models\":1,\"mode\":1,\"m\u{f6}del\":1,\" model\":1,\"model\\u0000\":1,\"max-tokens\":1,\
        \"Temperature\":1,\"temperature\":2,\"temperature\":3,\"\":1,\"\":2,\"TOOLS\":[],\"Tools\":[]}";
    let outline = Outline::read(body.as_bytes()).unwrap();
    assert!(Field::ALL.iter().all(|field| outline.field(*field).is_none()));
}

#[test]
fn values_read_as_what_they_are() {
    let text = |json: &str| with_value(json, |value| value.as_str().map(Cow::into_owned));
    assert_eq!(text(r#""plain""#).unwrap(), "plain");
    assert_eq!(text(r#""\"\\\/\b\f\n\r\t""#).unwrap(), "\"\\/\u{8}\u{c}\n\r\t");
    assert_eq!(text(r#""gr\u00fc\u00DFe, Wörter""#).unwrap(), "grüße, Wörter");
    assert_eq!(text(r#""\ud83d\ude00!""#).unwrap(), "😀!");
    assert_eq!(text(r#""\ud83d""#).unwrap(), "\u{fffd}");
    assert_eq!(text(r#""\ude00\ud83d\n""#).unwrap(), "\u{fffd}\u{fffd}\n");
    assert_eq!(text(r#""\ud83d\u0041""#).unwrap(), "\u{fffd}A");
    assert_eq!(text(r#""\ud83d\ud83d\ude00""#).unwrap(), "\u{fffd}😀");
    assert_eq!(text("1"), None);
    let unsigned = |json: &str| with_value(json, |value| value.as_u64());
    assert_eq!(unsigned("18446744073709551615"), Some(u64::MAX));
    for not in ["18446744073709551616", "-1", "1.0", "1e2", "\"1\"", "true", "null", "[1]"] {
        assert_eq!(unsigned(not), None, "{not}");
    }
    let signed = |json: &str| with_value(json, |value| value.as_i64());
    assert_eq!(
        (signed("-1"), signed("-0"), signed("7"), signed("1e1")),
        (Some(-1), Some(0), Some(7), None)
    );
    let flag = |json: &str| with_value(json, |value| value.as_bool());
    assert_eq!(
        (flag("true"), flag("false"), flag("\"true\""), flag("1")),
        (Some(true), Some(false), None, None)
    );
    for (json, null, empty) in [
        ("null", true, false),
        ("\"\"", false, true),
        ("\" \"", false, false),
        ("[ \n]", false, true),
        ("[null]", false, false),
        ("{\t}", false, true),
        ("{\"a\":1}", false, false),
        ("0", false, false),
    ] {
        with_value(json, |value| {
            assert_eq!((value.is_null(), value.is_empty()), (null, empty), "{json}")
        });
    }
}

#[test]
fn every_kind_has_its_name() {
    for (json, kind, description) in [
        ("null", Kind::Null, "null"),
        ("false", Kind::Bool, "a boolean"),
        ("-0.5E+7", Kind::Number, "a number"),
        ("\"\"", Kind::String, "a string"),
        ("[]", Kind::Array, "an array"),
        ("{}", Kind::Object, "an object"),
    ] {
        with_value(json, |value| {
            assert_eq!((value.kind, value.kind.description()), (kind, description))
        });
    }
}

#[test]
fn what_is_shown_holds_nothing_of_the_body() {
    let body = br#"{"model":"secret-model","messages":[{"content":"secret words"}]}"#;
    let outline = Outline::read(body).unwrap();
    let shown = format!("{outline:?} {:?}", outline.field(Field::Model));
    assert!(!shown.contains("secret"), "{shown}");
    for body in [
        &b"{\"secret\":secret}"[..],
        b"{\"model\":1,\"MODEL\":\"secret\"}",
        b"{\"secret\":\"\xff\"}",
        b"secret",
    ] {
        let message = fault(body).to_string();
        assert!(!message.contains("secret"), "{message}");
    }
    assert_eq!(
        fault(r#"{"N":1}"#).to_string(),
        "The field `n` stands twice, or in other letters than its own.",
    );
    assert_eq!(
        fault("{\"a\" 1}").to_string(),
        "The body is not valid JSON: a colon was expected at byte 5.",
    );
}
