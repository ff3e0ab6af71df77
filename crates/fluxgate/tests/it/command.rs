//! The binary: commands that end by themselves, and an `up` that runs.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// A slow machine is no failure; a hang is.
pub const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Listeners whose port nobody else can have.
pub const FREE_PORTS: [&str; 8] = [
    "--web",
    "127.0.0.1:0",
    "--https",
    "127.0.0.1:0",
    "--admin",
    "127.0.0.1:0",
    "--metrics",
    "127.0.0.1:0",
];

/// A working folder with nothing in it.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A file of the default data folder.
    pub fn data(&self, name: &str) -> PathBuf {
        self.path(".fluxgate").join(name)
    }

    pub fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).unwrap();
    }

    /// The key that the first `up` made; its file comes a moment after everything listens.
    pub fn first_key(&self) -> String {
        let whole = || fs::read_to_string(self.data("first-key")).ok();
        wait_until("the first key is there", whole).trim().to_owned()
    }

    /// The command, as started in this folder.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fluxgate"));
        command.args(arguments).current_dir(self.0.path()).env_clear().stdin(Stdio::null());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ended {
        ended(self.command(arguments))
    }

    /// What the command prints as JSON.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let ended = self.run(&[arguments, &["-o", "json"]].concat());
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        serde_json::from_str(&ended.stdout).unwrap()
    }

    /// `up` on free ports, once it listens everywhere.
    pub fn up(&self, arguments: &[&str]) -> Up {
        self.up_with(arguments, &[])
    }

    pub fn up_with(&self, arguments: &[&str], env: &[(&str, &str)]) -> Up {
        let mut command = self.command(&[&["up"], &FREE_PORTS[..], arguments].concat());
        command.envs(env.iter().copied());
        Up::start(self, command)
    }
}

/// A command that ended by itself.
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

pub fn ended(mut command: Command) -> Ended {
    let Output { status, stdout, stderr } = command.output().unwrap();
    Ended {
        code: status.code(),
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8(stderr).unwrap(),
    }
}

/// A running `up`; dropped, it is killed.
pub struct Up {
    child: Child,
    ports: Value,
    ports_file: PathBuf,
    output: [PathBuf; 2],
}

impl Up {
    pub fn start(folder: &Folder, mut command: Command) -> Self {
        let output = ["stdout", "stderr"].map(|name| folder.path(name));
        command.stdout(File::create(&output[0]).unwrap());
        command.stderr(File::create(&output[1]).unwrap());
        let child = command.spawn().unwrap();
        let ports_file = folder.data("ports.json");
        let mut up = Self { child, ports: Value::Null, ports_file, output };
        up.ports = up.wait_for_ports();
        up
    }

    fn wait_for_ports(&mut self) -> Value {
        let ours = u64::from(self.child.id());
        wait_until("everything listens", || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("`up` ended with {status}:\n{}", self.stderr());
            }
            let ports: Value = serde_json::from_slice(&fs::read(&self.ports_file).ok()?).unwrap();
            (ports["pid"] == ours).then_some(ports)
        })
    }

    pub fn ports(&self) -> &Value {
        &self.ports
    }

    pub fn address(&self, listener: &str) -> SocketAddr {
        self.ports[listener].as_str().unwrap().parse().unwrap()
    }

    pub fn url(&self, listener: &str, path: &str) -> String {
        format!("http://{}{path}", self.address(listener))
    }

    pub fn stdout(&self) -> String {
        fs::read_to_string(&self.output[0]).unwrap()
    }

    pub fn stderr(&self) -> String {
        fs::read_to_string(&self.output[1]).unwrap()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    pub fn wait(&mut self) -> ExitStatus {
        wait_until("the process ends", || self.child.try_wait().unwrap())
    }

    /// Ends it as Ctrl-C does, cleanly.
    pub fn stop(mut self) {
        self.signal(Signal::INT);
        assert_eq!(self.wait().code(), Some(0), "{}", self.stderr());
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks until there is something to see.
pub fn wait_until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?}, but not until {what}");
        sleep(LOOK_EVERY);
    }
}

/// Only its owner can read it.
#[track_caller]
pub fn assert_private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{}", path.display());
}
