//! Where and with what the figures were measured.

use std::fs;
use std::process::Command;

use anyhow::Result;
use serde::Serialize;

use super::contender::nginx_version;

#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    pub date: String,
    /// Short; with `-dirty` where the checkout differs from it.
    pub commit: String,
    pub cpu: String,
    pub cores: usize,
    pub kernel: String,
    pub nginx: String,
}

/// # Errors
/// Where nginx is missing.
pub fn describe() -> Result<Machine> {
    Ok(Machine {
        date: chrono::Utc::now().format("%Y-%m-%d").to_string(),
        commit: commit(),
        cpu: cpu(),
        cores: cores(),
        kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
        nginx: nginx_version()?,
    })
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short", "HEAD"]) else { return "none".to_owned() };
    match git(&["status", "--porcelain", "--untracked-files=no"]) {
        Some(changes) if changes.is_empty() => commit,
        _ => commit + "-dirty",
    }
}

fn cpu() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find(|line| line.starts_with("model name"));
    name.and_then(|line| line.split_once(':'))
        .map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

/// Of the machine, not those that this process was left with.
fn cores() -> usize {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    stat.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu ")).count()
}
