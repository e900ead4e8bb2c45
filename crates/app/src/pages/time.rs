//! Times in words. All times are UTC.

use jiff::Timestamp;

/// A day with its weekday: "Monday, 30 November 2026".
pub fn weekday(time: Timestamp) -> String {
    time.strftime("%A, %-d %B %Y").to_string()
}

/// A day: "30 November 2026".
pub fn day(time: Timestamp) -> String {
    time.strftime("%-d %B %Y").to_string()
}

/// A day of this year or the next: "14 December".
pub fn day_of_year(time: Timestamp) -> String {
    time.strftime("%-d %B").to_string()
}

/// How long ago `then` was: "just now", "4 minutes ago", "3 hours ago", "12 days ago". A time in the future, which only
/// a wrong clock can give, counts as now.
pub fn ago(now: Timestamp, then: Timestamp) -> String {
    let minutes = minutes_between(then, now).max(0);
    let (count, unit) = match minutes {
        0 => return "just now".to_owned(),
        1..120 => (minutes, "minute"),
        120..2880 => (minutes / 60, "hour"),
        _ => (minutes / 1440, "day"),
    };
    format!("{count} {unit}{} ago", if count == 1 { "" } else { "s" })
}

/// The whole minutes from one time to another.
pub fn minutes_between(from: Timestamp, to: Timestamp) -> i64 {
    (to.as_second() - from.as_second()).div_euclid(60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_words() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = at("2026-11-30T09:00:00Z");
        assert_eq!((weekday(now), day(now)), ("Monday, 30 November 2026".to_owned(), "30 November 2026".to_owned()));
        assert_eq!(day_of_year(at("2026-12-01T00:00:00Z")), "1 December");
        for (then, words) in [
            ("2026-11-30T09:00:30Z", "just now"),
            ("2026-11-30T08:59:00Z", "1 minute ago"),
            ("2026-11-30T07:01:00Z", "119 minutes ago"),
            ("2026-11-30T06:30:00Z", "2 hours ago"),
            ("2026-11-28T08:00:00Z", "2 days ago"),
        ] {
            assert_eq!(ago(now, at(then)), words);
        }
    }
}
