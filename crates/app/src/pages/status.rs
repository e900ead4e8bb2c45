//! The status at the top of the calls: the date, the age of the data, the last run and its verdict. It says in words what
//! needs attention; the colour only repeats it.

use common::config::Config;
use common::production::hold::Hold;
use common::production::last_run::LastRun;
use history::{CheckRow, History, PendingFile, Waiting};
use insight::wording::{NOT_CHECKED, check_in_short, names};
use jiff::Timestamp;
use maud::{Markup, html};

use super::time::{ago, minutes_between, weekday};
use crate::circuit_breaker::CircuitBreaker;
use crate::problem::{Problem, shortened};
use crate::views;

/// A newest `fullprocess` that started more than this many minutes ago needs attention: cron starts one every ten
/// minutes.
const OVERDUE: i64 = 60;

/// The state of the system: its data, its last run, and the live release's last check for drift.
pub struct Status {
    now: Timestamp,
    /// When the compiled data were written; `None` if that cannot be read.
    compiled: Option<Timestamp>,
    /// The hold on the live release, or why it is unknown whether there is one.
    hold: Result<Option<Hold>, String>,
    /// The last run of `fullprocess`; `None` if there was none.
    run: Option<LastRun>,
    /// The newest records, or why they are unknown.
    newest: Result<Newest, String>,
}

/// The newest records of the history about the live release; `None` if there is none.
#[derive(Default)]
struct Newest {
    /// The newest check of the live release.
    check: Option<CheckRow>,
    /// The names of the files that this release cannot be judged on yet.
    pending: Vec<String>,
}

impl Status {
    /// Reads the state of the live `release`. A history that cannot be read is a part of it and not an error.
    pub fn read(config: &Config, circuit_breaker: &CircuitBreaker, release: &str, now: Timestamp) -> Self {
        let newest = circuit_breaker.open(config).and_then(|history| match history {
            Some(mut history) => Newest::read(&mut history, release),
            None => Ok(Newest::default()),
        });
        let unknown = |error| Problem::not_ready("the history cannot be read", &error).detail(config);
        // The error names a path of the server, which the page must not show.
        let hold = Hold::read(config).map_err(|_| "its hold file cannot be read, so it stays held".to_owned());
        let run = LastRun::read(config).unwrap_or_else(|error| {
            tracing::warn!("the page shows no last run: {error:#}");
            None
        });
        Self { now, compiled: views::compiled(config), hold, run, newest: newest.map_err(unknown) }
    }

    /// What needs attention, as sentences; `None` if nothing does.
    fn alarm(&self) -> Option<String> {
        let overdue = |run: &LastRun| minutes_between(run.started, self.now) > OVERDUE;
        match (&self.run, &self.newest) {
            (Some(run), _) if !run.succeeded => {
                Some(format!("The last run of fullprocess failed: {}", shortened(&run.line)))
            }
            (Some(run), _) if overdue(run) => Some(format!(
                "The last run of fullprocess started {}, but one is expected every ten minutes. Check whether cron is still \
                 running.",
                ago(self.now, run.started)
            )),
            (_, Err(why)) => Some(format!("It is unknown whether the model still fits: {why}.")),
            _ => None,
        }
    }

    /// The last run of `fullprocess` and its result.
    fn last_run(&self) -> String {
        let Some(run) = &self.run else { return "no run of fullprocess is recorded".to_owned() };
        let when = ago(self.now, run.started);
        match run.succeeded {
            true => format!("{when}: {}", shortened(&run.line)),
            false => format!("{when}, failed"),
        }
    }

    /// Describes the live model: its newest drift check, the files that wait, and whether it is held.
    fn model(&self, newest: &Newest) -> String {
        let mut text = newest.check.as_ref().map_or_else(|| NOT_CHECKED.to_owned(), check_in_short);
        if !newest.pending.is_empty() {
            text += &format!("; pending: {}", names(&newest.pending));
        }
        match &self.hold {
            Ok(None) => text,
            Ok(Some(hold)) => format!("{text}; {hold}"),
            Err(why) => format!("{text}; {why}"),
        }
    }

    /// The strip at the top of a page about the live release.
    pub fn strip(&self) -> Markup {
        let alarm = self.alarm();
        html! {
            section.status.alarm[alarm.is_some()] aria-label="Status" {
                @if let Some(alarm) = &alarm { p.state { strong { "Needs attention. " } (alarm) } }
                dl {
                    div { dt { "Today" } dd { (weekday(self.now)) " (UTC)" } }
                    div {
                        dt { "Newest data" }
                        dd { @match self.compiled { Some(at) => { "compiled " (ago(self.now, at)) }, None => "unknown" } }
                    }
                    div id="last-run" {
                        dt { "Last check" }
                        dd { (self.last_run()) }
                    }
                    div {
                        dt { "Model" }
                        dd { @match &self.newest {
                            Ok(newest) => a href="/model#drift" { (self.model(newest)) },
                            Err(_) => "unknown",
                        } }
                    }
                }
            }
        }
    }
}

impl Newest {
    fn read(history: &mut History, release: &str) -> anyhow::Result<Self> {
        let is_pending = |file: &PendingFile| file.state == Waiting::CannotBeJudged;
        let pending = history.waiting_files(release)?.into_iter().filter(is_pending).map(|file| file.name).collect();
        Ok(Self { check: history.newest_check(release)?, pending })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(minutes_ago: i64, succeeded: bool, line: &str) -> Status {
        let now: Timestamp = "2026-11-30T09:00:00Z".parse().unwrap();
        let started = Timestamp::from_second(now.as_second() - 60 * minutes_ago).unwrap();
        let run = LastRun { started, ended: started, succeeded, line: line.to_owned(), last_success: None };
        Status { now, compiled: Some(started), hold: Ok(None), run: Some(run), newest: Ok(Newest::default()) }
    }

    #[test]
    fn a_failed_run_and_one_that_is_overdue_need_attention_and_nothing_else_does() {
        let fine = status(60, true, "nothing to do");
        assert_eq!(fine.alarm(), None);
        let text = fine.strip().into_string();
        assert!(text.contains("60 minutes ago: nothing to do") && !text.contains("alarm"), "{text}");
        let late = status(61, true, "nothing to do").strip().into_string();
        assert!(late.contains("Needs attention.") && late.contains("still running"), "{late}");
        let failed = status(2, false, "dataset9.csv is <empty>").strip().into_string();
        assert!(
            failed.contains("status alarm") && failed.contains("failed: dataset9.csv is &lt;empty&gt;"),
            "{failed}"
        );
        let unknown = Status { newest: Err("the history cannot be read".to_owned()), ..fine };
        assert!(unknown.strip().into_string().contains("It is unknown whether the model still fits: the history"));
        // A run that has failed before the database was open is known too.
        let both = Status { newest: unknown.newest, ..status(2, false, "no database") };
        assert!(both.strip().into_string().contains("failed: no database"));
        let none = Status { run: None, newest: Ok(Newest::default()), ..both };
        assert_eq!(none.alarm(), None);
    }

    #[test]
    fn pending_files_and_a_hold_are_shown() {
        let fine = status(2, true, "nothing to do");
        assert!(fine.strip().into_string().contains("not checked on new files since it went live<"));
        let hold = Hold { since: fine.now, reason: Some("<audit>".to_owned()) };
        let pending = Newest { pending: vec!["a.csv".to_owned(), "b.csv".to_owned()], ..Newest::default() };
        let held = Status { hold: Ok(Some(hold)), newest: Ok(pending), ..fine };
        let text = held.strip().into_string();
        assert!(text.contains("; pending: a.csv, b.csv; held since 2026-11-30 09:00 UTC (&lt;audit&gt;)<"), "{text}");
        let unknown = Status { hold: Err("its hold file cannot be read".to_owned()), ..held };
        assert!(unknown.strip().into_string().contains("; its hold file cannot be read<"));
    }
}
