//! A process that is part of a comparison: started on its core, ended when it is dropped.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::cores::Cores;

/// A clean end takes no longer; then it is killed.
const END_WITHIN: Duration = Duration::from_secs(5);
/// Until a process must serve.
pub const READY_WITHIN: Duration = Duration::from_secs(20);
/// What is shown of a log.
const LOG_BYTES: usize = 600;

#[derive(Debug)]
pub struct Process {
    child: Child,
    name: &'static str,
    out: PathBuf,
    errors: PathBuf,
}

/// Where a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On the core under test.
    Contender,
    /// Beside the load generator.
    Others,
}

impl Process {
    /// Starts it, with its output in files of `folder`.
    ///
    /// # Errors
    /// Where the program isn't there or may not be run.
    pub fn start(
        name: &'static str,
        command: &mut Command,
        folder: &Path,
        cores: Cores,
        place: Place,
    ) -> Result<Self> {
        let (out, errors) =
            (folder.join(format!("{name}.out")), folder.join(format!("{name}.err")));
        command.stdin(Stdio::null()).stdout(File::create(&out)?).stderr(File::create(&errors)?);
        let child = match place {
            Place::Contender => cores.spawn_contender(command),
            Place::Others => command.spawn(),
        };
        let child =
            child.with_context(|| format!("can't start {}", command.get_program().display()))?;
        Ok(Self { child, name, out, errors })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The first line that it writes.
    ///
    /// # Errors
    /// Where it ends before, or takes too long.
    pub fn first_line(&mut self) -> Result<String> {
        let out = self.out.clone();
        self.wait_for("its first line", move || {
            let text = fs::read_to_string(&out).ok()?;
            text.split_once('\n').map(|(line, _)| line.to_owned())
        })
    }

    /// Looks every few milliseconds until there is something.
    ///
    /// # Errors
    /// Where the process ends before, or it takes too long.
    pub fn wait_for<T>(&mut self, what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T> {
        let since = Instant::now();
        loop {
            if let Some(found) = look() {
                return Ok(found);
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended ({status}): {}", self.name, self.log());
            }
            if since.elapsed() > READY_WITHIN {
                bail!("{}: no {what} within {READY_WITHIN:?}: {}", self.name, self.log());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits for its end, and returns what it wrote.
    ///
    /// # Errors
    /// Where it fails, or takes too long.
    pub fn finish(mut self, within: Duration) -> Result<String> {
        let since = Instant::now();
        loop {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(fs::read_to_string(&self.out)?),
                Some(status) => bail!("{} ended ({status}): {}", self.name, self.log()),
                None if since.elapsed() > within => {
                    bail!("{} didn't end within {within:?}", self.name)
                }
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// The end of what it complained about.
    fn log(&self) -> String {
        let log = fs::read(&self.errors).unwrap_or_default();
        let end = log.get(log.len().saturating_sub(LOG_BYTES)..).unwrap_or_default();
        String::from_utf8_lossy(end).trim().to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let since = Instant::now();
        while since.elapsed() < END_WITHIN {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
