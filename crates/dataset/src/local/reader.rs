//! Reads the rows of a CSV stream, checks each row, and hashes the stream at the same time.
//!
//! A fault of the file (encoding, header, an unclosed quote) is an error that ends the reading; a fault of a row is
//! returned as data, which the caller sets aside. UTF-8 with or without a byte order mark, LF or CRLF, quoted fields,
//! columns in any order, with or without a trailing newline, blank lines: all variants give the same rows.

use std::io::{self, Read};
use std::str;

use anyhow::{Context, Result, bail};
use common::files::checksum::{Checksum, Hasher};
use common::schema::Schema;
use common::values::ValueRef;

use crate::row::{parse_id, parse_target, parse_value};
use crate::rules::{Malformed, check_target, expected, find_columns};

/// Maximum length of a row, in bytes. A longer row means that a quote is never closed or that the file is not a table.
/// A reader needs at most a few times this amount of memory.
const LONGEST_ROW: usize = 1024 * 1024;

/// A reader of checked rows from a CSV stream.
pub struct RowReader<'s, R> {
    schema: &'s Schema,
    csv: csv::Reader<Source<R>>,
    record: csv::ByteRecord,
    /// The index in the file of each column of the schema.
    columns: Vec<usize>,
    width: usize,
    /// The predictors of the current row.
    values: Vec<Parsed>,
}

/// A checked value of the current record.
#[derive(Clone, Copy)]
enum Parsed {
    Missing,
    Number(f64),
    /// The first `length` bytes of a field.
    Text {
        field: usize,
        length: usize,
    },
}

/// A checked row; its texts borrow from the reader's buffer.
pub struct Row<'a> {
    /// The client's id; `None` if missing.
    pub id: Option<&'a str>,
    /// Whether the client left; `None` if unknown.
    pub exited: Option<bool>,
    /// The columns that are missing: bit k for column k of the schema.
    pub missing: MissingColumns,
    values: &'a [Parsed],
    record: &'a csv::ByteRecord,
}

/// A bit for each column of a schema, which has fewer than 128 columns.
pub type MissingColumns = u128;

impl<'a> Row<'a> {
    /// Returns the predictors in the order of the schema; `None` for a missing value.
    pub fn predictors(&self) -> impl Iterator<Item = Option<ValueRef<'a>>> + Clone + use<'a> {
        let record = self.record;
        self.values.iter().map(move |value| match *value {
            Parsed::Missing => None,
            Parsed::Number(number) => Some(ValueRef::Number(number)),
            // The text was checked when it was parsed.
            Parsed::Text { field, length } => {
                Some(ValueRef::Level(str::from_utf8(&record[field][..length]).unwrap_or_default()))
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
    /// Number of the line on which it begins, counted from 1.
    pub line: u64,
    /// Number of lines that it spans.
    pub lines: u64,
    /// The whole row, without its line break.
    pub text: &'a str,
    /// The reason why it cannot be read.
    pub reason: Malformed,
}

impl<'s, R: Read> RowReader<'s, R> {
    /// Creates a reader, and reads and checks the header.
    pub fn new(schema: &'s Schema, stream: R) -> Result<Self> {
        let reader = Self::for_prediction(schema, stream)?;
        check_target(schema, &reader.columns)?;
        Ok(reader)
    }

    /// Creates a reader for clients whose outcome may be unknown: the target column may be absent.
    pub fn for_prediction(schema: &'s Schema, stream: R) -> Result<Self> {
        let source = Source { stream, hasher: Hasher::default(), window: Vec::new(), window_start: 0, record_start: 0 };
        let mut csv = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            // A CR alone does not end a line. A file of such lines is refused because of its header, instead of being
            // read with wrong line numbers.
            .terminator(csv::Terminator::Any(b'\n'))
            .buffer_capacity(256 * 1024)
            .from_reader(source);
        let mut record = csv::ByteRecord::new();
        if !csv.read_byte_record(&mut record).context("line 1")? {
            bail!("the file is empty; expected the columns {}", expected(schema));
        }
        let columns = find_columns(schema, record.iter())?;
        Ok(Self { schema, csv, width: record.len(), record, columns, values: Vec::new() })
    }

    /// Returns the next record; `None` at the end.
    pub fn read_next(&mut self) -> Result<Option<Next<'_>>> {
        let (line, start) = loop {
            let (line, start) = (self.csv.position().line(), self.csv.position().byte());
            self.csv.get_mut().record_start = start;
            if !self.csv.read_byte_record(&mut self.record).with_context(|| format!("line {line}"))? {
                return Ok(None);
            }
            let blank = self.record.len() == 1 && self.record[0].trim_ascii().is_empty();
            if !blank {
                break (line, start);
            }
        };
        let raw = self.csv.get_ref().window(start, self.csv.position().byte());
        match parse(self.schema, &self.record, self.width, &self.columns, raw, &mut self.values) {
            Ok((id, exited, missing)) => {
                Ok(Some(Next::Row(Row { id, exited, missing, values: &self.values, record: &self.record })))
            }
            Err(reason) => {
                // The parser leaves empty lines at the beginning of the following row.
                let empty = raw.iter().take_while(|byte| **byte == b'\n').count();
                let (line, body) = (line + empty as u64, &raw[empty..]);
                let Ok(text) = str::from_utf8(body) else { bail!("line {line} is not UTF-8; save the file as UTF-8") };
                let text = text.trim_end_matches(['\r', '\n']);
                Ok(Some(Next::Malformed(MalformedRow { line, lines: newlines(text.as_bytes()) + 1, text, reason })))
            }
        }
    }

    /// Returns the checksum of all bytes. Complete once [`RowReader::read_next`] has returned `None`.
    pub fn checksum(self) -> Checksum {
        self.csv.into_inner().hasher.finish()
    }
}

/// Checks a record. Returns the id, the target and the missing columns, and replaces `values` by the predictors.
fn parse<'a>(
    schema: &Schema,
    record: &'a csv::ByteRecord,
    width: usize,
    columns: &[usize],
    raw: &[u8],
    values: &mut Vec<Parsed>,
) -> Result<(Option<&'a str>, Option<bool>, MissingColumns), Malformed> {
    if record.len() != width {
        return Err(Malformed::FieldCount(record.len(), width));
    }
    // The parser includes a carriage return at the end of the line in the last field.
    let is_crlf = is_crlf(raw);
    let field = |column: usize| {
        let field = record.get(columns[column]).unwrap_or_default();
        match is_crlf && columns[column] + 1 == width {
            true => field.strip_suffix(b"\r").unwrap_or(field),
            false => field,
        }
    };
    let id = parse_id(schema, field(0))?;
    let mut missing = MissingColumns::from(id.is_none());
    values.clear();
    for (j, predictor) in schema.predictors().iter().enumerate() {
        values.push(match parse_value(predictor, field(j + 1))? {
            None => {
                missing |= 1 << (j + 1);
                Parsed::Missing
            }
            Some(ValueRef::Number(number)) => Parsed::Number(number),
            Some(ValueRef::Level(level)) => Parsed::Text { field: columns[j + 1], length: level.len() },
        });
    }
    let exited = parse_target(schema.target(), field(columns.len() - 1))?;
    missing |= MissingColumns::from(exited.is_none()) << (columns.len() - 1);
    Ok((id, exited, missing))
}

/// Returns whether the raw bytes of a row end with a carriage return and a line feed, or with a carriage return at the
/// end of the file.
fn is_crlf(raw: &[u8]) -> bool {
    raw.strip_suffix(b"\n").unwrap_or(raw).ends_with(b"\r")
}

fn newlines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// The stream below the CSV parser. It is hashed while it is read, kept from the start of the current record, and
/// limited so that one record cannot exhaust the memory.
struct Source<R> {
    stream: R,
    hasher: Hasher,
    window: Vec<u8>,
    window_start: u64,
    record_start: u64,
}

impl<R> Source<R> {
    /// Returns the bytes from `start`, which is the start of the current record, to `end`.
    fn window(&self, start: u64, end: u64) -> &[u8] {
        &self.window[(start - self.window_start) as usize..(end - self.window_start) as usize]
    }
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        const BYTE_ORDER_MARK: usize = "\u{feff}".len();
        self.window.drain(..(self.record_start - self.window_start) as usize);
        self.window_start = self.record_start;
        if self.window.len() > LONGEST_ROW {
            return Err(io::Error::other(format!(
                "the row that begins here is longer than {LONGEST_ROW} bytes; is a quote not closed?"
            )));
        }
        let mut n = self.stream.read(buffer)?;
        // The parser skips a byte order mark only if the first chunk contains more than the whole mark.
        while self.window_start == 0 && self.window.is_empty() && (1..=BYTE_ORDER_MARK).contains(&n) {
            match self.stream.read(&mut buffer[n..]) {
                Ok(0) => break,
                Ok(more) => n += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.hasher.update(&buffer[..n]);
        self.window.extend_from_slice(&buffer[..n]);
        Ok(n)
    }
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
        assert_eq!(reader.checksum(), Checksum::of_bytes(bytes));
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
        let endless = io::repeat(b'x').take(10 * LONGEST_ROW as u64);
        let bytes = format!("{HEADER}a,1,2,3,0\n\"");
        let mut reader = RowReader::new(&SCHEMA, bytes.as_bytes().chain(endless)).unwrap();
        assert!(matches!(reader.read_next(), Ok(Some(Next::Row(_)))));
        let error = format!("{:#}", reader.read_next().err().unwrap());
        assert!(error.contains("line 3") && error.contains("quote"), "{error}");
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
