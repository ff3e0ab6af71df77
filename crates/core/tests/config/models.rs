//! The tables with keys of the operator's choice, by the example of `[models."glob"]`.

use std::collections::BTreeMap;

use fluxgate_core::config::{Layer, MaxTokensField, ModelSettings, sent_as};
use fluxgate_core::glob::most_specific;

use crate::{Given, given};

const FILE: &str = r#"
    [models."gpt-4*"]
    alias_of = "llama3.1:8b"
    [models."Llama3.1*"]
    max_tokens_field = "max_completion_tokens"
    context_tokens = 131072
"#;

fn models(given: &Given) -> BTreeMap<String, ModelSettings> {
    given.load().config.models
}

fn alias_of(name: &str) -> ModelSettings {
    ModelSettings { alias_of: Some(name.to_owned()), ..ModelSettings::default() }
}

#[test]
fn entries_stand_under_keys_of_any_text() {
    let expected = [
        ("gpt-4*", alias_of("llama3.1:8b")),
        (
            "Llama3.1*",
            ModelSettings {
                max_tokens_field: MaxTokensField::MaxCompletionTokens,
                context_tokens: Some(131_072),
                ..ModelSettings::default()
            },
        ),
    ];
    let expected = expected.map(|(glob, model)| (glob.to_owned(), model));
    assert_eq!(models(&given(FILE)), BTreeMap::from(expected));
    for key in ["4", "007", "a.b", "NAME", "hf.co/a/b:Q4_K_M", "q\\\"uote", "ü"] {
        let file = given(&format!("[models.\"{key}\"]\nalias_of = \"b\"\n"));
        let key = key.replace("\\\"", "\"");
        assert_eq!(models(&file), BTreeMap::from([(key.clone(), alias_of("b"))]), "{key}");
        let shown = file.load().show();
        let row = shown.rows.iter().find(|row| row.path.ends_with(".alias_of")).unwrap();
        assert_eq!((row.layer, row.value.as_str()), ("file", Some("b")), "{key}");
        assert!(file.load().chosen(&row.path), "{}", row.path);
    }
}

#[test]
fn an_entry_without_settings_is_there_with_the_defaults() {
    for file in
        ["[models.\"a*\"]\n", "[models.\"a*\"]\nalias_of = \"\"\n", "[models]\n\"a*\" = {}\n"]
    {
        let expected = BTreeMap::from([("a*".to_owned(), ModelSettings::default())]);
        assert_eq!(models(&given(file)), expected, "{file}");
        assert!(given(file).load().chosen("models.\"a*\""));
    }
}

#[test]
fn variables_and_flags_change_and_add_entries_setting_by_setting() {
    let given = given(FILE)
        .env("FLUXGATE__MODELS__GPT-4*__CONTEXT_TOKENS", "8192")
        .env("FLUXGATE__MODELS__MISTRAL__ALIAS_OF", "Mixtral")
        .env("FLUXGATE__MODELS__4__ALIAS_OF", "four")
        .flag("models.\"gpt-4*\".max_tokens_field", "max_completion_tokens")
        .flag("models.\"qwen2.5*\".context_tokens", "32768")
        .flag("models.5.context_tokens", "5");
    let models = models(&given);
    let keys: Vec<&str> = models.keys().map(String::as_str).collect();
    assert_eq!(keys, ["4", "5", "Llama3.1*", "gpt-4*", "mistral", "qwen2.5*"]);
    let expected = ModelSettings {
        alias_of: Some("llama3.1:8b".to_owned()),
        max_tokens_field: MaxTokensField::MaxCompletionTokens,
        context_tokens: Some(8192),
    };
    assert_eq!(models["gpt-4*"], expected);
    assert_eq!(models["mistral"], alias_of("Mixtral"));
    assert_eq!((&models["4"], models["5"].context_tokens), (&alias_of("four"), Some(5)));
    let loaded = given.load();
    let layer = loaded.origin.of("models.\"gpt-4*\".context_tokens");
    assert_eq!(*layer, Layer::Env("FLUXGATE__MODELS__GPT-4*__CONTEXT_TOKENS".to_owned()));
    assert_eq!(*loaded.origin.of("models.\"gpt-4*\".max_tokens_field"), Layer::Flag);
    let table = loaded.show().to_string();
    let line = table.lines().find(|line| line.starts_with("models.mistral.alias_of ")).unwrap();
    assert!(line.ends_with("environment FLUXGATE__MODELS__MISTRAL__ALIAS_OF"), "{line}");
}

#[test]
fn a_variables_key_is_the_files_without_regard_to_case_else_lower_case() {
    let keys = |file: &str, word: &str| {
        let given = given(file).env(&format!("FLUXGATE__MODELS__{word}__ALIAS_OF"), "b");
        let models = models(&given).into_iter();
        models.filter(|(_, model)| model.alias_of.is_some()).map(|(key, _)| key).collect::<Vec<_>>()
    };
    assert_eq!(keys("[models.\"Llama3.1*\"]\n", "LLAMA3.1*"), ["Llama3.1*"]);
    assert_eq!(keys("[models.Llama]\n[models.LLAMA]\n", "LLAMA"), ["LLAMA"]);
    assert_eq!(keys("[models.Llama]\n", "Lama"), ["lama"]);
    given("").env("FLUXGATE__MODELS__A__ALIAS_OF", "b").env("FLUXGATE__MODELS__a__ALIAS_OF", "c").has_one_fault(
        "models.a.alias_of: FLUXGATE__MODELS__A__ALIAS_OF and FLUXGATE__MODELS__a__ALIAS_OF are both set: keep one of them (environment FLUXGATE__MODELS__a__ALIAS_OF)",
    );
}

#[test]
fn unknown_keys_in_an_entry_are_faults_with_the_nearest_name() {
    given("[models.\"gpt-4.1*\"]\nalias_off = \"b\"\n").has_one_fault(
        "models.\"gpt-4.1*\".alias_off: no such setting; did you mean models.\"gpt-4.1*\".alias_of? (fluxgate.toml, line 2)",
    );
    given("").env("FLUXGATE__MODELS__GPT-4*__ALIASOF", "b").has_one_fault(
        "models.\"gpt-4*\".aliasof: no such setting; did you mean FLUXGATE__MODELS__GPT-4*__ALIAS_OF? (environment FLUXGATE__MODELS__GPT-4*__ALIASOF)",
    );
    given("").flag("models.gpt-4.1.alias_of", "b").has_one_fault(
        "models.gpt-4.1.alias_of: no such setting; did you mean models.NAME.alias_of? (command line)",
    );
    given("[model.\"a\"]\nalias_of = \"b\"\n")
        .has_one_fault("model: no such setting; did you mean models? (fluxgate.toml, line 1)");
}

#[test]
fn wrong_values_and_shapes_are_named_with_their_layer() {
    let wrong = given("[models.\"a.b*\"]\nalias_of = \"gpt-*\"\ncontext_tokens = 0\n")
        .env("FLUXGATE__MODELS__A.B*__MAX_TOKENS_FIELD", "tokens");
    assert_eq!(
        wrong.faults(),
        [
            "models.\"a.b*\".alias_of: expected the name of one model, without * and ? (fluxgate.toml, line 2)",
            "models.\"a.b*\".context_tokens: expected a whole number from 1 to 1000000000, found 0 (fluxgate.toml, line 3)",
            "models.\"a.b*\".max_tokens_field: expected one of max_tokens, max_completion_tokens, found \"tokens\" (environment FLUXGATE__MODELS__A.B*__MAX_TOKENS_FIELD)",
        ]
    );
    given("models = 3\n")
        .has_one_fault("models: expected a section: [models] (fluxgate.toml, line 1)");
    given("[models]\n\"a*\" = 3\n").has_one_fault(
        "models.\"a*\": expected a section: [models.\"a*\"] (fluxgate.toml, line 2)",
    );
    given("").env("FLUXGATE__MODELS", "3").has_one_fault(
        "models: is a section: give its fields, such as FLUXGATE__MODELS__NAME__ALIAS_OF (environment FLUXGATE__MODELS)",
    );
    given("").env("FLUXGATE__MODELS__A*", "3").has_one_fault(
        "models.\"a*\": is a section: give its fields, such as FLUXGATE__MODELS__A*__ALIAS_OF (environment FLUXGATE__MODELS__A*)",
    );
}

#[test]
fn keys_have_a_form_and_there_are_not_too_many() {
    let form = "expected a model's name or a glob of names, without spaces of 1 to 256 bytes";
    given("[models.\"a b\"]\n").has_one_fault(&format!(
        "models.\"a b\": as a key: {form}, found \"a b\" (fluxgate.toml, line 1)"
    ));
    given("[models.\"\"]\nalias_of = \"b\"\n").has_one_fault(&format!(
        "models.\"\": as a key: {form}, found \"\" (fluxgate.toml, line 1)"
    ));
    given("").env("FLUXGATE__MODELS____ALIAS_OF", "b").has_one_fault(&format!(
        "models.\"\": as a key: {form}, found \"\" (environment FLUXGATE__MODELS____ALIAS_OF)"
    ));
    let many: String = (0..1025).map(|number| format!("[models.m{number:04}]\n")).collect();
    given(&many).has_one_fault(
        "models.m1024: expected at most 1024 entries, found 1025 (fluxgate.toml, line 1025)",
    );
}

#[test]
fn the_most_specific_glob_counts_and_an_alias_is_followed_to_its_end() {
    let config = given(
        "[models.\"gpt-4*\"]\nalias_of = \"small\"\n[models.\"gpt-4o\"]\nalias_of = \"large\"\n\
         [models.small]\nalias_of = \"llama3:8b\"\n[models.\"llama3*\"]\ncontext_tokens = 8192\n\
         [models.\"one-*\"]\nalias_of = \"one-for-all\"\n",
    )
    .load()
    .config;
    for (name, sent) in [
        ("gpt-4o", "large"),
        ("gpt-4o-mini", "llama3:8b"),
        ("small", "llama3:8b"),
        ("llama3:70b", "llama3:70b"),
        ("one-of-them", "one-for-all"),
        ("one-for-all", "one-for-all"),
        ("unknown", "unknown"),
    ] {
        assert_eq!(sent_as(&config.models, name), sent, "{name}");
    }
    let (glob, model) = most_specific(&config.models, sent_as(&config.models, "gpt-4")).unwrap();
    assert_eq!((glob, model.context_tokens), ("llama3*", Some(8192)));
    assert!(most_specific(&config.models, "unknown").is_none());
}

#[test]
fn aliases_that_lead_back_are_a_fault_that_names_them() {
    given("[models.a]\nalias_of = \"a\"\n").has_one_fault(
        "models.a.alias_of: names itself: expected another model (fluxgate.toml, line 2)",
    );
    given("[models.\"x*\"]\nalias_of = \"b\"\n[models.\"c.*\"]\nalias_of = \"a\"\n[models.a]\nalias_of = \"b\"\n[models.b]\nalias_of = \"c.1\"\n")
        .has_one_fault(
            "models.a.alias_of: leads back to itself by models.b.alias_of and models.\"c.*\".alias_of: expected an end (fluxgate.toml, line 6)",
        );
    given("[models.\"*\"]\nalias_of = \"a\"\n[models.a]\nalias_of = \"b\"\n").has_one_fault(
        "models.\"*\".alias_of: leads back to itself by models.a.alias_of: expected an end (fluxgate.toml, line 2)",
    );
    given("[models.\"*\"]\nalias_of = \"a\"\n").load();
}
