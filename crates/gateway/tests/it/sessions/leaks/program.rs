//! The real program in a folder of its own, with all that it writes in a file there.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

const WITHIN: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(20);

pub struct Program {
    child: Child,
    pub folder: TempDir,
    pub clear: SocketAddr,
    pub tls: SocketAddr,
    pub web: SocketAddr,
    pub admin: SocketAddr,
    pub metrics: SocketAddr,
}

impl Program {
    /// Starts it with a configuration file and these variables, at the highest level of the log.
    pub async fn start(file: &str, variables: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("fluxgate.toml"), file).unwrap();
        let output = File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
        command.current_dir(folder.path()).env_clear();
        command
            .env("FLUXGATE_DATA_DIR", folder.path())
            .env("REDIS_URL", "redis://127.0.0.1:1")
            // Of each socket's readiness nothing is to be read.
            .env("RUST_LOG", "trace,mio=info")
            .env("GATEWAY_WORKERS", "1")
            .envs(variables.iter().copied());
        for name in ["GATEWAY_HTTPS", "GATEWAY_HTTP", "GATEWAY_ADMIN", "GATEWAY_METRICS", "WEB"] {
            command.env(format!("{name}_ADDR"), "127.0.0.1:0");
        }
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        let mut child = command.spawn().unwrap();
        // The last that a first start writes, once everything listens.
        let (link, since) = (folder.path().join("setup-link"), Instant::now());
        while !fs::read(&link).is_ok_and(|link| link.ends_with(b"\n")) {
            let ended = child.try_wait().unwrap();
            assert!(
                ended.is_none() && since.elapsed() < WITHIN,
                "{ended:?}: {}",
                tail(&log_of(&folder))
            );
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let ports = fs::read(folder.path().join("gateway.ports.json")).unwrap();
        let ports: Value = serde_json::from_slice(&ports).unwrap();
        let address = |name: &str| ports[name].as_str().unwrap().parse().unwrap();
        Self {
            child,
            clear: address("http"),
            tls: address("https"),
            web: address("web"),
            admin: address("admin"),
            metrics: address("metrics"),
            folder,
        }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What it has written to its standard output and error.
    pub fn log(&self) -> String {
        log_of(&self.folder)
    }

    /// Has it read its configuration again, and waits until it tells what came of it.
    pub async fn reload(&self, tells: &str) {
        let (since, before) = (Instant::now(), self.log().matches(tells).count());
        self.signal(Signal::HUP);
        while self.log().matches(tells).count() == before {
            assert!(since.elapsed() < WITHIN, "it says nothing of {tells}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Ends it, and gives all that it wrote.
    pub async fn end(mut self) -> String {
        self.signal(Signal::TERM);
        let since = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(since.elapsed() < WITHIN, "it doesn't end");
            tokio::time::sleep(LOOK_EVERY).await;
        }
        self.log()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // One that has ended needs none.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn log_of(folder: &TempDir) -> String {
    String::from_utf8_lossy(&fs::read(folder.path().join("log")).unwrap_or_default()).into_owned()
}

fn tail(log: &str) -> &str {
    log.lines().last().unwrap_or_default()
}
