//! What is a body at all.

use super::super::{DEPTH_MAX, Field, Outline, OutlineFault};
use super::fault;

#[test]
fn what_is_no_json_is_refused_where_it_breaks() {
    for (body, at, expected) in [
        ("", 0, "an object"),
        (" \n", 2, "an object"),
        ("hello", 0, "an object"),
        ("{", 1, "a key"),
        ("{\"a\"", 4, "a colon"),
        ("{\"a\":", 5, "a value"),
        ("{\"a\":1", 6, "a comma or a closing brace"),
        ("{\"a\":1,", 7, "a key"),
        ("{\"a\":1,}", 7, "a key"),
        ("{,}", 1, "a key"),
        ("{a:1}", 1, "a key"),
        ("{'a':1}", 1, "a key"),
        ("{\"a\" 1}", 5, "a colon"),
        ("{\"a\":1 \"b\":2}", 7, "a comma or a closing brace"),
        ("{\"a\":1]", 6, "a comma or a closing brace"),
        ("{\"a\":{\"b\":1]}", 11, "a comma or a closing brace"),
        ("{\"a\":[1}", 7, "a comma or a closing bracket"),
        ("{\"a\":[1 2]}", 8, "a comma or a closing bracket"),
        ("{\"a\":[1,]}", 8, "a value"),
        ("{\"a\":[,1]}", 6, "a value"),
        ("{\"messages\":[1,]}", 15, "a value"),
        ("{\"messages\":[1}", 14, "a comma or a closing bracket"),
        ("{\"a\":{,}}", 6, "a key"),
        ("{\"a\":1}x", 7, "the end of the body"),
        ("{} {}", 3, "the end of the body"),
        ("{\"a\":tru}", 5, "a value"),
        ("{\"a\":True}", 5, "a value"),
        ("{\"a\":nul", 5, "a value"),
        ("{\"a\":NaN}", 5, "a value"),
        ("{\"a\":01}", 6, "a comma or a closing brace"),
        ("{\"a\":-}", 6, "a digit"),
        ("{\"a\":+1}", 5, "a value"),
        ("{\"a\":.5}", 5, "a value"),
        ("{\"a\":1.}", 7, "a digit"),
        ("{\"a\":1e}", 7, "a digit"),
        ("{\"a\":1e+}", 8, "a digit"),
        ("{\"a\":0x1}", 6, "a comma or a closing brace"),
        ("{\"a\":\"b}", 8, "the end of a string"),
        ("{\"a\":\"b\\", 8, "an escape"),
        ("{\"a\":\"\\x\"}", 7, "an escape"),
        ("{\"a\":\"\\u12g4\"}", 10, "a hexadecimal digit"),
        ("{\"a\":\"\\u12\"}", 10, "a hexadecimal digit"),
        ("{\"a\":\"\t\"}", 6, "no control byte in a string"),
        ("{\"a\":\"\0\"}", 6, "no control byte in a string"),
        ("{\"a\":1}\0", 7, "the end of the body"),
        ("{\"a\":1,// no\n\"b\":2}", 7, "a key"),
        ("{\u{a0}\"a\":1}", 1, "a key"),
        ("{\u{c}\"a\":1}", 1, "a key"),
        ("{\u{b}}", 1, "a key"),
        ("{}\u{85}", 2, "the end of the body"),
    ] {
        assert_eq!(fault(body), OutlineFault::NotJson { at, expected }, "{body}");
    }
}

#[test]
fn a_body_that_is_no_object_is_named_so() {
    for body in ["[]", " \"text\"", "1", "-1", "true", "false", "null", "[{\"model\":1}]"] {
        assert_eq!(fault(body), OutlineFault::NotAnObject, "{body}");
    }
}

#[test]
fn bytes_that_are_no_utf8_are_refused() {
    assert_eq!(fault(b"\xef\xbb\xbf{}"), OutlineFault::Bom);
    for (bytes, at) in [
        (&b"{\"a\":\"\xff\"}"[..], 6),
        (b"{\"a\":\"\xc3\"}", 6),
        (b"{\"a\":\"\xed\xa0\x80\"}", 6),
        (b"{\"a\":\"\xc0\xaf\"}", 6),
        (b"{\"mod\xffel\":1}", 5),
        (b"{}\x80", 2),
    ] {
        assert_eq!(fault(bytes), OutlineFault::NotUtf8 { at });
    }
}

#[test]
fn the_deepest_body_passes_and_one_level_more_does_not() {
    let nested = |levels: usize, open: &str, close: &str| {
        format!("{{\"a\":{}1{}}}", open.repeat(levels), close.repeat(levels))
    };
    let max = DEPTH_MAX as usize;
    for (key, open, close, step) in
        [("a", "[", "]", 1), ("a", "{\"b\":", "}", 5), ("messages", "[", "]", 1)]
    {
        let place = |levels| nested(levels, open, close).replace("\"a\"", &format!("\"{key}\""));
        assert!(Outline::read(place(max - 1).as_bytes()).is_ok(), "{key}");
        let at = 1 + key.len() + 3 + (max - 1) * step;
        assert_eq!(fault(place(max)), OutlineFault::TooDeep { at }, "{key}");
        assert_eq!(fault(place(100_000)), OutlineFault::TooDeep { at }, "{key}");
    }
    // Two levels are read by the members' own reader, the rest by the scanner.
    let inside = |levels: usize| format!("{{\"options\":{}}}", nested(levels, "[", "]"));
    assert!(Outline::read(inside(max - 2).as_bytes()).is_ok());
    assert!(matches!(fault(inside(max - 1)), OutlineFault::TooDeep { .. }));
    // Empty ones count as well, and siblings don't add up.
    assert!(
        Outline::read(nested(max - 2, "[", "]").replace('1', "[],{},[{}]").as_bytes()).is_err()
    );
    assert!(Outline::read(nested(max - 3, "[", "]").replace('1', "[],{},[{}]").as_bytes()).is_ok());
}

#[test]
fn strings_end_where_they_end_at_every_offset_and_length() {
    for pad in 0..66 {
        for len in [0, 1, 2, 7, 8, 31, 62, 63, 64, 65, 127, 128, 129, 200] {
            let text = "x".repeat(len);
            let body =
                format!("{}{{\"name\":\"{text}\",\"model\":\"{text}\\n\"}}", " ".repeat(pad));
            let outline = Outline::read(body.as_bytes()).unwrap();
            assert_eq!(outline.field(Field::Name).unwrap().as_str().unwrap(), text);
            assert_eq!(outline.field(Field::Model).unwrap().as_str().unwrap(), format!("{text}\n"));
        }
    }
}

#[test]
fn no_control_byte_passes_at_any_place_of_a_string() {
    for control in 0..0x20u8 {
        for at in 0..130 {
            let mut body = format!("{{\"a\":\"{}\"}}", "x".repeat(130)).into_bytes();
            body[6 + at] = control;
            assert_eq!(
                fault(&body),
                OutlineFault::NotJson { at: 6 + at, expected: "no control byte in a string" },
            );
        }
    }
    let allowed = "{\"a\":\" !#[]\u{7f}\u{80}\u{2028}\u{10ffff}\"}";
    assert!(Outline::read(allowed.as_bytes()).is_ok());
}
