//! apicalls: asks every endpoint of the service, and keeps all answers.
//!
//! apireturns.txt is written only when every call has succeeded and every model that answered is the deployed one; a call
//! that fails is an error with what the server said, and the earlier file stays.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use common::atomic;
use common::cli;
use common::config::Config;
use common::files::{API_RETURNS, csv_files};
use common::lock::Lock;
use common::release::Production;
use history::DependencyVersions;
use serde::Serialize;
use serde_json::{Value, json};
use ureq::Agent;

/// How long the server has for its longest answer.
const TIME_LIMIT: Duration = Duration::from_secs(120);
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// The calls whose answers name the release that gave them.
const OF_A_RELEASE: [&str; 3] = ["POST /prediction", "GET /scoring", "GET /calllist"];

/// What apireturns.txt holds.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// The release that answered.
    pub release: String,
    /// The server's address.
    pub url: String,
    /// Every call, in order.
    pub calls: Vec<Call>,
}

/// One call and its answer.
#[derive(Debug, Serialize)]
pub struct Call {
    /// Method and path.
    pub call: String,
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub answer: Value,
}

impl Outcome {
    /// One JSON object with a call a line, so that it reads in an editor and a `grep` finds one answer.
    fn by_lines(&self) -> Result<String> {
        let calls = self.calls.iter().map(serde_json::to_string).collect::<serde_json::Result<Vec<_>>>()?;
        let (release, url) = (serde_json::to_string(&self.release)?, serde_json::to_string(&self.url)?);
        Ok(format!("{{\"release\": {release}, \"url\": {url}, \"calls\": [\n{}\n]}}\n", calls.join(",\n")))
    }
}

/// Calls the service at `url` (default: where the config says that it listens), writes apireturns.txt, and records it.
pub fn run(config: &Config, url: Option<&str>) -> Result<Outcome> {
    history::record(config, "apicalls", |run| {
        let url = url.map_or_else(|| default_url(config), |url| url.trim_end_matches('/').to_owned());
        let release = Production::of(config).live()?.id;
        let outcome = Outcome { calls: call_all(config, &url)?, release, url };
        let of_a_release = |call: &&Call| OF_A_RELEASE.contains(&call.call.as_str());
        for Call { call, answer, .. } in outcome.calls.iter().filter(of_a_release) {
            let model = answer.get("model").unwrap_or(&Value::Null);
            if *model != outcome.release.as_str() {
                bail!(
                    "{call} at {} was answered by release {model}, but {} is deployed; is another workspace's app there?",
                    outcome.url,
                    outcome.release
                );
            }
        }
        run.facts.dependencies = dependencies(&outcome.calls);
        let _lock = Lock::acquire(&config.output_model, "step")?;
        atomic::write(&config.output_model.join(API_RETURNS), outcome.by_lines()?.as_bytes())?;
        Ok(outcome)
    })
}

/// The dependencies as the service told them: the history keeps the newest versions for days without a registry.
fn dependencies(calls: &[Call]) -> Vec<DependencyVersions> {
    let dependencies = calls.iter().filter_map(|call| call.answer.get("dependencies")?.as_array()).flatten();
    let versions = |dependency: &Value| {
        let text = |key| dependency.get(key).and_then(Value::as_str).map(str::to_owned);
        let latest = text("latest").filter(|latest| latest != "unknown");
        Some(DependencyVersions { name: text("name")?, current: text("current")?, latest })
    };
    dependencies.filter_map(versions).collect()
}

/// Where the config says that the service listens, as seen from this machine.
fn default_url(config: &Config) -> String {
    let mut address = config.bind;
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() });
    }
    format!("http://{address}")
}

fn call_all(config: &Config, url: &str) -> Result<Vec<Call>> {
    let agent: Agent = Agent::config_builder()
        .timeout_global(Some(TIME_LIMIT))
        .timeout_connect(Some(CONNECT_LIMIT))
        .http_status_as_error(false)
        .build()
        .into();
    let test_file = csv_files(&config.test_data)?.swap_remove(0).path;
    let filepath = test_file.strip_prefix(&config.folder).unwrap_or(&test_file);
    let filepath = filepath.to_str().with_context(|| format!("{} is not UTF-8", filepath.display()))?;
    let predict = |call: &str| {
        let response = agent.post(format!("{url}/prediction")).send_json(json!({ "filepath": filepath }));
        checked(call, url, response)
    };
    let get = |call: &str| checked(call, url, agent.get(format!("{url}{}", call.trim_start_matches("GET "))).call());
    Ok(vec![
        predict("POST /prediction")?,
        get("GET /scoring")?,
        get("GET /summarystats")?,
        get("GET /diagnostics")?,
        get("GET /calllist")?,
        get("GET /history?what=runs&last=50")?,
    ])
}

/// A response as a call that succeeded, or what the server said.
fn checked(call: &str, url: &str, response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Call> {
    let failed = || format!("{call} at {url} failed");
    let mut response = response.with_context(|| format!("{}; is the app running there?", failed()))?;
    let status = response.status();
    // A list of 10 million predictions is a few hundred megabytes; ureq alone stops at 10.
    let body = response.body_mut().with_config().limit(1 << 30).read_to_string().with_context(failed)?;
    if !status.is_success() {
        bail!("{}: {status}: {}", failed(), said(&body));
    }
    let answer = serde_json::from_str(&body)
        .with_context(|| format!("{}: the answer is not JSON: {}", failed(), said(&body)))?;
    Ok(Call { call: call.to_owned(), status: status.as_u16(), answer })
}

/// The detail of a problem document, else the beginning of the body.
fn said(body: &str) -> String {
    let problem: Option<Value> = serde_json::from_str(body).ok();
    match problem.as_ref().and_then(|problem| problem.get("detail")?.as_str()) {
        Some(detail) => detail.to_owned(),
        None => body.chars().take(300).collect(),
    }
}

impl cli::Outcome for Outcome {}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{API_RETURNS} holds the answers of {} (release {})", self.url, self.release)?;
        for Call { call, status, answer } in &self.calls {
            write!(f, "\n  {status} {call}: {} bytes", answer.to_string().len())?;
        }
        Ok(())
    }
}
