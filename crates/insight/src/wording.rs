//! Numbers, columns, reasons and drift checks in plain words.

pub(crate) mod story;

pub use charts::numbers::{grouped, percent, whole_percent};
use common::schema::{Kind, Predictor, Schema};
use common::values::Value;
use history::{CheckRow, DriftVerdict};
use statistics::interval::Interval;

use crate::call_list::reasons::{Change, Reason, Remedy};

/// Formats a difference of probabilities in percentage points: "+1.2", "−0.4", "0.0".
pub fn points(difference: f64) -> String {
    let points = (1000.0 * difference).round() / 10.0;
    match points {
        points if points > 0.0 => format!("+{points:.1}"),
        points if points < 0.0 => format!("\u{2212}{:.1}", -points),
        _ => "0.0".to_owned(),
    }
}

/// Formats a difference of scores with four decimals and its sign: "+0.0123", "−0.0040", "0.0000".
pub(crate) fn signed(difference: f64) -> String {
    let rounded = (10_000.0 * difference).round() / 10_000.0;
    match rounded {
        rounded if rounded > 0.0 => format!("+{rounded:.4}"),
        rounded if rounded < 0.0 => format!("\u{2212}{:.4}", -rounded),
        _ => "0.0000".to_owned(),
    }
}

/// A risk in whole percent for a sentence; never 0 % or 100 %, because no risk is certain.
pub fn risk(risk: f64) -> String {
    match risk {
        risk if risk < 0.01 => "under 1 %".to_owned(),
        risk if risk > 0.99 => "over 99 %".to_owned(),
        _ => format!("{} %", whole(risk)),
    }
}

/// A risk with one decimal for a table; never 0.0 % or 100.0 %.
pub fn risk_in_table(risk: f64) -> String {
    percent(risk.clamp(0.001, 0.999))
}

/// Whether two risks differ in a sentence.
pub(crate) fn changes_visibly(one: f64, other: f64) -> bool {
    risk(one) != risk(other)
}

/// Formats a number of any size with about five digits.
pub fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size.fract() == 0.0 && size < 1e15 => format!("{value:.0}"),
        size if size < 1e-3 => format!("{value:.3e}"),
        size if size < 10.0 => format!("{value:.5}"),
        size if size < 1e5 => format!("{value:.2}"),
        size if size < 1e15 => format!("{value:.0}"),
        _ => format!("{value:.3e}"),
    }
}

/// Formats a number as [`number`] does; an unknown one is a dash.
pub fn number_if_known(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), number)
}

/// Formats a p-value with three decimals.
pub(crate) fn p_value(p: f64) -> String {
    if p < 0.001 { "< 0.001".to_owned() } else { format!("{p:.3}") }
}

/// A number with a noun: "1 client", "1,250 clients".
pub fn count(number: u64, thing: &str) -> String {
    format!("{} {thing}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// An expected number of clients: "about 43", "fewer than 1".
pub fn about(expected: f64) -> String {
    match expected < 1.0 {
        true => "fewer than 1".to_owned(),
        false => format!("about {}", grouped(expected.round() as u64)),
    }
}

/// A text with a capital first letter.
pub fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    let Some(first) = characters.next() else { return String::new() };
    let mut capitalised = String::with_capacity(text.len());
    capitalised.extend(first.to_uppercase());
    capitalised + characters.as_str()
}

/// The label of a predictor with a capital first letter, followed by its unit.
pub fn label_with_unit(predictor: &Predictor) -> String {
    let label = capitalised(&predictor.label);
    match &predictor.unit {
        None => label,
        Some(unit) => format!("{label} ({unit})"),
    }
}

/// A time of the history, cut off after the minutes.
pub fn minutes(time: &str) -> String {
    time.get(..16).unwrap_or(time).replace('T', " ")
}

/// A value of a predictor for readers, with its unit.
pub fn value(predictor: &Predictor, value: &Value) -> String {
    match value {
        Value::Level(level) => level.clone(),
        Value::Number(number) => with_unit(predictor, amount(predictor.kind, *number)),
    }
}

/// A value of a predictor for readers, with its unit and with all its decimals if these are few.
fn exact(predictor: &Predictor, value: &Value) -> String {
    match value.number() {
        Some(number) if predictor.kind == Kind::Number && number.fract() != 0.0 => {
            let text = number.abs().to_string();
            match text.split_once('.') {
                Some((_, decimals)) if decimals.len() <= MOST_DECIMALS => {
                    let text = format!("{}{}.{decimals}", sign(number), grouped(number.abs().trunc() as u64));
                    with_unit(predictor, text)
                }
                _ => self::value(predictor, value),
            }
        }
        _ => self::value(predictor, value),
    }
}

/// Maximum number of decimals of a number that is shown in full.
const MOST_DECIMALS: usize = 6;

fn with_unit(predictor: &Predictor, text: String) -> String {
    match &predictor.unit {
        None => text,
        Some(unit) => format!("{text} {unit}"),
    }
}

/// Describes one predictor's contribution to a client's `risk` by its consequence.
pub(crate) fn reason(schema: &Schema, reason: &Reason, risk: f64) -> String {
    let Some(predictor) = schema.predictor(&reason.predictor) else { return String::new() };
    let (now, average) = (value(predictor, &reason.value), value(predictor, &reason.average));
    let subject = capitalised(&predictor.label);
    let (fact, other) = match (predictor.is_category(), reason.imputed) {
        (true, true) => return format!("{subject} is unknown and taken to be the most common value, {now}."),
        (true, false) if now == average => return format!("{subject} is {now}, the most common value."),
        (true, false) => (format!("{subject} is {now} (most common: {average})."), average.as_str()),
        (false, true) => {
            (format!("{subject} is unknown and taken to be the median, {now} (average {average})."), "an average value")
        }
        (false, false) => (format!("{subject} is {now} (average {average})."), "an average value"),
    };
    match changes_visibly(risk, reason.risk_at_average) {
        true => {
            let (now, then) = (self::risk(risk), self::risk(reason.risk_at_average));
            format!("{fact} With {other} the risk would be {then} instead of {now}.")
        }
        false => format!("{fact} With {other} the risk would be about the same."),
    }
}

/// Describes what would lower a client's risk below `threshold`.
pub(crate) fn remedy(schema: &Schema, remedy: &Remedy, threshold: f64) -> String {
    match remedy {
        Remedy::NotNeeded => format!("already below {}", whole_percent(threshold)),
        Remedy::Nothing => "no single change is enough".to_owned(),
        Remedy::Change(Change { predictor: name, from, to }) => match schema.predictor(name) {
            Some(predictor) => {
                format!("{} {} instead of {}", predictor.label, exact(predictor, to), exact(predictor, from))
            }
            None => String::new(),
        },
    }
}

/// Says of a live release that no file has been scored since it went live.
pub const NOT_CHECKED: &str = "not checked on new files since it went live";

/// The result of a drift check in a few words.
pub fn check_in_short(check: &CheckRow) -> String {
    match (check.drifted, check.verdict) {
        (true, _) => format!("drift found on {} new rows", grouped(check.confusion.n())),
        (false, DriftVerdict::CannotBeJudged) => format!("cannot be judged: {} left", left_of_labelled(check)),
        _ => format!("no drift on {} new rows", grouped(check.confusion.n())),
    }
}

/// How many of the new clients are known to have left.
fn left_of_labelled(check: &CheckRow) -> String {
    format!("{} of {}", grouped(check.confusion.positives()), count(check.confusion.n(), "labelled new row"))
}

/// Lists the first names, and how many others there are.
pub fn names(names: &[String]) -> String {
    const SHOWN: usize = 10;
    match names.get(SHOWN..) {
        Some(others @ [_, ..]) => {
            format!("{} and {}", names[..SHOWN].join(", "), count(others.len() as u64, "other"))
        }
        _ => names.join(", "),
    }
}

/// Describes a drift check in two or three sentences.
pub(crate) fn check(check: &CheckRow) -> String {
    let decided = format!("The configured test, \"{}\", decided: {}.", check.test.as_str(), decision(check));
    let verdict = match check.verdict {
        DriftVerdict::CannotBeJudged => {
            let why = format!("{} left, which is too few to judge the model", left_of_labelled(check));
            return match check.drifted {
                true => format!("Only {why}. {decided}"), // by an earlier version of the program
                false => {
                    format!("It cannot be judged: {why}. Pending until more labels arrive: {}.", names(&check.data))
                }
            };
        }
        DriftVerdict::CannotTell => "Chance may explain the difference.",
        DriftVerdict::Drifted => "The score has fallen by more than chance explains.",
        DriftVerdict::NotDrifted => "The score has not fallen.",
    };
    format!(
        "On {} new rows the model reached F1 {:.4} ({}), against the recorded {:.4}. {verdict} {decided}",
        grouped(check.confusion.n()),
        check.confusion.f1(),
        interval(interval_of(check)),
        check.recorded_f1
    )
}

/// The 95 % confidence interval of a check's score; `None` if it is unknown.
pub(crate) fn interval_of(check: &CheckRow) -> Option<Interval> {
    f1_of(check)?;
    check.f1_low.zip(check.f1_high).map(|(low, high)| Interval { low, high })
}

/// The score of a check; `None` if it says nothing about the model, because too few clients are known to have left.
pub(crate) fn f1_of(check: &CheckRow) -> Option<f64> {
    (check.verdict != DriftVerdict::CannotBeJudged).then(|| check.confusion.f1())
}

/// What a check decided.
pub(crate) fn decision(check: &CheckRow) -> &'static str {
    match (check.drifted, check.verdict) {
        (true, _) => "drift",
        (false, DriftVerdict::CannotBeJudged) => "none",
        _ => "no drift",
    }
}

/// A 95 % confidence interval of a score.
pub(crate) fn interval(interval: Option<Interval>) -> String {
    interval.map_or_else(|| "no interval".to_owned(), |i| format!("95 %: {:.4} to {:.4}", i.low, i.high))
}

/// A risk rounded to whole percent.
fn whole(risk: f64) -> u8 {
    (100.0 * risk).round_ties_even() as u8
}

/// A number for readers. Counts: whole numbers and those from 10 to 10^15 without decimals, others with few digits.
/// Numbers: at least three digits, without superfluous zeros.
fn amount(kind: Kind, value: f64) -> String {
    let (sign, size) = (sign(value), value.abs());
    let decimals = match size {
        _ if size > 1e16 => return format!("{sign}{size:.3e}"),
        _ if size.fract() == 0.0 || size >= 1000.0 => 0,
        _ if kind == Kind::Count => usize::from(size < 10.0),
        _ if size < 1e-4 => return format!("{sign}{size:.2e}"),
        _ => (2.0 - size.log10().floor()) as usize,
    };
    match decimals {
        0 => format!("{sign}{}", grouped(size.round() as u64)),
        _ if kind == Kind::Count => format!("{sign}{size:.decimals$}"),
        _ => format!("{sign}{}", format!("{size:.decimals$}").trim_end_matches('0').trim_end_matches('.')),
    }
}

/// The sign of a negative number.
fn sign(value: f64) -> &'static str {
    if value < 0.0 { "\u{2212}" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_in_points_and_risks_that_are_never_certain() {
        assert_eq!([0.0123, -0.004, 0.0, -0.0004].map(points), ["+1.2", "\u{2212}0.4", "0.0", "0.0"]);
        let risks = [0.0, 0.004, 0.0149, 0.5, 0.99, 0.9901, 1.0];
        assert_eq!(risks.map(risk), ["under 1 %", "under 1 %", "1 %", "50 %", "99 %", "over 99 %", "over 99 %"]);
        assert_eq!([0.0, 0.5, 0.9996, 1.0].map(risk_in_table), ["0.1 %", "50.0 %", "99.9 %", "99.9 %"]);
    }

    #[test]
    fn numbers_of_any_size() {
        let numbers = [0.0, -0.000012345, 0.025, 24.5, -123456.7, 6.0];
        assert_eq!(numbers.map(number), ["0", "-1.234e-5", "0.02500", "24.50", "-123457", "6"]);
    }

    #[test]
    fn texts_begin_with_a_capital_letter() {
        assert_eq!((capitalised(""), capitalised("größe")), (String::new(), "Größe".to_owned()));
    }

    fn predictor(text: &str) -> Schema {
        let text = format!(r#"{{"id": "i", "target": "t", "predictors": [{text}]}}"#);
        common::config::schema_of_json(&text).unwrap()
    }

    fn of(value: impl Into<Value>, average: impl Into<Value>, imputed: bool, then: f64) -> Reason {
        Reason {
            predictor: "p".to_owned(),
            value: value.into(),
            imputed,
            average: average.into(),
            log_odds: 1.0,
            odds_factor: 1.0,
            risk_at_average: then,
        }
    }

    #[test]
    fn reasons_of_categories_name_the_levels() {
        let schema = predictor(r#"{"name": "p", "kind": "category", "label": "contract"}"#);
        let words = |given: Reason| reason(&schema, &given, 0.45);
        assert_eq!(
            words(of("Month-to-month", "Two year", false, 0.12)),
            "Contract is Month-to-month (most common: Two year). With Two year the risk would be 12 % instead of 45 %."
        );
        assert_eq!(
            words(of("One year", "Two year", false, 0.451)),
            "Contract is One year (most common: Two year). With Two year the risk would be about the same."
        );
        assert_eq!(words(of("Two year", "Two year", false, 0.45)), "Contract is Two year, the most common value.");
        assert_eq!(
            words(of("Two year", "Two year", true, 0.45)),
            "Contract is unknown and taken to be the most common value, Two year."
        );
    }

    #[test]
    fn reasons_of_numbers_have_signs_decimals_and_units() {
        let schema = predictor(r#"{"name": "p", "label": "monthly balance", "unit": "€"}"#);
        assert_eq!(
            reason(&schema, &of(-1234.5, 0.25, false, 0.12), 0.45),
            "Monthly balance is \u{2212}1,235 € (average 0.25 €). With an average value the risk would be 12 % instead of 45 %."
        );
        let schema = predictor(r#"{"name": "p", "transform": "log1p"}"#);
        assert_eq!(
            reason(&schema, &of(20.04, 31.0, true, 0.45), 0.45),
            "P is unknown and taken to be the median, 20 (average 31). With an average value the risk would be about the same."
        );
    }

    #[test]
    fn numbers_have_three_digits_and_counts_as_few_as_possible() {
        let numbers = [0.0, 0.034, 0.5, 4.357, 20.04, -3.0, 104.35, 1234.5, 1e17, 2e-5, -0.999];
        assert_eq!(
            numbers.map(|number| amount(Kind::Number, number)),
            ["0", "0.034", "0.5", "4.36", "20", "\u{2212}3", "104", "1,235", "1.000e17", "2.00e-5", "\u{2212}0.999"]
        );
        let counts = [0.0, 0.034, 4.357, 20.04, 1234.5, 326.0];
        assert_eq!(counts.map(|count| amount(Kind::Count, count)), ["0", "0.0", "4.4", "20", "1,235", "326"]);
    }

    #[test]
    fn the_smallest_change_shows_its_decimals() {
        let words = |columns: &str, from: Value, to: Value| {
            remedy(&predictor(columns), &Remedy::Change(Change { predictor: "p".to_owned(), from, to }), 0.5)
        };
        let rate = r#"{"name": "p", "label": "rate", "unit": "%"}"#;
        assert_eq!(words(rate, 12.31.into(), 12.1.into()), "rate 12.1 % instead of 12.31 %");
        assert_eq!(words(rate, (0.1 + 0.2).into(), (-1234.5).into()), "rate \u{2212}1,234.5 % instead of 0.3 %");
        let contract = r#"{"name": "p", "kind": "category", "label": "contract"}"#;
        assert_eq!(words(contract, "Monthly".into(), "Two year".into()), "contract Two year instead of Monthly");
        let count = r#"{"name": "p", "kind": "count"}"#;
        assert_eq!(words(count, 4.26.into(), 5.0.into()), "p 5 instead of 4.3");
    }
}
