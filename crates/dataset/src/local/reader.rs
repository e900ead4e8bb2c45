//! Reads the rows of CSV text and checks each row.
//!
//! A fault of the file (encoding, header, an unclosed quote) is an error that ends the reading; a fault of a row is
//! returned as data, which the caller sets aside. UTF-8 with or without a byte order mark, LF or CRLF, quoted fields,
//! columns in any order, with or without a trailing newline, blank lines: all variants give the same rows.
//!
//! A `Scanner` reads the rows of one piece of a file. [`RowReader`] reads a stream piece by piece; `parallel` reads
//! files with several threads.

use std::io::Read;
use std::str;
use std::sync::Arc;

use anyhow::{Context, Error, Result, anyhow, bail};
use common::schema::Schema;
use common::values::ValueRef;
use memchr::memchr_iter;

use crate::local::pieces::{LONGEST_ROW, Pieces};
use crate::local::record::{Found, Record, Splitter};
use crate::row::{parse_field, parse_id, parse_target};
use crate::rules::{Malformed, check_target, expected, find_columns};

/// A reader of checked rows from a CSV stream.
pub struct RowReader<'s, R> {
    pieces: Pieces<R>,
    piece: Vec<u8>,
    layout: Arc<Layout>,
    /// Number of lines before the piece.
    lines: u64,
    scanner: Scanner<'s>,
}

/// Where the columns of the schema are in a file.
#[derive(Debug)]
pub(super) struct Layout {
    /// The index in the file of each column of the schema.
    columns: Vec<usize>,
    width: usize,
}

/// Reads the rows of one piece after the other. The piece is passed to each call, so that it need not be borrowed in
/// between.
pub(super) struct Scanner<'s> {
    schema: &'s Schema,
    layout: Arc<Layout>,
    splitter: Splitter,
    /// The predictors of the current row.
    values: Vec<Parsed>,
    lines: LineCount,
}

/// Finds the lines of rows that follow each other. Lines are counted only where one is asked for.
#[derive(Default)]
struct LineCount {
    /// Position up to which line breaks have been counted.
    counted: usize,
    line_breaks: u64,
}

impl LineCount {
    /// Returns the number of the line of a position, counted from 1. No earlier position may follow.
    fn line(&mut self, piece: &[u8], position: usize) -> u64 {
        self.line_breaks += newlines(&piece[self.counted..position]);
        self.counted = position;
        self.line_breaks + 1
    }
}

/// A checked value of the current record.
#[derive(Clone, Copy)]
enum Parsed {
    Missing,
    Number(f64),
    /// `length` bytes of the record's text, from `start` on.
    Text {
        start: usize,
        length: usize,
    },
}

/// A checked row; its texts borrow from the piece.
pub struct Row<'a> {
    /// The client's id; `None` if missing.
    pub id: Option<&'a str>,
    /// Whether the client left; `None` if unknown.
    pub exited: Option<bool>,
    /// The columns that are missing: bit k for column k of the schema.
    pub missing: MissingColumns,
    /// The row as it is in the file, with its line break, if that is its canonical text.
    pub canonical: Option<&'a [u8]>,
    values: &'a [Parsed],
    text: &'a [u8],
}

/// A bit for each column of a schema, which has fewer than 128 columns.
pub type MissingColumns = u128;

impl<'a> Row<'a> {
    /// Returns the predictors in the order of the schema; `None` for a missing value.
    pub fn predictors(&self) -> impl Iterator<Item = Option<ValueRef<'a>>> + Clone + use<'a> {
        let text = self.text;
        self.values.iter().map(move |value| match *value {
            Parsed::Missing => None,
            Parsed::Number(number) => Some(ValueRef::Number(number)),
            // The text was checked when it was parsed.
            Parsed::Text { start, length } => {
                Some(ValueRef::Level(str::from_utf8(&text[start..start + length]).unwrap_or_default()))
            }
        })
    }
}

/// The next record of a stream: a valid row or a malformed one.
pub enum Next<'a> {
    /// A row that passed all checks.
    Row(Row<'a>),
    /// A row that cannot be read.
    Malformed(MalformedRow<'a>),
}

/// A row that cannot be read, with its original text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MalformedRow<'a> {
    /// Number of the line on which it begins, counted from 1 at the first line of the stream or, from a `Scanner`, of
    /// the piece.
    pub line: u64,
    /// Number of lines that it spans.
    pub lines: u64,
    /// The whole row, without its line break.
    pub text: &'a str,
    /// The reason why it cannot be read.
    pub reason: Malformed,
}

/// A fault that ends the reading.
#[derive(Debug)]
pub(super) struct Unreadable {
    /// Number of the line, counted from 1 at the first line of the piece.
    line: u64,
    fault: TextFault,
}

/// What makes text unreadable.
#[derive(Clone, Copy, Debug)]
enum TextFault {
    NotUtf8,
    TooLong,
}

impl Unreadable {
    /// Returns the error for people, after so many `lines` before the piece.
    pub fn after(&self, lines: u64) -> Error {
        let line = lines + self.line;
        match self.fault {
            TextFault::NotUtf8 => anyhow!("line {line} is not UTF-8; save the file as UTF-8"),
            TextFault::TooLong => anyhow!(
                "line {line}: the row that begins here is longer than {LONGEST_ROW} bytes; is a quote not closed?"
            ),
        }
    }
}

impl Layout {
    /// Finds the columns in the header, the first row of `piece`. Returns also where the rows begin; `None` if the piece
    /// contains only blank lines.
    ///
    /// # Errors
    /// Fails if the header is wrong; the error names the column.
    pub fn of_header(schema: &Schema, piece: &[u8], needs_target: bool) -> Result<Option<(Self, usize)>> {
        // A CR alone does not end a line. A file of such lines is refused because of its header, instead of being
        // read with wrong line numbers.
        let terminator = csv::Terminator::Any(b'\n');
        let mut csv =
            csv::ReaderBuilder::new().has_headers(false).flexible(true).terminator(terminator).from_reader(piece);
        let mut header = csv::ByteRecord::new();
        // Blank lines are ignored, as everywhere else.
        while header.iter().all(|field| field.trim_ascii().is_empty()) && header.len() <= 1 {
            if !csv.read_byte_record(&mut header).context("line 1")? {
                return Ok(None);
            }
        }
        let columns = find_columns(schema, header.iter())?;
        if needs_target {
            check_target(schema, &columns)?;
        }
        Ok(Some((Self { columns, width: header.len() }, csv.position().byte() as usize)))
    }

    /// Returns whether a file has the columns of the schema in its order and no others.
    fn is_canonical(&self) -> bool {
        self.width == self.columns.len() && self.columns.iter().copied().eq(0..self.width)
    }
}

/// Returns the first piece of a file, which contains the whole header, with its layout and where its rows begin.
///
/// # Errors
/// Fails if the file cannot be read, is empty, or has a wrong header.
pub(super) fn first_piece(
    schema: &Schema,
    pieces: &mut Pieces<impl Read>,
    needs_target: bool,
) -> Result<(Vec<u8>, Arc<Layout>, usize)> {
    let mut piece = pieces.next(Vec::new())?;
    loop {
        // Checked first, because a quote that is not closed would make the whole piece the header.
        if piece.len() > LONGEST_ROW {
            return Err(Unreadable { line: 1, fault: TextFault::TooLong }.after(0));
        }
        if let Some((layout, start)) = Layout::of_header(schema, &piece, needs_target)? {
            return Ok((piece, Arc::new(layout), start));
        }
        if pieces.ended() {
            bail!("the file is empty; expected the columns {}", expected(schema));
        }
        piece.append(&mut pieces.next(Vec::new())?);
    }
}

impl<'s> Scanner<'s> {
    pub fn new(schema: &'s Schema, layout: &Arc<Layout>) -> Self {
        Self {
            schema,
            layout: Arc::clone(layout),
            splitter: Splitter::new(),
            values: Vec::new(),
            lines: LineCount::default(),
        }
    }

    /// Begins with a piece of a file of such a layout, whose first row begins at `start`.
    pub fn begin(&mut self, layout: &Arc<Layout>, piece: &[u8], start: usize) {
        self.layout = Arc::clone(layout);
        self.splitter.begin(piece, start);
        self.lines = LineCount::default();
    }

    /// Returns the next row of the piece; `None` at its end.
    ///
    /// # Errors
    /// Fails like [`Self::check`].
    #[inline]
    pub fn next<'a>(&'a mut self, piece: &'a [u8]) -> Result<Option<Next<'a>>, Unreadable> {
        match self.find(piece) {
            Some(found) => self.check(piece, &found).map(Some),
            None => Ok(None),
        }
    }

    /// Finds the next row of the piece that is not blank; `None` at its end.
    #[inline]
    fn find(&mut self, piece: &[u8]) -> Option<Found> {
        loop {
            let found = self.splitter.next(piece)?;
            let record = self.splitter.record(piece, &found);
            // A piece without the end of a row is no blank row, even if all of it is a quote and line breaks.
            let blank = found.row.len() <= LONGEST_ROW && record.len() == 1 && record.field(0).trim_ascii().is_empty();
            if !blank {
                return Some(found);
            }
        }
    }

    /// Checks the row that was found last.
    ///
    /// # Errors
    /// Fails if the text is not UTF-8, or if the row is longer than [`LONGEST_ROW`].
    #[inline]
    fn check<'a>(&'a mut self, piece: &'a [u8], found: &Found) -> Result<Next<'a>, Unreadable> {
        let Self { schema, layout, splitter, values, lines } = self;
        let raw = &piece[found.row.clone()];
        let mut line = || lines.line(piece, found.row.start);
        if raw.len() > LONGEST_ROW {
            return Err(Unreadable { line: line(), fault: TextFault::TooLong });
        }
        let record = splitter.record(piece, found);
        match parse(schema, layout, record, raw, values) {
            Ok(Fields { id, exited, missing, canonical }) => {
                let canonical = canonical.then_some(raw);
                Ok(Next::Row(Row { id, exited, missing, canonical, values, text: record.text() }))
            }
            Err(reason) => {
                let line = line();
                let not_utf8 = |_| Unreadable { line, fault: TextFault::NotUtf8 };
                let text = str::from_utf8(raw).map_err(not_utf8)?.trim_end_matches(['\r', '\n']);
                let lines = newlines(text.as_bytes()) + 1;
                Ok(Next::Malformed(MalformedRow { line, lines, text, reason }))
            }
        }
    }
}

impl<'s, R: Read> RowReader<'s, R> {
    /// Creates a reader, and reads and checks the header.
    pub fn new(schema: &'s Schema, stream: R) -> Result<Self> {
        Self::with_header(schema, stream, true)
    }

    /// Creates a reader for clients whose outcome may be unknown: the target column may be absent.
    pub fn for_prediction(schema: &'s Schema, stream: R) -> Result<Self> {
        Self::with_header(schema, stream, false)
    }

    fn with_header(schema: &'s Schema, stream: R, needs_target: bool) -> Result<Self> {
        let mut pieces = Pieces::new(stream);
        let (piece, layout, start) = first_piece(schema, &mut pieces, needs_target)?;
        let mut scanner = Scanner::new(schema, &layout);
        scanner.begin(&layout, &piece, start);
        Ok(Self { pieces, piece, layout, lines: 0, scanner })
    }

    /// Returns the next record; `None` at the end.
    pub fn read_next(&mut self) -> Result<Option<Next<'_>>> {
        let found = loop {
            if let Some(found) = self.scanner.find(&self.piece) {
                break found;
            }
            if self.pieces.ended() {
                return Ok(None);
            }
            self.lines += newlines(&self.piece);
            self.piece = self.pieces.next(std::mem::take(&mut self.piece))?;
            self.scanner.begin(&self.layout, &self.piece, 0);
        };
        match self.scanner.check(&self.piece, &found) {
            Ok(Next::Malformed(row)) => Ok(Some(Next::Malformed(MalformedRow { line: self.lines + row.line, ..row }))),
            Ok(row) => Ok(Some(row)),
            Err(unreadable) => Err(unreadable.after(self.lines)),
        }
    }
}

/// What [`parse`] finds besides the predictors.
struct Fields<'a> {
    id: Option<&'a str>,
    exited: Option<bool>,
    missing: MissingColumns,
    canonical: bool,
}

/// Checks a record, whose row is `raw`, and replaces `values` by the predictors.
#[inline]
fn parse<'a>(
    schema: &Schema,
    layout: &Layout,
    record: Record<'a>,
    raw: &[u8],
    values: &mut Vec<Parsed>,
) -> Result<Fields<'a>, Malformed> {
    let Layout { columns, width } = layout;
    if record.len() != *width {
        return Err(Malformed::FieldCount(record.len(), *width));
    }
    // The parser includes a carriage return at the end of the line in the last field.
    let is_crlf = is_crlf(raw);
    let range = |column: usize| {
        let range = record.range(columns[column]);
        match is_crlf && columns[column] == *width - 1 && record.text()[range.clone()].ends_with(b"\r") {
            true => range.start..range.end - 1,
            false => range,
        }
    };
    let text = record.text();
    let id_range = range(0);
    let id = parse_id(schema, &text[id_range.clone()])?;
    // A missing value is canonical only if it is empty, which a number, a level or an id never is.
    let mut canonical = id.is_some() || id_range.is_empty();
    let mut missing = MissingColumns::from(id.is_none());
    values.clear();
    for (j, predictor) in schema.predictors().iter().enumerate() {
        let range = range(j + 1);
        let start = range.start;
        let (value, is_canonical) = parse_field(predictor, text, range)?;
        canonical &= is_canonical;
        values.push(match value {
            None => {
                missing |= 1 << (j + 1);
                Parsed::Missing
            }
            Some(ValueRef::Number(number)) => Parsed::Number(number),
            Some(ValueRef::Level(level)) => Parsed::Text { start, length: level.len() },
        });
    }
    let field = &text[range(columns.len() - 1)];
    let exited = parse_target(schema.target(), field)?;
    let label = exited.map_or("", |exited| schema.target().label(exited));
    canonical &= field.len() == label.len() && field.iter().eq(label.as_bytes());
    missing |= MissingColumns::from(exited.is_none()) << (columns.len() - 1);
    canonical &= record.is_plain() && layout.is_canonical() && !is_crlf && raw.ends_with(b"\n");
    Ok(Fields { id, exited, missing, canonical })
}

/// Returns whether the raw bytes of a row end with a carriage return and a line feed, or with a carriage return at the
/// end of the file.
#[inline]
fn is_crlf(raw: &[u8]) -> bool {
    raw.strip_suffix(b"\n").unwrap_or(raw).ends_with(b"\r")
}

/// Returns the number of line breaks.
pub(super) fn newlines(bytes: &[u8]) -> u64 {
    memchr_iter(b'\n', bytes).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::write_canonical;
    use std::sync::LazyLock;

    static SCHEMA: LazyLock<Schema> = LazyLock::new(Schema::default);

    const HEADER: &str = "corporation,lastmonth_activity,lastyear_activity,number_of_employees,exited\n";

    /// Returns valid rows in canonical text and malformed rows as "line: reason", or the error that ended the reading.
    fn read(bytes: &[u8]) -> Result<Vec<String>, String> {
        let mut reader = RowReader::new(&SCHEMA, bytes).map_err(|error| format!("{error:#}"))?;
        let mut found = Vec::new();
        loop {
            match reader.read_next().map_err(|error| format!("{error:#}"))? {
                None => break,
                Some(Next::Row(row)) => {
                    let mut out = Vec::new();
                    write_canonical(&mut out, &SCHEMA, row.id, row.predictors(), row.exited);
                    found.push(String::from_utf8(out).unwrap().trim_end_matches('\n').to_owned());
                }
                Some(Next::Malformed(row)) => found.push(format!("{}: {}", row.line, row.reason)),
            }
        }
        Ok(found)
    }

    fn rows(text: &str) -> Vec<String> {
        read(format!("{HEADER}{text}").as_bytes()).unwrap()
    }

    #[test]
    fn every_dialect_reads_the_same() {
        let expected = ["abcd,1,2,3,0", "efgh,4,,6,1"];
        let plain = format!("{HEADER}abcd,1,2,3,0\nefgh,4,NA,6,1\n");
        let reordered = "exited,number_of_employees,corporation,lastyear_activity,lastmonth_activity\n\
                         0,3,abcd,2,1\n1,6,efgh,,4\n";
        for text in [
            plain.clone(),
            plain.trim_end().to_owned(),
            plain.replace('\n', "\r\n"),
            plain.replace('\n', "\n\n"),
            format!("\u{feff}{plain}"),
            plain.replace("abcd", "\"abcd\"").replace("4,NA", "\"4\",\"NA\""),
            reordered.to_owned(),
            plain.replace(",1,2,", ", 1 ,2.0,"),
        ] {
            assert_eq!(read(text.as_bytes()).unwrap(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_known_however_the_stream_is_cut() {
        let text = format!("\u{feff}{HEADER}a,1,2,3,0\n");
        for cut in 0..8 {
            let (first, second) = text.as_bytes().split_at(cut);
            let mut reader =
                RowReader::new(&SCHEMA, first.chain(second)).unwrap_or_else(|error| panic!("{cut}: {error:#}"));
            assert!(matches!(reader.read_next(), Ok(Some(Next::Row(row))) if row.id == Some("a")), "{cut}");
        }
        let (first, rest) = text.as_bytes().split_at(1);
        let (second, third) = rest.split_at(1);
        assert!(RowReader::new(&SCHEMA, first.chain(second).chain(third)).is_ok());
        for short in [&b"\xef"[..], b"\xef\xbb", b"\xef\xbb\xbf"] {
            assert!(RowReader::new(&SCHEMA, short).is_err());
        }
    }

    #[test]
    fn names_are_kept_whatever_they_hold() {
        assert_eq!(rows("\"o'neil, \"\"ltd\"\"\",1,2,3,0\n"), ["\"o'neil, \"\"ltd\"\"\",1,2,3,0"]);
        assert_eq!(rows("größe 株,1,2,3,0\n"), ["größe 株,1,2,3,0"]);
        assert_eq!(rows("NA,1,2,3,0\n"), [",1,2,3,0"]);
    }

    #[test]
    fn a_malformed_row_is_named_and_the_next_is_read() {
        for (row, reason) in [
            ("a,1,2,3", "4 fields where the header has 5"),
            ("a,1,2,3,0,9", "6 fields where the header has 5"),
            ("a,one,2,3,0", "lastmonth_activity is not a number"),
            ("a,1,-2,3,0", "lastyear_activity is negative"),
            (
                "a,1,2,9007199254740993,0",
                "number_of_employees is larger than 9007199254740992, the largest exact count",
            ),
            ("a,1,2,1e20,0", "number_of_employees is larger than 9007199254740992, the largest exact count"),
            ("a,1,2,3,2", "exited is not 0, 1 or missing"),
            ("a\0b,1,2,3,0", "corporation holds a control character or is longer than 1000 bytes"),
            ("\"e\r\",1,2,3,0", "corporation holds a control character or is longer than 1000 bytes"),
            ("e\r,1,2,3,0", "corporation holds a control character or is longer than 1000 bytes"),
            ("\"a\tb\",1,2,3,0", "corporation holds a control character or is longer than 1000 bytes"),
        ] {
            assert_eq!(
                rows(&format!("good,1,2,3,0\n{row}\nnext,1,2,3,1\n")),
                ["good,1,2,3,0", &format!("3: {reason}"), "next,1,2,3,1"]
            );
        }
    }

    #[test]
    fn a_faulty_file_says_what_is_wrong_and_what_to_do() {
        let missing = HEADER.replace(",exited", "");
        let unknown = HEADER.replace("exited", "left");
        let twice = HEADER.replace("lastyear_activity", "exited");
        let more = HEADER.replace("exited", "exited,more");
        let utf16: Vec<u8> = HEADER.bytes().flat_map(|byte| [byte, 0]).collect();
        let latin1 = [HEADER.as_bytes(), b"caf\xe9,1,2,3,0\n"].concat();
        let latin1_header = [b"\xe9,".as_slice(), HEADER.as_bytes()].concat();
        let cases: [(&[u8], &str); 8] = [
            (b"", "the file is empty"),
            (missing.as_bytes(), "column exited is missing"),
            (unknown.as_bytes(), "column \"left\" (line 1) is unknown"),
            (more.as_bytes(), "column \"more\" (line 1) is unknown"),
            (twice.as_bytes(), "column lastyear_activity is missing"),
            (&utf16, "UTF-16"),
            (&latin1, "line 2 is not UTF-8"),
            (&latin1_header, "header (line 1) is not UTF-8"),
        ];
        for (bytes, expected) in cases {
            let error = read(bytes).unwrap_err();
            assert!(error.contains(expected), "{error:?} does not say {expected:?}");
        }
    }

    #[test]
    fn a_name_over_lines_is_malformed_because_a_stray_quote_looks_the_same() {
        let text = format!("{HEADER}a,1,2,3,0\n\"b,1,2,3,0\nc,1,2,3,0\nd\",1,2,3,0\ne,1,2,3,0\n");
        let mut reader = RowReader::new(&SCHEMA, text.as_bytes()).unwrap();
        reader.read_next().unwrap();
        let Some(Next::Malformed(row)) = reader.read_next().unwrap() else { panic!("not malformed") };
        assert_eq!((row.line, row.lines, row.reason), (3, 3, Malformed::InvalidText("corporation".to_owned())));
        assert!(matches!(reader.read_next(), Ok(Some(Next::Row(_)))));
    }

    #[test]
    fn cr_alone_ends_no_line_and_blank_lines_are_none() {
        let old_macintosh = format!("{HEADER}a,1,2,3,0\n").replace('\n', "\r");
        assert!(read(old_macintosh.as_bytes()).unwrap_err().contains("is unknown"));
        assert_eq!(rows("a,1,2,3,0\n  \n\t\r\n,,,,\n"), ["a,1,2,3,0", ",,,,"]);
        assert_eq!(rows(&" \n".repeat(100_000)), [""; 0]);
        let crlf = "number_of_employees,exited,lastyear_activity,lastmonth_activity,corporation\r\n3,0,2,1,abcd\r\n";
        assert_eq!(read(crlf.as_bytes()).unwrap(), ["abcd,1,2,3,0"]);
        assert_eq!(read(crlf.trim_end_matches('\n').as_bytes()).unwrap(), ["abcd,1,2,3,0"]);
        for (name, read_as) in [("\"abcd\"", "abcd,1,2,3,0"), ("\"abcd\r\"", "2: corporation holds")] {
            for end in ["\r\n", "\n", ""] {
                let text = format!("{}{name}{end}", crlf.trim_end_matches("abcd\r\n"));
                assert!(read(text.as_bytes()).unwrap()[0].starts_with(read_as), "{text:?}");
            }
        }
    }

    #[test]
    fn only_a_prediction_does_without_the_target() {
        let text = "corporation,lastmonth_activity,lastyear_activity,number_of_employees\na,1,2,3\n";
        assert!(RowReader::new(&SCHEMA, text.as_bytes()).is_err());
        let mut reader = RowReader::for_prediction(&SCHEMA, text.as_bytes()).unwrap();
        let Some(Next::Row(row)) = reader.read_next().unwrap() else { panic!("no row") };
        assert_eq!((row.id, row.exited), (Some("a"), None));
    }

    #[test]
    fn a_quote_that_never_closes_ends_the_reading_before_it_eats_the_memory() {
        let endless = std::io::repeat(b'x').take(10 * LONGEST_ROW as u64);
        let bytes = format!("{HEADER}a,1,2,3,0\n\"");
        let mut reader = RowReader::new(&SCHEMA, bytes.as_bytes().chain(endless)).unwrap();
        assert!(matches!(reader.read_next(), Ok(Some(Next::Row(_)))));
        let error = format!("{:#}", reader.read_next().err().unwrap());
        assert!(error.contains("line 3") && error.contains("quote"), "{error}");
    }

    #[test]
    fn a_header_that_does_not_end_is_no_header() {
        let schema =
            common::config::schema_of_json(r#"{"id": "key", "target": "left", "predictors": ["x"], "ignored": "*"}"#)
                .unwrap();
        let rows = "k,1,0,text\n".repeat(200_000);
        for text in [format!("key,x,left,\"notes\n{rows}"), format!("{}key,x,left\nk,1,0\n", "\n".repeat(5 << 20))] {
            let error = RowReader::new(&schema, text.as_bytes()).err().unwrap().to_string();
            assert!(error.contains("line 1: the row that begins here is longer than 1048576 bytes"), "{error}");
        }
    }

    #[test]
    fn a_quoted_name_after_a_byte_order_mark_begins_no_other_row() {
        for name in ["skipped,", "skipped\n"] {
            let schema = common::config::schema_of_json(
                r#"{"id": "key", "target": "left", "predictors": ["x"], "ignored": "*"}"#,
            )
            .unwrap();
            let rows: String = (0..100_000).map(|row| format!("skipped,key{row},{row},0\n")).collect();
            let text = format!("\u{feff}\"{name}\",key,x,left\n{rows}");
            let mut reader = RowReader::new(&schema, text.as_bytes()).unwrap();
            let mut read = 0;
            while let Some(next) = reader.read_next().unwrap() {
                let Next::Row(row) = next else { panic!("row {read} is malformed") };
                assert_eq!(row.id, Some(format!("key{read}").as_str()));
                read += 1;
            }
            assert_eq!(read, 100_000);
        }
    }

    #[test]
    fn a_quote_before_many_line_breaks_is_not_blank() {
        let text = format!("{HEADER}a,1,2,3,0\n\"{}b,1,2,3,0\n", "\n".repeat(1_300_000));
        let error = read(text.as_bytes()).unwrap_err();
        assert!(error.contains("line 3: the row that begins here is longer"), "{error}");
    }

    #[test]
    fn a_malformed_row_over_many_lines_knows_how_many() {
        let text = format!("{HEADER}a,1,2,3,0\n\"b,1,2,3,0\nc,1,2,3,0\nd,1,2,3,0\n");
        let mut reader = RowReader::new(&SCHEMA, text.as_bytes()).unwrap();
        reader.read_next().unwrap();
        let Some(Next::Malformed(row)) = reader.read_next().unwrap() else { panic!("not malformed") };
        assert_eq!((row.line, row.lines), (3, 3));
        assert_eq!(row.text, "\"b,1,2,3,0\nc,1,2,3,0\nd,1,2,3,0");
    }

    #[test]
    fn lines_are_counted_right_over_blank_lines_and_crlf() {
        for end in ["\n", "\r\n"] {
            let text = format!("{HEADER}a,1,2,3,0\n\n\nb,x,2,3,0\nc,y,2,3,0").replace('\n', end);
            assert_eq!(
                read(text.as_bytes()).unwrap()[1..],
                ["5: lastmonth_activity is not a number", "6: lastmonth_activity is not a number"]
            );
            let mut reader = RowReader::new(&SCHEMA, text.as_bytes()).unwrap();
            reader.read_next().unwrap();
            let Some(Next::Malformed(row)) = reader.read_next().unwrap() else { panic!("not malformed") };
            assert_eq!(row.text, "b,x,2,3,0");
        }
    }

    #[test]
    fn columns_of_any_name_and_kind() {
        let schema = crate::local::table::tests::schema();
        let text = "\"a \"\"b\"\", c\",skipped,key,gone,SELECT\r\n-1.5,?,k1,yes,\"two, \"\"2\"\"\"\r\n,?,k2,no, one\r\n1,?,k3,,\r\n\
                    2,?,k4,maybe,x\r\n-2e400,?,k5,no,x\r\n";
        let mut reader = RowReader::new(&schema, text.as_bytes()).unwrap();
        let mut found = Vec::new();
        while let Some(next) = reader.read_next().unwrap() {
            found.push(match next {
                Next::Row(row) => {
                    let mut out = Vec::new();
                    write_canonical(&mut out, &schema, row.id, row.predictors(), row.exited);
                    String::from_utf8(out).unwrap()
                }
                Next::Malformed(row) => format!("{}: {}", row.line, row.reason),
            });
        }
        assert_eq!(
            found,
            [
                "k1,-1.5,\"two, \"\"2\"\"\",yes\n",
                "k2,, one,no\n",
                "k3,1,,\n",
                "5: gone is not no, yes or missing",
                "6: a \"b\", c is not a finite number"
            ]
        );
        assert_eq!(schema.header(), "key,\"a \"\"b\"\", c\",SELECT,gone");
        let error = RowReader::new(&schema, "key,SELECT,gone,other\n".as_bytes()).err().unwrap().to_string();
        assert!(error.contains("column \"other\" (line 1) is unknown"), "{error}");
    }
}
