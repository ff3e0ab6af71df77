//! Why a command failed, and the exit code that says so: the codes of sysexits.h where one fits.

use std::io::{self, Write};
use std::process::ExitCode;

use fluxgate_core::config::Faults;
use fluxgate_gateway::StartError;
use fluxgate_gateway::data_folder::DataFolderError;
use thiserror::Error;

use crate::output::printable;

/// Refused, failed, or there is no such thing.
const FAILED: u8 = 1;
const USAGE: u8 = 2;
/// `EX_UNAVAILABLE`
const UNAVAILABLE: u8 = 69;
/// `EX_CANTCREAT`
const CANT_CREATE: u8 = 73;
/// `EX_CONFIG`
const CONFIGURATION: u8 = 78;
/// What shells give for an end by Ctrl-C.
const INTERRUPTED: u8 = 130;

/// See the module. Each is one line that says what and what to do; a faulty configuration is one
/// line for each fault.
#[derive(Debug, Error)]
pub enum Failure {
    /// A gateway refused, or a check found something wrong.
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    Usage(String),
    /// Nobody answers there.
    #[error("{0}")]
    Unreachable(String),
    #[error(transparent)]
    Faults(#[from] Faults),
    /// What the configuration can't know by itself.
    #[error("{0}")]
    Configuration(String),
    #[error(transparent)]
    DataFolder(#[from] DataFolderError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("{what}: {source}")]
    File { what: String, source: io::Error },
    /// A second Ctrl-C.
    #[error("ended at once, before all answers were")]
    Interrupted,
    #[error(transparent)]
    System(#[from] io::Error),
}

impl Failure {
    /// Writes the lines to stderr and gives the exit code.
    pub fn report(&self) -> ExitCode {
        let text = self.to_string();
        let mut stderr = io::stderr().lock();
        for line in text.lines() {
            // Nobody may be reading any more; the exit code still tells.
            let _ = writeln!(stderr, "fluxgate: {}", printable(line));
        }
        ExitCode::from(self.code())
    }

    fn code(&self) -> u8 {
        match self {
            // A reader such as `head` that has seen enough is no failure worth another code.
            Self::Refused(_) | Self::System(_) => FAILED,
            Self::Usage(_) => USAGE,
            Self::Unreachable(_) => UNAVAILABLE,
            Self::Faults(_) | Self::Configuration(_) => CONFIGURATION,
            Self::DataFolder(_) | Self::File { .. } => CANT_CREATE,
            Self::Start(error) => error.exit_code(),
            Self::Interrupted => INTERRUPTED,
        }
    }
}
