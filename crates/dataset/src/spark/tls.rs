//! TLS to the server: the certificate authorities that may vouch for it, and what a failed connection means.
//!
//! The library says in its own words why it refuses a certificate, and it reports that like any other failure of the
//! network. Here such a failure is recognised, because it is final: the same server has the same certificate again.

use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, iter};

use anyhow::{Context, Result, bail, ensure};
use fs_err as fs;
use jiff::Timestamp;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{AlertDescription, CertificateError, InvalidMessage, RootCertStore};
use tonic::transport::ClientTlsConfig;

use crate::spark::endpoint::Endpoint;

/// Environment variable by which a user replaces the authorities of the machine. The library reads it.
const CA_VARIABLE: &str = "SSL_CERT_FILE";
/// The beginning of an HTTP/2 connection: the preface and empty settings. A server answers with its own settings.
const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// Content types of TLS, in the first byte of each of its messages.
const TLS_ALERT: u8 = 21;
const TLS_HANDSHAKE: u8 = 22;

/// The server whose certificate is checked, and the authorities that may vouch for it.
#[derive(Clone)]
pub struct Trust {
    host: String,
    /// The file of the key `engine_ca_path`. Without it, the authorities of this machine are trusted.
    ca_path: Option<PathBuf>,
}

impl Trust {
    /// Returns what to trust at an address; `None` if it does not use TLS.
    pub fn new(endpoint: &Endpoint, ca_path: Option<&Path>) -> Result<Option<Self>> {
        if let Some(path) = ca_path.filter(|_| !endpoint.tls) {
            bail!(
                "key \"engine_ca_path\": {} has an effect only with TLS; add use_ssl=true to the key \"engine\" or \
                 remove this key",
                path.display()
            );
        }
        Ok(endpoint.tls.then(|| Self { host: endpoint.host.clone(), ca_path: ca_path.map(Path::to_owned) }))
    }

    /// Returns the settings of the library. They are read once, so a session keeps its authorities.
    pub fn settings(&self) -> Result<ClientTlsConfig> {
        let settings = ClientTlsConfig::new().domain_name(&self.host);
        let Some(path) = &self.ca_path else {
            // The library ignores a file that it cannot read.
            env::var_os(CA_VARIABLE).map(fs::File::open).transpose().context(CA_VARIABLE)?;
            return Ok(settings.with_native_roots());
        };
        let authorities = read_authorities(path).context("key \"engine_ca_path\"")?;
        Ok(settings.trust_anchors(authorities.roots))
    }

    /// Says what to do if the library does not accept the settings.
    pub fn no_authorities(&self) -> String {
        format!(
            "TLS to {} cannot be set up with {}; if none is found, set the key \"engine_ca_path\" or the environment \
             variable {CA_VARIABLE}",
            self.host,
            self.authorities()
        )
    }

    /// Describes the trusted authorities.
    fn authorities(&self) -> String {
        match (&self.ca_path, env::var_os(CA_VARIABLE)) {
            (Some(path), _) => format!("a certificate authority in {} (key \"engine_ca_path\")", path.display()),
            (None, Some(path)) => format!("a certificate authority in {} ({CA_VARIABLE})", path.display()),
            (None, None) => "a certificate authority that this machine trusts".to_owned(),
        }
    }

    /// Says why there is no connection, and what to do.
    pub fn failure(&self, error: &(dyn Error + 'static)) -> String {
        if let Some(refusal) = self.refusal(error) {
            return refusal;
        }
        let root = causes(error).last().unwrap_or(error);
        let network = causes(error).filter_map(|error| error.downcast_ref::<io::Error>()).last();
        if root.to_string().contains("HTTP/2 was not negotiated") {
            return NO_HTTP2.to_owned();
        }
        match network.map(io::Error::kind) {
            Some(ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => {
                format!("the server closed the connection during the TLS handshake; if it does not speak TLS, {NO_TLS}")
            }
            _ => root.to_string(),
        }
    }

    /// Says why TLS with the server is impossible, and what to do; `None` if an error has another cause, which may be
    /// gone at the next attempt.
    pub fn refusal(&self, error: &(dyn Error + 'static)) -> Option<String> {
        // This alert arrives after the handshake, and of an error after the handshake only the text is passed on.
        if causes(error).any(|error| error.to_string().ends_with("received fatal alert: CertificateRequired")) {
            return Some(
                "the server requires a certificate of the client, which is not supported; let it require a token"
                    .to_owned(),
            );
        }
        let refused = causes(error).find_map(|error| error.downcast_ref::<rustls::Error>())?;
        Some(match refused {
            rustls::Error::InvalidCertificate(why) => format!("the server's certificate {}", self.invalid(why)),
            rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
                format!("the server does not speak TLS; {NO_TLS}")
            }
            rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol) => NO_HTTP2.to_owned(),
            other => format!("TLS failed: {other}"),
        })
    }

    /// Says what is wrong with the server's certificate.
    fn invalid(&self, why: &CertificateError) -> String {
        let (host, authorities) = (&self.host, self.authorities());
        let time = |time: &UnixTime| {
            i64::try_from(time.as_secs())
                .ok()
                .and_then(|seconds| Timestamp::from_second(seconds).ok())
                .unwrap_or_default()
        };
        match why {
            // The signature is wrong if another authority has the same name.
            CertificateError::UnknownIssuer | CertificateError::BadSignature if self.ca_path.is_some() => {
                format!(
                    "was not issued by {authorities}; add the certificate of the authority that issued it to this file"
                )
            }
            CertificateError::UnknownIssuer | CertificateError::BadSignature => format!(
                "was not issued by {authorities}; if it is from an authority of your own, set the key \
                 \"engine_ca_path\" or the environment variable {CA_VARIABLE} to a PEM file with the authority's certificate"
            ),
            CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => {
                format!("names no host (subjectAltName); have it issued for {host}")
            }
            CertificateError::NotValidForNameContext { presented, .. } => format!(
                "is not valid for {host} but for {}; use that name in the key \"engine\", or have the certificate issued \
                 for {host}",
                presented.iter().map(|name| bare(name)).collect::<Vec<_>>().join(", ")
            ),
            CertificateError::ExpiredContext { time: now, not_after } => {
                format!("expired at {}; renew it (the clock of this machine says {})", time(not_after), time(now))
            }
            CertificateError::NotValidYetContext { time: now, not_before } => {
                format!("is valid only from {} on; the clock of this machine says {}", time(not_before), time(now))
            }
            other if format!("{other:?}").contains("CaUsedAsEndEntity") => format!(
                "is that of a certificate authority, as self-signed ones are; have a certificate for {host} issued by \
                 {authorities}"
            ),
            other if format!("{other:?}").contains("UnsupportedCertVersion") => {
                format!("has version 1, which names no host; have one of version 3 issued for {host} (subjectAltName)")
            }
            other => format!("is not valid: {other}"),
        }
    }
}

const NO_HTTP2: &str = "the server does not offer HTTP/2, which Spark Connect needs; configure its TLS with ALPN h2";
const NO_TLS: &str = "set the key \"engine\" to a port with TLS, or remove use_ssl=true if no TLS is needed";

/// Returns an error and its causes, each being the cause of the one before.
pub fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |&error: &&'a (dyn Error + 'static)| {
        // The source of an I/O error is not the error that it wraps, but the source of the wrapped one.
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

/// Returns the name in a text such as `DnsName("host")`.
fn bare(name: &str) -> &str {
    name.split_once('(').map_or(name, |(_, name)| name.trim_end_matches(')').trim_matches('"'))
}

/// Reads the certificates of a PEM file.
fn read_authorities(path: &Path) -> Result<RootCertStore> {
    let content = fs::read(path)?;
    let mut authorities = RootCertStore::empty();
    for (number, certificate) in (1..).zip(CertificateDer::pem_slice_iter(&content)) {
        certificate
            .map_err(anyhow::Error::from)
            .and_then(|certificate| Ok(authorities.add(certificate)?))
            .with_context(|| format!("{}: certificate {number} cannot be read", path.display()))?;
    }
    ensure!(
        !authorities.is_empty(),
        "{} contains no certificate; expected a PEM file, whose certificates begin with -----BEGIN CERTIFICATE-----",
        path.display()
    );
    Ok(authorities)
}

/// Checks that a server answers in clear text. `stream` is a new connection to it.
///
/// Without this check, a server that expects TLS would look like one that breaks every connection. A server that does
/// not answer within `limit` passes, because it may be busy.
pub fn check_clear_text(mut stream: TcpStream, limit: Duration) -> Result<()> {
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    let mut first = [0];
    let answer = stream.write_all(GREETING).and_then(|()| stream.read(&mut first));
    match (answer.map_err(|error| error.kind()), first) {
        (Ok(1..), [TLS_ALERT | TLS_HANDSHAKE]) => {
            bail!("the server expects TLS; add use_ssl=true to the key \"engine\"")
        }
        (Ok(1..), [b'H']) => bail!("the server speaks HTTP/1; give the port of Spark Connect in the key \"engine\""),
        (Ok(0) | Err(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), _) => {
            bail!(
                "the server closed the connection without an answer; if it expects TLS, add use_ssl=true to the key \"engine\""
            )
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use common::config::cluster::EngineAddress;
    use tonic::Status;

    use super::*;

    fn trust(address: &str, ca_path: Option<&Path>) -> Result<Option<Trust>> {
        Trust::new(&Endpoint::parse(&EngineAddress::parse(address)?)?, ca_path)
    }

    #[test]
    fn the_file_of_the_authorities_is_checked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let error = trust("sc://localhost", Some(&path)).err().unwrap().to_string();
        assert!(error.contains("key \"engine_ca_path\"") && error.contains("use_ssl=true"), "{error}");
        assert!(error.contains(&path.display().to_string()), "{error}");
        assert!(trust("sc://localhost", None).unwrap().is_none());

        let trust = trust("sc://localhost/;use_ssl=true", Some(&path)).unwrap().unwrap();
        let pem = |label: &str, text: &str| format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n");
        for (content, expected) in [
            (None, "No such file"),
            (Some(String::new()), "contains no certificate"),
            (Some("0\u{1}\u{2}".to_owned()), "contains no certificate"),
            (Some(pem("PRIVATE KEY", "MAA=")), "contains no certificate"),
            (Some(pem("CERTIFICATE", "MAA=")), "certificate 1 cannot be read"),
            (Some(pem("CERTIFICATE", "!")), "certificate 1 cannot be read"),
            (Some("-----BEGIN CERTIFICATE-----\nMAA=\n".to_owned()), "certificate 1 cannot be read"),
        ] {
            content.iter().for_each(|content| fs::write(&path, content).unwrap());
            let error = format!("{:#}", trust.settings().err().unwrap());
            assert!(error.contains("key \"engine_ca_path\"") && error.contains(expected), "{content:?}: {error}");
            assert!(error.contains(&path.display().to_string()), "{error}");
        }
    }

    #[test]
    fn only_what_tls_refuses_is_final() {
        let trust = trust("sc://host/;use_ssl=true", None).unwrap().unwrap();
        let refusal = |error: io::Error| {
            let wrapped = tonic::ConnectError(Box::new(io::Error::other(error)));
            trust.refusal(&Status::from_error(Box::new(wrapped)))
        };
        let tls = |error: rustls::Error| io::Error::new(ErrorKind::InvalidData, error);
        let unknown = refusal(tls(CertificateError::UnknownIssuer.into())).unwrap();
        assert!(unknown.contains("SSL_CERT_FILE") && unknown.contains("\"engine_ca_path\""), "{unknown}");
        assert!(refusal(tls(CertificateError::Revoked.into())).unwrap().contains("certificate is not valid: Revoked"));
        let alert = rustls::Error::AlertReceived(AlertDescription::HandshakeFailure);
        assert!(refusal(tls(alert)).unwrap().contains("HandshakeFailure"));
        for kind in [ErrorKind::ConnectionReset, ErrorKind::UnexpectedEof, ErrorKind::TimedOut] {
            assert_eq!(refusal(io::Error::from(kind)), None);
        }
        assert_eq!(trust.refusal(&Status::unavailable("the server is starting")), None);
    }
    #[test]
    fn a_server_that_does_not_speak_in_clear_text_is_named() {
        const ALERT: &[u8] = &[TLS_ALERT, 3, 3, 0, 2, 2, 70];
        const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
        for (answer, expected) in [
            (ALERT, Some("expects TLS; add use_ssl=true")),
            (b"HTTP/1.1 400 Bad Request", Some("speaks HTTP/1")),
            (b"", Some("closed the connection without an answer")),
            (SETTINGS, None),
        ] {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let server = std::thread::spawn(move || {
                let (mut client, _) = listener.accept().unwrap();
                client.read_exact(&mut vec![0; GREETING.len()]).unwrap();
                client.write_all(answer).unwrap();
            });
            let checked = check_clear_text(stream, Duration::from_secs(60)).map_err(|error| error.to_string());
            server.join().unwrap();
            match expected {
                Some(expected) => assert!(checked.unwrap_err().contains(expected), "{expected}"),
                None => checked.unwrap(),
            }
        }
    }
}
