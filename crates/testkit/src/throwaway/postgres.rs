//! A PostgreSQL server of a test's own.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Signal, geteuid};
use tempfile::TempDir;

use super::process::Process;
use super::{STARTS_MAX, programs};
use crate::free_port;

const PACKAGE: &str = "postgresql";
const SUPERUSER: &str = "fluxgate";
/// `nobody` on Debian: who runs the server where we are root and there is no user `postgres`.
const NOBODY: u32 = 65_534;
/// A start takes half a second; a slow, busy machine may take longer.
const READY_MAX: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A running server. Dropped, it is stopped and its data removed.
#[derive(Debug)]
pub struct Postgres {
    // Before `folder`: fields are dropped in this order, and a server outlives its data badly.
    process: Process,
    programs: Programs,
    runs_as: Option<Account>,
    folder: TempDir,
    port: u16,
    databases: AtomicU32,
}

#[derive(Debug)]
struct Programs {
    initdb: PathBuf,
    postgres: PathBuf,
    createdb: PathBuf,
}

/// PostgreSQL refuses to run as root.
#[derive(Clone, Copy, Debug)]
struct Account {
    user: u32,
    group: u32,
}

impl Postgres {
    /// Makes a data folder and starts a server on it.
    ///
    /// # Panics
    /// Where PostgreSQL isn't installed or doesn't start: the message says why.
    #[must_use]
    pub fn start() -> Self {
        let initdb = programs::find("initdb", PACKAGE);
        let programs = Programs {
            postgres: programs::beside(&initdb, "postgres", PACKAGE),
            createdb: programs::beside(&initdb, "createdb", "postgresql-client"),
            initdb,
        };
        let runs_as = geteuid().is_root().then(unprivileged_account);
        let folder = tempfile::Builder::new()
            .prefix("throwaway-pg-")
            .tempdir()
            .expect("the folder of temporary files can be written");
        if let Some(account) = runs_as {
            chown(folder.path(), Some(account.user), Some(account.group))
                .expect("root can give a folder away");
        }
        initialise(&programs.initdb, folder.path(), runs_as);
        for _ in 0..STARTS_MAX {
            let port = free_port();
            let mut process = launch(&programs.postgres, folder.path(), port, runs_as);
            if wait_until_ready(&mut process, folder.path()) {
                let databases = AtomicU32::new(0);
                return Self { process, programs, runs_as, folder, port, databases };
            }
        }
        panic!("PostgreSQL didn't start; its log ends so:\n{}", log_tail(folder.path()));
    }

    /// One server for the whole test binary: take a fresh database of it with
    /// [`Self::create_database`], and leave freezing to servers of your own.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// A fresh, empty database: its URL.
    ///
    /// # Panics
    /// Where the server doesn't answer.
    #[must_use]
    pub fn create_database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let output = Command::new(&self.programs.createdb)
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", SUPERUSER])
            .args(["--no-password", "--template", "template0", &name])
            .output()
            .expect("`createdb` runs");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "can't create a database: {complaint}");
        self.url_of(&name)
    }

    /// The URL of the database `postgres`, which every server has. The password in it isn't
    /// asked for.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// The port on 127.0.0.1, the same after a [`Self::restart`].
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stops all its processes where they are (SIGSTOP): connections stay, nothing answers.
    pub fn freeze(&self) {
        self.process.freeze();
    }

    /// Lets them go on.
    pub fn thaw(&self) {
        self.process.thaw();
    }

    /// `kill -9` to all its processes.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again, on the same data and the same port; a running one is killed first.
    ///
    /// # Panics
    /// Where it doesn't come back.
    pub fn restart(&mut self) {
        self.process.kill();
        let folder = self.folder.path();
        self.process = launch(&self.programs.postgres, folder, self.port, self.runs_as);
        let ready = wait_until_ready(&mut self.process, folder);
        assert!(ready, "PostgreSQL didn't restart; its log ends so:\n{}", log_tail(folder));
    }

    fn url_of(&self, database: &str) -> String {
        format!("postgres://{SUPERUSER}:throwaway-password@127.0.0.1:{}/{database}", self.port)
    }
}

fn unprivileged_account() -> Account {
    // passwd(5): name:password:uid:gid:…
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let ids = users.lines().find_map(|line| {
        let mut fields = line.strip_prefix("postgres:")?.split(':').skip(1);
        Some(Account { user: fields.next()?.parse().ok()?, group: fields.next()?.parse().ok()? })
    });
    ids.unwrap_or(Account { user: NOBODY, group: NOBODY })
}

fn command(program: &Path, folder: &Path, runs_as: Option<Account>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).env("LC_ALL", "C");
    if let Some(account) = runs_as {
        command.uid(account.user).gid(account.group);
    }
    command
}

fn initialise(initdb: &Path, folder: &Path, runs_as: Option<Account>) {
    let output = command(initdb, folder, runs_as)
        .arg("-D")
        .arg(data_in(folder))
        .args(["-U", SUPERUSER, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"])
        .output()
        .expect("`initdb` runs");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "initdb failed: {complaint}");
}

fn launch(postgres: &Path, folder: &Path, port: u16, runs_as: Option<Account>) -> Process {
    // What the last run left there would read as "ready".
    let _ = fs::remove_file(status_file(folder));
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(log_file(folder))
        .expect("the server's folder can be written");
    let mut command = command(postgres, folder, runs_as);
    command
        .arg("-D")
        .arg(data_in(folder))
        .arg("-k")
        .arg(folder)
        .args(["-h", "127.0.0.1", "-p", &port.to_string()])
        // The page cache outlives `kill -9`: only a crash of the machine would need these.
        .args(["-c", "fsync=off", "-c", "full_page_writes=off"])
        .args(["-c", "shared_buffers=16MB", "-c", "max_connections=100"])
        .stdout(Stdio::null())
        .stderr(log);
    // SIGQUIT is PostgreSQL's immediate shutdown: it takes its processes and shared memory along.
    Process::spawn(&mut command, Signal::QUIT, folder)
}

fn wait_until_ready(process: &mut Process, folder: &Path) -> bool {
    let deadline = Instant::now() + READY_MAX;
    while process.ended().is_none() && Instant::now() < deadline {
        // The eighth line of postmaster.pid says how far the start has come.
        let status = fs::read_to_string(status_file(folder)).unwrap_or_default();
        if status.lines().nth(7).is_some_and(|line| line.trim_end() == "ready") {
            return true;
        }
        thread::sleep(LOOK_EVERY);
    }
    false
}

fn data_in(folder: &Path) -> PathBuf {
    folder.join("data")
}

fn status_file(folder: &Path) -> PathBuf {
    data_in(folder).join("postmaster.pid")
}

fn log_file(folder: &Path) -> PathBuf {
    folder.join("server.log")
}

fn log_tail(folder: &Path) -> String {
    let log = fs::read_to_string(log_file(folder)).unwrap_or_default();
    let mut lines: Vec<&str> = log.lines().rev().take(20).collect();
    lines.reverse();
    lines.join("\n")
}
