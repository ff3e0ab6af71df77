//! The reference experiment, one thread of it.

use std::process::Command;

use anyhow::Result;
use clap::ValueEnum;

use super::Running;
use crate::bare::Design;
use crate::compare::process::{Place, Process};
use crate::compare::stage::{Listening, Stage};

pub fn start(stage: &Stage, design: Design) -> Result<Running> {
    let folder = stage.new_folder()?;
    let design = design.to_possible_value().map(|value| value.get_name().to_owned());
    let mut command = Command::new(stage.own_program()?);
    command.args(["bare", "--workers", "1", "--design", &design.unwrap_or_default()]);
    command.arg("--upstream").arg(stage.mock.to_string());
    let mut process =
        Process::start("bare", &mut command, folder.path(), stage.cores, Place::Contender)?;
    let listening: Listening = serde_json::from_str(&process.first_line()?)?;
    Ok(Running {
        process,
        clear: listening.listen,
        tls: None,
        bearer: listening.key,
        _folder: folder,
    })
}
