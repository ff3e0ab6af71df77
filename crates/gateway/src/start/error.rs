//! Why a replica can't start, and the exit code that says so.

use std::io;
use std::net::SocketAddr;

use thiserror::Error;

use crate::config::Missing;
use crate::data_folder::DataFolderError;
use crate::first_start::FirstStartError;
use crate::listen::tls::TlsError;
use crate::store::StoreError;
use crate::upstream::UnusableUpstream;

/// Why a replica can't start: one line that says what and what to do.
#[derive(Debug, Error)]
pub enum StartError {
    #[error("can't listen on {address} ({listener}): {source}; {advice}")]
    Listen { listener: &'static str, address: SocketAddr, source: io::Error, advice: &'static str },
    #[error(transparent)]
    DataFolder(#[from] DataFolderError),
    #[error("{path}: {source}")]
    Ports { path: &'static str, source: io::Error },
    #[error("database: {0}")]
    Store(#[from] StoreError),
    #[error(transparent)]
    FirstStart(#[from] FirstStartError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Upstream(#[from] UnusableUpstream),
    #[error(transparent)]
    Missing(#[from] Missing),
    #[error("can't start a thread: {0}")]
    Thread(#[source] io::Error),
    #[error("metrics: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
}

/// Nothing better fits.
const EXIT_FAILED: u8 = 1;
/// `EX_UNAVAILABLE`, `EX_CANTCREAT` and `EX_CONFIG` of sysexits(3).
const EXIT_UNAVAILABLE: u8 = 69;
const EXIT_CANT_CREATE: u8 = 73;
const EXIT_CONFIG: u8 = 78;

impl StartError {
    /// What the program exits with: the same for every program that starts a replica.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Listen { .. } | Self::Store(_) | Self::Thread(_) | Self::Metrics(_) => {
                EXIT_UNAVAILABLE
            }
            Self::DataFolder(_) | Self::Ports { .. } => EXIT_CANT_CREATE,
            Self::Tls(_) | Self::Upstream(_) | Self::Missing(_) => EXIT_CONFIG,
            Self::FirstStart(_) => EXIT_FAILED,
        }
    }
}
