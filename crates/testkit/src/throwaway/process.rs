//! One running server with all its processes: stopped, continued, killed by their ids.

use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a server may take to stop by itself before it is killed.
const STOP_MAX: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Waits for the end of the test's process, which may come without any `drop` (a killed test, a
/// server in a `static`). Its standard input is a pipe that only this process holds: a line means
/// that all is cleaned up already, the pipe's end that it is on us.
const WATCHDOG: &str = r#"
exec 2>/dev/null
if read -r _; then exit 0; fi
kill -CONT "$1"; kill "-$2" "$1"
n=0; while kill -0 "$1" && [ "$n" -lt 60 ]; do sleep 0.1; n=$((n+1)); done
kill -KILL "$1"
rm -rf "$3"
"#;

/// See the module.
#[derive(Debug)]
pub(super) struct Process {
    server: Child,
    watchdog: Child,
    stop_signal: Signal,
}

impl Process {
    /// Starts a server; `folder` is removed if this process dies before it can do so itself.
    pub fn spawn(command: &mut Command, stop_signal: Signal, folder: &Path) -> Self {
        // A group of its own: Ctrl-C on the test run is our business, not the server's.
        let server = command
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("can't start {command:?}: {error}"));
        let stop_name = if stop_signal == Signal::QUIT { "QUIT" } else { "TERM" };
        let watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "sh", &server.id().to_string(), stop_name])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("`sh` is on every Unix");
        Self { server, watchdog, stop_signal }
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.server.try_wait().expect("our own child can be waited for")
    }

    /// Stops every process of the server: connections stay open, nothing answers.
    pub fn freeze(&self) {
        // The parent first, then whoever it may have started until then.
        for _ in 0..2 {
            self.signal_all(Signal::STOP);
        }
    }

    /// Undoes [`Self::freeze`].
    pub fn thaw(&self) {
        self.signal_all(Signal::CONT);
    }

    /// `kill -9` to all of it.
    pub fn kill(&mut self) {
        if self.ended().is_none() {
            self.signal_all(Signal::KILL);
        }
        self.wait_at_most(STOP_MAX);
    }

    fn stop(&mut self) {
        if self.ended().is_none() {
            self.thaw();
            signal(pid_of(&self.server), self.stop_signal);
            if !self.wait_at_most(STOP_MAX) {
                self.kill();
            }
        }
    }

    fn wait_at_most(&mut self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        while self.ended().is_none() {
            if Instant::now() > deadline {
                return false;
            }
            thread::sleep(LOOK_EVERY);
        }
        true
    }

    fn signal_all(&self, which: Signal) {
        let server = pid_of(&self.server);
        let children = children_of(server);
        signal(server, which);
        for child in children {
            signal(child, which);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
        if let Some(mut stdin) = self.watchdog.stdin.take() {
            // A watchdog that is gone has nothing to be told.
            let _ = stdin.write_all(b"done\n");
        }
        let _ = self.watchdog.wait();
    }
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_child(child)
}

fn signal(pid: Pid, signal: Signal) {
    // It may have ended by itself just now.
    let _ = kill_process(pid, signal);
}

/// PostgreSQL's processes are all children of the first one, each in a group of its own.
fn children_of(parent: Pid) -> Vec<Pid> {
    let pids: Vec<i32> = match fs::read_dir("/proc/self") {
        Ok(_) => from_proc(parent.as_raw_pid()),
        Err(_) => from_pgrep(parent.as_raw_pid()),
    };
    pids.into_iter().filter_map(Pid::from_raw).collect()
}

fn from_proc(parent: i32) -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            // proc(5): `pid (name) state ppid …`, where the name may hold anything.
            let ppid = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse::<i32>().ok()?;
            (ppid == parent).then_some(pid)
        })
        .collect()
}

fn from_pgrep(parent: i32) -> Vec<i32> {
    let output = Command::new("pgrep").args(["-P", &parent.to_string()]).output();
    let output = output.expect("without /proc, `pgrep` lists a server's processes");
    String::from_utf8_lossy(&output.stdout).lines().filter_map(|line| line.parse().ok()).collect()
}
