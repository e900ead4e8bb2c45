//! Metrics of the service, in the text format that Prometheus reads (OpenMetrics 1.0).

use std::fmt;
use std::time::Duration;

use history::DriftVerdict;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// The media type of [`Metrics::text`].
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Bucket bounds of the latency histograms in seconds, from a small prediction to a whole diagnosis.
const BOUNDS: [f64; 13] = [0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.03, 0.1, 0.3, 1.0, 5.0, 20.0];

/// All metrics since the service started.
pub struct Metrics {
    requests: Family<RequestLabels, Counter>,
    seconds: Family<RouteLabels, Histogram>,
    /// Number of answered requests for predictions.
    pub predictions: Counter,
    /// Number of clients for which predictions were made.
    pub rows: Counter,
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

/// Values that are looked up when the metrics are read; `None` if a value is unknown.
#[derive(Debug, Default)]
pub struct Momentary {
    /// The release that answers.
    pub release: Option<String>,
    /// Seconds since that release was deployed.
    pub age: Option<f64>,
    /// The F1 score that was recorded when that release was deployed.
    pub recorded_f1: Option<f64>,
    /// The newest F1 score in the history, of any model and data.
    pub last_f1: Option<f64>,
    /// The newest drift verdict.
    pub verdict: Option<DriftVerdict>,
    /// When the newest `fullprocess` started, in seconds since 1970.
    pub last_run: Option<f64>,
    /// Whether that run failed.
    pub last_run_failed: Option<bool>,
    /// Number of releases that could not be loaded.
    pub reload_failures: u64,
    /// Whether the live release could not be loaded.
    pub refused: bool,
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self {
            requests: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(BOUNDS)),
            predictions: Counter::default(),
            rows: Counter::default(),
            registry: Registry::default(),
        };
        let mut registry = Registry::default();
        registry.register("http_requests", "Requests answered", metrics.requests.clone());
        registry.register("http_request_seconds", "Seconds until an answer began", metrics.seconds.clone());
        registry.register("risk_predictions", "Requests for predictions answered", metrics.predictions.clone());
        registry.register("risk_predicted_rows", "Clients predicted", metrics.rows.clone());
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
        self.seconds.get_or_create(&RouteLabels { route }).observe(took.as_secs_f64());
    }

    /// All metrics in the text format.
    ///
    /// # Errors
    /// Returns an error if encoding fails.
    pub fn text(&self, now: &Momentary) -> Result<String, fmt::Error> {
        let mut momentary = Registry::default();
        let mut gauge = |name: &str, help: &str, value: Option<f64>| {
            if let Some(value) = value {
                let gauge = Gauge::<f64, std::sync::atomic::AtomicU64>::default();
                gauge.set(value);
                momentary.register(name, help, gauge);
            }
        };
        gauge("risk_model_age_seconds", "Seconds since the release was deployed", now.age);
        gauge("risk_model_recorded_f1", "F1 of the release when it was deployed", now.recorded_f1);
        gauge("risk_last_f1", "The newest score in the history", now.last_f1);
        gauge("risk_last_run_timestamp_seconds", "When the newest fullprocess began", now.last_run);
        gauge("risk_last_run_failed", "Whether it failed", now.last_run_failed.map(f64::from));
        gauge("risk_release_refused", "Whether the live release cannot be loaded", Some(f64::from(now.refused)));
        let release = Family::<[(&str, String); 1], Gauge>::default();
        if let Some(id) = &now.release {
            release.get_or_create(&[("release", id.clone())]).set(1);
        }
        momentary.register("risk_model", "The release that answers", release);
        let verdicts = Family::<[(&str, String); 1], Gauge>::default();
        if let Some(newest) = now.verdict {
            for verdict in DriftVerdict::ALL {
                verdicts.get_or_create(&[("verdict", verdict.to_string())]).set(i64::from(*verdict == newest));
            }
        }
        momentary.register("risk_drift", "1 at the newest drift verdict", verdicts);
        let failures = Counter::<u64>::default();
        failures.inc_by(now.reload_failures);
        momentary.register("risk_reload_failures", "Releases that could not be loaded", failures);
        let mut text = String::new();
        text::encode_registry(&mut text, &self.registry)?;
        text::encode(&mut text, &momentary)?;
        Ok(text)
    }
}
