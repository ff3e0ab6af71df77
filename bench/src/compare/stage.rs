//! What all contenders share: the mock model server, a throwaway Redis, the cores, the lengths.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use super::contender::Contender;
use super::cores::Cores;
use super::http;
use super::process::{Place, Process};

const OWN: &str = "fluxgate-bench";

/// How long things take, in seconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Lengths {
    pub warmup_s: f64,
    pub measured_s: f64,
    /// While 5,000 streams are open.
    pub open_s: f64,
    /// After they were closed.
    pub kept_s: f64,
    /// Before an idle process's memory is read.
    pub idle_s: f64,
}

impl Lengths {
    pub const FULL: Self =
        Self { warmup_s: 1.0, measured_s: 5.0, open_s: 5.0, kept_s: 8.0, idle_s: 5.0 };
    pub const QUICK: Self =
        Self { warmup_s: 0.3, measured_s: 1.5, open_s: 2.0, kept_s: 8.0, idle_s: 1.0 };
}

#[derive(Debug)]
pub struct Stage {
    pub lengths: Lengths,
    pub cores: Cores,
    pub mock: SocketAddr,
    pub redis: Option<SocketAddr>,
    /// Where the programs of this build lie.
    programs: PathBuf,
    folder: TempDir,
    _mock: Process,
    _redis: Option<Process>,
}

/// What a program of this crate says once it listens.
#[derive(Debug, Deserialize)]
pub struct Listening {
    pub listen: SocketAddr,
    pub key: Option<String>,
}

/// What the results say about it.
#[derive(Debug, Clone, Serialize)]
pub struct Setting {
    pub lengths: Lengths,
    pub contender_core: usize,
    pub others_core: usize,
}

impl Stage {
    /// # Errors
    /// Where a program is missing.
    pub fn set(lengths: Lengths, programs: PathBuf, contenders: &[Contender]) -> Result<Self> {
        let cores = Cores::find()?;
        if cores.are_shared() {
            eprintln!(
                "one core: contender, mock server and load generator share it; ratios flatter"
            );
        }
        cores.take_place()?;
        let folder = tempfile::tempdir()?;
        let mut command = Command::new(find(&programs, OWN)?);
        let mut mock =
            Process::start("mock", command.arg("upstream"), folder.path(), cores, Place::Others)?;
        let listening: Listening = serde_json::from_str(&mock.first_line()?)?;
        let redis = if contenders.contains(&Contender::Fluxgate) {
            Some(redis(folder.path(), cores)?)
        } else {
            None
        };
        let (redis_addr, redis) = redis.unzip();
        let stage = Self {
            lengths,
            cores,
            mock: listening.listen,
            redis: redis_addr,
            programs,
            folder,
            _mock: mock,
            _redis: redis,
        };
        for contender in contenders {
            contender.check(&stage)?;
        }
        Ok(stage)
    }

    /// A program of the same build.
    ///
    /// # Errors
    /// Where it wasn't built.
    pub fn program(&self, name: &str) -> Result<PathBuf> {
        find(&self.programs, name)
    }

    /// The program that this is, of that build: mock server, load generator, experiment.
    ///
    /// # Errors
    /// Where it wasn't built.
    pub fn own_program(&self) -> Result<PathBuf> {
        self.program(OWN)
    }

    /// A folder for one process.
    ///
    /// # Errors
    /// The system's own.
    pub fn new_folder(&self) -> Result<TempDir> {
        Ok(tempfile::tempdir_in(&self.folder)?)
    }

    pub fn describe(&self) -> Setting {
        Setting {
            lengths: self.lengths,
            contender_core: self.cores.contender,
            others_core: self.cores.others,
        }
    }
}

fn find(programs: &Path, name: &str) -> Result<PathBuf> {
    let path = programs.join(name);
    if !path.is_file() {
        bail!("no {}: cargo build --release --workspace", path.display());
    }
    Ok(path)
}

fn redis(folder: &Path, cores: Cores) -> Result<(SocketAddr, Process)> {
    let addr = http::free_port()?;
    let mut command = Command::new("redis-server");
    command.current_dir(folder).arg("--port").arg(addr.port().to_string());
    command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    let mut process = Process::start("redis", &mut command, folder, cores, Place::Others)
        .context("install redis-server, which the gateway needs")?;
    process.wait_for("open port", || std::net::TcpStream::connect(addr).ok())?;
    Ok((addr, process))
}
