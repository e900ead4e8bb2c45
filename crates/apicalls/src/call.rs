//! One call: asked within its time, again where that can do no harm, and kept or explained.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use common::service::Token;
use serde::Serialize;
use serde_json::{Value, json};
use ureq::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use ureq::http::{HeaderMap, Response};
use ureq::{Agent, Body};

/// How often a GET is tried: it changes nothing, so that asking again is safe.
const ATTEMPTS: u32 = 3;

/// The longest wait between two attempts, whatever the server wishes.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// A list of 10 million predictions is a few hundred megabytes; ureq alone stops at 10.
const LONGEST_ANSWER: u64 = 1 << 30;

/// One call and its answer.
#[derive(Debug, Serialize)]
pub struct Call {
    /// Method and path.
    pub call: String,
    /// The HTTP status.
    pub status: u16,
    /// The release that the answer names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// The body: as JSON where it is, as text where it is text for programs, and of a page for people what it is.
    pub answer: Value,
}

/// Asks one service.
pub struct Caller<'u> {
    agent: Agent,
    url: &'u str,
    authorization: Option<String>,
}

/// What goes with a POST.
pub struct Sent<'b> {
    /// Its media type.
    pub media_type: &'static str,
    /// What is wanted back.
    pub accept: &'static str,
    /// The body.
    pub body: &'b str,
}

impl<'u> Caller<'u> {
    /// Of the service at `url`, showing the `token`.
    pub fn new(url: &'u str, token: Option<&Token>) -> Self {
        let agent = Agent::config_builder().timeout_connect(Some(CONNECT_LIMIT)).http_status_as_error(false).build();
        Self { agent: agent.into(), url, authorization: token.map(|token| format!("Bearer {}", token.secret())) }
    }

    /// GETs `path` within `limit`; tries again where the connection fails or the server says that it is busy.
    pub fn get(&self, path: &str, limit: Duration) -> Result<Call> {
        let call = format!("GET {path}");
        let mut attempt = 1;
        loop {
            let mut request = self.agent.get(format!("{}{path}", self.url));
            if let Some(authorization) = &self.authorization {
                request = request.header(AUTHORIZATION, authorization);
            }
            let clock = Instant::now();
            let answer = request.config().timeout_global(Some(limit)).build().call();
            let wait = match &answer {
                Ok(response) if response.status() == 503 => wish(response.headers()),
                Ok(_) => None,
                Err(_) => Some(Duration::from_millis(200) * attempt),
            };
            match wait {
                Some(wait) if attempt < ATTEMPTS => thread::sleep(wait.min(LONGEST_WAIT)),
                _ => return self.kept(&call, answer, clock.elapsed(), attempt),
            }
            attempt += 1;
        }
    }

    /// POSTs to `path` within `limit`, once.
    pub fn post(&self, path: &str, sent: &Sent, limit: Duration) -> Result<Call> {
        let call = format!("POST {path}");
        let mut request = self.agent.post(format!("{}{path}", self.url));
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request.header(CONTENT_TYPE, sent.media_type).header(ACCEPT, sent.accept);
        let clock = Instant::now();
        let answer = request.config().timeout_global(Some(limit)).build().send(sent.body);
        self.kept(&call, answer, clock.elapsed(), 1)
    }

    /// A response as a call that succeeded, or what the server said.
    fn kept(
        &self,
        call: &str,
        response: Result<Response<Body>, ureq::Error>,
        took: Duration,
        attempts: u32,
    ) -> Result<Call> {
        let failed = || {
            let tried = if attempts > 1 { format!(", tried {attempts} times") } else { String::new() };
            format!("{call} at {} failed after {:.1} s{tried}", self.url, took.as_secs_f64())
        };
        let mut response = response.with_context(|| format!("{}; is the app running there?", failed()))?;
        let status = response.status();
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (media_type, release) = (header("content-type").unwrap_or_default(), header("x-release"));
        let body = response.body_mut().with_config().limit(LONGEST_ANSWER).read_to_string().with_context(failed)?;
        if !status.is_success() {
            bail!("{}: {status}: {}", failed(), said(&body));
        }
        let answer = match media_type.split(';').next().unwrap_or_default() {
            "application/json" => serde_json::from_str(&body)
                .with_context(|| format!("{}: the answer is not JSON: {}", failed(), beginning(&body)))?,
            "text/html" => json!({ "media_type": media_type, "bytes": body.len() }),
            _ => Value::String(body),
        };
        Ok(Call { call: call.to_owned(), status: status.as_u16(), release, answer })
    }
}

/// How long the server wants to be left alone.
fn wish(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

/// The detail of a problem document, else the beginning of the body.
fn said(body: &str) -> String {
    let problem: Option<Value> = serde_json::from_str(body).ok();
    match problem.as_ref().and_then(|problem| problem.get("detail")?.as_str()) {
        Some(detail) => detail.to_owned(),
        None => beginning(body),
    }
}

fn beginning(body: &str) -> String {
    body.chars().take(300).collect()
}
