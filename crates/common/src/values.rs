//! Values of a client's predictors, and the spellings of a missing value.

use serde::{Deserialize, Serialize};
use statistics::distribution::Distribution;
use statistics::levels::LevelCounts;
use utoipa::ToSchema;

/// The spellings that pandas reads as missing (`STR_NA_VALUES` of pandas 3).
pub const MISSING: [&str; 19] = [
    "", "NA", "N/A", "n/a", "NaN", "nan", "-NaN", "-nan", "NULL", "null", "None", "<NA>", "#NA", "#N/A", "#N/A N/A",
    "1.#IND", "1.#QNAN", "-1.#IND", "-1.#QNAN",
];

/// Length of the longest spelling in [`MISSING`], in bytes.
const LONGEST_SPELLING: usize = 8;

/// Returns whether a field is one of the spellings of a missing value.
#[inline]
pub fn is_missing(field: &[u8]) -> bool {
    // Nearly every field is a number or a name, whose length or first byte no spelling has.
    match field.first() {
        None => true,
        Some(b'N' | b'n' | b'#' | b'<' | b'-' | b'1') => {
            field.len() <= LONGEST_SPELLING && MISSING.iter().any(|spelling| spelling.as_bytes() == field)
        }
        Some(_) => false,
    }
}

/// A known value of a predictor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Value {
    /// A number, not transformed.
    Number(f64),
    /// The level of a category.
    Level(String),
}

/// A known value of a predictor, whose text is borrowed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueRef<'a> {
    /// A number, not transformed.
    Number(f64),
    /// The level of a category.
    Level(&'a str),
}

/// One client's predictors in the order of the schema; `None` for a missing value.
pub type Predictors = Vec<Option<Value>>;

/// Borrows the values of predictors.
pub fn borrowed(predictors: &[Option<Value>]) -> impl Iterator<Item = Option<ValueRef<'_>>> {
    predictors.iter().map(|value| value.as_ref().map(Value::borrowed))
}

impl Value {
    /// Returns the value with a borrowed text.
    pub fn borrowed(&self) -> ValueRef<'_> {
        match self {
            Self::Number(number) => ValueRef::Number(*number),
            Self::Level(level) => ValueRef::Level(level),
        }
    }

    /// Returns the number; `None` for a level.
    pub fn number(&self) -> Option<f64> {
        self.borrowed().number()
    }

    /// Returns the level; `None` for a number.
    pub fn level(&self) -> Option<&str> {
        self.borrowed().level()
    }
}

impl<'a> ValueRef<'a> {
    /// Returns the number; `None` for a level.
    pub fn number(self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(number),
            Self::Level(_) => None,
        }
    }

    /// Returns the level; `None` for a number.
    pub fn level(self) -> Option<&'a str> {
        match self {
            Self::Number(_) => None,
            Self::Level(level) => Some(level),
        }
    }

    /// Returns the value with a text of its own.
    pub fn to_owned(self) -> Value {
        match self {
            Self::Number(number) => Value::Number(number),
            Self::Level(level) => Value::Level(level.to_owned()),
        }
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for Value {
    fn from(level: &str) -> Self {
        Self::Level(level.to_owned())
    }
}

/// How often each value of a predictor occurs.
#[derive(Clone, Debug, PartialEq)]
pub enum ColumnDistribution {
    /// Values of a count or a number, not transformed.
    Numbers(Distribution),
    /// Levels of a category.
    Levels(LevelCounts),
}

/// Appends a text as a CSV field, quoted if necessary (RFC 4180).
pub fn write_csv_text(out: &mut Vec<u8>, text: &str) {
    if text.bytes().any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r')) {
        out.push(b'"');
        out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
        out.push(b'"');
    } else {
        out.extend_from_slice(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_missing_and_nothing_else() {
        assert!(MISSING.iter().all(|spelling| is_missing(spelling.as_bytes())));
        assert!(MISSING.iter().all(|spelling| spelling.len() <= LONGEST_SPELLING));
        for known in [" ", "na", "0", "1", "-1", "NAN", "#", "<", "Nana", "1.#IND0", "\u{663}"] {
            assert!(!is_missing(known.as_bytes()), "{known:?}");
        }
    }

    #[test]
    fn texts_are_quoted_only_if_necessary() {
        for (text, written) in [("a b", "a b"), ("a,b", "\"a,b\""), ("a\"b", "\"a\"\"b\""), ("", "")] {
            let mut out = Vec::new();
            write_csv_text(&mut out, text);
            assert_eq!(out, written.as_bytes());
        }
    }
}
