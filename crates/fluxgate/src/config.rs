//! `fluxgate config`: what the configuration says, and whether it is right.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use fluxgate_core::config::{Faults, Program, schema};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{self, Format};
use crate::settings::Settings;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Name every fault.
    Check {
        /// The program that it is for.
        #[arg(value_enum, default_value_t)]
        program: Of,
    },
    /// Print every setting and the layer that it came from; secrets are masked.
    Show {
        /// The program that it is for.
        #[arg(value_enum, default_value_t)]
        program: Of,
    },
    /// Print the JSON Schema of the file.
    Schema,
}

#[derive(Clone, Copy, Default, Debug, ValueEnum)]
pub enum Of {
    /// `fluxgate up`: a given DATABASE_URL or REDIS_URL, else embedded stores.
    #[default]
    Up,
    /// A replica of production.
    Gateway,
}

impl From<Of> for Program {
    fn from(of: Of) -> Self {
        match of {
            Of::Up => Self::Up,
            Of::Gateway => Self::Gateway,
        }
    }
}

/// # Errors
/// The faults of the configuration.
pub fn run(settings: &Settings, command: &Command, format: Format) -> Result<(), Failure> {
    match command {
        Command::Check { program } => check(settings, (*program).into(), format),
        Command::Show { program } => {
            let shown = settings.load((*program).into(), &[])?.show();
            match format {
                Format::Table => output::text(&shown.to_string())?,
                Format::Json => output::json(&shown)?,
            }
            Ok(())
        }
        Command::Schema => Ok(output::json(&schema())?),
    }
}

fn check(settings: &Settings, program: Program, format: Format) -> Result<(), Failure> {
    let loaded = settings.load(program, &[]);
    match (&loaded, format) {
        (Ok(loaded), Format::Table) => output::text(&good(loaded.file.as_ref()))?,
        // On stderr, by the failure.
        (Err(_), Format::Table) => {}
        (Ok(loaded), Format::Json) => {
            output::json(&json!({ "ok": true, "file": loaded.file, "faults": [] }))?
        }
        (Err(faults), Format::Json) => {
            output::json(&json!({ "ok": false, "faults": listed(faults) }))?
        }
    }
    loaded?;
    Ok(())
}

fn good(file: Option<&PathBuf>) -> String {
    match file {
        Some(file) => format!("The configuration is right; {} was read.\n", file.display()),
        None => "The configuration is right; no file was read.\n".to_owned(),
    }
}

fn listed(faults: &Faults) -> Vec<Value> {
    faults
        .0
        .iter()
        .map(|fault| {
            let source = fault.layer.as_ref().map(ToString::to_string);
            json!({ "path": fault.path, "problem": fault.problem, "source": source })
        })
        .collect()
}
