//! Access control: local clients and clients that send the token are admitted, provided that they use a known host
//! name.

mod hosts;

use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use anyhow::{Result, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use common::config::Config;
use common::config::service::{Bind, Token};
use subtle::ConstantTimeEq;

use self::hosts::Hosts;

/// The access rules, determined once when the service starts.
#[derive(Debug)]
pub struct Access {
    /// The token that clients must send; `None` if they need none.
    token: Option<Token>,
    /// The config's token, with which the service proves its identity, also with `no_auth`.
    own: Option<Token>,
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
        let hosts = Hosts::new(config, binds);
        if no_auth {
            let own = config.api_token.as_ref().and_then(|source| source.read().ok());
            return Ok(Self { token: None, own, hosts });
        }
        if let Some(source) = &config.api_token {
            let token = source.read()?;
            return Ok(Self { token: Some(token.clone()), own: Some(token), hosts });
        }
        match binds.iter().find(|bind| !bind.is_local()) {
            None => Ok(Self { token: None, own: None, hosts }),
            Some(open) => bail!(
                "other machines can reach {open}, and they would need no token; set api_token or api_token_file in {} \
                 (see crates/app/README.md), listen on 127.0.0.1 behind a proxy, or say --no-auth",
                config.file.display()
            ),
        }
    }

    /// The proof, for a client's challenge, that this service holds the token; `None` without a token.
    pub fn proof(&self, challenge: &str) -> Option<String> {
        self.own.as_ref()?.proof(challenge)
    }

    /// Whether a request with these headers is admitted: it needs `Authorization: Bearer TOKEN`, or `Basic` with any
    /// user name and the token as the password, which is what browsers send after asking for it.
    pub fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else { return true };
        let shown = headers.get(AUTHORIZATION).and_then(|value| shown(value.as_bytes()));
        // Constant-time comparison: its duration reveals at most the token's length.
        shown.is_some_and(|shown| token.secret().as_bytes().ct_eq(&shown).into())
    }
}

fn shown(authorization: &[u8]) -> Option<Vec<u8>> {
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
    fn only_who_shows_the_token_is_admitted() {
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
    fn whoever_can_be_reached_from_elsewhere_needs_a_token_or_says_that_it_wants_none() {
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
