//! Numbers as people read them.

/// 12345 as "12,345".
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

/// A share as "12.3 %".
pub fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// A difference of probabilities in percentage points: "+1.2", "−0.4", "0.0".
pub fn points(difference: f64) -> String {
    let points = (1000.0 * difference).round() / 10.0;
    match points {
        points if points > 0.0 => format!("+{points:.1}"),
        points if points < 0.0 => format!("\u{2212}{:.1}", -points),
        _ => "0.0".to_owned(),
    }
}

/// A number of any size with about five digits.
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
