//! The load generator, a process of its own beside the mock server.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;

use super::contender::Running;
use super::process::{Place, Process};
use super::stage::Stage;
use crate::dialect::Dialect;
use crate::load;
use crate::streams;

/// Opening 5,000 streams may take a minute; nothing else takes longer than it was told to.
pub const END_WITHIN: Duration = Duration::from_secs(120);

/// Whole answers.
///
/// # Errors
/// Where the run had to be given up.
pub fn load(
    running: &Running,
    stage: &Stage,
    dialect: Dialect,
    clients: usize,
    body: &str,
) -> Result<load::Report> {
    let (warmup, clients) = (stage.lengths.warmup_s.to_string(), clients.to_string());
    let options = ["--warmup", &warmup, "--connections", &clients, "--body", body];
    run(running, stage, "load", dialect, stage.lengths.measured_s, &options)
}

/// Streamed answers.
///
/// # Errors
/// Where the run had to be given up.
pub fn streams(
    running: &Running,
    stage: &Stage,
    dialect: Dialect,
    streams: usize,
    model: &str,
    (measured_s, linger_s): (f64, f64),
) -> Result<streams::Report> {
    let (streams, linger) = (streams.to_string(), linger_s.to_string());
    let options = ["--streams", &streams, "--model", model, "--linger", &linger];
    run(running, stage, "streams", dialect, measured_s, &options)
}

fn run<R: DeserializeOwned>(
    running: &Running,
    stage: &Stage,
    kind: &str,
    dialect: Dialect,
    measured_s: f64,
    options: &[&str],
) -> Result<R> {
    let folder = stage.new_folder()?;
    let mut command = Command::new(stage.own_program()?);
    command.arg(kind).args(options).arg("--duration").arg(measured_s.to_string());
    command.args(["--dialect", dialect.name()]);
    command.arg("--target").arg(running.clear.to_string());
    command.arg("--watch-pid").arg(running.process.id().to_string());
    if let Some(key) = &running.bearer {
        command.arg("--bearer").arg(key);
    }
    let process =
        Process::start("generator", &mut command, folder.path(), stage.cores, Place::Others)?;
    let said = process.finish(END_WITHIN)?;
    serde_json::from_str(&said).with_context(|| format!("an unexpected report: {said}"))
}
