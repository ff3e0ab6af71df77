//! The configuration through its public door: sources in, a configuration or faults out. Nothing
//! here reads or changes the environment of the process.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod documents;
mod faults;
mod layers;
mod models;
mod values;

use std::fs;
use std::path::PathBuf;

use fluxgate_core::config::{Faults, Loaded, Program, Sources, load, schema};
use serde_json::Value;
use tempfile::TempDir;

const SECRET: &str = "0123456789abcdef0123456789abcdef-hidden";
const OTHER_SECRET: &str = "fedcba9876543210fedcba9876543210-hidden";
const SIGNING_SECRET: &str = "00112233445566778899aabbccddeeff-hidden";

/// A folder with a `fluxgate.toml`, and what is given beside it.
struct Given {
    folder: TempDir,
    sources: Sources,
}

fn given(toml: &str) -> Given {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("fluxgate.toml");
    fs::write(&file, toml).unwrap();
    Given { folder, sources: Sources { file: Some(file), ..Sources::default() } }
}

impl Given {
    fn env(mut self, name: &str, value: &str) -> Self {
        self.sources.env.push((name.to_owned(), value.to_owned()));
        self
    }

    fn flag(mut self, path: &str, value: &str) -> Self {
        self.sources.flags.push((path.to_owned(), value.to_owned()));
        self
    }

    /// A secret's file in the folder, and the variable that names it.
    fn env_file(self, name: &str, content: &str) -> Self {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        self.env(name, path.to_str().unwrap())
    }

    /// All that the gateway needs.
    fn production(self) -> Self {
        self.env("DATABASE_URL", "postgres://fg:hidden@db/fg")
            .env("REDIS_URL", "redis://:hidden@cache:6379")
            .env("JWT_SECRET", SIGNING_SECRET)
            .env("ADMIN_TOKEN", SECRET)
            .env("GUARD_TOKEN", OTHER_SECRET)
            .env("DOWNSTREAM_AI_URLS", "http://127.0.0.1:11434")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn load(&self) -> Loaded {
        load(&self.sources, Program::Up).unwrap_or_else(|faults| panic!("{faults}"))
    }

    fn faults(&self) -> Vec<String> {
        self.faults_of(Program::Up)
    }

    /// The lines, with the folder taken out; none of them shows a secret.
    fn faults_of(&self, program: Program) -> Vec<String> {
        let faults: Faults = load(&self.sources, program).expect_err("expected faults");
        let folder = format!("{}/", self.folder.path().display());
        let text = faults.to_string();
        assert!(!text.contains("hidden"), "a secret is shown: {text}");
        text.lines().map(|line| line.replace(&folder, "")).collect()
    }

    /// There is one fault, and it is this one.
    #[track_caller]
    fn has_one_fault(&self, line: &str) {
        assert_eq!(self.faults(), [line]);
    }
}

/// The dotted paths of all settings, a list of tables with one entry, a table with free keys with
/// that of `*`.
fn leaves() -> Vec<String> {
    fn collect(schema: &Value, path: &str, found: &mut Vec<String>) {
        let entry = schema.get("items").filter(|items| items.get("properties").is_some());
        if let Some(fields) = schema.get("properties").and_then(Value::as_object) {
            for (key, field) in fields {
                collect(field, &format!("{path}.{key}"), found);
            }
        } else if let Some(entry) = schema.get("additionalProperties").filter(|it| it.is_object()) {
            collect(entry, &format!("{path}.*"), found);
        } else if let Some(entry) = entry {
            collect(entry, &format!("{path}.0"), found);
        } else {
            found.push(path.trim_start_matches('.').to_owned());
        }
    }
    let mut found = Vec::new();
    collect(&schema(), "", &mut found);
    assert!(found.len() > 40, "{found:?}");
    found
}
