//! Times along an axis, as short as they can be without ambiguity.

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Returns the name of an axis of times, which begins with `what`, and the label of each time. Times are in the format
/// `2026-11-25T03:01:45.906Z`; others become labels as they are. What is the same for all of them is part of the name:
///
/// | times | labels | name |
/// |---|---|---|
/// | of one day | `03:01`, or `03:01:45` if minutes repeat | `what, 25 Nov 2026 (UTC)` |
/// | of one year | `25 Nov`, or `25 Nov 03:01` if days repeat | `what, 2026 (UTC)` |
/// | others | `25 Nov 2026` | `what (UTC)` |
pub fn time_axis<'a>(what: &str, times: impl Iterator<Item = &'a str>) -> (String, Vec<String>) {
    let times: Vec<&str> = times.collect();
    let parsed: Option<Vec<_>> = times.iter().map(|time| Time::parse(time)).collect();
    let Some(parsed) = parsed else { return (what.to_owned(), times.iter().map(|time| (*time).to_owned()).collect()) };
    let labels = |label: &dyn Fn(&Time) -> String| parsed.iter().map(label).collect::<Vec<_>>();
    let is_repeated = |labels: &[String]| labels.windows(2).any(|pair| pair[0] == pair[1]);
    let (Some(first), Some(last)) = (parsed.first(), parsed.last()) else { return (what.to_owned(), Vec::new()) };
    if (first.year, first.day()) == (last.year, last.day()) {
        let minutes = labels(&|time| time.clock[..5].to_owned());
        let labels = if is_repeated(&minutes) { labels(&|time| time.clock.to_owned()) } else { minutes };
        return (format!("{what}, {} {} (UTC)", first.day(), first.year), labels);
    }
    if first.year != last.year {
        return (format!("{what} (UTC)"), labels(&|time| format!("{} {}", time.day(), time.year)));
    }
    let days = labels(&|time| time.day());
    let labels = if is_repeated(&days) { labels(&|time| format!("{} {}", time.day(), &time.clock[..5])) } else { days };
    (format!("{what}, {} (UTC)", first.year), labels)
}

/// The parts of a time.
struct Time<'a> {
    year: &'a str,
    month: &'static str,
    day: u8,
    /// Hours, minutes and seconds: `03:01:45`.
    clock: &'a str,
}

impl<'a> Time<'a> {
    fn parse(time: &'a str) -> Option<Self> {
        let (date, clock) = time.split_once('T')?;
        let mut parts = date.splitn(3, '-');
        let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
        let month = MONTHS.get(month.parse::<usize>().ok()?.checked_sub(1)?)?;
        Some(Self { year, month, day: day.parse().ok()?, clock: clock.get(..8).filter(|clock| clock.is_ascii())? })
    }

    fn day(&self) -> String {
        format!("{} {}", self.day, self.month)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_as_short_as_the_times_allow() {
        let axis = |times: &[&str]| time_axis("run", times.iter().copied());
        let cases: [(&[&str], &str, &[&str]); 7] = [
            (&["2026-11-25T03:01:45.906Z", "2026-11-25T04:10:00Z"], "run, 25 Nov 2026 (UTC)", &["03:01", "04:10"]),
            (
                &["2026-11-25T03:01:45.906Z", "2026-11-25T03:01:47Z"],
                "run, 25 Nov 2026 (UTC)",
                &["03:01:45", "03:01:47"],
            ),
            (&["2026-11-05T03:01:45Z", "2026-12-06T03:01:47Z"], "run, 2026 (UTC)", &["5 Nov", "6 Dec"]),
            (
                &["2026-11-05T03:01:45Z", "2026-11-05T04:01:45Z", "2026-12-06T03:01:47Z"],
                "run, 2026 (UTC)",
                &["5 Nov 03:01", "5 Nov 04:01", "6 Dec 03:01"],
            ),
            (&["2026-11-05T03:01:45Z", "2027-11-05T03:01:45Z"], "run (UTC)", &["5 Nov 2026", "5 Nov 2027"]),
            (&["yesterday", "2027-11-05T03:01:45Z"], "run", &["yesterday", "2027-11-05T03:01:45Z"]),
            (&[], "run", &[]),
        ];
        for (times, name, labels) in cases {
            let (found, texts) = axis(times);
            assert_eq!((found.as_str(), texts), (name, labels.iter().map(|label| (*label).to_owned()).collect()));
        }
    }
}
