//! apicalls: calls every endpoint of the service and saves all answers.
//!
//! A GET request is repeated if the connection fails or the server is busy; a POST request is sent once. apireturns.txt
//! is written only if every call has succeeded and every model that answered is the deployed one. If a call fails, the
//! error names the call, its duration and the server's message, and the existing file is kept.

mod call;

use std::fmt;

use anyhow::{Context, Result, bail};
use common::api::{Endpoint, Method};
use common::cli;
use common::config::Config;
use common::config::is_address;
use common::config::service::{Bind, TokenSource};
use common::files::atomic;
use common::files::lock::Lock;
use common::files::{API_RETURNS, csv_files};
use common::model::Model;
use common::production::release::Production;
use common::schema::{Predictor, Schema};
use history::DependencyVersions;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::{Value, json};

pub use crate::call::Call;
use crate::call::{Caller, Sent};

/// The contents of apireturns.txt.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// The release that answered.
    pub release: String,
    /// URL of the service.
    pub url: String,
    /// All calls, in their order.
    pub calls: Vec<Call>,
}

impl Outcome {
    /// The outcome as a JSON object with one call per line, so that it is readable in an editor and `grep` finds single
    /// answers.
    fn by_lines(&self) -> Result<String> {
        let calls = self.calls.iter().map(serde_json::to_string).collect::<serde_json::Result<Vec<_>>>()?;
        let (release, url) = (serde_json::to_string(&self.release)?, serde_json::to_string(&self.url)?);
        Ok(format!("{{\"release\": {release}, \"url\": {url}, \"calls\": [\n{}\n]}}\n", calls.join(",\n")))
    }
}

/// Calls the service at `url` (default: the address in the config), writes apireturns.txt, and records the run.
///
/// # Errors
/// Returns an error if a call fails, or if an answer comes from a release that is not deployed.
pub fn run(config: &Config, url: Option<&str>) -> Result<Outcome> {
    history::record(config, "apicalls", |run| {
        let url = match url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => default_url(config)?,
        };
        let release = Production::of(config).live()?;
        let calls = call_all(config, &release.id, &release.model()?, &url)?;
        let outcome = Outcome { calls, release: release.id, url };
        for Call { call, release, names_release, .. } in &outcome.calls {
            if (*names_release || release.is_some()) && release.as_ref() != Some(&outcome.release) {
                bail!(
                    "{call} at {} was answered by {}, but release {} is deployed; is this the app of another workspace?",
                    outcome.url,
                    release.as_deref().map_or("an unnamed release".to_owned(), |release| format!("release {release}")),
                    outcome.release
                );
            }
        }
        run.add(dependencies(&outcome.calls));
        let _lock = Lock::acquire(&config.output_model, "step")?;
        atomic::write(&config.output_model.join(API_RETURNS), outcome.by_lines()?.as_bytes())?;
        Ok(outcome)
    })
}

/// The dependencies in the service's diagnosis. The history stores their newest versions for times when the registry
/// cannot be reached.
fn dependencies(calls: &[Call]) -> Vec<DependencyVersions> {
    let dependencies = calls.iter().filter_map(|call| call.answer.get("dependencies")?.as_array()).flatten();
    let versions = |dependency: &Value| {
        let text = |key| dependency.get(key).and_then(Value::as_str).map(str::to_owned);
        let latest = text("latest").filter(|latest| latest != "unknown");
        Some(DependencyVersions { name: text("name")?, current: text("current")?, latest })
    };
    dependencies.filter_map(versions).collect()
}

/// The URL of the service according to the config, as seen from this machine.
fn default_url(config: &Config) -> Result<String> {
    let address = config.bind.iter().find_map(Bind::address);
    let address = address.context("the config binds the app only to Unix sockets; give its address with --url")?;
    Ok(format!("http://{address}"))
}

/// Calls all endpoints in the order of the table, in which calls whose arguments come from earlier answers follow
/// those.
fn call_all(config: &Config, release: &str, model: &Model, url: &str) -> Result<Vec<Call>> {
    let token = config.api_token.as_ref().map(TokenSource::read).transpose()?;
    let caller = Caller::new(url, token.as_ref());
    let (json, table) = (example_request(config, model)?.to_string(), one_client(&model.schema));
    let json = Sent { media_type: "application/json", accept: "application/json", body: &json };
    let table = Sent { media_type: "text/csv", accept: "text/csv", body: &table };
    let tensors = example_tensors(model).to_string();
    let tensors = Sent { media_type: "application/json", accept: "application/json", body: &tensors };
    let mut calls = Vec::new();
    for row in Endpoint::ALL {
        let endpoint = row.properties();
        let Some(target) = endpoint.call.and_then(|target| with_client(target, &calls)) else { continue };
        let target = target.replace("{version}", release);
        match (endpoint.method, row) {
            (Method::Get, _) => calls.push(caller.get(&target, &endpoint)?),
            (Method::Post, Endpoint::Infer | Endpoint::InferVersion) => {
                calls.push(caller.post(&target, &tensors, &endpoint)?);
            }
            (Method::Post, _) => {
                calls.push(caller.post(&target, &json, &endpoint)?);
                calls.push(caller.post(&target, &table, &endpoint)?);
            }
        }
    }
    Ok(calls)
}

/// Replaces `{corporation}` in `target` by the first client of the call list; `None` if no client is listed.
fn with_client(target: &str, calls: &[Call]) -> Option<String> {
    const CLIENT: &str = "{corporation}";
    if !target.contains(CLIENT) {
        return Some(target.to_owned());
    }
    let name = calls.iter().find_map(|call| call.answer.pointer("/calls/0/corporation")?.as_str())?;
    Some(target.replace(CLIENT, &utf8_percent_encode(name, NON_ALPHANUMERIC).to_string()))
}

/// A CSV table with one client of which only the name is known.
fn one_client(schema: &Schema) -> String {
    format!("{}\nsomebody unknown{}\n", schema.header(), ",".repeat(schema.width() - 1))
}

/// The body of an inference request: the average client, with one tensor for each predictor.
fn example_tensors(model: &Model) -> Value {
    let tensor = |(predictor, value): (&Predictor, common::values::Value)| {
        let datatype = if predictor.is_category() { "BYTES" } else { "FP64" };
        json!({ "name": predictor.name, "shape": [1], "datatype": datatype, "data": [value] })
    };
    let tensors: Vec<Value> = model.schema.predictors().iter().zip(model.averages()).map(tensor).collect();
    json!({ "id": "example", "inputs": tensors })
}

/// The JSON body of the request for predictions: the first file of the test data if the service can read it, otherwise
/// the average client.
fn example_request(config: &Config, model: &Model) -> Result<Value> {
    if is_address(&config.test_data) {
        let names = model.schema.predictors().iter().map(|predictor| predictor.name.clone());
        let values = names.zip(model.averages()).map(|(name, value)| Ok((name, serde_json::to_value(value)?)));
        let mut row = values.collect::<Result<serde_json::Map<_, _>>>()?;
        row.insert(model.schema.id().to_owned(), "example".into());
        return Ok(json!({ "rows": [row] }));
    }
    let test_file = csv_files(&config.test_data)?.swap_remove(0).path;
    let filepath = test_file.strip_prefix(&config.folder).unwrap_or(&test_file);
    let filepath = filepath.to_str().with_context(|| format!("the path {} is not UTF-8", filepath.display()))?;
    Ok(json!({ "filepath": filepath }))
}

impl cli::Outcome for Outcome {}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{API_RETURNS} contains the answers of {} (release {})", self.url, self.release)?;
        for Call { call, status, answer, .. } in &self.calls {
            write!(f, "\n  {status} {call}: {} bytes", answer.to_string().len())?;
        }
        Ok(())
    }
}
