//! The options that every command has: where the configuration comes from.

use std::path::PathBuf;

use clap::Args;
use fluxgate_core::config::{Faults, Loaded, Program, Sources, load};

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Configuration")]
pub struct Settings {
    /// The configuration file; else FLUXGATE_CONFIG, else fluxgate.toml where it exists.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// A setting by its path, such as listen.web=127.0.0.1:8080; may stand several times.
    #[arg(long, global = true, value_name = "PATH=VALUE", value_parser = assignment)]
    pub set: Vec<(String, String)>,
    /// The data folder; else FLUXGATE_DATA_DIR, else .fluxgate.
    #[arg(long, global = true, value_name = "FOLDER")]
    pub data_dir: Option<String>,
}

impl Settings {
    /// Reads the configuration with the environment of this process; `more` are further settings
    /// of the command line.
    ///
    /// # Errors
    /// Every fault at once.
    pub fn load(&self, program: Program, more: &[(String, String)]) -> Result<Loaded, Faults> {
        let mut flags = self.set.clone();
        if let Some(folder) = &self.data_dir {
            flags.push(("data_dir".to_owned(), folder.clone()));
        }
        flags.extend_from_slice(more);
        load(&Sources::of_process(self.config.clone(), flags), program)
    }
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let (path, value) = text.split_once('=').ok_or("expected PATH=VALUE")?;
    Ok((path.trim().to_owned(), value.to_owned()))
}
