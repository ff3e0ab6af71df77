//! How texts become values, and what follows from several of them.

use std::time::Duration;

use fluxgate_core::config::{Loaded, Pooler, Registration, Sessions, UpstreamKind};

use crate::given;

#[test]
fn lists_come_whole_or_by_item_from_the_environment() {
    let file = "downstream_ai_urls = [\"http://a\", \"http://b\"]\n";
    let urls = |loaded: Loaded| {
        loaded.config.downstream_ai_urls.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(urls(given(file).load()), ["http://a/", "http://b/"]);
    let whole = given(file).env("DOWNSTREAM_AI_URLS", " http://c , ");
    assert_eq!(urls(whole.load()), ["http://c/"]);
    let item = given(file).env("FLUXGATE__DOWNSTREAM_AI_URLS__1", "http://d");
    assert_eq!(urls(item.load()), ["http://a/", "http://d/"]);
    let both = whole.env("FLUXGATE__DOWNSTREAM_AI_URLS__1", "http://d");
    assert_eq!(urls(both.load()), ["http://c/", "http://d/"]);
}

#[test]
fn an_upstream_is_given_and_changed_by_variables() {
    let loaded = given("[[upstreams]]\nname = \"a\"\nurl = \"http://a\"\nidle_s = 7\n")
        .env("FLUXGATE__UPSTREAMS__0__URL", "http://b")
        .env("FLUXGATE__UPSTREAMS__1__NAME", "c")
        .env("FLUXGATE__UPSTREAMS__1__URL", "http://c/base")
        .env("FLUXGATE__UPSTREAMS__1__KIND", "ollama")
        .env("FLUXGATE__UPSTREAMS__1__MODELS", "llama*, qwen*")
        .env("FLUXGATE__UPSTREAMS__1__STREAM_USAGE", "false")
        .env("FLUXGATE__UPSTREAMS__1__EXTRA_FIELDS", "0")
        .env("FLUXGATE__UPSTREAMS__1__TIMEOUTS__CONNECT_S", "9")
        .load();
    let [a, c] = loaded.config.upstreams.try_into().unwrap();
    assert_eq!((a.name.as_str(), a.url.as_str(), a.idle.as_secs()), ("a", "http://b/", 7));
    assert_eq!((c.kind, c.stream_usage), (UpstreamKind::Ollama, false));
    assert_eq!((a.extra_fields, c.extra_fields), (true, false));
    assert_eq!(c.models, ["llama*", "qwen*"]);
    let timeouts = [c.idle, c.timeouts.connect, c.timeouts.first_byte, c.timeouts.request];
    assert_eq!(timeouts.map(|time| time.as_secs()), [300, 9, 600, 3600]);
}

#[test]
fn more_than_ten_entries_keep_their_order() {
    let numbers = 0..12;
    let all = numbers.clone().fold(given(""), |given, number| {
        given
            .env(&format!("FLUXGATE__UPSTREAMS__{number}__NAME"), &format!("m{number}"))
            .env(&format!("FLUXGATE__UPSTREAMS__{number}__URL"), "http://m")
    });
    let upstreams = all.load().config.upstreams;
    let names: Vec<String> = upstreams.into_iter().map(|upstream| upstream.name).collect();
    assert_eq!(names, numbers.map(|number| format!("m{number}")).collect::<Vec<_>>());
}

#[test]
fn sizes_are_numbers_or_texts_with_a_unit() {
    let size = |text: &str| given("").env("FLUXGATE__LISTEN__BODY_BYTES_MAX", text);
    assert_eq!(size("2048").load().config.listen.body_bytes_max, 2048);
    assert_eq!(size("64 MiB").load().config.listen.body_bytes_max, 64 << 20);
    let file = given("[listen]\nheader_bytes_max = \"16KiB\"\n");
    assert_eq!(file.load().config.listen.header_bytes_max, 16 << 10);
    for wrong in ["64MB", "MiB", "-1", "1.5MiB", "99999999999TiB"] {
        let faults = size(wrong).faults();
        let right = "a whole number of bytes from 1024 to 4294967296 (or a text such as \"32MiB\")";
        assert!(faults[0].contains(right), "{faults:?}");
    }
}

#[test]
fn the_port_of_a_pooler_tells_its_mode_unless_it_is_chosen() {
    let pooler = |url: &str, chosen: &str| {
        let given = given("").env("DATABASE_URL", url).env("FLUXGATE__DATABASE__POOLER", chosen);
        given.load().config.database.effective_pooler()
    };
    assert_eq!(pooler("postgres://db:6543/fg", ""), Some(Pooler::Transaction));
    assert_eq!(pooler("postgres://db:6543/fg", "session"), Some(Pooler::Session));
    assert_eq!(pooler("postgres://db/fg", ""), None);
    assert_eq!(pooler("postgres://db/fg", "transaction"), Some(Pooler::Transaction));
}

#[test]
fn store_urls_take_each_scheme_that_is_promised() {
    for url in [
        "postgres://u:p%40@db/fg",
        "postgresql://db/fg",
        "sqlite:///var/lib/fg.db",
        "sqlite://fg.db",
    ] {
        let loaded = given("").env("DATABASE_URL", url).load();
        assert_eq!(loaded.config.database.url.unwrap().expose(), url);
    }
    for url in ["redis://:p@cache/0", "rediss://u:p@cache:6380"] {
        assert_eq!(given("").env("REDIS_URL", url).load().config.redis.url.unwrap().expose(), url);
    }
}

#[test]
fn plain_urls_become_upstreams_with_names_of_their_own() {
    let file = r#"
        downstream_ai_urls = [
            "http://a.example:8080/v1/", "http://b.example/x", "http://b.example/y",
            "http://[::1]:1", "http://b.example/x",
        ]
        [[upstreams]]
        name = "a"
        url = "http://a.example:8080/v1"
        [[upstreams]]
        name = "b.example-80"
        url = "http://c.example"
    "#;
    let upstreams = given(file).load().config.effective_upstreams();
    let names: Vec<&str> = upstreams.iter().map(|upstream| upstream.name.as_str()).collect();
    assert_eq!(names, ["a", "b.example-80", "b.example-80-2", "b.example-80-3", "--1-1"]);
    assert!(upstreams[2].stream_usage && upstreams[2].kind == UpstreamKind::Auto);
}

#[test]
fn registration_is_closed_and_sessions_end_unless_that_is_changed() {
    let auth = given("").load().config.auth;
    let (idle, max) = (Duration::from_secs(604_800), Duration::from_secs(2_592_000));
    assert_eq!((auth.registration, auth.audit_kept_days), (Registration::Closed, 365));
    assert_eq!(auth.sessions, Sessions { idle, max });

    let changed = given("[auth]\nregistration = \"invite\"\naudit_kept_days = 3650\n")
        .env("FLUXGATE__AUTH__SESSIONS__IDLE_S", "600")
        .env("FLUXGATE__AUTH__SESSIONS__MAX_S", "600");
    let auth = changed.load().config.auth;
    let lasting = Duration::from_secs(600);
    assert_eq!((auth.registration, auth.audit_kept_days), (Registration::Invite, 3650));
    assert_eq!(auth.sessions, Sessions { idle: lasting, max: lasting });
    let open = given("").env("FLUXGATE__AUTH__REGISTRATION", "open").load();
    assert_eq!(open.config.auth.registration, Registration::Open);
}
