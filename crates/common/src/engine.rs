//! Where a cluster is that works on the data: the address of a Spark Connect server.

use std::fmt;
use std::time::Duration;

use anyhow::{Result, bail};

/// The variable by which `fullprocess` tells a step its own process id: a step that has work done elsewhere must see to it
/// that the work ends when `fullprocess` does.
pub const STEP_OF_VARIABLE: &str = "RISK_STEP_OF";

/// What the config says of a cluster.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Where it listens.
    pub address: EngineAddress,
    /// How long one query may take.
    pub time_limit: Duration,
    /// Where the compiled dataset goes: an address that the cluster can reach.
    pub output: String,
    /// Whether the dataset is written as CSV too.
    pub dataset_csv: bool,
}

/// `sc://host:port/;parameter=value…`. Its `Display` and `Debug` leave out the parameters, among which is the token.
#[derive(Clone, PartialEq, Eq)]
pub struct EngineAddress(String);

impl EngineAddress {
    /// Reads an address.
    ///
    /// # Errors
    /// Where it is none; the text is not repeated, because it may hold a token.
    pub fn parse(text: &str) -> Result<Self> {
        let rest = text.strip_prefix("sc://");
        let host = rest.map(|rest| rest.split(['/', ';', ':']).next().unwrap_or_default()).unwrap_or_default();
        if host.is_empty() || text.chars().any(char::is_whitespace) {
            bail!("expected the address of a Spark Connect server, such as sc://host:15002");
        }
        Ok(Self(text.to_owned()))
    }

    /// All of it, for the client alone.
    pub fn with_secrets(&self) -> &str {
        &self.0
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
