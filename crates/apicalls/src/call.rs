//! A single call: sent with a time limit, repeated where that is safe, and returned or reported as an error.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use common::api::{Endpoint, Properties};
use common::config::service::{self, CHALLENGE_HEADER, PROOF_HEADER, Token};
use serde::Serialize;
use serde_json::{Value, json};
use ureq::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use ureq::http::{HeaderMap, Response};
use ureq::{Agent, Body, RequestBuilder};

/// Maximum number of attempts for a GET request, which changes nothing, so repeating it is safe.
const ATTEMPTS: u32 = 3;

/// Maximum wait between two attempts, whatever the server requests.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Maximum size of an answer in bytes. A list of 10 million predictions has a few hundred megabytes; the default limit
/// of ureq is 10 MB.
const LONGEST_ANSWER: u64 = 1 << 30;

/// The endpoint at which the listener proves that it holds the token, the time limit for that, and the maximum number
/// of bytes that are read of the answer.
const PROVING: &str = Endpoint::HealthLive.properties().pattern;
const PROOF_LIMIT: Duration = Duration::from_secs(10);
const LONGEST_PROOF: u64 = 64 << 10;

type Answer = Result<Response<Body>, ureq::Error>;

/// A call with its answer.
#[derive(Debug, Serialize)]
pub struct Call {
    /// Method and path, such as `GET /scoring`.
    pub call: String,
    /// HTTP status code of the answer.
    pub status: u16,
    /// The release that the answer names in its header; `None` if it names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Whether every answer of this endpoint names the release that answered.
    #[serde(skip)]
    pub names_release: bool,
    /// The body: JSON as JSON, other text as a string, and for an HTML page only its media type and length in bytes.
    pub answer: Value,
}

/// A client of one service.
pub struct Caller<'u> {
    agent: Agent,
    url: &'u str,
    token: Option<&'u Token>,
}

/// The body of a POST request and its headers.
pub struct Sent<'b> {
    /// Value of `Content-Type`.
    pub media_type: &'static str,
    /// Value of the `Accept` header.
    pub accept: &'static str,
    pub body: &'b str,
}

impl<'u> Caller<'u> {
    /// Creates a client of the service at `url`. It sends the `token` only to a listener that proves that it holds the
    /// token too.
    pub fn new(url: &'u str, token: Option<&'u Token>) -> Self {
        let agent = Agent::config_builder()
            .timeout_connect(Some(CONNECT_LIMIT))
            .http_status_as_error(false)
            // The service redirects none of these calls, so a redirect comes from another program or leads to one.
            .max_redirects(0)
            .build();
        Self { agent: agent.into(), url, token }
    }

    /// Sends GET `target`, a path and query of the `endpoint`; tries again if the connection fails or the server
    /// answers that it is busy.
    pub fn get(&self, target: &str, endpoint: &Properties) -> Result<Call> {
        let (answer, took, attempts) = self.repeat(|| {
            let request = self.agent.get(format!("{}{target}", self.url));
            let request = if endpoint.needs_token { self.authorized(request)? } else { request };
            Ok(request.config().timeout_global(Some(endpoint.limit)).build().call())
        })?;
        self.answered(&format!("GET {target}"), endpoint, answer, took, attempts)
    }

    /// Sends one POST request to `target`, a path and query of the `endpoint`; does not try again.
    pub fn post(&self, target: &str, sent: &Sent, endpoint: &Properties) -> Result<Call> {
        let request = self.authorized(self.agent.post(format!("{}{target}", self.url)))?;
        let request = request.header(CONTENT_TYPE, sent.media_type).header(ACCEPT, sent.accept);
        let clock = Instant::now();
        let answer = request.config().timeout_global(Some(endpoint.limit)).build().send(sent.body);
        self.answered(&format!("POST {target}"), endpoint, answer, clock.elapsed(), 1)
    }

    /// Adds the token, if there is one, to the request. Before every request the listener must prove that it holds the
    /// token, because another program may have taken over the address since the previous request.
    fn authorized<B>(&self, request: RequestBuilder<B>) -> Result<RequestBuilder<B>> {
        let Some(token) = self.token else { return Ok(request) };
        let challenge = service::challenge()?;
        let (answer, took, attempts) = self.repeat(|| {
            let request = self.agent.get(format!("{}{PROVING}", self.url)).header(CHALLENGE_HEADER, &challenge);
            Ok(request.config().timeout_global(Some(PROOF_LIMIT)).build().call())
        })?;
        let mut answer = answer
            .with_context(|| self.failed(&format!("GET {PROVING}"), took, attempts) + "; is the app running there?")?;
        let proof = answer.headers().get(PROOF_HEADER).and_then(|proof| proof.to_str().ok());
        let is_proved = proof.is_some_and(|proof| token.is_proved(&challenge, proof));
        // A connection can be reused only after its answer was read.
        let _ = answer.body_mut().with_config().limit(LONGEST_PROOF).read_to_vec();
        if !is_proved {
            bail!(
                "the listener at {} does not prove that it holds the API token of the config, so the token was not sent; \
                 another program may be listening there, or an app of an older version or with another token (restart \
                 the app after changing its token)",
                self.url
            );
        }
        Ok(request.header(AUTHORIZATION, format!("Bearer {}", token.secret())))
    }

    /// Repeats a request until the answer is not "busy", at most [`ATTEMPTS`] times. Returns the last answer, how long
    /// it took, and the number of attempts.
    fn repeat(&self, ask: impl Fn() -> Result<Answer>) -> Result<(Answer, Duration, u32)> {
        let mut attempt = 1;
        loop {
            let clock = Instant::now();
            let answer = ask()?;
            let wait = match &answer {
                Ok(response) if response.status() == 503 => requested_wait(response.headers()),
                Ok(_) => None,
                Err(_) => Some(Duration::from_millis(200) * attempt),
            };
            match wait {
                Some(wait) if attempt < ATTEMPTS => thread::sleep(wait.min(LONGEST_WAIT)),
                _ => return Ok((answer, clock.elapsed(), attempt)),
            }
            attempt += 1;
        }
    }

    fn failed(&self, call: &str, took: Duration, attempts: u32) -> String {
        let tried = if attempts > 1 { format!(", tried {attempts} times") } else { String::new() };
        format!("{call} at {} failed after {:.1} s{tried}", self.url, took.as_secs_f64())
    }

    /// Converts a successful response into a [`Call`], and any other into an error with the server's message.
    fn answered(
        &self,
        call: &str,
        endpoint: &Properties,
        response: Answer,
        took: Duration,
        attempts: u32,
    ) -> Result<Call> {
        let failed = || self.failed(call, took, attempts);
        let mut response = response.with_context(|| format!("{}; is the app running there?", failed()))?;
        let status = response.status();
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (media_type, release) = (header("content-type").unwrap_or_default(), header("x-release"));
        let body = response.body_mut().with_config().limit(LONGEST_ANSWER).read_to_string().with_context(failed)?;
        if !status.is_success() {
            bail!("{}: {status}: {}", failed(), message(&body));
        }
        let answer = match media_type.split(';').next().unwrap_or_default() {
            "application/json" => serde_json::from_str(&body)
                .with_context(|| format!("{}: the answer is not JSON: {}", failed(), beginning(&body)))?,
            "text/html" => json!({ "media_type": media_type, "bytes": body.len() }),
            _ => Value::String(body),
        };
        let names_release = endpoint.names_release;
        Ok(Call { call: call.to_owned(), status: status.as_u16(), release, names_release, answer })
    }
}

/// The wait that the server requests in `Retry-After`, in whole seconds; `None` if it requests none.
fn requested_wait(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

/// The detail of a problem document, or the beginning of any other body.
fn message(body: &str) -> String {
    let problem: Option<Value> = serde_json::from_str(body).ok();
    match problem.as_ref().and_then(|problem| problem.get("detail")?.as_str()) {
        Some(detail) => detail.to_owned(),
        None => beginning(body),
    }
}

fn beginning(body: &str) -> String {
    body.chars().take(300).collect()
}
