//! The programs that `fullprocess` informs about its runs, and the limits of these calls. Their addresses are secrets,
//! because a person who knows one can send reports in the name of this system. They are read only where they are needed,
//! so the other steps run without the variables that they refer to.

use std::time::Duration;

use anyhow::{Error, Result, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use url::Url;

use crate::config::values::SecretText;

/// The receivers of the config.
#[derive(Clone, Debug, Default)]
pub struct Receivers {
    /// Monitor of a service like healthchecks.io, which expects a message from every run.
    pub heartbeat: Option<ReceiverUrl>,
    /// Webhook that is called when something has changed.
    pub webhook: Option<Webhook>,
    /// Maximum time that all receivers together may take after a run.
    pub time_limit: Duration,
}

/// A receiver of signed messages (Standard Webhooks).
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Address of the receiver.
    pub url: ReceiverUrl,
    /// Secret that signs the messages.
    pub secret: SigningSecret,
}

/// The address of a receiver, in which `${VAR}` stands for a variable of the environment.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "SecretText")]
pub struct ReceiverUrl(SecretText);

impl TryFrom<SecretText> for ReceiverUrl {
    type Error = Error;

    fn try_from(text: SecretText) -> Result<Self> {
        if !text.has_variables() {
            parse(&text.expanded()?)?;
        }
        Ok(Self(text))
    }
}

impl ReceiverUrl {
    /// Returns the address with its variables replaced.
    ///
    /// # Errors
    /// Fails if a variable is not set or if the text is no HTTP address. The error does not repeat the text.
    pub fn read(&self) -> Result<Url> {
        parse(&self.0.expanded()?)
    }
}

/// A symmetric secret of Standard Webhooks: `whsec_` and 24 to 64 bytes in Base64, in which `${VAR}` stands for a variable
/// of the environment.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "SecretText")]
pub struct SigningSecret(SecretText);

impl From<SecretText> for SigningSecret {
    fn from(text: SecretText) -> Self {
        Self(text)
    }
}

impl SigningSecret {
    /// Returns the bytes of the key, with which messages are signed.
    ///
    /// # Errors
    /// Fails if a variable is not set or if the text is no such secret. The error does not repeat the text.
    pub fn read(&self) -> Result<Vec<u8>> {
        let text = self.0.expanded()?;
        let text = text.trim();
        let bytes = BASE64_STANDARD.decode(text.strip_prefix("whsec_").unwrap_or(text)).unwrap_or_default();
        ensure!(
            (24..=64).contains(&bytes.len()),
            "expected whsec_ and 24 to 64 bytes in Base64; create one with: echo whsec_$(openssl rand -base64 32)"
        );
        Ok(bytes)
    }
}

/// Returns what may be shown of an address: its scheme, host and port. The secret of a receiver is in the path.
pub fn shown(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
}

fn parse(text: &str) -> Result<Url> {
    const EXPECTED: &str = "expected an address such as https://HOST/PATH or ${VARIABLE}";
    let url = Url::parse(text).map_err(|error| Error::msg(format!("{EXPECTED}: {error}")))?;
    let is_http = matches!(url.scheme(), "http" | "https") && url.host_str().is_some_and(|host| !host.is_empty());
    // The parser takes the first part of the path as the host if that is missing, which may then be shown.
    ensure!(is_http && !text.contains(":///"), "{EXPECTED}");
    ensure!(url.fragment().is_none(), "{EXPECTED}: a fragment (#…) is never sent");
    Ok(url)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn receiver(text: &str) -> Result<Url> {
        serde_json::from_value::<ReceiverUrl>(json!(text))?.read()
    }

    #[test]
    fn only_the_host_of_an_address_is_shown() {
        let url = receiver("https://user:secret@hooks.example:8443/secret/path?key=secret").unwrap();
        assert_eq!(shown(&url), "https://hooks.example:8443");
        assert_eq!(url.path(), "/secret/path");
        let from_json: ReceiverUrl = serde_json::from_value(json!("https://hooks.example/secret")).unwrap();
        assert!(!format!("{from_json:?}").contains("secret"));
    }

    #[test]
    fn other_texts_are_refused_and_not_repeated() {
        for text in ["", "secret", "ftp://h/secret", "https://", "https:///secret", "https://h/secret#part", "${"] {
            let error = format!("{:#}", receiver(text).unwrap_err());
            assert!(error.contains("expected") && !error.contains("secret"), "{text}: {error}");
        }
        // A variable that is not set is an error only where the address is needed.
        let unset: ReceiverUrl = serde_json::from_value(json!("https://h/${NO_SUCH_VARIABLE}")).unwrap();
        assert!(unset.read().unwrap_err().to_string().contains("no variable NO_SUCH_VARIABLE"));
    }

    #[test]
    fn a_signing_secret_has_24_to_64_bytes() {
        let secret = |text: &str| serde_json::from_value::<SigningSecret>(json!(text)).unwrap().read();
        let key = BASE64_STANDARD.encode([7; 24]);
        assert_eq!(secret(&format!("whsec_{key}")).unwrap(), [7; 24]);
        assert_eq!(secret(&format!(" {key}\n")).unwrap(), [7; 24]);
        for wrong in ["", "whsec_", "secret", &BASE64_STANDARD.encode([7; 23]), &BASE64_STANDARD.encode([7; 65])] {
            let error = secret(wrong).unwrap_err().to_string();
            assert!(error.contains("openssl rand") && !error.contains("secret"), "{wrong}: {error}");
        }
    }
}
