//! The log: lines on stderr, as JSON for programs or in a form for people.
//!
//! Lines are written at once, by whoever logs. The data threads don't: they leave records, and the
//! control side writes the lines.

use std::io::{self, IsTerminal};

use fluxgate_core::config::{Log, LogFormat};
use tracing::warn;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::util::SubscriberInitExt;

/// What is logged where the filter can't be read.
const FALLBACK_FILTER: &str = "info";

/// Starts the log of this process. Only the first call in a process counts.
pub fn init(config: &Log) {
    let (filter, problem) = filter(&config.filter);
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = if is_json(config.format) {
        lines.json().flatten_event(true).with_current_span(false).finish().try_init()
    } else {
        lines.with_ansi(io::stderr().is_terminal()).finish().try_init()
    };
    if let (Ok(()), Some(problem)) = (started, problem) {
        warn!(error = %problem, "log.filter can't be read; {FALLBACK_FILTER} is used");
    }
}

fn filter(text: &str) -> (EnvFilter, Option<ParseError>) {
    match EnvFilter::try_new(text) {
        Ok(filter) => (filter, None),
        Err(problem) => (EnvFilter::new(FALLBACK_FILTER), Some(problem)),
    }
}

fn is_json(format: LogFormat) -> bool {
    match format {
        LogFormat::Json => true,
        LogFormat::Pretty => false,
        LogFormat::Auto => !io::stderr().is_terminal(),
    }
}
