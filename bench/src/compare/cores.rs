//! Which core does what. A process inherits the core of the thread that starts it.

use std::io;
use std::process::{Child, Command};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cores {
    pub contender: usize,
    /// The mock model server and the load generator.
    pub others: usize,
}

impl Cores {
    /// The first two cores that this process may use; with one, all share it.
    pub fn find() -> io::Result<Self> {
        let allowed = sched_getaffinity(None)?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        let contender = cores.next().unwrap_or(0);
        Ok(Self { contender, others: cores.next().unwrap_or(contender) })
    }

    pub fn are_shared(self) -> bool {
        self.contender == self.others
    }

    /// Puts this thread where the load generator belongs, and hence what it starts.
    pub fn take_place(self) -> io::Result<()> {
        stay_on(self.others)
    }

    /// Starts a contender on its own core.
    pub fn spawn_contender(self, command: &mut Command) -> io::Result<Child> {
        stay_on(self.contender)?;
        let child = command.spawn();
        stay_on(self.others)?;
        child
    }
}

fn stay_on(core: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(None, &set)?)
}
