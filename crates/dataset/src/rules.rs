//! The rules for valid files and valid rows, which are the same for every engine.

use std::fmt;
use std::str;

use anyhow::{Result, anyhow, bail};
use common::schema::{Schema, Target};

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

/// Returns the index of each column of `schema` in a header; the target may be [`ABSENT`].
///
/// # Errors
/// Fails if a column is missing, unknown or present twice; the error names the column. An [`UnknownColumn`] is one that
/// the schema neither has nor ignores.
pub fn find_columns<'a>(schema: &Schema, header: impl Iterator<Item = &'a [u8]>) -> Result<Vec<usize>> {
    let names = header
        .map(|name| str::from_utf8(name).map(str::trim))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| anyhow!("the header (line 1) is not UTF-8; save the file as UTF-8"))?;
    if names.iter().any(|name| name.contains('\0')) {
        bail!("the header (line 1) contains NUL characters, as UTF-16 does; save the file as UTF-8");
    }
    let is_known = |name: &str| schema.columns().any(|column| column == name) || schema.ignores(name);
    if let Some(unknown) = names.iter().find(|name| !is_known(name)) {
        return Err(UnknownColumn { name: unknown.chars().take(63).collect(), expected: expected(schema) }.into());
    }
    let target = schema.width() - 1;
    let find = |(position, column): (usize, &str)| {
        let mut found = names.iter().enumerate().filter(|(_, name)| **name == column);
        let index = match found.next() {
            Some((index, _)) => index,
            None if position == target => ABSENT,
            None => bail!("column {column} is missing in line 1; expected {}", expected(schema)),
        };
        if found.next().is_some() {
            bail!("column {column} occurs twice in line 1; keep one");
        }
        Ok(index)
    };
    schema.columns().enumerate().map(find).collect()
}

/// Checks that a file which is used for more than predictions has the target.
///
/// # Errors
/// Fails if the target is [`ABSENT`].
pub fn check_target(schema: &Schema, indices: &[usize]) -> Result<()> {
    if indices.contains(&ABSENT) {
        bail!("column {} is missing in line 1; expected {}", schema.target().name, expected(schema));
    }
    Ok(())
}

/// Returns the names of the columns that a file must have.
pub fn expected(schema: &Schema) -> String {
    schema.columns().collect::<Vec<_>>().join(", ")
}

/// A column of a file that the schema neither has nor ignores.
#[derive(Debug)]
pub struct UnknownColumn {
    name: String,
    expected: String,
}

impl std::error::Error for UnknownColumn {}

impl fmt::Display for UnknownColumn {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "column \"{}\" (line 1) is unknown; expected {}", self.name, self.expected)
    }
}

/// The reason why a field or a row cannot be read. The texts name the column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The number of fields in the row, and the number of columns in the header.
    FieldCount(usize, usize),
    /// The text of this column is not a number.
    NotANumber(String),
    /// The number in this column is not finite.
    NotFinite(String),
    /// The count in this column is negative.
    Negative(String),
    /// The count in this column is above 2^53, where whole numbers are no longer exact.
    TooLarge(String),
    /// The number in this column is −1 or below, where its transform log1p is not defined.
    NoLogarithm(String),
    /// The target is neither of its labels.
    NotALabel(Box<Target>),
    /// The text of this column contains a control character or is longer than [`LONGEST_TEXT`]. A line break indicates
    /// an unclosed quote, and no database accepts a NUL.
    InvalidText(String),
    /// A quote is not closed on its line, in a format in which every row is one line.
    OpenQuote,
}

impl Malformed {
    /// Name of the column whose field cannot be read; `None` if the fault is not in one field.
    pub fn column(&self) -> Option<&str> {
        match self {
            Self::FieldCount(..) | Self::OpenQuote => None,
            Self::NotALabel(target) => Some(&target.name),
            Self::NotANumber(column)
            | Self::NotFinite(column)
            | Self::Negative(column)
            | Self::TooLarge(column)
            | Self::NoLogarithm(column)
            | Self::InvalidText(column) => Some(column),
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::FieldCount(found, expected) => write!(f, "{found} fields where the header has {expected}"),
            Self::NotANumber(column) => write!(f, "{column} is not a number"),
            Self::NotFinite(column) => write!(f, "{column} is not a finite number"),
            Self::Negative(column) => write!(f, "{column} is negative"),
            Self::TooLarge(column) => write!(f, "{column} is larger than 9007199254740992, the largest exact count"),
            Self::NoLogarithm(column) => write!(f, "{column} is not above -1, which its transform log1p needs"),
            Self::NotALabel(target) => {
                let Target { name, positive, negative } = &**target;
                write!(f, "{name} is not {negative}, {positive} or missing")
            }
            Self::InvalidText(column) => {
                write!(f, "{column} holds a control character or is longer than {LONGEST_TEXT} bytes")
            }
            Self::OpenQuote => write!(f, "a quote is not closed on its line"),
        }
    }
}

/// Returns whether a decimal text is above 2^53 although the nearest `f64` is 2^53 itself. `text` must be one whose
/// nearest `f64` is 2^53.
///
/// Texts so close to each other differ only in their significant digits.
pub fn exceeds_exact(text: &str) -> bool {
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    digits.trim_matches('0') > "9007199254740992"
}

/// Maximum length of an id or a level, in bytes.
pub const LONGEST_TEXT: usize = 1000;
