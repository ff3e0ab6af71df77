//! The performance budget: what is measured, what must be reached and what would be better still.

use anyhow::{Result, bail};
use serde::Serialize;

use super::contender::Contender;
use super::experiment::{Experiment, Metric};
use crate::dialect::Dialect::{self, Chat, Messages, Ollama, Responses};

/// One line of the budget.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Row {
    pub id: &'static str,
    pub what: &'static str,
    #[serde(skip)]
    pub experiment: Experiment,
    #[serde(skip)]
    pub metric: Metric,
    pub scale: Scale,
    pub better: Better,
    pub must: Option<f64>,
    pub stretch: Option<f64>,
}

/// What the figure is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// nginx in the same round: their ratio.
    Nginx,
    /// The contender's own chat in the same round, which isn't translated: what is above it.
    OwnChat,
    /// Nothing: it stands for itself, in its unit.
    Itself,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    Higher,
    Lower,
}

use Better::{Higher, Lower};
use Experiment as E;
use Scale::{Itself, Nginx, OwnChat};

const fn json(dialect: Dialect, clients: usize) -> Experiment {
    Experiment::Json { dialect, clients }
}

const fn first(dialect: Dialect, streams: usize) -> Experiment {
    Experiment::FirstToken { dialect, streams }
}

const fn steady(dialect: Dialect) -> Experiment {
    Experiment::Steady { dialect }
}

#[rustfmt::skip]
pub const ROWS: [Row; 34] = [
    row("rps-16", "requests/s, 1 KB JSON in and out, 16 clients", json(Chat, 16), Metric::RequestsPerS, Nginx, Higher, Some(0.60), Some(0.80)),
    row("rps-64", "requests/s, 1 KB JSON in and out, 64 clients", json(Chat, 64), Metric::RequestsPerS, Nginx, Higher, Some(0.60), Some(0.80)),
    row("cpu-16", "CPU per request, 16 clients", json(Chat, 16), Metric::CpuUsPerRequest, Nginx, Lower, Some(1.7), Some(1.25)),
    row("latency-p50", "latency, one client, p50", json(Chat, 1), Metric::P50Us, Nginx, Lower, Some(1.10), Some(1.02)),
    row("latency-p99", "latency, one client, p99", json(Chat, 1), Metric::P99Us, Nginx, Lower, Some(1.20), Some(1.05)),
    row("ttft-20", "time to first token, p50, 20 streams", first(Chat, 20), Metric::FirstTokenUs, Nginx, Lower, Some(1.10), Some(1.02)),
    row("ttft-200", "time to first token, p50, 200 streams", first(Chat, 200), Metric::FirstTokenUs, Nginx, Lower, Some(1.15), Some(1.02)),
    row("chunks-1", "chunks/s, one busy stream", E::Busy, Metric::ChunksPerS, Nginx, Higher, Some(0.90), Some(1.05)),
    row("chunks-200", "chunks/s, 200 streams of a chunk each ms", E::Fast, Metric::ChunksPerS, Nginx, Higher, Some(0.90), Some(0.98)),
    row("delay-200", "delay of a chunk, p50, 200 streams of a chunk each 20 ms", steady(Chat), Metric::DelayUs, Nginx, Lower, Some(1.3), Some(1.1)),
    row("chunk-cpu-200", "CPU per streamed chunk, 200 streams of a chunk each 20 ms", steady(Chat), Metric::CpuUsPerChunk, Nginx, Lower, Some(1.3), Some(1.0)),
    row("memory-open", "memory per open stream at 5,000, KiB", E::Open, Metric::OpenKib, Itself, Lower, Some(30.0), Some(15.0)),
    row("memory-kept", "memory kept per stream 8 s after they closed, KiB", E::Open, Metric::KeptKib, Itself, Lower, Some(7.5), Some(2.0)),
    row("body-1m", "requests/s, 1 MB body", E::LargeBody, Metric::RequestsPerS, Nginx, Higher, Some(0.80), Some(1.0)),
    row("body-64k", "requests/s, 64 KB body of a coding agent", E::AgentBody, Metric::RequestsPerS, Nginx, Higher, Some(0.50), Some(0.75)),
    row("idle", "idle resident memory, MiB", E::Idle, Metric::IdleMib, Itself, Lower, Some(30.0), Some(15.0)),
    row("tls-h1-16", "requests/s over TLS, HTTP/1.1, 16 clients", E::Tls { http2: false, clients: 16 }, Metric::RequestsPerS, Nginx, Higher, None, Some(0.80)),
    row("tls-h1-64", "requests/s over TLS, HTTP/1.1, 64 clients", E::Tls { http2: false, clients: 64 }, Metric::RequestsPerS, Nginx, Higher, None, Some(0.80)),
    row("tls-h1-cpu", "CPU per request over TLS, HTTP/1.1, 16 clients", E::Tls { http2: false, clients: 16 }, Metric::CpuUsPerRequest, Nginx, Lower, None, None),
    row("tls-h2-16", "requests/s over TLS, HTTP/2, 16 clients", E::Tls { http2: true, clients: 16 }, Metric::RequestsPerS, Nginx, Higher, None, Some(0.80)),
    row("tls-h2-64", "requests/s over TLS, HTTP/2, 64 clients", E::Tls { http2: true, clients: 64 }, Metric::RequestsPerS, Nginx, Higher, None, Some(0.80)),
    row("tls-h2-cpu", "CPU per request over TLS, HTTP/2, 16 clients", E::Tls { http2: true, clients: 16 }, Metric::CpuUsPerRequest, Nginx, Lower, None, None),
    row("messages-rps-16", "requests/s of Messages, 1 KB JSON in and out, 16 clients", json(Messages, 16), Metric::RequestsPerS, Nginx, Higher, Some(0.60), Some(0.80)),
    row("messages-cpu-16", "CPU per request of Messages, 16 clients", json(Messages, 16), Metric::CpuUsPerRequest, Nginx, Lower, Some(1.7), Some(1.25)),
    row("messages-ttft-20", "time to first token of Messages, p50, 20 streams", first(Messages, 20), Metric::FirstTokenUs, Nginx, Lower, Some(1.10), Some(1.02)),
    row("messages-chunk-cpu-200", "CPU per streamed chunk of Messages, 200 streams of a chunk each 20 ms", steady(Messages), Metric::CpuUsPerChunk, Nginx, Lower, Some(1.3), Some(1.0)),
    row("responses-rps-16", "requests/s of Responses, 1 KB JSON in and out, 16 clients", json(Responses, 16), Metric::RequestsPerS, Nginx, Higher, Some(0.60), Some(0.80)),
    row("responses-cpu-16", "CPU per request of Responses, 16 clients", json(Responses, 16), Metric::CpuUsPerRequest, Nginx, Lower, Some(1.7), Some(1.25)),
    row("responses-ttft-20", "time to first token of Responses, p50, 20 streams", first(Responses, 20), Metric::FirstTokenUs, Nginx, Lower, Some(1.10), Some(1.02)),
    row("responses-chunk-cpu-200", "CPU per streamed chunk of Responses, 200 streams of a chunk each 20 ms", steady(Responses), Metric::CpuUsPerChunk, Nginx, Lower, Some(1.3), Some(1.0)),
    row("ollama-rps-16", "requests/s of Ollama's API, translated, 1 KB JSON in and out, 16 clients", json(Ollama, 16), Metric::RequestsPerS, Itself, Higher, None, None),
    row("ollama-ttft-20", "time to first token of Ollama's API, translated, p50, 20 streams", first(Ollama, 20), Metric::FirstTokenUs, OwnChat, Lower, Some(100.0), None),
    row("ollama-chunk-cpu-200", "CPU per streamed chunk of Ollama's API, translated, 200 streams of a chunk each 20 ms", steady(Ollama), Metric::CpuUsPerChunk, OwnChat, Lower, Some(15.0), None),
    row("up", "from start to first served request, `fluxgate up` on an empty folder, s", E::Up, Metric::StartS, Itself, Lower, Some(1.0), Some(0.3)),
];

#[allow(clippy::too_many_arguments)] // one for each column of the table above
const fn row(
    id: &'static str,
    what: &'static str,
    experiment: Experiment,
    metric: Metric,
    scale: Scale,
    better: Better,
    must: Option<f64>,
    stretch: Option<f64>,
) -> Row {
    Row { id, what, experiment, metric, scale, better, must, stretch }
}

impl Row {
    /// Whether it wants this run of this contender.
    pub fn needs(&self, experiment: Experiment, contender: Contender) -> bool {
        let beside = self.scale == Scale::OwnChat
            && contender != Contender::Nginx
            && experiment == self.experiment.in_chat();
        (experiment == self.experiment || beside) && experiment.suits(contender)
    }
}

impl Scale {
    /// What the table says behind what was measured.
    pub fn words(self, metric: Metric) -> String {
        match self {
            Self::Nginx => " / nginx".to_owned(),
            Self::OwnChat => format!(", above its own chat, {}", metric.unit()),
            Self::Itself => String::new(),
        }
    }
}

/// The rows named in full or by their beginning (`rps` is `rps-16` and `rps-64`); none named: all.
///
/// # Errors
/// Where a name fits no row.
pub fn chosen(names: &[String]) -> Result<Vec<&'static Row>> {
    let fits = |row: &Row, name: &str| {
        row.id.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    for name in names {
        if !ROWS.iter().any(|row| fits(row, name)) {
            let ids: Vec<&str> = ROWS.iter().map(|row| row.id).collect();
            bail!("no row {name:?}; there are {}", ids.join(", "));
        }
    }
    let chosen = |row: &&Row| names.is_empty() || names.iter().any(|name| fits(row, name));
    Ok(ROWS.iter().filter(chosen).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn rows_are_chosen_by_name_or_by_the_beginning_of_it() {
        let ids = |names: &[&str]| -> Vec<&str> {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            chosen(&names).unwrap().iter().map(|row| row.id).collect()
        };
        assert_eq!(ids(&[]).len(), ROWS.len());
        assert_eq!(ids(&["rps", "up"]), ["rps-16", "rps-64", "up"]);
        assert_eq!(ids(&["tls-h2-16"]), ["tls-h2-16"]);
        assert!(chosen(&["rp".to_owned()]).is_err());
    }

    #[test]
    fn what_would_be_better_is_never_easier_than_what_must_be() {
        for row in ROWS {
            if let (Some(must), Some(stretch)) = (row.must, row.stretch) {
                assert_eq!(row.better == Higher, stretch > must, "{}", row.id);
            }
        }
    }
}
