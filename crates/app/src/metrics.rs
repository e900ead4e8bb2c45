//! Metrics of the service: what it counts itself, and gauges that are looked up when the metrics are read.

mod format;
mod recorded;

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

pub use self::format::Format;
pub use self::recorded::{Judged, LastKnown, Recorded};

/// Bucket bounds of the latency histograms in seconds, from a small prediction to a whole diagnosis.
const BOUNDS: [f64; 13] = [0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.03, 0.1, 0.3, 1.0, 5.0, 20.0];

/// All metrics since the service started.
pub struct Metrics {
    requests: Family<RequestLabels, Counter>,
    seconds: Family<RouteLabels, Histogram>,
    /// Number of answers with a status from 500 on. Unlike `requests` it exists before the first one, so that Prometheus
    /// sees its increase.
    server_errors: Counter,
    /// Number of answered requests for predictions.
    pub predictions: Counter,
    /// Number of clients for which predictions were made.
    pub rows: Counter,
    /// Number of contacts that were recorded.
    pub contacts: Counter,
    registry: Registry,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    method: &'static str,
    status: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: &'static str,
}

/// Values that are looked up when the metrics are read.
#[derive(Default)]
pub struct Snapshot(Registry);

impl Snapshot {
    /// Adds a number that may rise and fall.
    pub fn gauge(&mut self, name: &str, help: &str, value: f64) {
        let gauge = Gauge::<f64, AtomicU64>::default();
        gauge.set(value);
        self.0.register(name, help, gauge);
    }

    /// Adds a count that only increases.
    pub fn counter(&mut self, name: &str, help: &str, value: u64) {
        let counter = Counter::<u64>::default();
        counter.inc_by(value);
        self.0.register(name, help, counter);
    }

    /// Adds one number for each value of a label.
    pub fn labelled<'a>(
        &mut self,
        name: &str,
        help: &str,
        label: &'static str,
        values: impl IntoIterator<Item = (&'a str, f64)>,
    ) {
        let family = Family::<[(&str, String); 1], Gauge<f64, AtomicU64>>::default();
        for (value, number) in values {
            family.get_or_create(&[(label, value.to_owned())]).set(number);
        }
        self.0.register(name, help, family);
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self {
            requests: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(BOUNDS)),
            server_errors: Counter::default(),
            predictions: Counter::default(),
            rows: Counter::default(),
            contacts: Counter::default(),
            registry: Registry::default(),
        };
        let mut registry = Registry::default();
        registry.register("http_requests", "Requests answered", metrics.requests.clone());
        registry.register("http_request_seconds", "Seconds until an answer began", metrics.seconds.clone());
        let server_errors = metrics.server_errors.clone();
        registry.register("http_server_errors", "Requests answered with a status of 500 or more", server_errors);
        registry.register("risk_predictions", "Requests for predictions answered", metrics.predictions.clone());
        registry.register("risk_predicted_rows", "Clients predicted", metrics.rows.clone());
        registry.register("risk_contacts", "Contacts recorded", metrics.contacts.clone());
        Self { registry, ..metrics }
    }
}

impl Metrics {
    /// Counts a request that was answered with `status` after `took`. `route` must be a pattern, never a path that
    /// contains names.
    pub fn observe(&self, route: &'static str, method: &str, status: u16, took: Duration) {
        let method = match method {
            "GET" => "GET",
            "POST" => "POST",
            _ => "other",
        };
        self.requests.get_or_create(&RequestLabels { route, method, status: status.into() }).inc();
        if status >= 500 {
            self.server_errors.inc();
        }
        self.seconds.get_or_create(&RouteLabels { route }).observe(took.as_secs_f64());
    }

    /// All metrics as text.
    ///
    /// # Errors
    /// Returns an error if encoding fails.
    pub fn text(&self, snapshot: &Snapshot, format: Format) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode_registry(&mut text, &self.registry)?;
        text::encode(&mut text, &snapshot.0)?;
        Ok(format.of_open_metrics(text))
    }
}
