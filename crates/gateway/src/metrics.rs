//! What Prometheus sees. Every label comes from a closed list or from configured names.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use fluxgate_core::Reason;
use fluxgate_core::usage::UsageSource;
use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder as _};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::record::{Outcome, RequestRecord};
use crate::router::Endpoint;

static METADATA: Metadata<'static> = Metadata::new("fluxgate", Level::INFO, None);

/// Seconds. From a cached refusal to a long answer of a slow model.
const LATENCY_BUCKETS_S: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
];

/// The registered metrics.
pub struct Metrics {
    registry: PrometheusRecorder,
    handle: PrometheusHandle,
    endpoints: HashMap<Endpoint, EndpointMetrics>,
    refusals: HashMap<Reason, Counter>,
    tokens: [[Counter; 2]; 5],
    upstream_head: RwLock<HashMap<std::sync::Arc<str>, Histogram>>,
    pub log_lines_dropped: Counter,
    pub connections: Gauge,
    pub bodies_in_flight_bytes: Gauge,
    pub requests_in_flight: Gauge,
}

struct EndpointMetrics {
    /// By class of status: 2xx to 5xx.
    requests: [Counter; 4],
    first_token: Histogram,
    duration: Histogram,
}

const TOKEN_KINDS: [&str; 5] = ["prompt", "completion", "cached", "cache_writes", "reasoning"];
const STATUS_CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

impl Metrics {
    /// Registers everything with a registry of its own.
    ///
    /// # Errors
    /// Never in practice: the bucket list is constant and not empty.
    pub fn new() -> Result<Self, metrics_exporter_prometheus::BuildError> {
        let registry = PrometheusBuilder::new().set_buckets(LATENCY_BUCKETS_S)?.build_recorder();
        for (name, text) in DESCRIPTIONS {
            registry.describe_counter((*name).into(), None, (*text).into());
        }
        let counter = |name: &'static str, labels: Vec<Label>| {
            registry.register_counter(&Key::from_parts(name, labels), &METADATA)
        };
        let endpoints = Endpoint::ALL
            .iter()
            .map(|endpoint| {
                let route = Label::from_static_parts("route", endpoint.path());
                let histogram = |name: &'static str| {
                    registry
                        .register_histogram(&Key::from_parts(name, vec![route.clone()]), &METADATA)
                };
                let metrics = EndpointMetrics {
                    requests: STATUS_CLASSES.map(|class| {
                        counter(
                            "fluxgate_requests_total",
                            vec![route.clone(), Label::from_static_parts("status", class)],
                        )
                    }),
                    first_token: histogram("fluxgate_time_to_first_token_seconds"),
                    duration: histogram("fluxgate_request_duration_seconds"),
                };
                (*endpoint, metrics)
            })
            .collect();
        let refusals = Reason::ALL
            .iter()
            .map(|reason| {
                let label = vec![Label::from_static_parts("reason", reason.code())];
                (*reason, counter("fluxgate_refusals_total", label))
            })
            .collect();
        let tokens = TOKEN_KINDS.map(|kind| {
            ["reported", "estimated"].map(|source| {
                let labels = vec![
                    Label::from_static_parts("kind", kind),
                    Label::from_static_parts("source", source),
                ];
                counter("fluxgate_tokens_total", labels)
            })
        });
        let gauge = |name: &'static str| registry.register_gauge(&Key::from_name(name), &METADATA);
        Ok(Self {
            endpoints,
            refusals,
            tokens,
            upstream_head: RwLock::default(),
            log_lines_dropped: counter("fluxgate_log_lines_dropped_total", Vec::new()),
            connections: gauge("fluxgate_connections"),
            bodies_in_flight_bytes: gauge("fluxgate_bodies_in_flight_bytes"),
            requests_in_flight: gauge("fluxgate_requests_in_flight"),
            handle: registry.handle(),
            registry,
        })
    }

    /// Counts a request that has ended.
    pub fn count(&self, record: &RequestRecord) {
        let status = match record.outcome {
            Outcome::Answered(status) => status,
            Outcome::Refused(reason) => {
                self.refused(reason);
                reason.status()
            }
            Outcome::Cut(status, reason) => {
                self.refused(reason);
                status
            }
        };
        if let Some(endpoint) = record.endpoint.and_then(|of| self.endpoints.get(&of)) {
            let class = usize::from(status.as_u16() / 100).saturating_sub(2);
            if let Some(requests) = endpoint.requests.get(class) {
                requests.increment(1);
            }
            endpoint.duration.record(record.duration.as_secs_f64());
            if let Some(first_token) = record.first_token {
                endpoint.first_token.record(first_token.as_secs_f64());
            }
        }
        if let Some(usage) = record.usage {
            let source = match usage.source {
                UsageSource::Reported => 0,
                UsageSource::Estimated => 1,
            };
            let counts =
                [usage.prompt, usage.completion, usage.cached, usage.cache_writes, usage.reasoning];
            for (counters, count) in self.tokens.iter().zip(counts) {
                if let Some(counter) = counters.get(source) {
                    counter.increment(count);
                }
            }
        }
        if let (Some(upstream), Some(took)) = (&record.upstream, record.upstream_head) {
            self.upstream_answered(upstream, took);
        }
    }

    /// Everything in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Folds recorded samples into their buckets; without it they would be kept one by one.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }

    /// Whether an upstream is used, by name.
    pub fn upstream_up(&self, name: &std::sync::Arc<str>, up: bool) {
        let key = Key::from_parts("fluxgate_upstream_up", vec![upstream_label(name)]);
        self.registry.register_gauge(&key, &METADATA).set(if up { 1.0 } else { 0.0 });
    }

    fn refused(&self, reason: Reason) {
        if let Some(counter) = self.refusals.get(&reason) {
            counter.increment(1);
        }
    }

    fn upstream_answered(&self, name: &std::sync::Arc<str>, took: Duration) {
        let known = self.upstream_head.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(histogram) = known.get(name) {
            return histogram.record(took.as_secs_f64());
        }
        drop(known);
        let key = Key::from_parts("fluxgate_upstream_head_seconds", vec![upstream_label(name)]);
        let histogram = self.registry.register_histogram(&key, &METADATA);
        histogram.record(took.as_secs_f64());
        let mut known = self.upstream_head.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(std::sync::Arc::clone(name), histogram);
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

fn upstream_label(name: &std::sync::Arc<str>) -> Label {
    Label::new("upstream", std::sync::Arc::clone(name))
}

const DESCRIPTIONS: &[(&str, &str)] = &[
    ("fluxgate_requests_total", "Model requests that have ended, by route and class of status."),
    ("fluxgate_refusals_total", "Requests that were refused or cut short, by reason."),
    ("fluxgate_tokens_total", "Tokens by kind, as reported by the provider or estimated here."),
    (
        "fluxgate_time_to_first_token_seconds",
        "From the end of the request's header to the first text.",
    ),
    (
        "fluxgate_request_duration_seconds",
        "From the end of the request's header to the end of the answer.",
    ),
    (
        "fluxgate_upstream_head_seconds",
        "From sending a request upstream to the head of its answer.",
    ),
    ("fluxgate_upstream_up", "1 where the upstream answered the last time it was asked."),
    ("fluxgate_log_lines_dropped_total", "Log lines of requests left out to bound the log."),
    ("fluxgate_connections", "Open client connections."),
    ("fluxgate_bodies_in_flight_bytes", "Bytes of request bodies held now."),
    ("fluxgate_requests_in_flight", "Requests under way at upstreams."),
];
