//! One client row: parsing text to checked values, and formatting them as canonical text.

use common::schema::{Kind, LARGEST_COUNT, Predictor, Schema, Target, Transform};
use common::values::{ValueRef, is_missing, write_csv_text};

use crate::rules::{LONGEST_TEXT, Malformed, exceeds_exact};

/// Appends a row in the format of finaldata.csv, including the newline. Equal rows give equal bytes and different rows
/// different bytes: whole numbers have no decimal point, missing values are empty, and texts are quoted only if
/// necessary.
pub fn write_canonical<'a>(
    out: &mut Vec<u8>,
    schema: &Schema,
    id: Option<&str>,
    predictors: impl IntoIterator<Item = Option<ValueRef<'a>>>,
    exited: Option<bool>,
) {
    if let Some(id) = id {
        write_csv_text(out, id);
    }
    for value in predictors {
        out.push(b',');
        match value {
            None => {}
            Some(ValueRef::Number(number)) => write_number(out, number),
            Some(ValueRef::Level(level)) => write_csv_text(out, level),
        }
    }
    out.push(b',');
    if let Some(exited) = exited {
        write_csv_text(out, schema.target().label(exited));
    }
    out.push(b'\n');
}

/// Parses a client's id; `None` if missing.
pub fn parse_id<'a>(schema: &Schema, field: &'a [u8]) -> Result<Option<&'a str>, Malformed> {
    match is_missing(field) {
        true => Ok(None),
        false => parse_text(schema.id(), field).map(Some),
    }
}

/// Parses the value of a predictor; `None` if missing.
pub fn parse_value<'a>(predictor: &Predictor, field: &'a [u8]) -> Result<Option<ValueRef<'a>>, Malformed> {
    match predictor.kind {
        Kind::Category if is_missing(field) || field.trim_ascii().is_empty() => Ok(None),
        Kind::Category => parse_text(&predictor.name, field).map(|level| Some(ValueRef::Level(level))),
        Kind::Count | Kind::Number => Ok(parse_number(predictor, field)?.map(ValueRef::Number)),
    }
}

fn parse_text<'a>(column: &str, field: &'a [u8]) -> Result<&'a str, Malformed> {
    // A record that is not UTF-8 ends the reading (`RowReader`), so the reason returned here is never shown.
    let text = std::str::from_utf8(field).map_err(|_| Malformed::InvalidText(column.to_owned()))?;
    check_text(column, text)
}

/// Checks an id or a level that was read as text.
pub fn check_text<'a>(column: &str, text: &'a str) -> Result<&'a str, Malformed> {
    // Nearly every text consists of printable ASCII characters, which need not be decoded.
    let is_printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~')) || !text.chars().any(char::is_control);
    match is_printable && text.len() <= LONGEST_TEXT {
        true => Ok(text),
        false => Err(Malformed::InvalidText(column.to_owned())),
    }
}

/// Parses an integer or a decimal number; `None` if missing.
fn parse_number(predictor: &Predictor, field: &[u8]) -> Result<Option<f64>, Malformed> {
    // Nearly every field is a short sequence of digits; up to 15 digits are exact in a u64 and in an f64.
    if (1..=15).contains(&field.len()) && field.iter().all(u8::is_ascii_digit) {
        let integer = field.iter().fold(0u64, |value, digit| value * 10 + u64::from(digit - b'0'));
        return Ok(Some(integer as f64));
    }
    let field = field.trim_ascii();
    if is_missing(field) {
        return Ok(None);
    }
    let not_a_number = || Malformed::NotANumber(predictor.name.clone());
    let text = std::str::from_utf8(field).map_err(|_| not_a_number())?;
    let number = text.parse().map_err(|_| not_a_number())?;
    if predictor.kind == Kind::Count && number == LARGEST_COUNT && exceeds_exact(text) {
        return Err(Malformed::TooLarge(predictor.name.clone())); // instead of the nearest representable number
    }
    check_number(predictor, number).map(Some)
}

/// Checks a number of a count or a number column.
pub fn check_number(predictor: &Predictor, number: f64) -> Result<f64, Malformed> {
    let column = || predictor.name.clone();
    match (predictor.kind, predictor.transform) {
        _ if number.is_nan() => Err(Malformed::NotANumber(column())),
        (Kind::Count, _) if number < 0.0 => Err(Malformed::Negative(column())),
        (Kind::Count, _) if number > LARGEST_COUNT => Err(Malformed::TooLarge(column())),
        _ if number.is_infinite() => Err(Malformed::NotFinite(column())),
        (_, Transform::Log1p) if number <= -1.0 => Err(Malformed::NoLogarithm(column())),
        _ => Ok(number + 0.0), // -0 becomes 0
    }
}

/// Parses the target: one of its labels or missing. A label that is a number is recognised in every spelling of it.
pub fn parse_target(target: &Target, field: &[u8]) -> Result<Option<bool>, Malformed> {
    let is = |label: &str| field == label.as_bytes();
    if is(&target.negative) {
        return Ok(Some(false));
    }
    if is(&target.positive) {
        return Ok(Some(true));
    }
    let field = field.trim_ascii();
    if is_missing(field) {
        return Ok(None);
    }
    let text = std::str::from_utf8(field).unwrap_or_default();
    let number: Option<f64> = text.parse().ok();
    let is = |label: &str| text == label || (number.is_some() && number == label.parse().ok());
    match (is(&target.negative), is(&target.positive)) {
        (true, _) => Ok(Some(false)),
        (_, true) => Ok(Some(true)),
        _ => Err(Malformed::NotALabel(target.clone())),
    }
}

fn write_number(out: &mut Vec<u8>, value: f64) {
    if value.abs() > LARGEST_COUNT {
        out.extend_from_slice(format!("{value:e}").as_bytes());
    } else if value.fract() == 0.0 {
        // At most 2^53, so the cast is exact.
        out.extend_from_slice(itoa::Buffer::new().format(value as i64).as_bytes());
    } else {
        out.extend_from_slice(value.to_string().as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_kind(kind: Kind, transform: Transform) -> Predictor {
        Predictor { name: "c".to_owned(), kind, transform, label: "c".to_owned(), unit: None }
    }

    fn c() -> String {
        "c".to_owned()
    }

    #[test]
    fn counts() {
        let predictor = of_kind(Kind::Count, Transform::None);
        let count = |text: &str| parse_number(&predictor, text.as_bytes());
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
            assert_eq!(count(text), Err(Malformed::NotANumber(c())), "{text}");
        }
        for text in ["-1", "-0.1", "-inf"] {
            assert_eq!(count(text), Err(Malformed::Negative(c())), "{text}");
        }
        for text in ["9007199254740993", "0.9007199254740993E16", "9007199254740992.5", "1e300", "inf", "1e999"] {
            assert_eq!(count(text), Err(Malformed::TooLarge(c())), "{text}");
        }
    }

    #[test]
    fn numbers() {
        let predictor = of_kind(Kind::Number, Transform::None);
        let number = |text: &str| parse_number(&predictor, text.as_bytes());
        for (text, value) in
            [("-1.5", -1.5), ("-0", 0.0), ("1e300", 1e300), (" 7 ", 7.0), ("9007199254740993", 2f64.powi(53))]
        {
            assert_eq!(number(text), Ok(Some(value)), "{text}");
        }
        assert_eq!(number("NA"), Ok(None));
        assert_eq!(number("x"), Err(Malformed::NotANumber(c())));
        for text in ["inf", "-inf", "1e999"] {
            assert_eq!(number(text), Err(Malformed::NotFinite(c())), "{text}");
        }
        let predictor = of_kind(Kind::Number, Transform::Log1p);
        assert_eq!(parse_number(&predictor, b"-0.999"), Ok(Some(-0.999)));
        assert_eq!(parse_number(&predictor, b"-1"), Err(Malformed::NoLogarithm(c())));
    }

    #[test]
    fn levels_are_texts_as_they_are() {
        let predictor = of_kind(Kind::Category, Transform::None);
        let level = |text: &'static str| parse_value(&predictor, text.as_bytes());
        for text in ["Two year", " Yes", "1.0", "größe"] {
            assert_eq!(level(text), Ok(Some(ValueRef::Level(text))));
        }
        for text in ["", "  ", "NA"] {
            assert_eq!(level(text), Ok(None), "{text:?}");
        }
        assert_eq!(level("a\tb"), Err(Malformed::InvalidText(c())));
    }

    #[test]
    fn the_target_is_one_of_its_labels_or_missing() {
        let target = Schema::default().target().clone();
        for (text, value) in
            [("0", Some(false)), ("1.0", Some(true)), (" 1", Some(true)), ("NA", None), ("-0", Some(false))]
        {
            assert_eq!(parse_target(&target, text.as_bytes()), Ok(value), "{text}");
        }
        for text in ["2", "0.5", "-1", "yes", "True", "nan."] {
            assert_eq!(parse_target(&target, text.as_bytes()), Err(Malformed::NotALabel(target.clone())), "{text}");
        }
        let churn = Target { name: "Churn".to_owned(), positive: "Yes".to_owned(), negative: "No".to_owned() };
        for (text, value) in [("Yes", Some(true)), (" No ", Some(false)), ("", None), (" ", None)] {
            assert_eq!(parse_target(&churn, text.as_bytes()), Ok(value), "{text}");
        }
        assert_eq!(parse_target(&churn, b"yes").unwrap_err().to_string(), "Churn is not No, Yes or missing");
    }

    #[test]
    fn the_canonical_text_is_one_for_equal_rows() {
        let text = |id, predictors: [Option<f64>; 3], exited| {
            let mut out = Vec::new();
            write_canonical(&mut out, &Schema::default(), id, predictors.map(|x| x.map(ValueRef::Number)), exited);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text(Some("abcd"), [Some(5.0), None, Some(0.25)], Some(true)), "abcd,5,,0.25,1\n");
        assert_eq!(text(Some("a,\"b\"\nc"), [None; 3], None), "\"a,\"\"b\"\"\nc\",,,,\n");
        let numbers = [Some(LARGEST_COUNT), Some(1e-7), None];
        assert_eq!(text(None, numbers, Some(false)), ",9007199254740992,0.0000001,,0\n");
        assert_eq!(
            text(None, [Some(-3.0), Some(-1e300), Some(2f64.powi(60))], None),
            ",-3,-1e300,1.152921504606847e18,\n"
        );
    }
}
