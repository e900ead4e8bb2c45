//! The address of a Spark Connect server and its parameters: `sc://host:port/;key=value;…`, in the syntax of PySpark.

use std::env;

use anyhow::{Result, bail};
use common::config::cluster::EngineAddress;
use percent_encoding::percent_decode_str;
use uuid::Uuid;

/// The port of an address that does not specify one.
const DEFAULT_PORT: u16 = 15002;
/// Environment variables that PySpark also reads; they apply if the address does not have the parameter.
const TOKEN_VARIABLE: &str = "SPARK_CONNECT_AUTHENTICATE_TOKEN";
const USER_AGENT_VARIABLE: &str = "SPARK_CONNECT_USER_AGENT";
/// Prefix of parameters for PySpark's channel. They have no meaning here and are not sent as headers either.
const IGNORED: &str = "grpc_keepalive_";

/// The server to connect to, and the headers of every request.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Host and port; an IPv6 address is in brackets.
    pub authority: String,
    /// The host alone, for which a TLS certificate must be valid.
    pub host: String,
    pub tls: bool,
    pub user_id: String,
    /// The session id that the address specifies; `None` if each session is to have a new id.
    pub session_id: Option<String>,
    pub user_agent: String,
    /// Names and values of the headers, including the token.
    pub headers: Vec<(String, String)>,
}

impl Endpoint {
    /// Parses an address.
    ///
    /// # Errors
    /// Fails if a parameter is invalid. The error identifies it by its number and never shows its text, which may be a
    /// token.
    pub fn parse(address: &EngineAddress) -> Result<Self> {
        let text = address.with_secrets();
        let rest = text.strip_prefix("sc://").unwrap_or(text);
        let (authority, parameters) = match rest.find(['/', ';', '?']) {
            Some(end) => (&rest[..end], rest[end..].strip_prefix('/').unwrap_or(&rest[end..])),
            None => (rest, ""),
        };
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse::<u16>().ok()),
            _ => (authority, Some(DEFAULT_PORT)),
        };
        let Some(port) = port else { bail!("{address} is refused: its port is not a number below 65536") };
        let host = host.to_ascii_lowercase();
        let mut endpoint = Self {
            authority: format!("{host}:{port}"),
            host: host.trim_matches(['[', ']']).to_owned(),
            tls: false,
            user_id: String::new(),
            session_id: None,
            user_agent: env::var(USER_AGENT_VARIABLE).unwrap_or_default(),
            headers: Vec::new(),
        };
        let mut token = env::var(TOKEN_VARIABLE).ok();
        if !parameters.is_empty() && !parameters.starts_with(';') {
            bail!("{address} is refused: parameters follow \"/;\", as in sc://host:15002/;use_ssl=true");
        }
        for (number, parameter) in (1..).zip(parameters.split(';').skip(1).filter(|text| !text.is_empty())) {
            let refused = || format!("{address} is refused: its parameter {number} is not key=value");
            let Some((key, value)) = parameter.split_once('=').filter(|(_, value)| !value.contains('=')) else {
                bail!(refused());
            };
            let Ok(value) = percent_decode_str(value).decode_utf8() else { bail!(refused()) };
            let value = value.into_owned();
            match key {
                "use_ssl" => endpoint.tls = value.eq_ignore_ascii_case("true"),
                "token" => token = Some(value),
                "user_id" => endpoint.user_id = value,
                "user_agent" => endpoint.user_agent = value,
                "session_id" => match Uuid::parse_str(&value) {
                    Ok(_) => endpoint.session_id = Some(value),
                    Err(_) => bail!("{address} is refused: its session_id is not a UUID"),
                },
                _ if key.starts_with(IGNORED) => {}
                _ => endpoint.headers.push((key.to_ascii_lowercase(), value)),
            }
        }
        if let Some(token) = token {
            let is_local = ["localhost", "127.0.0.1", "::1"].contains(&endpoint.host.as_str());
            if !endpoint.tls && !is_local {
                bail!("{address} is refused: a token is sent only over TLS (use_ssl=true) or to this machine");
            }
            endpoint.headers.push(("authorization".to_owned(), format!("Bearer {token}")));
        }
        Ok(endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Endpoint> {
        Endpoint::parse(&EngineAddress::parse(text)?)
    }

    #[test]
    fn parameters_are_read_as_pyspark_reads_them() {
        let plain = parse("sc://Spark.example").unwrap();
        assert_eq!((plain.authority.as_str(), plain.tls), ("spark.example:15002", false));
        let id = "6a8f0f6e-3a7c-4c4e-9b7a-0d6b0b6c7d11";
        let all = format!(
            "sc://[::1]:15/;use_ssl=True;user_id=a%20b;token=t%3D1;X-Tenant=7;session_id={id};grpc_keepalive_time_ms=5"
        );
        let all = parse(&all).unwrap();
        assert_eq!((all.authority.as_str(), all.host.as_str(), all.tls), ("[::1]:15", "::1", true));
        assert_eq!((all.user_id.as_str(), all.session_id.as_deref()), ("a b", Some(id)));
        let headers = [("x-tenant", "7"), ("authorization", "Bearer t=1")];
        assert_eq!(all.headers, headers.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn a_token_never_travels_in_clear_text() {
        assert!(parse("sc://localhost/;token=geheim").is_ok() && parse("sc://host/;use_ssl=true;token=geheim").is_ok());
        for wrong in [
            "sc://host/;token=geheim",
            "sc://host/;token=geheim=1",
            "sc://host/;geheim",
            "sc://host/geheim",
            "sc://host:70000/;token=geheim",
            "sc://host/;session_id=geheim",
        ] {
            let error = parse(wrong).err().unwrap().to_string();
            assert!(
                error.contains("sc://host") && error.contains("is refused") && !error.contains("geheim"),
                "{error}"
            );
        }
    }
}
