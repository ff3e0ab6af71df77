//! One run of one contender, and the figures that come of it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::Value;

use super::contender::{Contender, Running};
use super::stage::Stage;
use super::{generator, h2load, up};
use crate::dialect::Dialect;
use crate::model;
use crate::usage::{self, Used};

/// What the budget of memory is stated for.
const OPEN_STREAMS: usize = 5_000;
/// Enough to keep the core busy; more would only wait.
const LARGE_BODY_CLIENTS: usize = 4;
const AGENT_BODY_CLIENTS: usize = 16;
/// Fewer would leave the core idle between frames.
const MANY_STREAMS: usize = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Experiment {
    Json { dialect: Dialect, clients: usize },
    FirstToken { dialect: Dialect, streams: usize },
    Busy,
    Fast,
    Steady { dialect: Dialect },
    Open,
    LargeBody,
    AgentBody,
    Idle,
    Tls { http2: bool, clients: usize },
    Up,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    RequestsPerS,
    CpuUsPerRequest,
    P50Us,
    P99Us,
    FirstTokenUs,
    ChunksPerS,
    DelayUs,
    CpuUsPerChunk,
    OpenKib,
    KeptKib,
    IdleMib,
    StartS,
}

/// What one run gave.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Figures {
    pub values: BTreeMap<Metric, f64>,
    pub errors: u64,
    pub first_error: Option<String>,
    /// Share of the contender's core that others took meanwhile.
    pub disturbed: Option<f64>,
    /// Busy share of the core of the mock server and the load generator: near 1, it is they who
    /// were measured.
    pub others_busy: Option<f64>,
    /// All that the generator said.
    pub report: Value,
}

impl Experiment {
    /// Whether it says anything about this contender.
    pub fn suits(self, contender: Contender) -> bool {
        match self {
            Self::Tls { .. } => contender.has_tls(),
            Self::Up => contender == Contender::Fluxgate,
            Self::Json { dialect, .. }
            | Self::FirstToken { dialect, .. }
            | Self::Steady { dialect } => contender.speaks(dialect),
            _ => true,
        }
    }

    /// The same in chat's dialect.
    pub fn in_chat(self) -> Self {
        let dialect = Dialect::Chat;
        match self {
            Self::Json { clients, .. } => Self::Json { dialect, clients },
            Self::FirstToken { streams, .. } => Self::FirstToken { dialect, streams },
            Self::Steady { .. } => Self::Steady { dialect },
            other => other,
        }
    }

    /// # Errors
    /// Where the contender doesn't start, or the run had to be given up.
    pub fn run(self, contender: Contender, stage: &Stage) -> Result<Figures> {
        if self == Self::Up {
            return up::measure(stage);
        }
        let running = contender.start(stage)?;
        match self {
            Self::Json { dialect, clients } => whole(&running, stage, dialect, clients, "1k"),
            Self::LargeBody => whole(&running, stage, Dialect::Chat, LARGE_BODY_CLIENTS, "1m"),
            Self::AgentBody => {
                whole(&running, stage, Dialect::Chat, AGENT_BODY_CLIENTS, "64k-agent")
            }
            Self::FirstToken { dialect, streams } => {
                streamed(&running, stage, dialect, streams, model::SHORT)
            }
            Self::Busy => streamed(&running, stage, Dialect::Chat, 1, model::BUSY),
            Self::Fast => streamed(&running, stage, Dialect::Chat, MANY_STREAMS, model::FAST),
            Self::Steady { dialect } => {
                streamed(&running, stage, dialect, MANY_STREAMS, model::STEADY)
            }
            Self::Open => open(&running, stage),
            Self::Idle => idle(&running, stage),
            Self::Tls { http2, clients } => h2load::measure(&running, stage, http2, clients),
            Self::Up => up::measure(stage),
        }
    }
}

impl fmt::Display for Experiment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json { dialect, clients } => write!(f, "{dialect}, json, {clients} clients"),
            Self::FirstToken { dialect, streams } => {
                write!(f, "{dialect}, first token, {streams} streams")
            }
            Self::Busy => write!(f, "one busy stream"),
            Self::Fast => write!(f, "{MANY_STREAMS} streams, a chunk each ms"),
            Self::Steady { dialect } => {
                write!(f, "{dialect}, {MANY_STREAMS} streams, a chunk each 20 ms")
            }
            Self::Open => write!(f, "{OPEN_STREAMS} open streams"),
            Self::LargeBody => write!(f, "1 MB body, {LARGE_BODY_CLIENTS} clients"),
            Self::AgentBody => write!(f, "64 KB body, {AGENT_BODY_CLIENTS} clients"),
            Self::Idle => write!(f, "idle"),
            Self::Tls { http2, clients } => {
                write!(f, "TLS, HTTP/{}, {clients} clients", if *http2 { "2" } else { "1.1" })
            }
            Self::Up => write!(f, "fluxgate up"),
        }
    }
}

impl Metric {
    pub fn unit(self) -> &'static str {
        match self {
            Self::RequestsPerS | Self::ChunksPerS => "/s",
            Self::CpuUsPerRequest
            | Self::P50Us
            | Self::P99Us
            | Self::FirstTokenUs
            | Self::DelayUs
            | Self::CpuUsPerChunk => "us",
            Self::OpenKib | Self::KeptKib => "KiB",
            Self::IdleMib => "MiB",
            Self::StartS => "s",
        }
    }
}

impl Figures {
    /// A run that came to nothing.
    pub fn failed(error: &anyhow::Error) -> Self {
        Self { errors: 1, first_error: Some(format!("{error:#}")), ..Self::default() }
    }

    pub fn with(mut self, metric: Metric, value: f64) -> Self {
        self.values.insert(metric, value);
        self
    }

    /// What the cores did meanwhile.
    pub fn with_cores(mut self, used: &Used, stage: &Stage) -> Self {
        let busy = |core: usize| used.cores_busy.get(core).copied();
        let own = used.cpu_s / used.wall_s;
        self.disturbed = busy(stage.cores.contender).map(|busy| (busy - own).max(0.0));
        self.others_busy = busy(stage.cores.others);
        self
    }

    fn counted(errors: u64, first_error: Option<String>, report: &impl Serialize) -> Result<Self> {
        let report = serde_json::to_value(report)?;
        Ok(Self { errors, first_error, report, ..Self::default() })
    }
}

fn whole(
    running: &Running,
    stage: &Stage,
    dialect: Dialect,
    clients: usize,
    body: &str,
) -> Result<Figures> {
    let report = generator::load(running, stage, dialect, clients, body)?;
    Ok(Figures::counted(report.errors, report.first_error.clone(), &report)?
        .with(Metric::RequestsPerS, report.rps)
        .with(Metric::CpuUsPerRequest, each_us(report.used.cpu_s, report.requests))
        .with(Metric::P50Us, report.latency.p50_us)
        .with(Metric::P99Us, report.latency.p99_us)
        .with_cores(&report.used, stage))
}

fn streamed(
    running: &Running,
    stage: &Stage,
    dialect: Dialect,
    streams: usize,
    model: &str,
) -> Result<Figures> {
    let lengths = (stage.lengths.measured_s, 0.0);
    let report = generator::streams(running, stage, dialect, streams, model, lengths)?;
    Ok(Figures::counted(report.errors, report.first_error.clone(), &report)?
        .with(Metric::FirstTokenUs, report.first_token.p50_us)
        .with(Metric::ChunksPerS, report.chunks_per_s)
        .with(Metric::DelayUs, report.delay.p50_us)
        .with(Metric::CpuUsPerChunk, each_us(report.used.cpu_s, report.chunks))
        .with_cores(&report.used, stage))
}

/// Memory alone: thousands of streams are opened, held and closed.
#[allow(clippy::cast_precision_loss)] // 5,000 is exact
fn open(running: &Running, stage: &Stage) -> Result<Figures> {
    let lengths = (stage.lengths.open_s, stage.lengths.kept_s);
    let (dialect, streams) = (Dialect::Chat, OPEN_STREAMS);
    let report = generator::streams(running, stage, dialect, streams, model::SLOW, lengths)?;
    let memory = report.memory.context("no memory was read")?;
    let each = |bytes: u64| kib(bytes.saturating_sub(memory.before_bytes)) / OPEN_STREAMS as f64;
    Ok(Figures::counted(report.errors, report.first_error.clone(), &report)?
        .with(Metric::OpenKib, each(memory.open_bytes))
        .with(Metric::KeptKib, each(memory.after_bytes)))
}

fn idle(running: &Running, stage: &Stage) -> Result<Figures> {
    std::thread::sleep(Duration::try_from_secs_f64(stage.lengths.idle_s)?);
    let bytes = usage::resident_bytes(running.process.id()).context("the contender is gone")?;
    Ok(Figures::default().with(Metric::IdleMib, kib(bytes) / 1_024.0))
}

/// Microseconds of processor time for each of `count`.
#[allow(clippy::cast_precision_loss)] // counts stay far below 2^53
pub fn each_us(cpu_s: f64, count: u64) -> f64 {
    cpu_s * 1e6 / count.max(1) as f64
}

#[allow(clippy::cast_precision_loss)]
fn kib(bytes: u64) -> f64 {
    bytes as f64 / 1_024.0
}
