//! Reads files with several threads, also one file: each thread takes the next piece and works on its rows.
//!
//! Reading, the checksums and the numbers of lines are in order, everything else is not. What a caller makes of the
//! pieces it puts in order with further stages.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Error, Result, bail};
use common::files::checksum::{Checksum, Hasher};
use common::schema::Schema;

use crate::local::pieces::Pieces;
use crate::local::reader::{Layout, Scanner, first_piece, newlines};
use crate::local::stage::{Panicked, Stage};

/// A stream of client rows.
pub trait Input: Read + Send {
    /// Checks, after it has been read, that it is still what it was.
    fn check_unchanged(&self) -> Result<()>;
}

/// A stream that does not change, such as one in memory.
pub struct Unchanging<R>(pub R);

impl<R: Read> Read for Unchanging<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R: Read + Send> Input for Unchanging<R> {
    fn check_unchanged(&self) -> Result<()> {
        Ok(())
    }
}

/// An open file that must not change while it is read.
pub struct WatchedFile {
    file: File,
    before: Metadata,
}

impl WatchedFile {
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path)?;
        let before = file.metadata()?;
        Ok(Self { file, before })
    }
}

impl Read for WatchedFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

impl Input for WatchedFile {
    fn check_unchanged(&self) -> Result<()> {
        let after = self.file.metadata()?;
        if (self.before.len(), self.before.modified()?) != (after.len(), after.modified()?) {
            bail!("the file changed while it was read; run again when its writer has finished");
        }
        Ok(())
    }
}

/// A piece of a file that a thread has taken.
pub struct Taken {
    /// Number of the piece among those of all files.
    pub number: u64,
    /// Index of its file.
    pub file: usize,
    pub bytes: Vec<u8>,
    /// Number of bytes of all files up to its end.
    pub read: u64,
    /// Where its rows begin, after a header.
    start: usize,
    /// Where the columns are in its file; `None` if the file could not be read.
    layout: Option<Arc<Layout>>,
    /// Whether it is the last one of its file.
    pub is_last: bool,
    /// The fault of the file that ended the reading, instead of a piece.
    pub fault: Option<Error>,
}

/// Facts about a piece that follow from all earlier ones.
pub struct Passed {
    /// Number of lines of the file before the piece.
    pub lines: u64,
    /// The checksum of the whole file, if this is its last piece.
    pub checksum: Option<Checksum>,
}

/// What follows from a file that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFault {
    /// No further file is read.
    Stop,
    /// The next file is read.
    GoOn,
}

/// Files that are being read. `open` opens a file by its index.
pub struct Files<'a, F, R> {
    schema: &'a Schema,
    needs_target: bool,
    on_fault: OnFault,
    source: Mutex<Source<F, R>>,
    checksums: Stage<(Hasher, u64)>,
}

struct Source<F, R> {
    open: F,
    files: usize,
    /// The file that is open, its layout and its index.
    current: Option<(Pieces<R>, Arc<Layout>, usize)>,
    /// Index of the next file.
    next: usize,
    pieces: u64,
    read: u64,
}

impl<'a, F: FnMut(usize) -> Result<R> + Send, R: Input> Files<'a, F, R> {
    pub fn new(schema: &'a Schema, files: usize, needs_target: bool, open: F) -> Self {
        let source = Source { open, files, current: None, next: 0, pieces: 0, read: 0 };
        let checksums = Stage::new((Hasher::default(), 0));
        Self { schema, needs_target, on_fault: OnFault::Stop, source: Mutex::new(source), checksums }
    }

    /// Changes what follows from a file that cannot be used; by default no further file is read.
    pub fn on_fault(self, on_fault: OnFault) -> Self {
        Self { on_fault, ..self }
    }

    /// Takes the next piece; `None` after the last one, and, unless the reading goes on, after a piece with a fault. Every
    /// piece must be passed to [`Self::pass`]. `bytes` is memory that may be used for it.
    pub fn take(&self, bytes: Vec<u8>) -> Option<Taken> {
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        if source.current.is_none() && source.next == source.files {
            return None;
        }
        let number = source.pieces;
        source.pieces += 1;
        let file = source.current.as_ref().map_or(source.next, |(_, _, file)| *file);
        Some(source.piece(self.schema, self.needs_target, bytes).unwrap_or_else(|fault| {
            if self.on_fault == OnFault::Stop {
                source.stop();
            }
            Taken {
                number,
                file,
                bytes: Vec::new(),
                read: 0,
                start: 0,
                layout: None,
                is_last: true,
                fault: Some(fault),
            }
        }))
    }

    /// Takes no further pieces, because of a fault in one.
    pub fn stop(&self) {
        self.source.lock().unwrap_or_else(PoisonError::into_inner).stop();
    }

    /// Waits until all earlier pieces have passed, and adds the piece to the checksum of its file.
    pub fn pass(&self, piece: &Taken, panicked: &Panicked) -> Option<Passed> {
        let lines = newlines(&piece.bytes);
        self.checksums.pass(piece.number, panicked, |(hasher, before)| {
            hasher.update(&piece.bytes);
            let passed = Passed { lines: *before, checksum: None };
            *before += lines;
            if !piece.is_last {
                return passed;
            }
            *before = 0;
            Passed { checksum: Some(std::mem::take(hasher).finish()), ..passed }
        })
    }
}

impl<F: FnMut(usize) -> Result<R>, R: Input> Source<F, R> {
    fn piece(&mut self, schema: &Schema, needs_target: bool, bytes: Vec<u8>) -> Result<Taken> {
        let (mut pieces, layout, file, first) = match self.current.take() {
            Some((pieces, layout, file)) => (pieces, layout, file, None),
            None => {
                let file = self.next;
                self.next += 1;
                let mut pieces = Pieces::new((self.open)(file)?);
                let (bytes, layout, start) = first_piece(schema, &mut pieces, needs_target)?;
                (pieces, layout, file, Some((bytes, start)))
            }
        };
        let (bytes, start) = match first {
            Some(first) => first,
            None => (pieces.next(bytes)?, 0),
        };
        let is_last = pieces.ended();
        if is_last {
            pieces.stream().check_unchanged()?;
        } else {
            self.current = Some((pieces, Arc::clone(&layout), file));
        }
        self.read += bytes.len() as u64;
        Ok(Taken {
            number: self.pieces - 1,
            file,
            bytes,
            read: self.read,
            start,
            layout: Some(layout),
            is_last,
            fault: None,
        })
    }

    fn stop(&mut self) {
        self.current = None;
        self.next = self.files;
    }
}

impl Taken {
    /// Moves a scanner to the first row of the piece; `None` if the piece has a fault. `scanner` is kept from piece to
    /// piece, because it holds much memory.
    pub fn scanner<'s, 'k>(
        &self,
        schema: &'s Schema,
        scanner: &'k mut Option<Scanner<'s>>,
    ) -> Option<&'k mut Scanner<'s>> {
        let layout = self.layout.as_ref()?;
        let scanner = scanner.get_or_insert_with(|| Scanner::new(schema, layout));
        scanner.begin(layout, &self.bytes, self.start);
        Some(scanner)
    }
}
