//! The host names under which the service may be addressed.
//!
//! A web page can make its own host name resolve to an address of this machine (DNS rebinding). Its scripts could then
//! read what the service answers to every client on this machine, but their requests name the page's host. So a request
//! must address the service by an IP address, as `localhost`, or by a name that the config allows.

use std::net::{Ipv4Addr, Ipv6Addr};

use actix_web::dev::ServiceRequest;
use actix_web::http::Version;
use actix_web::http::header::HOST;
use actix_web::http::uri::Authority;
use common::config::Config;
use common::config::service::{Bind, HostName};

use crate::problem::Problem;

/// The accepted host names.
#[derive(Debug)]
pub struct Hosts {
    allowed: Vec<HostName>,
    /// Whether the service listens on a Unix socket, which no web page can reach.
    has_socket: bool,
}

impl Hosts {
    /// The host names that `config` allows, for a service that listens on `binds`.
    pub fn new(config: &Config, binds: &[Bind]) -> Self {
        let has_socket = binds.iter().any(|bind| matches!(bind, Bind::Unix(_)));
        Self { allowed: config.allowed_hosts.clone(), has_socket }
    }

    /// Checks the host of the request's target and of its `Host` header. Requests over a Unix socket may use any name.
    ///
    /// # Errors
    /// A problem that names the unknown host and says how to address the service instead.
    pub fn check(&self, request: &ServiceRequest) -> Result<(), Problem> {
        if self.has_socket && request.peer_addr().is_none() {
            return Ok(());
        }
        let mut headers = request.headers().get_all(HOST);
        let header = headers.next();
        if headers.next().is_some() || (header.is_none() && request.version() == Version::HTTP_11) {
            return Err(Problem::BadRequest("send one Host header".to_owned())); // RFC 9112 §3.2
        }
        // An absolute target replaces the header (RFC 9112 §3.2.2), but a proxy may have used the header: both must be
        // valid.
        let header = header.map(|value| value.to_str().unwrap_or("?"));
        let target = request.uri().authority().map(Authority::as_str);
        match header.into_iter().chain(target).find(|authority| !self.knows(authority)) {
            None => Ok(()),
            Some(unknown) => Err(Problem::WrongHost(format!(
                "the service does not answer for the host \"{unknown}\"; use its IP address or localhost, or add the name \
                 to \"allowed_hosts\" in the service's config"
            ))),
        }
    }

    /// Whether an authority, such as `localhost:8000`, refers to this service. Every IP address is accepted: DNS cannot
    /// redirect it to another machine, and behind port forwarding the address that clients use is not one of this
    /// machine's.
    fn knows(&self, authority: &str) -> bool {
        let Ok(parsed) = authority.parse::<Authority>() else { return false };
        let host = parsed.host();
        // Neither user information before the host nor anything but a port after it is accepted.
        let port = authority.strip_prefix(host).map(|rest| rest.strip_prefix(':').unwrap_or(rest));
        if !port.is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit())) {
            return false;
        }
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        match bracketed {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None if host.parse::<Ipv4Addr>().is_ok() => true,
            None => HostName::parse(host).is_ok_and(|name| name.is_localhost() || self.allowed.contains(&name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use testkit::Workspace;

    #[test]
    fn addresses_localhost_and_allowed_names_are_known_and_nothing_else() {
        let mut workspace = Workspace::new();
        workspace.set("allowed_hosts", json!(["risk.example", "Intranet"]));
        let hosts = Hosts::new(&workspace.config(), &[]);
        for known in [
            "localhost",
            "LOCALHOST:8000",
            "localhost.",
            "127.0.0.1:8000",
            "127.9.9.9",
            "10.0.0.7:80",
            "0.0.0.0:8000",
            "[::1]",
            "[::1]:8000",
            "[2001:db8::7]:80",
            "risk.example",
            "Risk.Example.:443",
            "intranet:8000",
        ] {
            assert!(hosts.knows(known), "{known}");
        }
        for unknown in [
            "",
            ":8000",
            "?",
            "evil.example",
            "risk.example.evil.example",
            "a.risk.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "127.0.0.1.nip.io:8000",
            "localhost@evil.example",
            "evil.example@localhost",
            "[::1].evil.example",
            "[evil.example]",
            "::1",
            "localhost evil.example",
            "localhost, evil.example",
            "localhost:80:80",
            "xn--rsk-example",
        ] {
            assert!(!hosts.knows(unknown), "{unknown}");
        }
    }
}
