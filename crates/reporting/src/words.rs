//! Numbers and drift checks as texts for readers.

use history::{CheckRow, DriftVerdict};

/// Formats 12345 as "12,345".
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut grouped = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Formats a share as "12.3 %".
pub fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

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

/// Describes a check in a sentence.
pub fn check_in_words(check: &CheckRow) -> String {
    let verdict = match check.verdict {
        DriftVerdict::CannotTell => "chance may explain the difference",
        DriftVerdict::Drifted => "the score has fallen by more than chance explains",
        DriftVerdict::NotDrifted => "the score has not fallen",
    };
    format!(
        "F1 {:.4} ({}) on {} new rows against the recorded {:.4}; {verdict}. By the test \"{}\" that is {}",
        check.confusion.f1(),
        interval_of(check),
        grouped(check.confusion.n()),
        check.recorded_f1,
        check.test.as_str(),
        if check.drifted { "drift" } else { "no drift" }
    )
}

/// The 95 % confidence interval of a check's score.
pub fn interval_of(check: &CheckRow) -> String {
    match (check.f1_low, check.f1_high) {
        (Some(low), Some(high)) => format!("{low:.4} to {high:.4}"),
        _ => "no interval".to_owned(),
    }
}

/// A time of the history, cut off after the minutes.
pub fn minutes(time: &str) -> String {
    time.get(..16).unwrap_or(time).replace('T', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        let cases = [(0, "0"), (999, "999"), (1000, "1,000"), (12345, "12,345"), (1234567, "1,234,567")];
        for (count, text) in cases {
            assert_eq!(grouped(count), text);
        }
    }

    #[test]
    fn shares_and_differences() {
        assert_eq!([0.5, 0.12345, 1.0].map(percent), ["50.0 %", "12.3 %", "100.0 %"]);
        assert_eq!([0.0123, -0.004, 0.0, -0.0004].map(points), ["+1.2", "\u{2212}0.4", "0.0", "0.0"]);
    }

    #[test]
    fn numbers_of_any_size() {
        let numbers = [0.0, -0.000012345, 0.025, 24.5, -123456.7, 6.0];
        assert_eq!(numbers.map(number), ["0", "-1.234e-5", "0.02500", "24.50", "-123457", "6"]);
    }
}
