//! The addresses on which the service listens and its requirements for clients: everything on which `app` and its
//! clients must agree.

use std::env;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result, anyhow, bail};
use fs_err as fs;
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;

use crate::config::values::SecretText;

/// An address or socket on which the service listens.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Bind {
    /// An IP address and a port; for port 0 the system chooses a free one.
    Tcp(SocketAddr),
    /// Path of a Unix socket.
    Unix(PathBuf),
}

impl Bind {
    /// Parses `ADDRESS:PORT` or `unix:PATH`. A relative path is resolved against `folder`.
    pub fn parse(text: &str, folder: &Path) -> Result<Self> {
        match text.strip_prefix("unix:") {
            Some("") => bail!("expected unix:PATH, found \"{text}\""),
            Some(path) => Ok(Self::Unix(folder.join(path))),
            None => text
                .parse()
                .map(Self::Tcp)
                .map_err(|_| anyhow!("expected ADDRESS:PORT such as 127.0.0.1:8000, or unix:PATH, found \"{text}\"")),
        }
    }

    /// The default: port 8000 of the loopback address.
    pub(super) fn default_list() -> Vec<Self> {
        vec![Self::Tcp((Ipv4Addr::LOCALHOST, 8000).into())]
    }

    /// Resolves the path of a Unix socket against `folder`.
    pub(super) fn resolve(&mut self, folder: &Path) {
        if let Self::Unix(path) = self {
            *path = folder.join(&*path);
        }
    }

    /// Whether the service can be reached only from this machine: a loopback address or a Unix socket.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }

    /// Returns the address at which this machine can reach the service: the loopback address if it listens on all
    /// addresses. `None` for a Unix socket.
    pub fn address(&self) -> Option<SocketAddr> {
        let Self::Tcp(mut address) = *self else { return None };
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        Some(address)
    }
}

impl TryFrom<String> for Bind {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        Self::parse(&text, Path::new(""))
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A host name in the form in which it is compared with requests: in lower case, without a port and without the final
/// dot.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct HostName(String);

impl HostName {
    /// Parses a name such as `risk.example`.
    pub fn parse(text: &str) -> Result<Self> {
        let name = text.strip_suffix('.').unwrap_or(text);
        let is_name = name.split('.').all(|label| {
            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        });
        match is_name {
            true => Ok(Self(name.to_ascii_lowercase())),
            false => bail!("expected a host name such as risk.example, without scheme and port, found \"{text}\""),
        }
    }

    /// Whether this is `localhost`, the name that every machine has for itself (RFC 6761).
    pub fn is_localhost(&self) -> bool {
        self.0 == "localhost"
    }
}

impl TryFrom<String> for HostName {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        Self::parse(&text)
    }
}

/// The source of the token that clients must present. The token is read only where it is needed, so a step that calls
/// no service runs without it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "SecretText")]
pub enum TokenSource {
    /// Name of an environment variable.
    Variable(String),
    /// Path of a file that holds only the token.
    File(PathBuf),
}

impl TokenSource {
    /// Parses `${NAME}`. The error for any other text does not repeat it, because it may be the token itself.
    pub fn variable(text: &str) -> Result<Self> {
        match text.strip_prefix("${").and_then(|text| text.strip_suffix('}')) {
            Some(name) if !name.is_empty() => Ok(Self::Variable(name.to_owned())),
            _ => {
                bail!("expected ${{NAME}}, the name of an environment variable; a file is named by \"api_token_file\"")
            }
        }
    }

    /// Reads the token.
    ///
    /// # Errors
    /// Fails if the variable or file does not exist, or the token is shorter than 16 characters or contains a
    /// space, a colon or anything else than visible ASCII characters.
    pub fn read(&self) -> Result<Token> {
        let (text, origin) = match self {
            Self::Variable(name) => (env::var(name).ok(), format!("variable {name}")),
            Self::File(path) => (Some(fs::read_to_string(path)?), path.display().to_string()),
        };
        let text = text.with_context(|| format!("the environment has no {origin}; set it to the API token"))?;
        let text = text.trim();
        if text.len() < SHORTEST_TOKEN || !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':') {
            bail!(
                "{origin}: expected a token of at least {SHORTEST_TOKEN} letters, digits or signs without spaces and colons; \
                 create one with: openssl rand -hex 32"
            );
        }
        Ok(Token(text.to_owned()))
    }
}

impl TryFrom<SecretText> for TokenSource {
    type Error = Error;

    fn try_from(text: SecretText) -> Result<Self> {
        Self::variable(&text.0)
    }
}

/// Minimum length of a token, in characters.
const SHORTEST_TOKEN: usize = 16;

/// The token that a client must present. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Returns the secret as text.
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// Returns the answer to `challenge` that only a holder of this token can compute: the HMAC-SHA256 of the challenge
    /// under the token, in hexadecimal digits. `None` unless the challenge has the form of [`challenge`], so that no
    /// other text can be signed.
    ///
    /// A client uses it to check that it talks to the service before it sends the token. A challenge is used once, so a
    /// recorded answer is worthless to a listener that repeats it. There are two limits. A listener that can reach the
    /// service at another address can forward the challenge, and then receives the token. And an answer allows its
    /// receiver to test guesses of the token offline, so the token must be random, not a password.
    pub fn proof(&self, challenge: &str) -> Option<String> {
        let mac = self.mac(challenge)?.finalize().into_bytes();
        Some(mac.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Whether `proof` is the answer to `challenge`. Compares in constant time.
    pub fn is_proved(&self, challenge: &str, proof: &str) -> bool {
        let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let byte = |digits: &[u8]| Some(digit(digits.first()?)? << 4 | digit(digits.get(1)?)?);
        let bytes: Option<Vec<u8>> = proof.as_bytes().chunks(2).map(byte).collect();
        let (Some(mac), Some(bytes)) = (self.mac(challenge), bytes) else { return false };
        mac.verify_slice(&bytes).is_ok()
    }

    fn mac(&self, challenge: &str) -> Option<Hmac<Sha256>> {
        let is_challenge =
            challenge.len() == CHALLENGE_DIGITS && challenge.bytes().all(|byte| byte.is_ascii_hexdigit());
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_bytes()).ok().filter(|_| is_challenge)?;
        mac.update(b"client risk service: ");
        mac.update(challenge.as_bytes());
        Some(mac)
    }
}

/// Header of a request for `/health/live` that asks the service to prove that it holds the token.
pub const CHALLENGE_HEADER: &str = "x-challenge";

/// Header of the response with the proof.
pub const PROOF_HEADER: &str = "x-challenge-proof";

const CHALLENGE_DIGITS: usize = 64;

/// Creates a challenge that was never used: 256 random bits in hexadecimal digits.
///
/// # Errors
/// Fails if the system provides no random numbers.
pub fn challenge() -> Result<String> {
    let mut random = [0; CHALLENGE_DIGITS / 2];
    getrandom::fill(&mut random).context("drawing a random number")?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("Token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(text: &str) -> Result<Bind, String> {
        Bind::parse(text, Path::new("/here")).map_err(|error| error.to_string())
    }

    #[test]
    fn addresses_to_listen_on_are_printed_as_they_are_parsed() {
        for text in ["127.0.0.1:8000", "[::1]:80", "0.0.0.0:0", "unix:/run/risk.sock"] {
            assert_eq!(bind(text).unwrap().to_string(), text);
        }
        assert_eq!(bind("unix:risk.sock").unwrap(), Bind::Unix("/here/risk.sock".into()));
        for wrong in ["", "localhost", "127.0.0.1", "unix:", "http://127.0.0.1:80"] {
            assert!(bind(wrong).unwrap_err().contains("expected"), "{wrong}");
        }
    }

    #[test]
    fn only_what_this_machine_alone_can_reach_is_local() {
        for local in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "unix:x"] {
            assert!(bind(local).unwrap().is_local(), "{local}");
        }
        for open in ["0.0.0.0:1", "[::]:1", "192.168.0.1:1", "[::ffff:10.0.0.1]:1"] {
            assert!(!bind(open).unwrap().is_local(), "{open}");
        }
        let reached = |text| bind(text).unwrap().address().map(|address| address.to_string());
        assert_eq!(reached("0.0.0.0:81").as_deref(), Some("127.0.0.1:81"));
        assert_eq!(reached("[::]:81").as_deref(), Some("[::1]:81"));
        assert_eq!(reached("unix:x"), None);
    }

    #[test]
    fn a_token_comes_from_elsewhere_and_is_never_shown() {
        let refused = TokenSource::variable("topsecrettopsecret").unwrap_err().to_string();
        assert!(refused.contains("${NAME}") && !refused.contains("topsecret"), "{refused}");
        let missing = TokenSource::variable("${NO_SUCH_TOKEN}").unwrap().read().unwrap_err().to_string();
        assert!(missing.contains("NO_SUCH_TOKEN"), "{missing}");
        let file = tempfile::NamedTempFile::new().unwrap();
        let source = TokenSource::File(file.path().to_owned());
        for (text, good) in [("0123456789abcdef\n", true), ("short", false), ("0123456789 abcdef", false), ("", false)]
        {
            fs::write(file.path(), text).unwrap();
            match source.read() {
                Ok(token) => assert!(good && token.secret() == text.trim() && !format!("{token:?}").contains("0123")),
                Err(error) => assert!(!good && !error.to_string().contains("0123"), "{error}"),
            }
        }
    }

    #[test]
    fn only_a_holder_of_the_token_can_answer_a_challenge() {
        let (token, other) = (Token("0123456789abcdef".to_owned()), Token("0123456789abcdeg".to_owned()));
        let (first, second) = (challenge().unwrap(), challenge().unwrap());
        assert_ne!(first, second);
        let proof = token.proof(&first).unwrap();
        assert!(token.is_proved(&first, &proof) && token.is_proved(&first, &proof.to_uppercase()));
        assert!(!token.is_proved(&second, &proof) && !other.is_proved(&first, &proof));
        for wrong in ["", "0", &proof[1..], &proof[2..], &format!("{proof}00"), &proof.replace(&proof[..1], "x"), "ä"]
        {
            assert!(!token.is_proved(&first, wrong), "{wrong}");
        }
        for no_challenge in ["", "GET /scoring", &first[1..], &format!("{first}0"), &"ä".repeat(32)] {
            assert_eq!(token.proof(no_challenge), None, "{no_challenge}");
        }
        // Known answer, computed with another implementation (Python's hmac module).
        let zeros = "0".repeat(64);
        assert_eq!(token.proof(&zeros).unwrap(), "016ade769128a71a35127fe8eefed2239b430268ff5979292ae2d592032e60b7");
    }

    #[test]
    fn host_names_have_neither_scheme_nor_port() {
        for (text, name) in [("Risk.Example", "risk.example"), ("a_b-1.", "a_b-1"), ("localhost", "localhost")] {
            assert_eq!(HostName::parse(text).unwrap(), HostName(name.to_owned()));
        }
        for wrong in ["", ".", "a..b", "http://a", "a:80", "*.example", "a b", "größe.example", "[::1]"] {
            assert!(HostName::parse(wrong).unwrap_err().to_string().contains("risk.example"), "{wrong}");
        }
    }
}
