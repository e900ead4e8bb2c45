//! One client row: parsing text to checked values, and formatting them as canonical text.

use crate::rules::{LARGEST_EXACT, LONGEST_NAME, MISSING, Malformed, exceeds_exact};
use common::model::schema::Predictors;

/// A checked row; its text borrows from the reader's buffer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row<'a> {
    /// The client's name; `None` if missing.
    pub corporation: Option<&'a str>,
    /// The predictors, in the order of [`common::model::schema::PREDICTORS`].
    pub predictors: Predictors,
    /// Whether the client left; `None` if unknown.
    pub exited: Option<bool>,
}

impl Row<'_> {
    /// Appends the row in the format of finaldata.csv, including the newline. Equal rows give equal bytes and different
    /// rows different bytes: whole numbers have no decimal point, missing values are empty, and names are quoted only
    /// if necessary.
    pub fn write_canonical(&self, out: &mut Vec<u8>) {
        if let Some(name) = self.corporation {
            write_text(out, name);
        }
        for value in self.predictors {
            out.push(b',');
            if let Some(value) = value {
                write_number(out, value);
            }
        }
        out.push(b',');
        if let Some(exited) = self.exited {
            out.push(if exited { b'1' } else { b'0' });
        }
        out.push(b'\n');
    }
}

/// Parses a corporation's name; `None` if missing.
pub fn parse_name(field: &[u8]) -> Result<Option<&str>, Malformed> {
    if is_missing(field) {
        return Ok(None);
    }
    // A record that is not UTF-8 ends the reading (`RowReader`), so the reason returned here is never shown.
    let name = std::str::from_utf8(field).map_err(|_| Malformed::InvalidName)?;
    check_name(name).map(Some)
}

/// Checks a name that was read as text.
pub fn check_name(name: &str) -> Result<&str, Malformed> {
    match name.len() > LONGEST_NAME || name.chars().any(char::is_control) {
        true => Err(Malformed::InvalidName),
        false => Ok(name),
    }
}

/// Parses a count of `column`: a non-negative integer or decimal number; `None` if missing.
pub fn parse_count(column: &'static str, field: &[u8]) -> Result<Option<f64>, Malformed> {
    // Nearly every field is a short sequence of digits; up to 15 digits are exact in a u64 and in an f64.
    if (1..=15).contains(&field.len()) && field.iter().all(u8::is_ascii_digit) {
        let integer = field.iter().fold(0u64, |value, digit| value * 10 + u64::from(digit - b'0'));
        return Ok(Some(integer as f64));
    }
    let field = field.trim_ascii();
    if is_missing(field) {
        return Ok(None);
    }
    let text = std::str::from_utf8(field).map_err(|_| Malformed::NotANumber(column))?;
    let number = text.parse().map_err(|_| Malformed::NotANumber(column))?;
    if number == LARGEST_EXACT && exceeds_exact(text) {
        return Err(Malformed::TooLarge(column)); // instead of the nearest representable number
    }
    check_count(column, number).map(Some)
}

/// Checks a count that was read as a number.
pub fn check_count(column: &'static str, number: f64) -> Result<f64, Malformed> {
    match number {
        _ if number.is_nan() => Err(Malformed::NotANumber(column)),
        _ if number < 0.0 => Err(Malformed::Negative(column)),
        _ if number > LARGEST_EXACT => Err(Malformed::TooLarge(column)),
        _ => Ok(number + 0.0), // -0 becomes 0
    }
}

/// Parses `exited`: 0, 1 (also written as decimals) or missing.
pub fn parse_exited(field: &[u8]) -> Result<Option<bool>, Malformed> {
    match field {
        b"0" => Ok(Some(false)),
        b"1" => Ok(Some(true)),
        _ => match parse_count(common::model::schema::TARGET, field) {
            Ok(None) => Ok(None),
            Ok(Some(0.0)) => Ok(Some(false)),
            Ok(Some(1.0)) => Ok(Some(true)),
            _ => Err(Malformed::NotZeroOrOne),
        },
    }
}

/// Returns whether a field is one of the spellings of a missing value.
pub fn is_missing(field: &[u8]) -> bool {
    // Nearly every field is a number or a name, and no spelling is as long as most names.
    field.len() <= LONGEST_SPELLING && MISSING.iter().any(|spelling| spelling.as_bytes() == field)
}

/// Length of the longest spelling in [`MISSING`], in bytes.
const LONGEST_SPELLING: usize = 8;

fn write_number(out: &mut Vec<u8>, value: f64) {
    if value.fract() == 0.0 {
        // Checked counts are at most 2^53, so the cast is exact.
        out.extend_from_slice(itoa::Buffer::new().format(value as u64).as_bytes());
    } else {
        out.extend_from_slice(value.to_string().as_bytes());
    }
}

/// Appends a text as a CSV field, quoted if necessary (RFC 4180).
pub fn write_text(out: &mut Vec<u8>, text: &str) {
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
    fn counts() {
        let count = |text: &str| parse_count("c", text.as_bytes());
        for (text, value) in [
            ("0", 0.0),
            ("-0", 0.0),
            ("007", 7.0),
            ("5.0", 5.0),
            (" 5 ", 5.0),
            ("+5", 5.0),
            ("1e3", 1000.0),
            (".5", 0.5),
            ("9007199254740992", 9007199254740992.0),
            ("+09007199254740992.00", 9007199254740992.0),
            ("9.007199254740992e15", 9007199254740992.0),
            ("9007199254740991", 9007199254740991.0),
        ] {
            assert_eq!(count(text), Ok(Some(value)), "{text}");
        }
        assert!(count("-0").unwrap().unwrap().is_sign_positive());
        for text in ["", " ", "NA", "NaN", "#N/A", "None", "<NA>", "-1.#QNAN"] {
            assert_eq!(count(text), Ok(None), "{text}");
        }
        for text in ["x", "1,5", "1 2", "0x10", "--1", "na", "\u{663}", "1_000"] {
            assert_eq!(count(text), Err(Malformed::NotANumber("c")), "{text}");
        }
        for text in ["-1", "-0.1", "-inf"] {
            assert_eq!(count(text), Err(Malformed::Negative("c")), "{text}");
        }
        for text in ["9007199254740993", "0.9007199254740993E16", "9007199254740992.5", "1e300", "inf", "1e999"] {
            assert_eq!(count(text), Err(Malformed::TooLarge("c")), "{text}");
        }
    }

    #[test]
    fn exited_is_zero_one_or_missing() {
        for (text, value) in [("0", Some(false)), ("1.0", Some(true)), (" 1", Some(true)), ("NA", None)] {
            assert_eq!(parse_exited(text.as_bytes()), Ok(value), "{text}");
        }
        for text in ["2", "0.5", "-1", "yes", "True"] {
            assert_eq!(parse_exited(text.as_bytes()), Err(Malformed::NotZeroOrOne), "{text}");
        }
    }

    #[test]
    fn the_canonical_text_is_one_for_equal_rows() {
        let text = |row: Row| {
            let mut out = Vec::new();
            row.write_canonical(&mut out);
            String::from_utf8(out).unwrap()
        };
        let row = Row { corporation: Some("abcd"), predictors: [Some(5.0), None, Some(0.25)], exited: Some(true) };
        assert_eq!(text(row), "abcd,5,,0.25,1\n");
        let quoted = Row { corporation: Some("a,\"b\"\nc"), predictors: [None; 3], exited: None };
        assert_eq!(text(quoted), "\"a,\"\"b\"\"\nc\",,,,\n");
        let largest =
            Row { corporation: None, predictors: [Some(LARGEST_EXACT), Some(1e-7), None], exited: Some(false) };
        assert_eq!(text(largest), ",9007199254740992,0.0000001,,0\n");
    }
}
