//! `fluxgate config`.

use serde_json::Value;

use crate::command::{Folder, ended};

const SECRET: &str = "0123456789abcdef0123456789abcdef-hidden";

#[test]
fn show_names_every_layer_and_masks_every_secret() {
    let folder = Folder::new();
    folder.write("fluxgate.toml", "[listen]\nidle_s = 30\n");
    for format in ["table", "json"] {
        let mut command =
            folder.command(&["config", "show", "-o", format, "--set", "listen.web=127.0.0.1:8080"]);
        command.env("ADMIN_TOKEN", SECRET).env("DATABASE_URL", "postgres://fg:hidden@db/fg");
        let shown = ended(command);
        assert_eq!(shown.code, Some(0), "{}", shown.stderr);
        assert!(!shown.stdout.contains("hidden"), "{}", shown.stdout);
        for part in [
            "***",
            "postgres://fg:***@db/fg",
            "fluxgate.toml, line 2",
            "command line",
            "environment ADMIN_TOKEN",
        ] {
            assert!(shown.stdout.contains(part), "{part:?} in {}", shown.stdout);
        }
    }
}

#[test]
fn check_says_that_all_is_right_or_names_each_fault() {
    let folder = Folder::new();
    let good = folder.run(&["config", "check"]);
    assert_eq!((good.code, good.stderr.as_str()), (Some(0), ""));
    let production = folder.run(&["config", "check", "gateway"]);
    assert_eq!(production.code, Some(78));
    for name in ["DATABASE_URL", "REDIS_URL", "JWT_SECRET", "ADMIN_TOKEN", "GUARD_TOKEN"] {
        assert!(production.stderr.contains(name), "{name} in {}", production.stderr);
    }
    let as_json = folder.run(&["config", "check", "gateway", "-o", "json"]);
    assert_eq!(as_json.code, Some(78));
    let faults: Value = serde_json::from_str(&as_json.stdout).unwrap();
    assert_eq!(faults["ok"], false);
    assert_eq!(faults["faults"].as_array().unwrap().len(), production.stderr.lines().count());
}

#[test]
fn entries_of_ones_own_choice_are_shown_checked_and_described() {
    let folder = Folder::new();
    folder.write("fluxgate.toml", "[models.\"gpt-4.1*\"]\nalias_of = \"llama3.1:8b\"\n");
    let set = "models.\"gpt-4.1*\".context_tokens=8192";
    let mut command = folder.command(&["config", "show", "--set", set]);
    command.env("FLUXGATE__MODELS__GPT-4.1*__MAX_TOKENS_FIELD", "max_completion_tokens");
    let shown = ended(command);
    assert_eq!(shown.code, Some(0), "{}", shown.stderr);
    for (setting, value, source) in [
        ("alias_of", "llama3.1:8b", "fluxgate.toml, line 2"),
        ("context_tokens", "8192", "command line"),
        (
            "max_tokens_field",
            "max_completion_tokens",
            "environment FLUXGATE__MODELS__GPT-4.1*__MAX_TOKENS_FIELD",
        ),
    ] {
        let path = format!("models.\"gpt-4.1*\".{setting} ");
        let line = shown.stdout.lines().find(|line| line.starts_with(&path)).unwrap();
        assert!(line.contains(value) && line.ends_with(source), "{line}");
    }
    folder.write("fluxgate.toml", "[models.a]\nalias_of = \"b\"\n[models.b]\nalias_of = \"a\"\n");
    let checked = folder.run(&["config", "check"]);
    assert_eq!(checked.code, Some(78));
    let fault = "models.a.alias_of: leads back to itself by models.b.alias_of";
    assert!(checked.stderr.contains(fault), "{}", checked.stderr);
    let schema: Value = serde_json::from_str(&folder.run(&["config", "schema"]).stdout).unwrap();
    let entry = &schema["properties"]["models"]["additionalProperties"];
    assert!(entry["properties"]["alias_of"].is_object(), "{entry}");
}

#[test]
fn schema_is_json_schema() {
    let schema = Folder::new().run(&["config", "schema"]);
    let schema: Value = serde_json::from_str(&schema.stdout).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert!(schema["properties"]["listen"]["properties"]["web"].is_object());
}

#[test]
fn an_unknown_command_or_option_is_a_fault_of_usage() {
    let folder = Folder::new();
    for arguments in
        [&["upp"][..], &["up", "--port", "1"], &["config", "show", "--set", "novalue"], &[]]
    {
        assert_eq!(folder.run(arguments).code, Some(2), "{arguments:?}");
    }
}
