//! What a process uses of the machine, read from `/proc`: processor time and resident memory of
//! it and of the processes it started (nginx works in a child). It must not know what it measures.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// The process and its direct children.
fn family(pid: u32) -> Vec<u32> {
    let children =
        fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    std::iter::once(pid)
        .chain(children.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()))
        .collect()
}

/// Processor time of all threads, user and system together. The kernel scales the sum to the
/// exact run time, so its grain is one tick (10 ms), not the error of sampling by ticks.
pub fn cpu(pid: u32) -> Result<Duration> {
    family(pid).into_iter().map(cpu_of_one).sum()
}

fn cpu_of_one(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("the process is gone")?;
    // The name stands in parentheses and may hold anything; fields 14 and 15 are counted from 3
    // behind it.
    let (_, fields) = stat.rsplit_once(')').context("an unexpected form of /proc/…/stat")?;
    let ticks: u64 = fields
        .split_ascii_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Ok(Duration::from_nanos(ticks * (1_000_000_000 / per_second)))
}

/// Resident memory. Pages that parent and child share count twice, so only differences tell
/// something about a contender with children.
pub fn resident_bytes(pid: u32) -> Result<u64> {
    family(pid).into_iter().map(resident_of_one).sum()
}

fn resident_of_one(pid: u32) -> Result<u64> {
    // Exact, unlike the counters in `status`, which lag by up to 64 pages a thread.
    let rollup =
        fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).context("the process is gone")?;
    let kib: u64 = rollup
        .lines()
        .find_map(|line| line.strip_prefix("Rss:")?.split_ascii_whitespace().next()?.parse().ok())
        .context("no Rss in smaps_rollup")?;
    Ok(kib * 1024)
}

/// Busy time of each core since start, as the kernel accounts it: everything but idle and waiting.
fn cores_busy() -> Result<Vec<Duration>> {
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    let stat = fs::read_to_string("/proc/stat")?;
    let cores = stat.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu "));
    Ok(cores
        .map(|line| {
            let fields: Vec<u64> = line
                .split_ascii_whitespace()
                .skip(1)
                .filter_map(|field| field.parse().ok())
                .collect();
            // user nice system idle iowait irq softirq steal; guest time is already in user.
            let busy: u64 = [0, 1, 2, 5, 6, 7].iter().filter_map(|&index| fields.get(index)).sum();
            Duration::from_nanos(busy * (1_000_000_000 / per_second))
        })
        .collect())
}

/// A stretch of time that is being watched.
#[derive(Debug)]
pub struct Watch {
    pid: Option<u32>,
    since: Instant,
    cpu: Duration,
    cores: Vec<Duration>,
}

/// What was used in that time.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Used {
    pub wall_s: f64,
    /// Processor time of the watched process.
    pub cpu_s: f64,
    /// Busy share of each core, whoever kept it busy.
    pub cores_busy: Vec<f64>,
}

impl Watch {
    /// # Errors
    /// Where the process is gone.
    pub fn begin(pid: Option<u32>) -> Result<Self> {
        let cpu = pid.map_or(Ok(Duration::ZERO), cpu)?;
        Ok(Self { pid, since: Instant::now(), cpu, cores: cores_busy()? })
    }

    /// # Errors
    /// Where the process is gone.
    pub fn end(&self) -> Result<Used> {
        let wall = self.since.elapsed();
        let cpu = self.pid.map_or(Ok(Duration::ZERO), cpu)?.saturating_sub(self.cpu);
        let busy = cores_busy()?.into_iter().zip(&self.cores);
        let cores_busy = busy
            .map(|(now, then)| now.saturating_sub(*then).as_secs_f64() / wall.as_secs_f64())
            .collect();
        Ok(Used { wall_s: wall.as_secs_f64(), cpu_s: cpu.as_secs_f64(), cores_busy })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn work_and_memory_of_this_process_are_seen() {
        let me = std::process::id();
        let before = (cpu(me).unwrap(), resident_bytes(me).unwrap());
        let mut held = vec![0u8; 32 << 20];
        let mut rounds = 0u8;
        while cpu(me).unwrap() < before.0 + Duration::from_millis(30) {
            rounds = rounds.wrapping_add(1);
            held.fill(rounds);
        }
        assert!(resident_bytes(me).unwrap() > before.1 + (24 << 20));
        assert_eq!(held.last(), Some(&rounds));
    }
}
