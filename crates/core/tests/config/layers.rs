//! Which layer wins, and how it is told afterwards.

use std::time::Duration;

use fluxgate_core::config::{Layer, Program, Sources, VARIABLES, load};

use crate::{SECRET, given, leaves};

#[test]
fn nothing_has_to_be_given_for_up() {
    let loaded = load(&Sources::default(), Program::Up).unwrap();
    assert_eq!(loaded.config.listen.https, Some("127.0.0.1:8443".parse().unwrap()));
    assert_eq!(loaded.config.listen.web, Some("127.0.0.1:3000".parse().unwrap()));
    assert_eq!(loaded.config.listen.http, None);
    assert_eq!(loaded.config.listen.idle, Duration::from_secs(60));
    assert_eq!(loaded.file, None);
    assert!(!loaded.chosen("listen.https"));
}

#[test]
fn the_gateway_listens_beyond_loopback_and_serves_no_page() {
    let loaded = load(&given("").production().sources, Program::Gateway).unwrap();
    assert_eq!(loaded.config.listen.https, Some("0.0.0.0:8443".parse().unwrap()));
    assert_eq!(loaded.config.listen.web, None);
}

#[test]
fn a_later_layer_wins_setting_by_setting() {
    let file = given("[listen]\nidle_s = 1\nheader_s = 1\nfirst_byte_s = 1\n");
    let path = file.path("fluxgate.toml");
    let loaded = file
        .env("FLUXGATE__LISTEN__HEADER_S", "2")
        .env("FLUXGATE__LISTEN__FIRST_BYTE_S", "2")
        .flag("listen.first_byte_s", "3")
        .load();
    let listen = &loaded.config.listen;
    let times = [listen.idle, listen.header, listen.first_byte, listen.drain];
    assert_eq!(times.map(|time| time.as_secs()), [1, 2, 3, 30]);
    let by_env = Layer::Env("FLUXGATE__LISTEN__HEADER_S".to_owned());
    assert_eq!(*loaded.origin.of("listen.idle_s"), Layer::File { path, line: 2 });
    assert_eq!(*loaded.origin.of("listen.header_s"), by_env);
    assert_eq!(*loaded.origin.of("listen.first_byte_s"), Layer::Flag);
    assert_eq!(*loaded.origin.of("listen.drain_s"), Layer::Default);
}

#[test]
fn chosen_tells_a_given_default_from_one_that_nobody_gave() {
    let toml =
        "[listen]\nweb = \"127.0.0.1:3000\"\n[[upstreams]]\nname = \"a\"\nurl = \"http://a\"\n";
    let loaded = given(toml).load();
    assert!(loaded.chosen("listen.web"));
    assert!(loaded.chosen("upstreams") && loaded.chosen("listen"));
    assert!(!loaded.chosen("listen.https") && !loaded.chosen("upstreams.0.idle_s"));
}

#[test]
fn the_file_is_found_by_flag_then_by_variable() {
    let by_flag = given("[listen]\nidle_s = 1\n");
    let by_variable = given("[listen]\nidle_s = 2\n");
    let named = by_variable.path("fluxgate.toml");
    let both = by_flag.env("FLUXGATE_CONFIG", named.to_str().unwrap());
    assert_eq!(both.load().config.listen.idle.as_secs(), 1);
    let loaded = load(&Sources { file: None, ..both.sources.clone() }, Program::Up).unwrap();
    assert_eq!((loaded.config.listen.idle.as_secs(), loaded.file), (2, Some(named)));
}

#[test]
fn empty_variables_count_as_not_set() {
    let empty = VARIABLES.iter().fold(given("[listen]\nidle_s = 7\n"), |given, variable| {
        given.env(variable.name, "").env(&format!("{}_FILE", variable.name), "")
    });
    let loaded = empty.env("FLUXGATE_CONFIG", "").env("FLUXGATE__LISTEN__IDLE_S", " ").load();
    assert_eq!(loaded.config.listen.idle.as_secs(), 7);
    assert!(!loaded.chosen("listen.https") && !loaded.chosen("auth"));
}

#[test]
fn an_empty_text_in_the_file_is_not_set_and_for_a_listener_off() {
    let toml = "[listen]\npublic_url = \"\"\nmetrics = \"\"\n[auth]\njwt_secret = \"\"\n";
    let loaded = given(toml).load();
    assert_eq!((loaded.config.listen.public_url, loaded.config.listen.metrics), (None, None));
    assert_eq!(loaded.config.auth.jwt_secret, None);
}

#[test]
fn a_secret_comes_from_a_file_without_the_lines_end() {
    let loaded = given("")
        .env_file("JWT_SECRET_FILE", &format!("{SECRET}\r\n"))
        .env_file("DATABASE_URL_FILE", "postgres://fg:hidden@db/fg\n")
        .env("FLUXGATE__UPSTREAMS__0__NAME", "a")
        .env("FLUXGATE__UPSTREAMS__0__URL", "https://a.example.com")
        .env_file("FLUXGATE__UPSTREAMS__0__API_KEY_FILE", "sk-hidden\n")
        .load();
    let config = &loaded.config;
    assert_eq!(config.auth.jwt_secret.as_ref().unwrap().expose(), SECRET);
    assert_eq!(config.database.url.as_ref().unwrap().expose(), "postgres://fg:hidden@db/fg");
    assert_eq!(config.upstreams[0].api_key.as_ref().unwrap().expose(), "sk-hidden");
    let layer = loaded.origin.of("auth.jwt_secret");
    assert!(matches!(layer, Layer::EnvFile(name, _) if name == "JWT_SECRET_FILE"), "{layer:?}");
}

#[test]
fn no_secret_is_ever_shown() {
    let given = given("[[upstreams]]\nname = \"a\"\nurl = \"http://a\"\napi_key = \"sk-hidden\"\n")
        .production()
        .env("JWT_SECRET_PREVIOUS", &"hidden before ".repeat(4))
        .env("FLUXGATE_ADMIN_EMAIL", "a@example.com")
        .env("FLUXGATE_ADMIN_PASSWORD", SECRET);
    let loaded = given.load();
    let shown = loaded.show();
    let json = serde_json::to_string(&shown).unwrap();
    for text in [shown.to_string(), json, format!("{loaded:?} {:?}", given.sources)] {
        assert!(!text.contains("hidden"), "{text}");
    }
    let value = |path: &str| shown.rows.iter().find(|row| row.path == path).unwrap().value.clone();
    assert_eq!(value("auth.jwt_secret"), "***");
    assert_eq!(value("auth.guard_token"), "***");
    assert_eq!(value("upstreams.0.api_key"), "***");
    assert_eq!(value("database.url"), "postgres://fg:***@db/fg");
    assert_eq!(value("redis.url"), "redis://:***@cache:6379");
}

#[test]
fn show_has_every_setting_with_its_layer() {
    let file = given("[[upstreams]]\nname = \"a\"\nurl = \"http://a\"\n[models.\"*\"]\n");
    let shown = file.env("TRUSTED_PROXIES", "10.0.0.0/8").load().show();
    let row = |path: &str| {
        shown
            .rows
            .iter()
            .find(|row| row.path == path)
            .unwrap_or_else(|| panic!("{path} is missing"))
    };
    for path in leaves() {
        row(&path.replace(".*.", ".\"*\"."));
    }
    assert_eq!(row("listen.trusted_proxies").value.to_string(), r#"["10.0.0.0/8"]"#);
    assert_eq!(row("listen.trusted_proxies").source, "environment TRUSTED_PROXIES");
    assert_eq!(
        (row("upstreams.0.name").layer, row("upstreams.0.idle_s").layer),
        ("file", "default")
    );
    let table = shown.to_string();
    let line = table.lines().find(|line| line.starts_with("listen.idle_s ")).unwrap();
    assert_eq!(line.split_whitespace().collect::<Vec<_>>(), ["listen.idle_s", "60", "default"]);
}
