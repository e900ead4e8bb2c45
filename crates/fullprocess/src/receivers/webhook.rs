//! Signed messages to a webhook, as Standard Webhooks specifies
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>).

use std::time::Instant;

use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use common::config::receivers;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;
use ureq::http::header::CONTENT_TYPE;
use ureq::http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::event::Event;
use super::http::post;

/// A webhook and the key that signs its messages.
pub struct Webhook {
    url: Url,
    key: Vec<u8>,
}

impl Webhook {
    /// Creates a webhook whose messages are signed with `key`.
    pub fn new(url: Url, key: Vec<u8>) -> Self {
        Self { url, key }
    }

    /// What may be shown of its address.
    pub fn shown(&self) -> String {
        receivers::shown(&self.url)
    }

    /// Sends one message.
    ///
    /// # Errors
    /// Fails if the receiver has not accepted it before `deadline`.
    pub fn send(&self, event: &Event, deadline: Instant) -> Result<()> {
        let body = event.body().to_string();
        // The time of this attempt: receivers refuse old messages, because they may be replayed.
        let time = Timestamp::now().as_second().to_string();
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in [
            ("webhook-id", event.id.clone()),
            ("webhook-timestamp", time.clone()),
            ("webhook-signature", signature(&self.key, &event.id, &time, &body)?),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::try_from(value)?);
        }
        post(&self.url, &headers, body.as_bytes(), deadline)
    }
}

/// The signature of a message: HMAC-SHA256 of `id.time.body`, in Base64.
fn signature(key: &[u8], id: &str, time: &str, body: &str) -> Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).context("the signing secret cannot be used")?;
    mac.update(format!("{id}.{time}.{body}").as_bytes());
    Ok(format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's libraries.
    #[test]
    fn the_signature_is_that_of_the_specification() {
        let key = BASE64_STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", r#"{"test": 2432232314}"#);
        assert_eq!(signature.unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
