//! Who is compared. Each run starts its contender anew: nothing is left over from the one before,
//! and none sits beside another on its core.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::Serialize;
use tempfile::TempDir;

mod bare;
mod fluxgate;
mod nginx;

use super::http;
use super::process::Process;
use super::stage::Stage;
use crate::bare::Design;
use crate::dialect::Dialect;
use crate::model;
use crate::prompt::Prompt;
pub use fluxgate::Ports;
pub use nginx::version as nginx_version;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Contender {
    /// The yardstick: a plain reverse proxy.
    Nginx,
    /// The gateway, with its keys checked and usage read.
    Fluxgate,
    /// The reference experiment, see `bare`.
    BareLocal,
    BareShared,
}

/// A contender that serves.
#[derive(Debug)]
pub struct Running {
    pub process: Process,
    pub clear: SocketAddr,
    pub tls: Option<SocketAddr>,
    pub bearer: Option<String>,
    _folder: TempDir,
}

impl Contender {
    pub fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Fluxgate => "fluxgate",
            Self::BareLocal => "bare-local",
            Self::BareShared => "bare-shared",
        }
    }

    pub fn has_tls(self) -> bool {
        matches!(self, Self::Nginx | Self::Fluxgate)
    }

    /// Whether it passes this dialect on, or translates it. The experiment has one route alone.
    pub fn speaks(self, dialect: Dialect) -> bool {
        match self {
            Self::Nginx => dialect != Dialect::Ollama,
            Self::Fluxgate => true,
            Self::BareLocal | Self::BareShared => dialect == Dialect::Chat,
        }
    }

    /// Whether its program is there.
    ///
    /// # Errors
    /// With what to do.
    pub fn check(self, stage: &Stage) -> Result<()> {
        match self {
            Self::Nginx => nginx::version().map(drop),
            Self::Fluxgate => stage.program("gateway").map(drop),
            Self::BareLocal | Self::BareShared => Ok(()),
        }
    }

    /// Starts it, and returns once a request was served.
    ///
    /// # Errors
    /// Where it doesn't come to that; the message holds the end of its log.
    pub fn start(self, stage: &Stage) -> Result<Running> {
        let mut running = match self {
            Self::Nginx => nginx::start(stage),
            Self::Fluxgate => fluxgate::start(stage),
            Self::BareLocal => bare::start(stage, Design::Local),
            Self::BareShared => bare::start(stage, Design::Shared),
        }?;
        running.wait_until_it_serves()?;
        Ok(running)
    }
}

impl Running {
    fn wait_until_it_serves(&mut self) -> Result<()> {
        let (clear, mut last) = (self.clear, None);
        let bearer = self.bearer.as_deref();
        let request = Prompt::OneKb.request(clear, Dialect::Chat, model::JSON, false, bearer);
        let served = self.process.wait_for("served request", || {
            let answer = http::ask(clear, &request);
            let served = matches!(answer, Ok((200, _)));
            last = Some(answer.map(|(status, body)| {
                let body: String = String::from_utf8_lossy(&body).chars().take(200).collect();
                format!("{status} {body}")
            }));
            served.then_some(())
        });
        served.with_context(|| format!("the last answer was {last:?}"))
    }
}
