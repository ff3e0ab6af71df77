//! Streamed answers, many at once: time to first token, chunks per second, the delay of a chunk,
//! and what an open stream costs in memory.
//!
//! Streams are opened a few at a time; what is measured begins when all have their first token. A
//! stream that ends in order is asked for again on the same connection.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use mio::event::Event;
use mio::{Events, Poll, Token};
use serde::{Deserialize, Serialize};

mod frames;

use crate::clock::now_ns;
use crate::dialect::Dialect;
use crate::exchange::{Exchange, Fault, Pulled};
use crate::latency::{Latencies, Percentiles};
use crate::prompt::Prompt;
use crate::usage::{self, Used, Watch};
use frames::Frames;

const READ_BYTES: usize = 256 * 1024;
/// Streams that wait for their first token at the same time while all are being opened: no more
/// than any listener's backlog holds.
const OPENING_MAX: usize = 64;
/// Until all streams must be open.
const OPEN_WITHIN_NS: u64 = 60_000_000_000;
const ERRORS_MAX: u64 = 1_000;

#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[arg(long)]
    target: SocketAddr,
    #[arg(long, value_enum, default_value_t)]
    dialect: Dialect,
    #[arg(long)]
    model: String,
    #[arg(long, default_value_t = 20)]
    streams: usize,
    /// Seconds that are measured, once all streams are open.
    #[arg(long, default_value_t = 5.0)]
    duration: f64,
    /// Seconds after all streams were closed, before memory is read once more.
    #[arg(long, default_value_t = 0.0)]
    linger: f64,
    #[arg(long)]
    bearer: Option<String>,
    /// The process whose processor time and memory are reported.
    #[arg(long)]
    watch_pid: Option<u32>,
}

/// What was measured.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    pub streams: usize,
    /// Streams that ended in order.
    pub ended: u64,
    pub errors: u64,
    pub first_error: Option<String>,
    pub chunks: u64,
    pub chunks_per_s: f64,
    pub first_token: Percentiles,
    pub delay: Percentiles,
    pub used: Used,
    pub memory: Option<Memory>,
}

/// Resident memory of the watched process.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Memory {
    pub before_bytes: u64,
    pub open_bytes: u64,
    pub after_bytes: u64,
}

/// Runs it and prints the report as JSON.
pub fn run(args: &Args) -> Result<()> {
    println!("{}", serde_json::to_string(&Run::new(args)?.measure()?)?);
    Ok(())
}

struct Client {
    exchange: Exchange,
    connected: bool,
    since_ns: u64,
    frames: Frames,
}

struct Run<'a> {
    args: &'a Args,
    request: Vec<u8>,
    poll: Poll,
    clients: Vec<Client>,
    /// Streams that have had a first token.
    open: usize,
    scratch: Vec<u8>,
    first_token: Latencies,
    delay: Latencies,
    chunks: u64,
    ended: u64,
    errors: u64,
    first_error: Option<String>,
}

impl<'a> Run<'a> {
    fn new(args: &'a Args) -> Result<Self> {
        let (dialect, bearer) = (args.dialect, args.bearer.as_deref());
        Ok(Self {
            args,
            request: Prompt::OneKb.request(args.target, dialect, &args.model, true, bearer),
            poll: Poll::new()?,
            clients: Vec::new(),
            open: 0,
            scratch: vec![0; READ_BYTES],
            first_token: Latencies::new()?,
            delay: Latencies::new()?,
            chunks: 0,
            ended: 0,
            errors: 0,
            first_error: None,
        })
    }

    fn measure(mut self) -> Result<Report> {
        let memory = |pid: Option<u32>| pid.map(usage::resident_bytes).transpose();
        let before = memory(self.args.watch_pid)?;
        self.open_all()?;
        let opening = self.first_token.percentiles();
        self.first_token.clear();
        self.delay.clear();
        self.chunks = 0;
        let watch = Watch::begin(self.args.watch_pid)?;
        self.turn_until(now_ns().saturating_add(ns(self.args.duration)), |_| false)?;
        let used = watch.end()?;
        let open = memory(self.args.watch_pid)?;
        self.clients.clear();
        std::thread::sleep(Duration::from_nanos(ns(self.args.linger)));
        let after = memory(self.args.watch_pid)?;
        // Streams without an end have one first token each, seen while they were opened.
        let steady = self.first_token.percentiles();
        #[allow(clippy::cast_precision_loss)]
        let chunks_per_s = self.chunks as f64 / used.wall_s;
        Ok(Report {
            streams: self.args.streams,
            ended: self.ended,
            errors: self.errors,
            first_error: self.first_error,
            chunks: self.chunks,
            chunks_per_s,
            first_token: if steady.count > 0 { steady } else { opening },
            delay: self.delay.percentiles(),
            used,
            memory: before.zip(open).zip(after).map(|((before_bytes, open_bytes), after_bytes)| {
                Memory { before_bytes, open_bytes, after_bytes }
            }),
        })
    }

    fn open_all(&mut self) -> Result<()> {
        let end = now_ns().saturating_add(OPEN_WITHIN_NS);
        while self.open < self.args.streams {
            while self.clients.len() < self.args.streams
                && self.clients.len() < self.open.saturating_add(OPENING_MAX)
            {
                let index = self.clients.len();
                self.clients.push(connect(self.args, &self.poll, index)?);
            }
            let open = self.open;
            self.turn_until(end, |run| run.open > open)?;
            if now_ns() >= end {
                bail!("only {} of {} streams could be opened", self.open, self.args.streams);
            }
        }
        Ok(())
    }

    fn turn_until(&mut self, end_ns: u64, enough: impl Fn(&Self) -> bool) -> Result<()> {
        let mut events = Events::with_capacity(1024);
        loop {
            let now = now_ns();
            if now >= end_ns || enough(self) {
                return Ok(());
            }
            match self
                .poll
                .poll(&mut events, Some(Duration::from_nanos(end_ns.saturating_sub(now))))
            {
                Err(error) if error.kind() != std::io::ErrorKind::Interrupted => {
                    return Err(error.into());
                }
                _ => {}
            }
            for event in &events {
                let Token(index) = event.token();
                if let Err(fault) = self.ready(index, event) {
                    self.failed(index, &fault)?;
                }
            }
        }
    }

    fn ready(&mut self, index: usize, event: &Event) -> Result<(), Fault> {
        let Some(client) = self.clients.get_mut(index) else { return Ok(()) };
        if !client.connected {
            if client.exchange.is_connected()? {
                client.connected = true;
                client.since_ns = now_ns();
                client.exchange.begin(&self.request)?;
            }
            return Ok(());
        }
        if event.is_writable() {
            client.exchange.push(&self.request)?;
        }
        if !event.is_readable() && !event.is_read_closed() {
            return Ok(());
        }
        let now = now_ns();
        let (frames, delay) = (&mut client.frames, &mut self.delay);
        let before = frames.chunks();
        let read = |content: &[u8]| {
            frames.feed(content, |stamp| delay.record_ns(now.saturating_sub(stamp)))
        };
        let pulled = client.exchange.pull(&mut self.scratch, event.is_read_closed(), read)?;
        let chunks = client.frames.chunks();
        self.chunks = self.chunks.saturating_add(chunks.saturating_sub(before));
        if before == 0 && chunks > 0 {
            self.first_token.record_ns(now.saturating_sub(client.since_ns));
            if !client.frames.again() {
                self.open = self.open.saturating_add(1);
            }
        }
        if pulled == Pulled::Whole {
            if !client.frames.is_complete() {
                return Err(Fault::Content);
            }
            self.ended = self.ended.saturating_add(1);
            client.frames.restart();
            client.since_ns = now_ns();
            client.exchange.begin(&self.request)?;
        }
        Ok(())
    }

    fn failed(&mut self, index: usize, fault: &Fault) -> Result<()> {
        self.errors = self.errors.saturating_add(1);
        self.first_error.get_or_insert_with(|| fault.to_string());
        if self.errors > ERRORS_MAX {
            bail!(
                "more than {ERRORS_MAX} errors, the first: {}",
                self.first_error.as_deref().unwrap_or_default()
            );
        }
        if let Some(client) = self.clients.get_mut(index) {
            let counted = client.frames.again() || client.frames.chunks() > 0;
            *client = connect(self.args, &self.poll, index)?;
            if counted {
                client.frames.restart();
            }
        }
        Ok(())
    }
}

fn connect(args: &Args, poll: &Poll, index: usize) -> Result<Client> {
    let exchange = Exchange::connect(args.target, poll.registry(), Token(index));
    let exchange = exchange.context("can't connect")?;
    let frames = Frames::new(args.dialect);
    Ok(Client { exchange, connected: false, since_ns: now_ns(), frames })
}

fn ns(seconds: f64) -> u64 {
    Duration::try_from_secs_f64(seconds)
        .map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::upstream;

    /// Three chunks, a millisecond apart.
    const MODEL: &str = "bench-stream-3-1000";

    fn args(dialect: Dialect) -> Args {
        Args {
            target: upstream::serve_in_background(),
            dialect,
            model: MODEL.to_owned(),
            streams: 2,
            duration: 0.1,
            linger: 0.0,
            bearer: None,
            watch_pid: None,
        }
    }

    #[test]
    fn streams_of_the_mock_server_end_in_order_in_each_of_its_dialects() {
        for dialect in [Dialect::Chat, Dialect::Messages, Dialect::Responses] {
            let report = Run::new(&args(dialect)).unwrap().measure().unwrap();
            assert_eq!((report.errors, &report.first_error), (0, &None), "{dialect}");
            assert!(report.ended > 0 && report.chunks > report.ended, "{report:?}");
            assert!(report.delay.p50_us < 1e6, "{dialect}: {:?}", report.delay);
        }
    }

    #[test]
    fn the_mock_server_is_no_ollama() {
        let error = Run::new(&args(Dialect::Ollama)).unwrap().measure().unwrap_err();
        assert!(error.to_string().contains("status 404"), "{error}");
    }
}
