//! What is written about the settings, held against the settings.

use fluxgate_core::config::{Config, Program, VARIABLES, load, schema};
use serde_json::{Value, json};

use crate::{given, leaves};

const EXAMPLE: &str = include_str!("../../../../fluxgate.example.toml");
const ENV_EXAMPLE: &str = include_str!("../../../../.env.example");
const PAGE: &str = include_str!("../../../../docs/configuration.md");

/// The example with every setting in force: `#key` is one, `# text` a comment.
fn uncommented() -> String {
    let is_setting =
        |rest: &str| rest.starts_with(|first: char| first.is_ascii_lowercase() || first == '[');
    let plain =
        |line: &'static str| line.strip_prefix('#').filter(|rest| is_setting(rest)).unwrap_or(line);
    EXAMPLE.lines().map(plain).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_has_every_setting_and_loads() {
    let text = uncommented();
    let example: Value = serde_json::to_value(text.parse::<toml::Table>().unwrap()).unwrap();
    for path in leaves() {
        let pointer = format!("/{}", path.replace('.', "/"));
        assert!(example.pointer(&pointer).is_some(), "{path} is missing in fluxgate.example.toml");
    }
    given(&text).load();
    assert_eq!(given(EXAMPLE).load().config, given("").load().config);
}

#[test]
fn the_example_shows_the_defaults() {
    let example = given(&uncommented()).production();
    let mut config = load(&example.sources, Program::Gateway).unwrap().config;
    let upstream = config.upstreams.pop().unwrap();
    let minimal =
        given("[[upstreams]]\nname = \"local\"\nurl = \"http://127.0.0.1:11434\"\n").load();
    assert_eq!(upstream, minimal.config.upstreams[0]);
    // It has no default that could be written down.
    config.listen.workers = None;
    let defaults = Config::default();
    assert_eq!(config.listen, defaults.listen);
    assert_eq!((config.tls, config.log), (defaults.tls, defaults.log));
    assert_eq!((config.data_dir, config.auth.argon2), (defaults.data_dir, defaults.auth.argon2));
    assert_eq!(config.auth.registration, defaults.auth.registration);
    assert_eq!(config.auth.sessions, defaults.auth.sessions);
    assert_eq!(config.auth.audit_kept_days, defaults.auth.audit_kept_days);
}

#[test]
fn every_variable_stands_in_the_examples_and_the_page() {
    for variable in VARIABLES {
        let name = variable.name;
        assert!(ENV_EXAMPLE.lines().any(|line| line == format!("{name}=")), "{name}");
        assert!(EXAMPLE.contains(name), "{name}");
        assert!(PAGE.contains(&format!("`{name}`")), "{name}");
        assert!(leaves().iter().any(|path| path == variable.path), "{}", variable.path);
    }
}

#[test]
fn every_setting_stands_on_the_page() {
    for path in leaves() {
        let of_entries = ["upstreams.0.", "models.*."];
        let written = of_entries.iter().find_map(|list| path.strip_prefix(list)).unwrap_or(&path);
        assert!(PAGE.contains(&format!("`{written}`")), "{path}");
    }
}

#[test]
fn the_env_example_changes_nothing() {
    let variables = ENV_EXAMPLE.lines().filter(|line| !line.starts_with('#'));
    let env = variables
        .filter_map(|line| line.split_once('='))
        .fold(given(""), |given, (name, value)| given.env(name, value));
    assert!(env.sources.env.len() > VARIABLES.len());
    assert_eq!(env.load().config, given("").load().config);
}

#[test]
fn the_schema_describes_ranges_defaults_and_secrets() {
    let schema = schema();
    let idle = &schema["properties"]["listen"]["properties"]["idle_s"];
    assert_eq!([&idle["minimum"], &idle["maximum"], &idle["default"]], [1, 3600, 60]);
    assert_eq!(idle["description"], "How long a connection is kept between two requests.");
    assert_eq!(schema["properties"]["auth"]["properties"]["jwt_secret"]["writeOnly"], true);
    assert_eq!(schema["properties"]["upstreams"]["items"]["required"], json!(["name", "url"]));
    assert_eq!(schema["additionalProperties"], false);
    let models = &schema["properties"]["models"];
    assert_eq!(models["additionalProperties"]["additionalProperties"], false);
    assert_eq!(models["additionalProperties"]["properties"]["max_tokens_field"]["type"], "string");
    assert_eq!(
        (&models["maxProperties"], &models["propertyNames"]["maxLength"]),
        (&json!(1024), &json!(256))
    );
    assert!(!schema.to_string().contains("$ref"));
}
