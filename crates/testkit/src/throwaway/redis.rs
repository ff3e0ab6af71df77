//! A Redis server of a test's own. It keeps nothing on disk: a restarted one is empty.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use std::{fs, io};

use rustix::process::Signal;
use tempfile::TempDir;

use super::process::Process;
use super::{STARTS_MAX, programs};
use crate::free_port;

const READY_MAX: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A running server. Dropped, it is stopped and its folder removed.
#[derive(Debug)]
pub struct Redis {
    // Before `folder`: fields are dropped in this order.
    process: Process,
    program: PathBuf,
    folder: TempDir,
    port: u16,
}

impl Redis {
    /// Starts a server.
    ///
    /// # Panics
    /// Where Redis isn't installed or doesn't start: the message says why.
    #[must_use]
    pub fn start() -> Self {
        let program = programs::find("redis-server", "redis-server");
        let folder = tempfile::Builder::new()
            .prefix("throwaway-redis-")
            .tempdir()
            .expect("the folder of temporary files can be written");
        for _ in 0..STARTS_MAX {
            let port = free_port();
            let mut process = launch(&program, folder.path(), port);
            if wait_until_ready(&mut process, port) {
                return Self { process, program, folder, port };
            }
        }
        panic!("Redis didn't start; its log:\n{}", log_of(folder.path()));
    }

    /// Where it is reached.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// The port on 127.0.0.1, the same after a [`Self::restart`].
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stops it where it is (SIGSTOP): connections stay, nothing answers.
    pub fn freeze(&self) {
        self.process.freeze();
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.process.thaw();
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again, empty, on the same port; a running one is killed first.
    ///
    /// # Panics
    /// Where it doesn't come back.
    pub fn restart(&mut self) {
        self.process.kill();
        self.process = launch(&self.program, self.folder.path(), self.port);
        let ready = wait_until_ready(&mut self.process, self.port);
        assert!(ready, "Redis didn't restart; its log:\n{}", log_of(self.folder.path()));
    }
}

fn launch(program: &Path, folder: &Path, port: u16) -> Process {
    let mut command = Command::new(program);
    command
        .current_dir(folder)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no", "--logfile", "server.log", "--dir"])
        .arg(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Process::spawn(&mut command, Signal::TERM, folder)
}

fn wait_until_ready(process: &mut Process, port: u16) -> bool {
    let deadline = Instant::now() + READY_MAX;
    while process.ended().is_none() && Instant::now() < deadline {
        // Who answers on the port is this server only if it is still alive after that.
        if ping(port).is_ok() && process.ended().is_none() {
            return true;
        }
        thread::sleep(LOOK_EVERY);
    }
    false
}

fn ping(port: u16) -> io::Result<()> {
    let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    connection.set_read_timeout(Some(Duration::from_secs(1)))?;
    connection.write_all(b"PING\r\n")?;
    let mut answer = [0; 7];
    connection.read_exact(&mut answer)?;
    if &answer == b"+PONG\r\n" { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

fn log_of(folder: &Path) -> String {
    fs::read_to_string(folder.join("server.log")).unwrap_or_default()
}
