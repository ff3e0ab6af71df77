//! Whole answers, asked for again and again: requests per second and latency.
//!
//! Closed loop: each connection asks as soon as it was answered. Open loop: requests are due at a
//! steady rate, and a latency counts from when its request was due, so that a contender which
//! stalls can't hide the requests that it kept from being sent.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use mio::event::Event;
use mio::{Events, Poll, Token};
use serde::{Deserialize, Serialize};

use crate::clock::now_ns;
use crate::dialect::Dialect;
use crate::exchange::{Exchange, Fault, Pulled};
use crate::latency::{Latencies, Percentiles};
use crate::model;
use crate::prompt::Prompt;
use crate::usage::{Used, Watch};

const READ_BYTES: usize = 256 * 1024;
/// What a whole answer holds at least: 1 KB, of which a translation keeps most.
const ANSWER_BYTES_MIN: u64 = 900;
/// Then the run is given up.
const ERRORS_MAX: u64 = 1_000;
/// An answer that is missing for so long at the end is an error, not merely unfinished.
const STALLED_NS: u64 = 2_000_000_000;

#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[arg(long)]
    target: SocketAddr,
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// Seconds that are measured.
    #[arg(long, default_value_t = 5.0)]
    duration: f64,
    /// Seconds before them.
    #[arg(long, default_value_t = 0.5)]
    warmup: f64,
    /// Requests per second of the open loop; without it the loop is closed.
    #[arg(long)]
    rate: Option<f64>,
    #[arg(long, value_enum, default_value_t)]
    dialect: Dialect,
    #[arg(long, value_enum, default_value = "1k")]
    body: Prompt,
    /// Sent as `Authorization: Bearer …`.
    #[arg(long)]
    bearer: Option<String>,
    /// The process whose processor time is reported.
    #[arg(long)]
    watch_pid: Option<u32>,
}

/// What was measured.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    pub requests: u64,
    pub errors: u64,
    pub first_error: Option<String>,
    pub rps: f64,
    pub latency: Percentiles,
    pub used: Used,
}

/// Runs it and prints the report as JSON.
pub fn run(args: &Args) -> Result<()> {
    println!("{}", serde_json::to_string(&Run::new(args)?.measure()?)?);
    Ok(())
}

struct Client {
    exchange: Exchange,
    connected: bool,
    /// When the request under way was sent or, in the open loop, due.
    since_ns: Option<u64>,
    content_bytes: u64,
}

struct Run<'a> {
    args: &'a Args,
    request: Vec<u8>,
    poll: Poll,
    clients: Vec<Client>,
    idle: Vec<usize>,
    scratch: Vec<u8>,
    latencies: Latencies,
    requests: u64,
    errors: u64,
    first_error: Option<String>,
    /// Open loop: the first due time, and how many requests were sent.
    begun_ns: u64,
    issued: u64,
}

impl<'a> Run<'a> {
    fn new(args: &'a Args) -> Result<Self> {
        if !args.body.suits(args.dialect) {
            bail!("this body isn't written in the dialect {}", args.dialect);
        }
        let bearer = args.bearer.as_deref();
        let poll = Poll::new()?;
        let clients = (0..args.connections.clamp(1, 10_000))
            .map(|index| connect(args.target, &poll, index))
            .collect::<Result<_>>()?;
        Ok(Self {
            args,
            request: args.body.request(args.target, args.dialect, model::JSON, false, bearer),
            poll,
            clients,
            idle: Vec::new(),
            scratch: vec![0; READ_BYTES],
            latencies: Latencies::new()?,
            requests: 0,
            errors: 0,
            first_error: None,
            begun_ns: now_ns(),
            issued: 0,
        })
    }

    fn measure(mut self) -> Result<Report> {
        self.turn_until(now_ns().saturating_add(ns(self.args.warmup)))?;
        self.latencies.clear();
        self.requests = 0;
        let watch = Watch::begin(self.args.watch_pid)?;
        let end = now_ns().saturating_add(ns(self.args.duration));
        self.turn_until(end)?;
        let used = watch.end()?;
        let stalled = self.clients.iter().filter_map(|client| client.since_ns);
        let stalled =
            stalled.filter(|since| end.saturating_sub(*since) > STALLED_NS).count() as u64;
        if stalled > 0 {
            self.first_error.get_or_insert_with(|| "an answer never came".to_owned());
        }
        #[allow(clippy::cast_precision_loss)]
        let rps = self.requests as f64 / used.wall_s;
        Ok(Report {
            requests: self.requests,
            errors: self.errors.saturating_add(stalled),
            first_error: self.first_error,
            rps,
            latency: self.latencies.percentiles(),
            used,
        })
    }

    fn turn_until(&mut self, end_ns: u64) -> Result<()> {
        let mut events = Events::with_capacity(1024);
        loop {
            let now = now_ns();
            if now >= end_ns {
                return Ok(());
            }
            let mut timeout = Duration::from_nanos(end_ns.saturating_sub(now));
            if let Some(rate) = self.args.rate {
                timeout = timeout.min(self.send_due(rate, now)?);
            }
            match self.poll.poll(&mut events, Some(timeout)) {
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
            if !client.exchange.is_connected()? {
                return Ok(());
            }
            client.connected = true;
            return self.free(index);
        }
        if event.is_writable() && client.since_ns.is_some() {
            client.exchange.push(&self.request)?;
        }
        if !event.is_readable() && !event.is_read_closed() {
            return Ok(());
        }
        let content_bytes = &mut client.content_bytes;
        let count =
            |content: &[u8]| *content_bytes = content_bytes.saturating_add(content.len() as u64);
        if client.exchange.pull(&mut self.scratch, event.is_read_closed(), count)? == Pulled::More {
            return Ok(());
        }
        if client.content_bytes < ANSWER_BYTES_MIN {
            return Err(Fault::Content);
        }
        if let Some(since) = client.since_ns.take() {
            self.latencies.record_ns(now_ns().saturating_sub(since));
            self.requests = self.requests.saturating_add(1);
        }
        self.free(index)
    }

    /// A connection has nothing to do.
    fn free(&mut self, index: usize) -> Result<(), Fault> {
        if self.args.rate.is_some() {
            self.idle.push(index);
            return Ok(());
        }
        self.send(index, now_ns())
    }

    fn send(&mut self, index: usize, since_ns: u64) -> Result<(), Fault> {
        let Some(client) = self.clients.get_mut(index) else { return Ok(()) };
        client.since_ns = Some(since_ns);
        client.content_bytes = 0;
        Ok(client.exchange.begin(&self.request)?)
    }

    /// Open loop: sends what is due, and tells how long nothing more will be.
    fn send_due(&mut self, rate: f64, now: u64) -> Result<Duration> {
        let period_ns = ns(1.0 / rate.max(0.001)).max(1);
        loop {
            let due = self.begun_ns.saturating_add(self.issued.saturating_mul(period_ns));
            if due > now {
                let wait = due.saturating_sub(now);
                // The poll's grain is a millisecond. Below it the core is yielded, not slept on: the
                // mock server shares it.
                if wait < 1_000_000 {
                    std::thread::yield_now();
                    return Ok(Duration::ZERO);
                }
                return Ok(Duration::from_nanos(wait.saturating_sub(1_000_000)));
            }
            let Some(index) = self.idle.pop() else { return Ok(Duration::from_millis(1)) };
            self.issued = self.issued.saturating_add(1);
            if let Err(fault) = self.send(index, due) {
                self.failed(index, &fault)?;
            }
        }
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
            *client = connect(self.args.target, &self.poll, index)?;
        }
        self.idle.retain(|idle| *idle != index);
        Ok(())
    }
}

fn connect(to: SocketAddr, poll: &Poll, index: usize) -> Result<Client> {
    let exchange = Exchange::connect(to, poll.registry(), Token(index)).context("can't connect")?;
    Ok(Client { exchange, connected: false, since_ns: None, content_bytes: 0 })
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

    fn args(dialect: Dialect, body: Prompt) -> Args {
        Args {
            target: upstream::serve_in_background(),
            connections: 2,
            duration: 0.05,
            warmup: 0.0,
            rate: None,
            dialect,
            body,
            bearer: None,
            watch_pid: None,
        }
    }

    #[test]
    fn the_mock_server_answers_in_each_of_its_dialects() {
        for dialect in [Dialect::Chat, Dialect::Messages, Dialect::Responses] {
            let args = args(dialect, Prompt::OneKb);
            let report = Run::new(&args).unwrap().measure().unwrap();
            assert_eq!((report.errors, &report.first_error), (0, &None), "{dialect}");
            assert!(report.requests > 0, "{dialect}");
        }
    }

    #[test]
    fn a_body_that_a_dialect_lacks_is_refused() {
        assert!(Run::new(&args(Dialect::Messages, Prompt::Agent)).is_err());
    }
}
