//! Numbers, columns, reasons and drift checks in plain words.

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

/// Formats a number of any size with about five digits.
pub fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size.fract() == 0.0 && size < 1e15 => format!("{value:.0}"),
        size if size < 1e-3 => format!("{value:.3e}"),
        size if size < 10.0 => format!("{value:.5}"),
        size if size < 1e5 => format!("{value:.2}"),
        _ => format!("{value:.0}"),
    }
}

/// Formats a number as [`number`] does; an unknown one is a dash.
pub fn number_if_known(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), number)
}

/// A text with a capital first letter.
pub fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
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
    match (value, &predictor.unit) {
        (Value::Level(level), _) => level.clone(),
        (Value::Number(number), None) => amount(predictor.kind, *number),
        (Value::Number(number), Some(unit)) => format!("{} {unit}", amount(predictor.kind, *number)),
    }
}

/// Describes one predictor's contribution to a client's `risk` by its consequence.
pub(crate) fn reason(schema: &Schema, reason: &Reason, risk: f64) -> String {
    let Some(predictor) = predictor(schema, &reason.predictor) else { return String::new() };
    let (now, average) = (value(predictor, &reason.value), value(predictor, &reason.average));
    let subject = capitalised(&predictor.label);
    let (imputed_as, average_is, ordinary) = match predictor.is_category() {
        true => ("most common value", "most common", average.as_str()),
        false => ("median", "average", "an average value"),
    };
    let fact = match reason.imputed {
        true => format!("{subject} is unknown and taken to be the {imputed_as}, {now} ({average_is} {average})."),
        false => format!("{subject} is {now} ({average_is} {average})."),
    };
    match changes_the_risk(reason, risk) {
        true => {
            let (now, then) = (rounded(risk), rounded(reason.risk_at_average));
            format!("{fact} With {ordinary} the risk would be {then} instead of {now}.")
        }
        false => format!("{fact} With {ordinary} the risk would be about the same."),
    }
}

fn predictor<'a>(schema: &'a Schema, name: &str) -> Option<&'a Predictor> {
    schema.predictors().iter().find(|predictor| predictor.name == name)
}

/// Whether a client's `risk`, in whole percent, would differ with the average value of the predictor.
pub(crate) fn changes_the_risk(reason: &Reason, risk: f64) -> bool {
    rounded(risk) != rounded(reason.risk_at_average)
}

/// Describes what would lower a client's risk below `threshold`.
pub(crate) fn remedy(schema: &Schema, remedy: &Remedy, threshold: f64) -> String {
    match remedy {
        Remedy::NotNeeded => format!("already below {}", whole_percent(threshold)),
        Remedy::Nothing => "no single change is enough".to_owned(),
        Remedy::Change(Change { predictor: name, from, to }) => match predictor(schema, name) {
            Some(predictor) => {
                format!("{} {} instead of {}", predictor.label, value(predictor, to), value(predictor, from))
            }
            None => String::new(),
        },
    }
}

/// Describes a drift check in two sentences.
pub(crate) fn check(check: &CheckRow) -> String {
    let verdict = match check.verdict {
        DriftVerdict::CannotTell => "Chance may explain the difference.",
        DriftVerdict::Drifted => "The score has fallen by more than chance explains.",
        DriftVerdict::NotDrifted => "The score has not fallen.",
    };
    format!(
        "On {} new rows the model reached F1 {:.4} ({}), against the recorded {:.4}. {verdict} The configured test, \
         \"{}\", decided: {}.",
        grouped(check.confusion.n()),
        check.confusion.f1(),
        interval(interval_of(check)),
        check.recorded_f1,
        check.test.as_str(),
        decision(check)
    )
}

/// The 95 % confidence interval of a check's score; `None` if it is unknown.
pub(crate) fn interval_of(check: &CheckRow) -> Option<Interval> {
    check.f1_low.zip(check.f1_high).map(|(low, high)| Interval { low, high })
}

/// Whether a check found drift.
pub(crate) fn decision(check: &CheckRow) -> &'static str {
    if check.drifted { "drift" } else { "no drift" }
}

/// A 95 % confidence interval of a score.
pub(crate) fn interval(interval: Option<Interval>) -> String {
    interval.map_or_else(|| "no interval".to_owned(), |i| format!("95 %: {:.4} to {:.4}", i.low, i.high))
}

/// A risk in whole percent; never 0 % or 100 %, because no risk is certain.
fn rounded(risk: f64) -> String {
    match risk {
        risk if risk < 0.005 => "less than 1 %".to_owned(),
        risk if risk >= 0.995 => "more than 99 %".to_owned(),
        _ => whole_percent(risk),
    }
}

/// A number for readers: whole numbers and those from 10 to 10^15 without decimals, others with few digits.
fn amount(kind: Kind, value: f64) -> String {
    let sign = if value < 0.0 { "\u{2212}" } else { "" };
    match value.abs() {
        size if size > 1e16 => format!("{sign}{size:.3e}"),
        size if size.fract() == 0.0 || size >= 10.0 => format!("{sign}{}", grouped(size.round() as u64)),
        size if size >= 0.1 || kind == Kind::Count => format!("{sign}{size:.1}"),
        size => format!("{sign}{size:.2e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_in_points_and_risks_in_whole_percent() {
        assert_eq!([0.0123, -0.004, 0.0, -0.0004].map(points), ["+1.2", "\u{2212}0.4", "0.0", "0.0"]);
        assert_eq!([0.004, 0.0149, 0.5, 0.9951].map(rounded), ["less than 1 %", "1 %", "50 %", "more than 99 %"]);
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
}
