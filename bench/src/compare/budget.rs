//! The performance budget: what is measured, what must be reached and what would be better still.

use anyhow::{Result, bail};
use serde::Serialize;

use super::experiment::{Experiment, Metric};

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
    /// nginx in the same round.
    Nginx,
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
use Scale::{Itself, Nginx};

#[rustfmt::skip]
pub const ROWS: [Row; 23] = [
    row("rps-16", "requests/s, 1 KB JSON in and out, 16 clients", E::Json { clients: 16 }, Metric::RequestsPerS, Nginx, Higher, Some(0.60), Some(0.80)),
    row("rps-64", "requests/s, 1 KB JSON in and out, 64 clients", E::Json { clients: 64 }, Metric::RequestsPerS, Nginx, Higher, Some(0.60), Some(0.80)),
    row("cpu-16", "CPU per request, 16 clients", E::Json { clients: 16 }, Metric::CpuUsPerRequest, Nginx, Lower, Some(1.7), Some(1.25)),
    row("latency-p50", "latency, one client, p50", E::Json { clients: 1 }, Metric::P50Us, Nginx, Lower, Some(1.10), Some(1.02)),
    row("latency-p99", "latency, one client, p99", E::Json { clients: 1 }, Metric::P99Us, Nginx, Lower, Some(1.20), Some(1.05)),
    row("ttft-20", "time to first token, p50, 20 streams", E::FirstToken { streams: 20 }, Metric::FirstTokenUs, Nginx, Lower, Some(1.10), Some(1.02)),
    row("ttft-200", "time to first token, p50, 200 streams", E::FirstToken { streams: 200 }, Metric::FirstTokenUs, Nginx, Lower, Some(1.15), Some(1.02)),
    row("chunks-1", "chunks/s, one busy stream", E::Busy, Metric::ChunksPerS, Nginx, Higher, Some(0.90), Some(1.05)),
    row("chunks-200", "chunks/s, 200 streams of a chunk each ms", E::Fast, Metric::ChunksPerS, Nginx, Higher, Some(0.90), Some(0.98)),
    row("delay-200", "delay of a chunk, p50, 200 streams of a chunk each 20 ms", E::Steady, Metric::DelayUs, Nginx, Lower, Some(1.3), Some(1.1)),
    row("chunk-cpu-200", "CPU per streamed chunk, 200 streams of a chunk each 20 ms", E::Steady, Metric::CpuUsPerChunk, Nginx, Lower, Some(1.3), Some(1.0)),
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
