//! The content of a batch's file, as far as it matters for joining it with others.

use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use common::files::INGESTION_RECORD;
use common::files::atomic::AtomicFile;
use common::files::checksum::{Checksum, Hashed, Hasher};
use fs_err::File;

use super::Part;

/// Length of a header, in bytes, above which a file is not merged.
const LONGEST_HEADER: usize = 1 << 20;

/// What matters of a file's content.
#[derive(Debug, PartialEq, Eq)]
pub struct Content {
    sha256: Checksum,
    /// The bytes of the header with its line break. `None` if there is none or a quoted field is not closed, which happens
    /// only in files that were edited: rows of another file could then not be appended or would be read differently.
    header: Option<Vec<u8>>,
    /// Whether the last row ends with a line break.
    is_terminated: bool,
}

impl Content {
    /// Reads the file of `part`.
    ///
    /// # Errors
    /// Fails if the file cannot be read or has changed since it was ingested.
    pub fn of(part: &Part) -> Result<Self> {
        let path = &part.file.path;
        let reading = || format!("merging old batches: reading {}", path.display());
        let content = Self::read(BufReader::new(File::open(path)?)).with_context(reading)?;
        if content.sha256 != part.sha256 {
            bail!(
                "{} has changed since it was ingested; restore it, or delete {INGESTION_RECORD} in the output folder to read \
                 all rows of the input database again",
                path.display()
            );
        }
        Ok(content)
    }

    fn read(mut file: impl BufRead) -> io::Result<Self> {
        let (mut hasher, mut line, mut header) = (Hasher::default(), Vec::new(), Vec::new());
        let (mut in_header, mut in_quotes, mut is_terminated) = (true, false, true);
        while file.read_until(b'\n', &mut line)? > 0 {
            hasher.update(&line);
            in_quotes ^= line.iter().filter(|byte| **byte == b'"').count() % 2 == 1;
            is_terminated = line.ends_with(b"\n");
            if in_header && header.len() <= LONGEST_HEADER {
                header.extend_from_slice(&line);
                in_header = in_quotes || !is_terminated;
            }
            line.clear();
        }
        Ok(Self { sha256: hasher.finish(), header: (!in_header && !in_quotes).then_some(header), is_terminated })
    }

    /// Whether the rows of both files can follow the same header.
    pub fn is_like(&self, other: &Self) -> bool {
        self.header.is_some() && self.header == other.header
    }
}

/// Writes one header and the rows of all `files`, which are alike, to `path`. Returns the checksum of the new file.
pub fn join<'a>(files: impl Iterator<Item = (&'a Path, &'a Content)>, path: &Path) -> Result<Checksum> {
    let mut joined = Hashed::new(AtomicFile::create(path)?);
    let write = || -> Result<()> {
        for (number, (path, Content { header, is_terminated, .. })) in files.enumerate() {
            let header = header.as_deref().unwrap_or_default();
            if number == 0 {
                joined.write_all(header)?;
            }
            let mut file = File::open(path)?;
            file.seek(SeekFrom::Start(header.len() as u64))?;
            io::copy(&mut file, &mut joined)?;
            if !is_terminated {
                joined.write_all(b"\n")?;
            }
        }
        Ok(())
    };
    write().with_context(|| format!("writing {}", path.display()))?;
    let (file, sha256) = joined.finish();
    file.commit()?;
    Ok(sha256)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(text: &str) -> Content {
        Content::read(text.as_bytes()).unwrap()
    }

    fn joined(texts: &[&str]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let write = |(number, text): (usize, &&str)| {
            let path = folder.path().join(number.to_string());
            fs_err::write(&path, text).unwrap();
            (path, content(text))
        };
        let files: Vec<_> = texts.iter().enumerate().map(write).collect();
        let path = folder.path().join("joined");
        let sha256 = join(files.iter().map(|(path, content)| (path.as_path(), content)), &path).unwrap();
        assert_eq!(sha256, Checksum::of_file(&path).unwrap());
        fs_err::read_to_string(path).unwrap()
    }

    #[test]
    fn the_rows_follow_one_header_with_their_own_bytes() {
        let joins = ["a,b\n1,2\n", "a,b\n3,\"x\ny\"\"z\"\n", "a,b\n", "a,b\n4,5", "a,b\n6,7\r\n\n"];
        assert_eq!(joined(&joins), "a,b\n1,2\n3,\"x\ny\"\"z\"\n4,5\n6,7\r\n\n");
        assert_eq!(joined(&["\"a\nb\",c\n1,2\n", "\"a\nb\",c\n3,4"]), "\"a\nb\",c\n1,2\n3,4\n");
    }

    #[test]
    fn only_complete_files_with_the_same_header_are_alike() {
        let file = content("a,b\n1,2\n");
        assert!(file.is_like(&content("a,b\n3,4")) && file.is_like(&content("a,b\n")));
        for other in ["b,a\n3,4\n", "a,b\r\n3,4\n", "\u{feff}a,b\n3,4\n", "a,b\n\"3,4\n", "a,b", ""] {
            assert!(!file.is_like(&content(other)), "{other:?}");
        }
        for broken in ["", "a,b", "\"a,b\n1,2\n", "a,b\n\"3,4\n", &"x".repeat(LONGEST_HEADER + 9)] {
            assert!(!content(broken).is_like(&content(broken)), "{broken:?}");
        }
    }
}
