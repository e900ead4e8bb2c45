//! What a good file and a good row are, for every engine alike.

use std::fmt;
use std::str;

use anyhow::{Result, anyhow, bail};
use common::schema::{COLUMNS, TARGET};

/// The share of malformed rows in one file up to which they are set aside and the rest is used.
pub const TOLERATED_MALFORMED_SHARE: f64 = 0.05;

/// The spellings that pandas reads as missing (`STR_NA_VALUES` of pandas 3).
pub const MISSING: [&str; 19] = [
    "", "NA", "N/A", "n/a", "NaN", "nan", "-NaN", "-nan", "NULL", "null", "None", "<NA>", "#NA", "#N/A", "#N/A N/A",
    "1.#IND", "1.#QNAN", "-1.#IND", "-1.#QNAN",
];

/// The header of quarantine.csv.
pub const QUARANTINE_HEADER: &[u8] = b"file,line,reason,row\n";

/// The place of a column that a file does not have.
pub const ABSENT: usize = usize::MAX;

/// The malformed rows of one file. They are reported as rows, but their share is judged by lines: a quote that is not
/// closed makes one row of many.
#[derive(Debug, Default)]
pub struct MalformedCount {
    /// Malformed rows so far, however many lines each spans.
    pub rows: u64,
    lines: u64,
    first: Option<String>,
}

impl MalformedCount {
    /// Counts a row that begins on `line`, counted from 1, and spans so many `lines`.
    pub fn add(&mut self, line: u64, lines: u64, reason: &Malformed) {
        self.rows += 1;
        self.lines += lines;
        self.first.get_or_insert_with(|| format!("line {line}: {reason}"));
    }

    /// Fails where more than the tolerated share of lines is malformed, beside so many `readable` rows.
    pub fn check_share(&self, readable: u64) -> Result<()> {
        check_malformed_share(self.lines, readable, self.first.as_deref())
    }
}

/// Fails where more than the tolerated share of lines is malformed; `first` is shown as the example.
pub fn check_malformed_share(malformed: u64, readable: u64, first: Option<&str>) -> Result<()> {
    if malformed as f64 > TOLERATED_MALFORMED_SHARE * (malformed + readable) as f64 {
        bail!(
            "{malformed} of {} lines cannot be read, more than {} %; is the file half-copied or of another kind? The first: {}",
            malformed + readable,
            TOLERATED_MALFORMED_SHARE * 100.0,
            first.unwrap_or("unknown")
        );
    }
    Ok(())
}

/// Fails where `files` files hold no row together: nothing never replaces something.
pub fn check_any_row(rows: u64, files: usize) -> Result<()> {
    if rows == 0 {
        bail!("none of the {files} CSV files holds a row; the compiled dataset stays as it was");
    }
    Ok(())
}

/// Finds [`COLUMNS`] among the `names` of a header; the target may be [`ABSENT`].
///
/// # Errors
/// Names the column that is missing, unknown or there twice.
pub fn find_columns<'a>(header: impl Iterator<Item = &'a [u8]>) -> Result<[usize; 5]> {
    let names = header
        .map(|name| str::from_utf8(name).map(str::trim))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| anyhow!("the header (line 1) is not UTF-8; save the file as UTF-8"))?;
    if names.iter().any(|name| name.contains('\0')) {
        bail!("the header (line 1) holds NUL characters, as UTF-16 does; save the file as UTF-8");
    }
    let expected = COLUMNS.join(", ");
    if let Some(unknown) = names.iter().find(|name| !COLUMNS.contains(name)) {
        let shown: String = unknown.chars().take(60).collect();
        bail!("column \"{shown}\" (line 1) is unknown; expected {expected}");
    }
    let mut places = [0; 5];
    for (place, column) in places.iter_mut().zip(COLUMNS) {
        let mut found = names.iter().enumerate().filter(|(_, name)| **name == column);
        *place = match found.next() {
            Some((place, _)) => place,
            None if column == TARGET => ABSENT,
            None => bail!("column {column} is missing in line 1; expected {expected}"),
        };
        if found.next().is_some() {
            bail!("column {column} stands twice in line 1; keep one");
        }
    }
    Ok(places)
}

/// Fails where a file without the target is to be more than predicted.
pub fn check_target(places: &[usize; 5]) -> Result<()> {
    if places.contains(&ABSENT) {
        bail!("column {TARGET} is missing in line 1; expected {}", COLUMNS.join(", "));
    }
    Ok(())
}

/// Why a field or a row cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The row has this many fields, and should have as many as the header.
    FieldCount(usize, usize),
    /// The column's text is no number.
    NotANumber(&'static str),
    /// The column's number is below zero.
    Negative(&'static str),
    /// The column's number is above 2^53, where whole numbers are no longer exact.
    TooLarge(&'static str),
    /// `exited` is not 0, 1 or missing.
    NotZeroOrOne,
    /// The name holds a control character (a line end says that a quote was not closed, a NUL fits no database) or is
    /// longer than any name is.
    NotAName,
    /// A quote that is not closed on its line, where a row is a line.
    OpenQuote,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::FieldCount(found, expected) => write!(f, "{found} fields where the header has {expected}"),
            Self::NotANumber(column) => write!(f, "{column} is not a number"),
            Self::Negative(column) => write!(f, "{column} is negative"),
            Self::TooLarge(column) => write!(f, "{column} is larger than 9007199254740992, the largest exact count"),
            Self::NotZeroOrOne => write!(f, "exited is not 0, 1 or missing"),
            Self::NotAName => write!(f, "corporation holds a control character or is longer than {LONGEST_NAME} bytes"),
            Self::OpenQuote => write!(f, "a quote is not closed on its line, or text follows it"),
        }
    }
}

/// The largest whole number up to which every whole number has an exact `f64`: 2^53.
pub const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0;

/// Whether a decimal text is above 2^53 although the nearest `f64` is 2^53 itself; `text` must be one of these.
///
/// Texts that are so near to each other differ in their significant digits alone.
pub fn exceeds_exact(text: &str) -> bool {
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    digits.trim_matches('0') > "9007199254740992"
}

/// The longest name, in bytes.
pub const LONGEST_NAME: usize = 1000;
