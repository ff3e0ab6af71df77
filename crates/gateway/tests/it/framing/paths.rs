//! Paths beside those of the routes: each route's own, changed in every way that some server reads
//! as the same.

use super::trial::Closes::{May, Must, MustNot};
use super::trial::{Ground, Trial};

const POST_ROUTES: [&str; 8] = [
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/api/chat",
    "/api/generate",
    "/api/embed",
    "/api/embeddings",
    "/api/show",
];
const GET_ROUTES: [&str; 4] = ["/v1/models", "/api/tags", "/api/ps", "/api/version"];

const NOT_FOUND: &[u16] = &[404];
const REFUSED: &[u16] = &[400];

pub fn trials(ground: &Ground) -> Vec<Trial> {
    let mut trials = Vec::new();
    for route in POST_ROUTES {
        for (path, allowed) in changed(route) {
            let what = format!("POST {path:.120}");
            trials.push(Trial::chat(what, ground.post(&path), allowed, May));
        }
    }
    for route in GET_ROUTES {
        for (path, allowed) in changed(route) {
            trials.push(Trial::new(
                format!("GET {path:.120}"),
                get(ground, &path),
                allowed,
                MustNot,
            ));
        }
    }
    trials.extend(model_ids(ground));
    trials.extend(other_forms(ground));
    trials
}

fn get(ground: &Ground, path: &str) -> Vec<u8> {
    ground.framed(&format!("GET {path} HTTP/1.1\r\nhost: test\r\n"), b"")
}

/// A route's path as others may write it, and what we say to it.
pub fn changed(route: &str) -> Vec<(String, &'static [u16])> {
    let mut changed = Vec::new();
    let mut add = |path: String, allowed| changed.push((path, allowed));
    let (folder, leaf) = route.rsplit_once('/').unwrap();

    for path in [
        format!("{route}/"),
        format!("/{route}"),
        format!("//{route}"),
        format!("/.{route}"),
        format!("/..{route}"),
        format!("/%2e{route}"),
        format!("/x/..{route}"),
        format!("/x/%2E%2e{route}"),
        format!("{route}/."),
        format!("{route}/.."),
        format!("{route}/../{leaf}"),
        format!("{folder}//{leaf}"),
        format!("{folder}/./{leaf}"),
        format!("{folder}/%2e/{leaf}"),
        format!("{folder}/x/../{leaf}"),
        format!("{folder}/{leaf};x=1"),
        format!("{folder};x/{leaf}"),
        format!("{route}%20"),
        format!("{route}%2e"),
        format!("{route}%252f"),
        format!("{route}%3f"),
        format!("{route}%23"),
        format!("{route}."),
        format!("{route}.json"),
        format!("{route}s"),
        format!("{route}/x"),
        format!("{route}&x"),
        format!("{route}~"),
        route[..route.len() - 1].to_owned(),
        route.to_ascii_uppercase(),
        format!("{folder}/{}", leaf.to_ascii_uppercase()),
        format!("{}/{leaf}", folder.to_ascii_uppercase()),
        format!("/v1{route}"),
        format!("/api{route}"),
        format!("/proxy{route}"),
        format!("{folder}%ef%bc%8f{leaf}"),
        format!("{folder}%c0%af{leaf}"),
        format!("{route}/{}", "a".repeat(9_000)),
        format!("{route}{}", "/..".repeat(1_000)),
    ] {
        add(path, NOT_FOUND);
    }
    for path in [
        format!("{folder}%2f{leaf}"),
        format!("{folder}%2F{leaf}"),
        format!("/%2f{}", &route[1..]),
        format!("{folder}%5c{leaf}"),
        format!("{folder}%5C{leaf}"),
        format!("{folder}\\{leaf}"),
        format!("/\\{}", &route[1..]),
        format!("{route}%00"),
        format!("{route}%09"),
        format!("{route}%0a"),
        format!("{route}%0d%0a"),
        format!("{route}%1f"),
        format!("{route}%7f"),
        format!("{route}%"),
        format!("{route}%2"),
        format!("{route}%zz"),
        format!("{folder}/..%2f{leaf}"),
        format!("{folder}/%2e%2e%2f{leaf}"),
    ] {
        add(path, REFUSED);
    }
    // Each letter in its encoded form.
    for (at, letter) in route.char_indices().filter(|(_, letter)| letter.is_ascii_alphanumeric()) {
        let encoded = format!("{}%{:02x}{}", &route[..at], u32::from(letter), &route[at + 1..]);
        add(encoded, NOT_FOUND);
    }
    changed
}

/// The one route that takes a part of the path as a name.
fn model_ids(ground: &Ground) -> Vec<Trial> {
    const IDS: [(&str, &[u16]); 23] = [
        ("demo", &[200]),
        ("d%65mo", &[200]),
        ("demo?x=1", &[200]),
        ("demo/", NOT_FOUND),
        ("nothing", NOT_FOUND),
        ("org/model:7b", NOT_FOUND),
        ("org%2fmodel", NOT_FOUND),
        ("..", NOT_FOUND),
        (".", NOT_FOUND),
        ("%2e%2e", NOT_FOUND),
        ("../models", NOT_FOUND),
        ("..%2fmodels", NOT_FOUND),
        ("demo/../demo", NOT_FOUND),
        ("demo%2f..%2fdemo", NOT_FOUND),
        ("./demo", NOT_FOUND),
        ("/demo", NOT_FOUND),
        ("demo//x", NOT_FOUND),
        ("../../api/tags", NOT_FOUND),
        ("%00", &[400, 404]),
        ("demo%0d%0a", &[400, 404]),
        ("demo%5c", &[400, 404]),
        ("%ff", &[400, 404]),
        ("demo%", &[400, 404]),
    ];
    IDS.iter()
        .map(|(id, allowed)| {
            let path = format!("/v1/models/{id}");
            Trial::new(format!("GET {path}"), get(ground, &path), allowed, MustNot)
        })
        .collect()
}

/// Request targets in other forms than the usual one.
fn other_forms(ground: &Ground) -> Vec<Trial> {
    let route = "/v1/chat/completions";
    let mut trials = Vec::new();
    let mut add = |target: &str, allowed, closes| {
        trials.push(Trial::chat(
            format!("POST {target:.120}"),
            ground.post(target),
            allowed,
            closes,
        ));
    };
    // The query is nobody's business, whatever stands in it.
    for query in ["", "x=1", "../..", "%00", "?", "a=b&c=%2f..%2f", "api_key=x"] {
        add(&format!("{route}?{query}"), &[200], MustNot);
    }
    for target in ["http://test/", "HTTP://TEST/", "http://test:80/", "http://test/?x"] {
        let target = target.replacen("/?x", &format!("{route}?x"), 1);
        let target = match target.strip_suffix('/') {
            Some(origin) => format!("{origin}{route}"),
            None => target,
        };
        add(&target, &[200], MustNot);
    }
    for target in [
        format!("http://other{route}"),
        format!("http://test.other{route}"),
        format!("http://test:81{route}"),
        format!("http://test@other{route}"),
        format!("http://other:80{route}"),
        format!("http://[::1]{route}"),
    ] {
        add(&target, &[400], Must);
    }
    add(&format!("http://other@test{route}"), &[400], Must);
    // No form of a request target at all.
    for target in ["v1/chat/completions", "http:///v1/chat/completions", "http://"] {
        add(target, &[400], Must);
    }
    for target in ["*", "://test/", "test:80", "test", "?", "?x", "http://test", "http://test?x"] {
        add(target, &[400, 404, 405], May);
    }
    // What the parser alone refuses.
    for target in [
        "/v1/chat /completions",
        "/v1/chat/completions HTTP/1.1",
        "/v1/chat/completions\u{1}",
        "/v1/chat/completions\0",
        "/v1/chat/completions\u{7f}",
        "/v1/chat\tcompletions",
        "/v1/chat\u{b}/completions",
        " /v1/chat/completions",
    ] {
        add(target, &[400], Must);
    }
    add("/v1/chat/completi\u{f6}ns", &[400, 404], May);
    add("/v1/chat/completions\u{200b}", &[400, 404], May);
    let long = format!("{route}/{}", "a".repeat(40_000));
    add(&long, &[400, 414, 431], Must);
    trials
}
