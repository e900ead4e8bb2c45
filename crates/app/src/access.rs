//! Access control: local clients and clients that send the token are admitted, provided that they use a known host
//! name.

mod hosts;
mod origin;

use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use anyhow::{Result, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use common::config::Config;
use common::config::service::{Bind, Token};
use subtle::ConstantTimeEq;

use self::hosts::Hosts;

pub use self::origin::check as check_origin;

/// The access rules, determined once when the service starts.
#[derive(Debug)]
pub struct Access {
    /// The config's token, with which the service also proves its identity.
    token: Option<Token>,
    /// Whether clients must send the token, if there is one.
    is_required: bool,
    /// The accepted host names.
    pub hosts: Hosts,
}

impl Access {
    /// Determines the access rules. With `no_auth` every client is admitted. Otherwise, if the config has a token,
    /// clients must send it. Without a token every client is admitted, which is allowed only if no other machine can
    /// reach the service.
    ///
    /// # Errors
    /// Returns an error if other machines can reach one of `binds` and there is neither a token nor `no_auth`, or if
    /// the token cannot be read.
    pub fn decide(config: &Config, binds: &[Bind], no_auth: bool) -> Result<Self> {
        let token = match &config.api_token {
            Some(source) if no_auth => source.read().ok(),
            Some(source) => Some(source.read()?),
            None => None,
        };
        if token.is_none()
            && !no_auth
            && let Some(open) = binds.iter().find(|bind| !bind.is_local())
        {
            bail!(
                "other machines can reach {open} and would need no token; set api_token or api_token_file in {} (see \
                 crates/app/README.md), listen on 127.0.0.1 behind a proxy, or pass --no-auth",
                config.file.display()
            );
        }
        Ok(Self { token, is_required: !no_auth, hosts: Hosts::new(config, binds) })
    }

    /// The proof, for a client's challenge, that this service holds the token; `None` without a token.
    pub fn proof(&self, challenge: &str) -> Option<String> {
        self.token.as_ref()?.proof(challenge)
    }

    /// Whether a request with these headers is admitted: it needs `Authorization: Bearer TOKEN`, or `Basic` with any
    /// user name and the token as the password, which is what browsers send after asking for it.
    pub fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(token) = self.token.as_ref().filter(|_| self.is_required) else { return true };
        let sent = headers.get(AUTHORIZATION).and_then(|value| sent_token(value.as_bytes()));
        // Constant-time comparison: its duration reveals at most the token's length.
        sent.is_some_and(|sent| token.secret().as_bytes().ct_eq(&sent).into())
    }
}

/// The token in the value of an `Authorization` header.
fn sent_token(authorization: &[u8]) -> Option<Vec<u8>> {
    let space = authorization.iter().position(|byte| *byte == b' ')?;
    let (scheme, rest) = (&authorization[..space], authorization[space..].trim_ascii());
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Some(rest.to_owned());
    }
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let pair = BASE64_STANDARD.decode(rest).ok()?;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    Some(pair[colon + 1..].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;
    use serde_json::json;
    use testkit::Workspace;

    const TOKEN: &str = "0123456789abcdef";

    #[test]
    fn only_clients_that_send_the_token_are_admitted() {
        let mut workspace = Workspace::new();
        workspace.write("token", TOKEN);
        workspace.set("api_token_file", json!("token"));
        let access = Access::decide(&workspace.config(), &[], false).unwrap();
        let basic = |pair: String| format!("Basic {}", BASE64_STANDARD.encode(pair));
        for (shown, admitted) in [
            (format!("Bearer {TOKEN}"), true),
            (format!("bearer  {TOKEN}"), true),
            (basic(format!("anna:{TOKEN}")), true),
            (basic(format!(":{TOKEN}")), true),
            (format!("Bearer {TOKEN}0"), false),
            ("Bearer 0123456789abcdeF".to_owned(), false),
            ("Bearer".to_owned(), false),
            (format!("Token {TOKEN}"), false),
            (TOKEN.to_owned(), false),
            (basic(TOKEN.to_owned()), false),
            (basic(format!("{TOKEN}:")), false),
            ("Basic ???".to_owned(), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_str(&shown).unwrap());
            assert_eq!(access.admits(&headers), admitted, "{shown}");
        }
        assert!(!access.admits(&HeaderMap::new()));
    }

    #[test]
    fn an_address_that_other_machines_can_reach_needs_a_token_or_no_auth() {
        let workspace = Workspace::new();
        let config = workspace.config();
        let bind = |text| Bind::parse(text, &config.folder).unwrap();
        let (local, open) = (bind("127.0.0.1:0"), bind("0.0.0.0:0"));
        assert!(Access::decide(&config, &[local.clone(), bind("unix:x")], false).unwrap().admits(&HeaderMap::new()));
        let refused = Access::decide(&config, &[local, open.clone()], false).unwrap_err().to_string();
        for part in ["0.0.0.0:0", "api_token", "--no-auth"] {
            assert!(refused.contains(part), "{refused}");
        }
        assert!(Access::decide(&config, &[open], true).unwrap().admits(&HeaderMap::new()));
    }
}
