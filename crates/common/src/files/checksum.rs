//! SHA-256 checksums, which identify the content of a file.

use std::fmt;
use std::io::{self, Read, Write};
use std::path::Path;
use std::str::FromStr;

use anyhow::{Result, ensure};
use fs_err::File;
use serde::{Deserialize, Serialize};
use sha2::Digest;

/// A SHA-256 checksum, as 64 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Checksum(String);

impl Checksum {
    /// Computes the checksum of bytes in memory.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::default();
        hasher.update(bytes);
        hasher.finish()
    }

    /// Computes the checksum of a file's content. Reads the file in pieces, so it does not have to fit in memory.
    pub fn of_file(path: &Path) -> Result<Self> {
        let mut file = File::open(path)?;
        let mut hasher = Hasher::default();
        let mut buffer = vec![0; 128 * 1024];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(hasher.finish()),
                n => hasher.update(&buffer[..n]),
            }
        }
    }

    /// Returns all 64 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the first 12 digits, which are enough for a person to tell two checksums apart.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl FromStr for Checksum {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let digits = text.bytes().all(|digit| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit));
        ensure!(text.len() == 64 && digits, "{text:?} is not a SHA-256 checksum");
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for Checksum {
    type Error = anyhow::Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Computes a [`Checksum`] piece by piece.
#[derive(Default)]
pub struct Hasher(sha2::Sha256);

impl Hasher {
    /// Adds the next piece of the content.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Returns the checksum of all pieces added so far.
    pub fn finish(self) -> Checksum {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digits = |byte: &u8| [byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)] as char);
        Checksum(self.0.finalize().iter().flat_map(digits).collect())
    }
}

/// A writer that computes the checksum of everything that is written.
pub struct Hashed<W> {
    out: W,
    hasher: Hasher,
}

impl<W> Hashed<W> {
    /// Creates a writer to `out`.
    pub fn new(out: W) -> Self {
        Self { out, hasher: Hasher::default() }
    }

    /// Returns the writer below and the checksum.
    pub fn finish(self) -> (W, Checksum) {
        (self.out, self.hasher.finish())
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answer_of_fips_180() {
        let checksum = Checksum::of_bytes(b"abc");
        assert_eq!(checksum.as_str(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(checksum.short(), "ba7816bf8f01");
        let mut hashed = Hashed::new(Vec::new());
        hashed.write_all(b"ab").and_then(|()| hashed.write_all(b"c")).unwrap();
        assert_eq!(hashed.finish(), (b"abc".to_vec(), checksum));
    }
}
