//! Requests over TLS, by nghttp2's h2load: it speaks both versions of HTTP, and isn't ours.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::contender::Running;
use super::experiment::{Figures, Metric, each_us};
use super::generator::END_WITHIN;
use super::process::{Place, Process};
use super::stage::Stage;
use crate::dialect::Dialect;
use crate::model;
use crate::prompt::Prompt;
use crate::usage::{Used, Watch};

/// Then h2load gives a connection up.
const SILENCE: &str = "10s";

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Counts {
    rps: f64,
    succeeded: u64,
    /// Failed, timed out, or answered with anything but 2xx.
    errors: u64,
}

#[derive(Debug, Serialize)]
struct Report {
    counts: Counts,
    used: Used,
}

/// One request at a time on each connection, with either version.
///
/// # Errors
/// Where h2load isn't installed or the contender has no TLS.
pub fn measure(running: &Running, stage: &Stage, http2: bool, clients: usize) -> Result<Figures> {
    let folder = stage.new_folder()?;
    let body = folder.path().join("body.json");
    fs::write(&body, Prompt::OneKb.body(Dialect::Chat, model::JSON, false))?;
    let tls = running.tls.context("the contender doesn't listen with TLS")?;
    let load = |seconds: f64| -> Result<Counts> {
        let mut command = Command::new("h2load");
        command.args(["-t", "1", "-m", "1", "-N", SILENCE, "-c"]).arg(clients.to_string());
        // Whole seconds are all that it takes.
        command.arg("-D").arg(seconds.ceil().to_string()).arg("-d").arg(&body);
        command.args(["-H", "content-type: application/json"]);
        if let Some(key) = &running.bearer {
            command.arg("-H").arg(format!("authorization: Bearer {key}"));
        }
        if !http2 {
            command.arg("--h1");
        }
        command.arg(format!("https://{tls}{}", Dialect::Chat.path()));
        let h2load =
            Process::start("h2load", &mut command, folder.path(), stage.cores, Place::Others)
                .context("install h2load (package nghttp2-client)")?;
        let text = h2load.finish(END_WITHIN)?;
        counts(&text).with_context(|| format!("an unexpected answer of h2load: {text}"))
    };
    load(stage.lengths.warmup_s)?;
    let watch = Watch::begin(Some(running.process.id()))?;
    let counts = load(stage.lengths.measured_s)?;
    let used = watch.end()?;
    let errors = counts.errors;
    let report = Report { counts, used };
    let figures = Figures {
        errors,
        first_error: (errors > 0).then(|| "see h2load's counts".to_owned()),
        report: serde_json::to_value(&report)?,
        ..Figures::default()
    };
    Ok(figures
        .with(Metric::RequestsPerS, report.counts.rps)
        .with(Metric::CpuUsPerRequest, each_us(report.used.cpu_s, report.counts.succeeded))
        .with_cores(&report.used, stage))
}

fn counts(text: &str) -> Option<Counts> {
    let line = |start: &str| text.lines().find_map(|line| line.strip_prefix(start));
    // `finished in 5.00s, 1234.56 req/s, 1.40MB/s`
    let rps = line("finished in ")?.split(", ").nth(1)?.strip_suffix(" req/s")?.parse().ok()?;
    // `requests: 10 total, 10 started, 10 done, 10 succeeded, 0 failed, 0 errored, 0 timeout`
    let requests = line("requests: ")?;
    // `status codes: 10 2xx, 0 3xx, 0 4xx, 0 5xx`
    let codes = line("status codes: ")?;
    let number = |list: &str, name: &str| -> Option<u64> {
        list.split(", ").find_map(|part| part.strip_suffix(name)?.trim().parse().ok())
    };
    let bad = ["failed", "errored", "timeout"].map(|name| number(requests, name));
    let wrong = [" 3xx", " 4xx", " 5xx"].map(|name| number(codes, name));
    let errors = bad.into_iter().chain(wrong).try_fold(0u64, |sum, one| sum.checked_add(one?))?;
    Some(Counts { rps, succeeded: number(requests, "succeeded")?, errors })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h2loads_counts_are_read() {
        let text = "starting benchmark...\n\nfinished in 5.00s, 1234.56 req/s, 1.40MB/s\n\
            requests: 6180 total, 6196 started, 6180 done, 6179 succeeded, 1 failed, 0 errored, 0 timeout\n\
            status codes: 6178 2xx, 0 3xx, 2 4xx, 0 5xx\ntraffic: 7MB\n";
        let expected = Counts { rps: 1_234.56, succeeded: 6_179, errors: 3 };
        assert_eq!(counts(text), Some(expected));
        assert_eq!(counts("h2load: error"), None);
    }
}
