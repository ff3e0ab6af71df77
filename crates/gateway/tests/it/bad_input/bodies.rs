//! Bodies that aren't one JSON object of sound text.

use fluxgate_testkit::{TestStack, wire};

use super::refusal::{Unasked, assert_refused, routes, sound_body};

#[tokio::test]
async fn each_route_serves_a_sound_body() {
    let stack = TestStack::start().await;
    for route in routes() {
        let answer = stack.post(route, sound_body(route)).await;
        assert_eq!(answer.status, 200, "{route}: {}", answer.text());
        super::refusal::assert_id(&answer);
    }
}

#[tokio::test]
async fn what_is_not_json_is_refused() {
    let stack = TestStack::start().await;
    let unasked = Unasked::begin(&stack);
    for route in routes() {
        let sound = sound_body(route);
        for body in [
            "",
            " ",
            "null",
            "true",
            "17",
            "\"demo\"",
            "[]",
            "model=demo",
            "{",
            "{}}",
            "{'model':'demo'}",
            "{model:\"demo\"}",
            "{\"model\":\"demo\",}",
            "{\"model\" \"demo\"}",
            "{\"model\":\"demo\"",
            "{\"model\":\"dem",
            "{\"model\":\"demo\",\"n\":01}",
            "{\"model\":\"demo\",\"n\":NaN}",
            "{\"model\":\"demo\",\"n\":+1}",
            "{\"model\":\"demo\",\"n\":1.}",
            "{\"model\":\"demo\",\"n\":tru}",
            "{\"model\":\"de\nmo\"}",
            "{\"model\":\"\\x41\"}",
            "{\"model\":\"demo\"} // comment",
            "{\"model\":\"demo\"}{\"model\":\"demo\"}",
            &sound[..sound.len() - 1],
            &format!("{sound}\0"),
            &format!("{sound}x"),
        ] {
            let answer = stack.post(route, body).await;
            assert_refused(body, route, &answer, 400, "invalid_json");
        }
    }
    unasked.end(&stack);
}

#[tokio::test]
async fn what_is_nested_too_deep_is_refused_and_the_limit_itself_is_not() {
    let stack = TestStack::start().await;
    for route in routes() {
        let sound = sound_body(route);
        let nested = |depth: usize, open: &str, close: &str| {
            let nest = format!("{}0{}", open.repeat(depth), close.repeat(depth));
            format!("{},\"x\":{nest}}}", &sound[..sound.len() - 1])
        };
        let unasked = Unasked::begin(&stack);
        for (depth, open, close) in
            [(65, "[", "]"), (65, "{\"a\":", "}"), (10_000, "[", "]"), (200_000, "[", "]")]
        {
            let answer = stack.post(route, &nested(depth, open, close)).await;
            assert_refused("nested", route, &answer, 400, "json_too_deep");
        }
        let unclosed = stack.post(route, &"[".repeat(100_000)).await;
        assert_eq!(unclosed.status, 400, "{route}");
        unasked.end(&stack);
        let answer = stack.post(route, &nested(60, "[", "]")).await;
        assert_eq!(answer.status, 200, "{route}: {}", answer.text());
    }
}

#[tokio::test]
async fn bytes_that_are_no_text_are_refused() {
    let stack = TestStack::start().await;
    let unasked = Unasked::begin(&stack);
    let authorization = format!("Bearer {}", stack.key);
    for route in routes() {
        let sound = sound_body(route);
        let with = |bytes: &[u8]| {
            [&sound.as_bytes()[..sound.len() - 1], b",\"x\":\"", bytes, b"\"}"].concat()
        };
        for (what, body) in [
            ("a byte order mark", [b"\xef\xbb\xbf", sound.as_bytes()].concat()),
            ("a lone continuation byte", with(b"\x80")),
            ("a cut sequence", with(b"\xe2\x82")),
            ("an overlong slash", with(b"\xc0\xaf")),
            ("an encoded surrogate", with(b"\xed\xa0\x80")),
            ("beyond Unicode", with(b"\xf4\x90\x80\x80")),
            ("Latin-1", with(b"\xfc")),
            ("0xff", with(b"\xff")),
        ] {
            let request = wire::request("POST", route, &[("authorization", &authorization)], &body);
            let answer = wire::ask(stack.clear, &request).await;
            assert_refused(what, route, &answer, 400, "ambiguous_field");
        }
        let utf16: Vec<u8> = sound.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let request = wire::request("POST", route, &[("authorization", &authorization)], &utf16);
        assert_eq!(wire::ask(stack.clear, &request).await.status, 400, "{route}: UTF-16");
    }
    unasked.end(&stack);
}

#[tokio::test]
async fn an_encoded_body_is_415() {
    let stack = TestStack::start().await;
    let unasked = Unasked::begin(&stack);
    let authorization = format!("Bearer {}", stack.key);
    let send = async |route: &str, codings: &[&str]| {
        let mut headers = vec![("authorization", authorization.as_str())];
        headers.extend(codings.iter().map(|coding| ("content-encoding", *coding)));
        let request = wire::request("POST", route, &headers, sound_body(route).as_bytes());
        wire::ask(stack.clear, &request).await
    };
    for route in routes() {
        for coding in ["gzip", "br", "zstd", "deflate", "GZIP", "x", "identity, gzip", "aes128gcm"]
        {
            let answer = send(route, &[coding]).await;
            assert_refused(coding, route, &answer, 415, "unsupported_content_encoding");
        }
        let answer = send(route, &["identity", "gzip"]).await;
        assert_refused("two codings", route, &answer, 415, "unsupported_content_encoding");
    }
    unasked.end(&stack);
    for route in routes() {
        assert_eq!(send(route, &["identity"]).await.status, 200, "{route}");
    }
}
