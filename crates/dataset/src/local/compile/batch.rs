//! The rows of one piece of a file, as the merge needs them.

use common::schema::Schema;
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

use crate::local::parallel::Taken;
use crate::local::reader::{MissingColumns, Next, Row, Scanner, Unreadable};
use crate::row::write_canonical;
use crate::rules::Malformed;

/// The bit of a client's entry that says that it is listed as active.
pub const STAYED: u8 = 1;
/// The bit of a client's entry that says that it is listed as left.
pub const LEFT: u8 = 2;

/// The rows of one piece.
#[derive(Default)]
pub struct Batch {
    /// The rows in canonical text, one after the other.
    text: Vec<u8>,
    /// Where each row ends in `text`.
    ends: Vec<u32>,
    pub fingerprints: Vec<u128>,
    /// The fingerprint of each row's client, 0 if the id is missing. The lowest two bits are instead [`STAYED`],
    /// [`LEFT`] or, if the target is missing, 0.
    pub clients: Vec<u64>,
    /// The rows with missing columns.
    pub missing: Vec<(u32, MissingColumns)>,
    pub malformed: Vec<MalformedLine>,
    /// The fault that ended the reading.
    pub unreadable: Option<Unreadable>,
}

/// A row that cannot be read, with the lines that it spans.
pub struct MalformedLine {
    /// Number of the line, counted from 1 at the first line of the piece.
    pub line: u64,
    /// Number of lines that it spans.
    pub lines: u64,
    pub reason: Malformed,
    /// The whole row, without its line break.
    pub text: String,
}

impl Batch {
    /// Replaces the rows by those of `piece`. `seed` is that of the fingerprints.
    pub fn read<'s>(&mut self, schema: &'s Schema, piece: &Taken, seed: u64, scanner: &mut Option<Scanner<'s>>) {
        self.text.clear();
        self.ends.clear();
        self.fingerprints.clear();
        self.clients.clear();
        self.missing.clear();
        self.malformed.clear();
        self.unreadable = None;
        let Some(scanner) = piece.scanner(schema, scanner) else { return };
        loop {
            match scanner.next(&piece.bytes) {
                Ok(Some(Next::Row(row))) => self.push(schema, &row, seed),
                Ok(Some(Next::Malformed(row))) => self.malformed.push(MalformedLine {
                    line: row.line,
                    lines: row.lines,
                    reason: row.reason,
                    text: row.text.to_owned(),
                }),
                Ok(None) => return,
                Err(unreadable) => {
                    self.unreadable = Some(unreadable);
                    return;
                }
            }
        }
    }

    fn push(&mut self, schema: &Schema, row: &Row, seed: u64) {
        let start = self.text.len();
        match row.canonical {
            Some(text) => self.text.extend_from_slice(text),
            None => write_canonical(&mut self.text, schema, row.id, row.predictors(), row.exited),
        }
        if row.missing != 0 {
            self.missing.push((self.ends.len() as u32, row.missing));
        }
        self.ends.push(self.text.len() as u32);
        self.fingerprints.push(xxh3_128_with_seed(&self.text[start..], seed));
        let bit = row.exited.map_or(0, |exited| if exited { LEFT } else { STAYED });
        let client = |id: &str| (xxh3_64_with_seed(id.as_bytes(), seed) & !0b11).max(0b100);
        self.clients.push(row.id.map_or(0, |id| client(id) | u64::from(bit)));
    }

    /// Returns the number of rows.
    pub fn rows(&self) -> usize {
        self.ends.len()
    }

    /// Returns the canonical text of a row.
    pub fn text(&self, row: usize) -> &[u8] {
        &self.text[self.start(row)..self.ends[row] as usize]
    }

    /// Returns the text of the rows that are kept.
    pub fn text_of(&self, kept: &[bool]) -> Vec<u8> {
        let mut text = Vec::with_capacity(self.text.len());
        let mut row = 0;
        for run in kept.chunk_by(|a, b| a == b) {
            let start = self.start(row);
            row += run.len();
            if run[0] {
                text.extend_from_slice(&self.text[start..self.start(row)]);
            }
        }
        text
    }

    fn start(&self, row: usize) -> usize {
        row.checked_sub(1).map_or(0, |before| self.ends[before] as usize)
    }
}
