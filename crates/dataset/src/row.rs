//! One client row: parsing text to checked values, and formatting them as canonical text.

use std::ops::Range;

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
#[inline]
pub fn parse_id<'a>(schema: &Schema, field: &'a [u8]) -> Result<Option<&'a str>, Malformed> {
    match is_missing(field) {
        true => Ok(None),
        false => parse_text(schema.id(), field).map(Some),
    }
}

/// Parses the value of a predictor; `None` if missing.
#[inline]
pub fn parse_value<'a>(predictor: &Predictor, field: &'a [u8]) -> Result<Option<ValueRef<'a>>, Malformed> {
    match predictor.kind {
        Kind::Category if is_missing(field) || field.trim_ascii().is_empty() => Ok(None),
        Kind::Category => parse_text(&predictor.name, field).map(|level| Some(ValueRef::Level(level))),
        Kind::Count | Kind::Number => Ok(parse_number(predictor, field)?.map(ValueRef::Number)),
    }
}

/// Parses the value of a predictor from a part of `text`; `None` if missing. Returns also whether [`write_canonical`]
/// would write the field as it is, provided that it needs no quotes.
#[inline]
pub fn parse_field<'a>(
    predictor: &Predictor,
    text: &'a [u8],
    range: Range<usize>,
) -> Result<(Option<ValueRef<'a>>, bool), Malformed> {
    if !predictor.is_category()
        && let Some(count) = parse_short_count(text, &range)
    {
        let is_canonical = text[range.start] != b'0' || range.len() == 1;
        return Ok((Some(ValueRef::Number(count as f64)), is_canonical));
    }
    let field = &text[range];
    let value = parse_value(predictor, field)?;
    let is_canonical = match value {
        None => field.is_empty(),
        Some(ValueRef::Level(_)) => true,
        Some(ValueRef::Number(_)) => is_canonical_number(field),
    };
    Ok((value, is_canonical))
}

/// Parses one to eight digits at once, as nearly every count is; `None` for any other text.
#[inline]
fn parse_short_count(text: &[u8], range: &Range<usize>) -> Option<u64> {
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    if !(1..=8).contains(&range.len()) {
        return None;
    }
    // The eight bytes that end with the field. Those before it are replaced by zeros.
    let bytes = text.get(range.end.checked_sub(8)?..range.end)?;
    let field = u64::MAX << (64 - 8 * range.len());
    let digits = (u64::from_le_bytes(bytes.try_into().ok()?) & field) | (ZEROS & !field);
    // The upper half of every byte must be 3, also after 6 has been added to the lower half.
    let upper = 0xf0f0_f0f0_f0f0_f0f0;
    if digits & upper != ZEROS || digits.wrapping_add(0x0606_0606_0606_0606) & upper != ZEROS {
        return None;
    }
    // Adds neighbours: two digits in every two bytes, then four in every four bytes, then all eight (Lemire, Number
    // parsing at a gigabyte per second, Software: Practice and Experience 51, 2021, §5).
    let pairs = ((digits & !ZEROS).wrapping_mul(10 * 256 + 1) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul((100 << 16) + 1) >> 16) & 0x0000_ffff_0000_ffff;
    Some(fours.wrapping_mul((10_000 << 32) + 1) >> 32)
}

/// Returns whether [`write_number`] writes a valid number as `field`: in the only spelling of at most 15 digits that
/// has neither an exponent nor a sign of zero nor digits that do not matter.
fn is_canonical_number(field: &[u8]) -> bool {
    let all_digits = |digits: &[u8]| digits.iter().all(u8::is_ascii_digit);
    let size = field.strip_prefix(b"-").unwrap_or(field);
    let (whole, fraction) = match size.iter().position(|byte| *byte == b'.') {
        Some(point) => (&size[..point], Some(&size[point + 1..])),
        None => (size, None),
    };
    let is_whole = matches!(whole, [b'0'] | [b'1'..=b'9', ..]) && all_digits(whole);
    let is_fraction = |fraction: &[u8]| matches!(fraction, [.., b'1'..=b'9']) && all_digits(fraction);
    is_whole && fraction.is_none_or(is_fraction) && size.len() <= 15 && field != b"-0"
}

#[inline]
fn parse_text<'a>(column: &str, field: &'a [u8]) -> Result<&'a str, Malformed> {
    // A record that is not UTF-8 ends the reading (`RowReader`), so the reason returned here is never shown.
    let text = std::str::from_utf8(field).map_err(|_| Malformed::InvalidText(column.to_owned()))?;
    check_text(column, text)
}

/// Checks an id or a level that was read as text.
#[inline]
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
#[inline]
pub fn parse_target(target: &Target, field: &[u8]) -> Result<Option<bool>, Malformed> {
    // Byte by byte, which is faster for short texts.
    let is = |label: &str| field.len() == label.len() && field.iter().eq(label.as_bytes());
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
        _ => Err(Malformed::NotALabel(Box::new(target.clone()))),
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
    fn short_counts_are_read_at_once() {
        let parse = |field: &str| {
            let text = format!("client,9{field},7");
            parse_short_count(text.as_bytes(), &(8..8 + field.len()))
        };
        for (text, value) in
            [("0", 0), ("7", 7), ("42", 42), ("007", 7), ("12345678", 12_345_678), ("99999999", 99_999_999)]
        {
            assert_eq!(parse(text), Some(value), "{text}");
        }
        for text in ["", "123456789", "1.5", "-1", "+1", " 1", "1 ", "/1", ":1", "1:", "1/", "x", "\u{ff11}", "1\0"] {
            assert_eq!(parse(text), None, "{text}");
        }
        for value in (0..100_000_000).step_by(7919) {
            assert_eq!(parse(&value.to_string()), Some(value));
        }
        assert_eq!(parse_short_count(b"1,2", &(0..1)), None); // fewer than eight bytes before
    }

    #[test]
    fn a_canonical_field_is_one_that_is_written_as_it_is() {
        let predictor = of_kind(Kind::Number, Transform::None);
        let digits = ["", "0", "1", "5", "00", "10", "25", "050", "123456789", "12345678901234567"];
        let mut canonical = 0;
        for sign in ["", "-", "+"] {
            for whole in digits {
                for fraction in digits {
                    for end in ["", ".", "e0", " "] {
                        let point = if fraction.is_empty() { "" } else { "." };
                        let text = format!("       ,{sign}{whole}{point}{fraction}{end}");
                        let Ok((Some(ValueRef::Number(number)), is_canonical)) =
                            parse_field(&predictor, text.as_bytes(), 8..text.len())
                        else {
                            continue;
                        };
                        let mut written = Vec::new();
                        write_number(&mut written, number);
                        assert!(!is_canonical || written == text.as_bytes()[8..], "{text}");
                        // Longer spellings may be written as they are, but need not be known as such.
                        assert!(is_canonical || written != text.as_bytes()[8..] || text.len() > 8 + 15, "{text}");
                        canonical += u32::from(is_canonical);
                    }
                }
            }
        }
        assert!(canonical > 40);
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
            assert_eq!(
                parse_target(&target, text.as_bytes()),
                Err(Malformed::NotALabel(Box::new(target.clone()))),
                "{text}"
            );
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
