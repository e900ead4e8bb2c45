//! One HTTP call to a receiver, with a time limit. Its errors contain no part of the address.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use ureq::http::HeaderMap;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Error};
use url::Url;

/// Sends `body` to `url` with POST. Success is an answer with a status from 200 to 299 before `deadline`; the body of the
/// answer is not read.
pub fn post(url: &Url, headers: &HeaderMap, body: &[u8], deadline: Instant) -> Result<()> {
    let limit = deadline.saturating_duration_since(Instant::now());
    if limit.is_zero() {
        bail!("no time was left for it");
    }
    let agent: Agent = Agent::config_builder()
        .timeout_global(Some(limit))
        .http_status_as_error(false)
        // A redirect would send the message, and a changed method, to another address.
        .max_redirects(0)
        .tls_config(TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build())
        .build()
        .into();
    let mut request = agent.post(url.as_str());
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let answer = request.send(body).map_err(|error| without_address(error, limit))?;
    match answer.status() {
        status if status.is_success() => Ok(()),
        status => bail!("it answered with status {status}; a status from 200 to 299 is expected"),
    }
}

/// Describes an error without the address, which is a secret.
fn without_address(error: Error, limit: Duration) -> anyhow::Error {
    match error {
        Error::Timeout(_) => anyhow!("no answer within {} s", limit.as_millis() as f64 / 1000.0),
        Error::HostNotFound => anyhow!("its host is not known to the name service"),
        Error::BadUri(_) | Error::Http(_) => anyhow!("its address is not valid"),
        Error::ConnectProxyFailed(_) | Error::InvalidProxyUrl => anyhow!("the proxy in the environment cannot be used"),
        error => error.into(),
    }
}
