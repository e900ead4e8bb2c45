//! The address of a cluster that processes the data: a Spark Connect server.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Error, Result, bail};
use serde::Deserialize;

use crate::config::values::SecretText;

/// The settings of a cluster in the config.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Address on which the Spark Connect server listens.
    pub address: EngineAddress,
    /// PEM file with the certificate authorities of the server, the only ones that are trusted; `None` if those of this
    /// machine are.
    pub ca_path: Option<PathBuf>,
    /// Maximum duration of one query.
    pub time_limit: Duration,
    /// Destination of the compiled dataset: a path or an address that the cluster can reach.
    pub output: String,
    /// Whether the dataset is written as CSV too.
    pub dataset_csv: bool,
}

/// An address of the form `sc://host:port/;parameter=value…`. Its `Display` and `Debug` omit the parameters, because
/// the token is one of them.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "SecretText")]
pub struct EngineAddress(String);

impl EngineAddress {
    /// Parses an address.
    ///
    /// # Errors
    /// Fails if the text is not an address of this form. The error does not repeat the text, which may contain a token.
    pub fn parse(text: &str) -> Result<Self> {
        let rest = text.strip_prefix("sc://");
        let host = rest.map(|rest| rest.split(['/', ';', ':']).next().unwrap_or_default()).unwrap_or_default();
        if host.is_empty() || text.chars().any(char::is_whitespace) {
            bail!("expected the address of a Spark Connect server, such as sc://host:15002");
        }
        Ok(Self(text.to_owned()))
    }

    /// Returns the whole address with its parameters; only the client of the cluster may use it.
    pub fn with_secrets(&self) -> &str {
        &self.0
    }
}

impl TryFrom<SecretText> for EngineAddress {
    type Error = Error;

    fn try_from(text: SecretText) -> Result<Self> {
        Self::parse(&text.expanded()?)
    }
}

impl fmt::Display for EngineAddress {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let rest = self.0.strip_prefix("sc://").unwrap_or_default();
        write!(f, "sc://{}", rest.split(['/', ';', '?']).next().unwrap_or_default())
    }
}

impl fmt::Debug for EngineAddress {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_token() {
        let address = EngineAddress::parse("sc://spark.example:15002/;use_ssl=true;token=geheim").unwrap();
        assert_eq!((address.to_string(), format!("{address:?}")).0, "sc://spark.example:15002");
        assert!(!format!("{address:?}").contains("geheim") && address.with_secrets().contains("geheim"));
        for wrong in ["", "spark.example:15002", "sc://", "sc://:15002", "http://host", "sc://geheim host"] {
            let error = EngineAddress::parse(wrong).unwrap_err().to_string();
            assert!(error.contains("sc://host:15002") && !error.contains("geheim"), "{error}");
        }
    }
}
