//! The rules for valid files and valid rows, which are the same for every engine.

use std::fmt;
use std::str;

use anyhow::{Result, anyhow, bail};
use common::model::schema::{COLUMNS, TARGET};

/// The spellings that pandas reads as missing (`STR_NA_VALUES` of pandas 3).
pub const MISSING: [&str; 19] = [
    "", "NA", "N/A", "n/a", "NaN", "nan", "-NaN", "-nan", "NULL", "null", "None", "<NA>", "#NA", "#N/A", "#N/A N/A",
    "1.#IND", "1.#QNAN", "-1.#IND", "-1.#QNAN",
];

/// The index of a column that a file does not have.
pub const ABSENT: usize = usize::MAX;

/// Maximum number of names given as examples of clients that are listed both as left and as active.
pub const EXAMPLES: usize = 10;

/// Checks that `files` files together contain at least one row.
///
/// # Errors
/// Fails if `rows` is 0, because an empty result must not replace an existing dataset.
pub fn check_any_row(rows: u64, files: usize) -> Result<()> {
    if rows == 0 {
        bail!("none of the {files} CSV files contains a row; the compiled dataset was not changed");
    }
    Ok(())
}

/// Returns the index of each of [`COLUMNS`] in a header; the target may be [`ABSENT`].
///
/// # Errors
/// Fails if a column is missing, unknown or present twice; the error names the column.
pub fn find_columns<'a>(header: impl Iterator<Item = &'a [u8]>) -> Result<[usize; 5]> {
    let names = header
        .map(|name| str::from_utf8(name).map(str::trim))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| anyhow!("the header (line 1) is not UTF-8; save the file as UTF-8"))?;
    if names.iter().any(|name| name.contains('\0')) {
        bail!("the header (line 1) contains NUL characters, as UTF-16 does; save the file as UTF-8");
    }
    let expected = COLUMNS.join(", ");
    if let Some(unknown) = names.iter().find(|name| !COLUMNS.contains(name)) {
        let shown: String = unknown.chars().take(60).collect();
        bail!("column \"{shown}\" (line 1) is unknown; expected {expected}");
    }
    let mut indices = [0; 5];
    for (index, column) in indices.iter_mut().zip(COLUMNS) {
        let mut found = names.iter().enumerate().filter(|(_, name)| **name == column);
        *index = match found.next() {
            Some((index, _)) => index,
            None if column == TARGET => ABSENT,
            None => bail!("column {column} is missing in line 1; expected {expected}"),
        };
        if found.next().is_some() {
            bail!("column {column} occurs twice in line 1; keep one");
        }
    }
    Ok(indices)
}

/// Checks that a file which is used for more than predictions has the target.
///
/// # Errors
/// Fails if the target is [`ABSENT`].
pub fn check_target(indices: &[usize; 5]) -> Result<()> {
    if indices.contains(&ABSENT) {
        bail!("column {TARGET} is missing in line 1; expected {}", COLUMNS.join(", "));
    }
    Ok(())
}

/// The reason why a field or a row cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The number of fields in the row, and the number of columns in the header.
    FieldCount(usize, usize),
    /// The text of this column is not a number.
    NotANumber(&'static str),
    /// The number in this column is negative.
    Negative(&'static str),
    /// The number in this column is above 2^53, where whole numbers are no longer exact.
    TooLarge(&'static str),
    /// `exited` is not 0, 1 or missing.
    NotZeroOrOne,
    /// The name contains a control character or is longer than [`LONGEST_NAME`]. A line break indicates an unclosed
    /// quote, and no database accepts a NUL.
    InvalidName,
    /// A quote is not closed on its line, in a format in which every row is one line.
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
            Self::InvalidName => {
                write!(f, "corporation holds a control character or is longer than {LONGEST_NAME} bytes")
            }
            Self::OpenQuote => write!(f, "a quote is not closed on its line, or text follows it"),
        }
    }
}

/// 2^53, the largest number up to which every whole number has an exact `f64`.
pub const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0;

/// Returns whether a decimal text is above 2^53 although the nearest `f64` is 2^53 itself. `text` must be one whose
/// nearest `f64` is 2^53.
///
/// Texts so close to each other differ only in their significant digits.
pub fn exceeds_exact(text: &str) -> bool {
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    digits.trim_matches('0') > "9007199254740992"
}

/// Maximum length of a name, in bytes.
pub const LONGEST_NAME: usize = 1000;
