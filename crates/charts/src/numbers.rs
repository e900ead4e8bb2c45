//! Numbers as texts for readers.

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

/// Formats a share as "12 %".
pub fn whole_percent(share: f64) -> String {
    let percent = 100.0 * share;
    match percent.is_finite() && percent.abs() < 1e9 {
        true => format!("{} %", percent.round_ties_even() as i64), // as below, and faster
        false => format!("{percent:.0} %"),
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
    fn shares_are_percentages() {
        assert_eq!([0.5, 0.12345, 1.0].map(percent), ["50.0 %", "12.3 %", "100.0 %"]);
        assert_eq!([0.5, 0.12345, 1.0].map(whole_percent), ["50 %", "12 %", "100 %"]);
        for share in (0..=4000).map(|i| f64::from(i) / 4000.0).chain([f64::NAN, f64::INFINITY, 1e12]) {
            assert_eq!(whole_percent(share), format!("{:.0} %", 100.0 * share));
        }
    }
}
