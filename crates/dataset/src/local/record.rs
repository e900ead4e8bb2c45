//! Finds the rows of a piece of CSV text and the fields of each row.
//!
//! Nearly all rows contain no quote: their fields end where the commas are, which are found eight bytes at a time. A
//! row with a quote is split by the csv crate's parser.

use std::ops::Range;

use memchr::memchr;

/// A row, split into fields.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    text: &'a [u8],
    start: usize,
    ends: &'a [u32],
    /// Number of bytes between two fields: 1 in the text of a file, 0 where quotes have been removed.
    gap: usize,
}

impl<'a> Record<'a> {
    /// Returns the number of fields.
    #[inline]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns the range of a field in [`Self::text`]; empty if there are fewer fields.
    #[inline]
    pub fn range(&self, field: usize) -> Range<usize> {
        let start = match field {
            0 => self.start,
            _ => self.ends.get(field - 1).map_or(0, |end| *end as usize + self.gap),
        };
        start..self.ends.get(field).map_or(start, |end| *end as usize)
    }

    #[inline]
    pub fn field(&self, field: usize) -> &'a [u8] {
        &self.text[self.range(field)]
    }

    /// The text that contains the fields.
    #[inline]
    pub fn text(&self) -> &'a [u8] {
        self.text
    }

    /// Returns whether the fields are as they are in the file.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.gap == 1
    }
}

/// The rows of one piece. The piece is passed to each call, so that it need not be borrowed in between.
pub struct Splitter {
    /// Where the next row begins.
    at: usize,
    has_quotes: bool,
    /// The ends of fields: of the whole piece if it has no quotes, else of the current row.
    ends: Vec<u32>,
    /// The fields of the piece that belong to earlier rows.
    used: usize,
    quoted: Quoted,
}

/// The parser for rows with quotes.
struct Quoted {
    parser: csv_core::Reader,
    text: Vec<u8>,
    ends: Vec<usize>,
}

/// Where a row is.
#[derive(Clone)]
pub struct Found {
    /// The whole row in the piece, with its line break.
    pub row: Range<usize>,
    /// The range of its fields in [`Splitter::ends`].
    fields: Range<usize>,
    is_quoted: bool,
}

impl Splitter {
    pub fn new() -> Self {
        let parser = csv_core::ReaderBuilder::new().terminator(csv_core::Terminator::Any(b'\n')).build();
        let quoted = Quoted { parser, text: Vec::new(), ends: Vec::new() };
        Self { at: 0, has_quotes: false, ends: Vec::new(), used: 0, quoted }
    }

    /// Begins with a piece, whose first row begins at `start`.
    pub fn begin(&mut self, piece: &[u8], start: usize) {
        self.at = start;
        self.used = 0;
        self.ends.clear();
        self.has_quotes = memchr(b'"', &piece[start..]).is_some();
        if !self.has_quotes {
            field_ends(piece, start, &mut self.ends);
        }
    }

    /// Finds the next row that is not an empty line; `None` at the end of the piece.
    #[inline]
    pub fn next(&mut self, piece: &[u8]) -> Option<Found> {
        if !self.has_quotes {
            return self.next_plain(piece);
        }
        while piece.get(self.at) == Some(&b'\n') {
            self.at += 1;
        }
        let start = self.at;
        if start == piece.len() {
            return None;
        }
        let end = memchr(b'\n', &piece[start..]).map_or(piece.len(), |at| start + at);
        let is_quoted = memchr(b'"', &piece[start..end]).is_some();
        self.ends.clear();
        self.at = match is_quoted {
            true => start + self.quoted.split(&piece[start..], &mut self.ends),
            false => {
                field_ends(&piece[..end], start, &mut self.ends);
                piece.len().min(end + 1)
            }
        };
        Some(Found { row: start..self.at, fields: 0..self.ends.len(), is_quoted })
    }

    #[inline]
    fn next_plain(&mut self, piece: &[u8]) -> Option<Found> {
        loop {
            let (start, first) = (self.at, self.used);
            let mut last = first;
            // Every row ends at a line break, the last one at the end of the piece at the latest.
            while piece.get(*self.ends.get(last)? as usize).is_some_and(|byte| *byte != b'\n') {
                last += 1;
            }
            let end = self.ends[last] as usize;
            self.at = piece.len().min(end + 1);
            self.used = last + 1;
            if end > start {
                return Some(Found { row: start..self.at, fields: first..last + 1, is_quoted: false });
            }
        }
    }

    /// Returns the fields of a row that was found in `piece` by the latest call of [`Splitter::next`].
    #[inline]
    pub fn record<'a>(&'a self, piece: &'a [u8], found: &Found) -> Record<'a> {
        let ends = &self.ends[found.fields.clone()];
        match found.is_quoted {
            true => Record { text: &self.quoted.text, start: 0, ends, gap: 0 },
            false => Record { text: piece, start: found.row.start, ends, gap: 1 },
        }
    }
}

impl Quoted {
    /// Splits the first row of `text`; returns its length with the line break.
    fn split(&mut self, text: &[u8], ends: &mut Vec<u32>) -> usize {
        self.text.resize(self.text.len().max(256), 0);
        self.ends.resize(self.ends.len().max(16), 0);
        self.parser.reset();
        // A reset parser would skip a byte order mark, which is one only at the beginning of a file.
        self.parser.read_record(b"\n", &mut self.text, &mut self.ends);
        let (mut read, mut written, mut fields) = (0, 0, 0);
        loop {
            let (result, bytes_read, bytes_written, ended) =
                self.parser.read_record(&text[read..], &mut self.text[written..], &mut self.ends[fields..]);
            read += bytes_read;
            written += bytes_written;
            fields += ended;
            match result {
                csv_core::ReadRecordResult::OutputFull => self.text.resize(2 * self.text.len(), 0),
                csv_core::ReadRecordResult::OutputEndsFull => self.ends.resize(2 * self.ends.len(), 0),
                // At the end of the text the next input is empty, which ends the row.
                csv_core::ReadRecordResult::InputEmpty => {}
                csv_core::ReadRecordResult::Record | csv_core::ReadRecordResult::End => break,
            }
        }
        ends.extend(self.ends[..fields].iter().map(|end| *end as u32));
        read
    }
}

/// Appends the ends of all fields of `text` from `start`: the positions of commas and line breaks, and the end of the
/// text if the last row has no line break.
fn field_ends(text: &[u8], start: usize, ends: &mut Vec<u32>) {
    let (words, rest) = text[start..].as_chunks::<8>();
    let mut at = start;
    for word in words {
        let word = u64::from_le_bytes(*word);
        let mut found = equal_bytes(word, b',') | equal_bytes(word, b'\n');
        while found != 0 {
            ends.push((at + found.trailing_zeros() as usize / 8) as u32);
            found &= found - 1;
        }
        at += 8;
    }
    ends.extend((at..).zip(rest).filter(|(_, byte)| matches!(byte, b',' | b'\n')).map(|(at, _)| at as u32));
    if text.len() > start && !text.ends_with(b"\n") {
        ends.push(text.len() as u32);
    }
}

/// Returns a word whose byte is 0x80 where that of `word` is `byte`, and 0 elsewhere (Warren, Hacker's Delight, 2nd ed.
/// 2012, §6-1).
fn equal_bytes(word: u64, byte: u8) -> u64 {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    let zero_if_equal = word ^ (u64::from(byte) * 0x0101_0101_0101_0101);
    !(((zero_if_equal & LOW) + LOW) | zero_if_equal | LOW)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use rand_xoshiro::Xoshiro256PlusPlus;
    use rand_xoshiro::rand_core::{Rng, SeedableRng};

    /// Returns the fields of each row and its end, as the csv crate finds them.
    pub fn rows_of(text: &[u8]) -> Vec<(Vec<Vec<u8>>, usize)> {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .terminator(csv::Terminator::Any(b'\n'))
            .from_reader(text);
        let mut record = csv::ByteRecord::new();
        let mut rows = Vec::new();
        while reader.read_byte_record(&mut record).unwrap() {
            rows.push((record.iter().map(<[u8]>::to_vec).collect(), reader.position().byte() as usize));
        }
        rows
    }

    #[test]
    fn rows_and_fields_are_those_of_the_csv_crate() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(2);
        let mut splitter = Splitter::new();
        for round in 0..40_000 {
            let letters: &[u8] = if round % 2 == 0 { b"abcdef,,\n" } else { b"a\xbf\r,,\n\"\"" };
            let length = random.next_u32() % 60;
            let text: Vec<u8> = (0..length).map(|_| letters[random.next_u32() as usize % letters.len()]).collect();
            let mut found = Vec::new();
            splitter.begin(&text, 0);
            while let Some(row) = splitter.next(&text) {
                let record = splitter.record(&text, &row);
                found.push(((0..record.len()).map(|field| record.field(field).to_vec()).collect(), row.row.end));
            }
            assert_eq!(found, rows_of(&text), "{:?}", str::from_utf8(&text));
        }
    }

    #[test]
    fn a_byte_order_mark_after_the_header_is_text() {
        let text = "\u{feff}\"a\",b\n\u{feff}c\n".as_bytes();
        let mut splitter = Splitter::new();
        splitter.begin(text, 0);
        for expected in ["\u{feff}\"a\"", "\u{feff}c"] {
            let row = splitter.next(text).unwrap();
            assert_eq!(splitter.record(text, &row).field(0), expected.as_bytes());
        }
    }

    #[test]
    fn a_long_row_with_quotes_and_many_fields() {
        let text = format!("\"{}\"\"\"{}\nnext\n", "x".repeat(5000), ",y".repeat(500));
        let mut splitter = Splitter::new();
        splitter.begin(text.as_bytes(), 0);
        let row = splitter.next(text.as_bytes()).unwrap();
        let record = splitter.record(text.as_bytes(), &row);
        assert_eq!((record.len(), record.field(0).len(), record.field(500)), (501, 5001, &b"y"[..]));
        let row = splitter.next(text.as_bytes()).unwrap();
        assert_eq!(&text[row.row], "next\n");
        assert!(splitter.next(text.as_bytes()).is_none());
    }
}
