//! Cuts a stream into pieces that end where a row ends, so that threads can read rows of one file side by side.

use std::io::{self, Read};

use memchr::{memchr, memrchr};

/// Number of bytes that are read at once: large enough to make passing a piece between threads cheap, small enough for
/// a piece and what is made of it to stay in a core's cache.
pub const PIECE: usize = 128 * 1024;

/// Maximum length of a row, in bytes. A longer row means that a quote is never closed or that the file is not a table.
/// A reader needs at most a few times this amount of memory.
pub const LONGEST_ROW: usize = 1024 * 1024;

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The pieces of a stream.
pub struct Pieces<R> {
    stream: R,
    /// The beginning of a row whose end has not been read yet.
    rest: Vec<u8>,
    begun: bool,
    ended: bool,
}

impl<R: Read> Pieces<R> {
    pub fn new(stream: R) -> Self {
        Self { stream, rest: Vec::new(), begun: false, ended: false }
    }

    /// Returns the stream that is read.
    pub fn stream(&self) -> &R {
        &self.stream
    }

    /// Returns whether the stream has ended, so that the last piece has been returned.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Returns the next piece: whole rows, of which only the last one of the stream may lack its line break. The last
    /// piece may be empty. A piece that contains no end of a row is longer than [`LONGEST_ROW`]. Must not be called
    /// after the last piece. `bytes` is memory that may be used for it.
    pub fn next(&mut self, mut bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        bytes.clear();
        bytes.append(&mut self.rest);
        let is_first = !std::mem::replace(&mut self.begun, true);
        loop {
            self.ended = !self.read(&mut bytes)?;
            if self.ended {
                return Ok(bytes);
            }
            // A quote after a byte order mark is at the beginning of a field.
            let mark = if is_first && bytes.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
            match end_of_rows(&bytes[mark..]) {
                0 if bytes.len() <= LONGEST_ROW => {}
                0 => return Ok(bytes),
                end => {
                    self.rest.extend_from_slice(&bytes[mark + end..]);
                    bytes.truncate(mark + end);
                    return Ok(bytes);
                }
            }
        }
    }

    /// Appends [`PIECE`] bytes, or fewer at the end of the stream. Returns whether it has not ended.
    fn read(&mut self, bytes: &mut Vec<u8>) -> io::Result<bool> {
        let mut filled = bytes.len();
        let full = filled + PIECE;
        bytes.resize(full, 0);
        while filled < full {
            match self.stream.read(&mut bytes[filled..]) {
                Ok(0) => {
                    bytes.truncate(filled);
                    return Ok(false);
                }
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

/// Returns the length of the whole rows at the beginning of `bytes`, which begin with a row. A line break inside quotes
/// ends no row.
///
/// A quote opens a quoted field only at the beginning of a field, as in the csv crate; elsewhere it is a character.
fn end_of_rows(bytes: &[u8]) -> usize {
    let end_of_lines = |from: usize, to: usize| memrchr(b'\n', &bytes[from..to]).map(|at| from + at + 1);
    let mut end = 0;
    let mut from = 0; // outside quotes
    while let Some(quote) = memchr(b'"', &bytes[from..]).map(|at| from + at) {
        end = end_of_lines(from, quote).unwrap_or(end);
        from = match quote == 0 || matches!(bytes[quote - 1], b',' | b'\n') {
            false => quote + 1,
            true => match end_of_quoted(bytes, quote + 1) {
                Some(closed) => closed,
                None => return end,
            },
        };
    }
    end_of_lines(from, bytes.len()).unwrap_or(end)
}

/// Returns the position after the quote that closes a field whose text begins at `from`; `None` if the bytes end before
/// that is known, because two quotes in a row stand for one.
fn end_of_quoted(bytes: &[u8], mut from: usize) -> Option<usize> {
    loop {
        let next = from + memchr(b'"', &bytes[from..])? + 1;
        match bytes.get(next)? {
            b'"' => from = next + 1,
            _ => return Some(next),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::record::tests::rows_of;
    use rand_xoshiro::Xoshiro256PlusPlus;
    use rand_xoshiro::rand_core::{Rng, SeedableRng};

    #[test]
    fn rows_end_where_the_csv_crate_ends_them() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
        for _ in 0..20_000 {
            let length = random.next_u32() % 40;
            let text: Vec<u8> = (0..length).map(|_| b"a,\n\"\r"[random.next_u32() as usize % 5]).collect();
            let end = end_of_rows(&text);
            let ends: Vec<usize> = [0].into_iter().chain(rows_of(&text).into_iter().map(|(_, end)| end)).collect();
            // Line breaks of empty lines are no rows of their own.
            let blank = text[..end].iter().rev().take_while(|byte| **byte == b'\n').count();
            assert!((end - blank..=end).any(|at| ends.contains(&at)), "{:?}: {end}", str::from_utf8(&text));
            // Every row that has ended is included. At the end of the text, a quote may be open.
            let complete = ends.iter().rev().find(|at| **at < text.len()).copied().unwrap_or(0);
            assert!(end >= complete, "{:?}: {end} {complete}", str::from_utf8(&text));
        }
    }

    #[test]
    fn pieces_are_the_stream_and_end_at_rows() {
        let row = |i: usize| format!("{i},\"a\nb\"\"{}\",c\"\n", "x".repeat(i % 50));
        let text: String = (0..20_000).map(row).collect();
        for text in [text.as_str(), text.trim_end(), &"\n".repeat(3 * PIECE), &text[..PIECE], ""] {
            let mut pieces = Pieces::new(text.as_bytes());
            let mut found = Vec::new();
            while !pieces.ended() {
                let piece = pieces.next(Vec::new()).unwrap();
                assert!(pieces.ended() || piece.ends_with(b"\n"));
                assert!(piece.len() <= PIECE + 100);
                found.extend(piece);
            }
            assert!(found == text.as_bytes());
        }
    }

    #[test]
    fn an_endless_row_comes_as_one_piece_that_is_longer_than_any_row() {
        let text = format!("a\n\"{}", "x\n".repeat(LONGEST_ROW));
        let mut pieces = Pieces::new(text.as_bytes());
        assert_eq!(pieces.next(Vec::new()).unwrap(), b"a\n");
        let endless = pieces.next(Vec::new()).unwrap();
        assert!(endless.len() > LONGEST_ROW && endless.len() <= LONGEST_ROW + PIECE);
    }
}
