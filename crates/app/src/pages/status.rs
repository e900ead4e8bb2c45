//! The status at the top of the calls: the date, the age of the data, the last run and its verdict. It says in words what
//! needs attention; the colour only repeats it.

use std::fs;

use common::config::Config;
use common::files::INGESTION_RECORD;
use history::{CheckRow, History, RunOutcome, RunRow};
use insight::wording::grouped;
use jiff::Timestamp;
use maud::{Markup, html};

use super::time::{ago, minutes_between, weekday};
use crate::circuit_breaker::CircuitBreaker;
use crate::problem::{Problem, shortened};

/// A newest `fullprocess` that started more than this many minutes ago needs attention: cron starts one every ten
/// minutes.
const OVERDUE: i64 = 60;

/// The state of the system: its data, its last run and its last check for drift.
pub struct Status {
    now: Timestamp,
    /// When the compiled data were written; `None` if that cannot be read.
    compiled: Option<Timestamp>,
    /// The newest records, or why they are unknown.
    newest: Result<Newest, String>,
}

/// The newest records of the history; `None` if there is none.
#[derive(Default)]
struct Newest {
    process: Option<RunRow>,
    check: Option<CheckRow>,
}

impl Status {
    /// Reads the state. A history that cannot be read is a part of it and not an error.
    pub fn read(config: &Config, circuit_breaker: &CircuitBreaker, now: Timestamp) -> Self {
        let newest = circuit_breaker.open(config).and_then(|history| match history {
            Some(mut history) => Newest::read(&mut history),
            None => Ok(Newest::default()),
        });
        let unknown = |error| Problem::not_ready("the history cannot be read", &error).detail(config);
        let written = fs::metadata(config.output_folder.join(INGESTION_RECORD)).and_then(|file| file.modified());
        let compiled = written.ok().and_then(|time| Timestamp::try_from(time).ok());
        Self { now, compiled, newest: newest.map_err(unknown) }
    }

    /// What needs attention, as sentences; `None` if nothing does.
    fn alarm(&self) -> Option<String> {
        let run = match &self.newest {
            Ok(newest) => newest.process.as_ref()?,
            Err(why) => return Some(format!("It is unknown whether the checks still run: {why}.")),
        };
        if run.outcome == RunOutcome::Failed {
            let why = run.message.as_deref().unwrap_or("the history gives no reason");
            return Some(format!("The last run of fullprocess failed: {}", shortened(why)));
        }
        let started = run.started.parse::<Timestamp>().ok()?;
        (minutes_between(started, self.now) > OVERDUE).then(|| {
            format!(
                "The last run of fullprocess started {}, but one is expected every ten minutes. Check whether cron is still \
                 running.",
                ago(self.now, started)
            )
        })
    }

    /// The last run of `fullprocess` and its result.
    fn last_run(&self, newest: &Newest) -> String {
        let Some(run) = &newest.process else { return "no run of fullprocess is recorded".to_owned() };
        let when = run.started.parse().map_or_else(|_| run.started.clone(), |started| ago(self.now, started));
        match (run.outcome, &run.message) {
            (RunOutcome::Failed, _) => format!("{when}, failed"),
            (RunOutcome::Done, Some(message)) => format!("{when}: {}", shortened(message)),
            (RunOutcome::Done, None) => when,
        }
    }

    /// The result of the newest drift check of the live `release`.
    fn drift(newest: &Newest, release: &str) -> String {
        match newest.check.as_ref().filter(|check| check.release == release) {
            None => "no new rows since it went live".to_owned(),
            Some(check) => {
                let verdict = if check.drifted { "drift found" } else { "no drift" };
                format!("{verdict} on {} new rows", grouped(check.confusion.n()))
            }
        }
    }

    /// The strip at the top of a page about the live `release`.
    pub fn strip(&self, release: &str) -> Markup {
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
                        dd { @match &self.newest { Ok(newest) => (self.last_run(newest)), Err(_) => "unknown" } }
                    }
                    div {
                        dt { "Model" }
                        dd { @match &self.newest {
                            Ok(newest) => a href="/model#drift" { (Self::drift(newest, release)) },
                            Err(_) => "unknown",
                        } }
                    }
                }
            }
        }
    }
}

impl Newest {
    fn read(history: &mut History) -> anyhow::Result<Self> {
        Ok(Self { process: history.newest_process()?, check: history.newest_check()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(minutes_ago: i64, outcome: RunOutcome, message: &str) -> Status {
        let now: Timestamp = "2026-11-30T09:00:00Z".parse().unwrap();
        let started = Timestamp::from_second(now.as_second() - 60 * minutes_ago).unwrap();
        let process = RunRow {
            run: 7,
            started: started.to_string(),
            step: "fullprocess".to_owned(),
            seconds: 1.0,
            outcome,
            process: None,
            message: Some(message.to_owned()),
        };
        Status { now, compiled: Some(started), newest: Ok(Newest { process: Some(process), check: None }) }
    }

    #[test]
    fn a_failed_run_and_one_that_is_overdue_need_attention_and_nothing_else_does() {
        let fine = status(60, RunOutcome::Done, "nothing to do");
        assert_eq!(fine.alarm(), None);
        let text = fine.strip("r").into_string();
        assert!(text.contains("60 minutes ago: nothing to do") && !text.contains("alarm"), "{text}");
        let late = status(61, RunOutcome::Done, "nothing to do").strip("r").into_string();
        assert!(late.contains("Needs attention.") && late.contains("still running"), "{late}");
        let failed = status(2, RunOutcome::Failed, "dataset9.csv is <empty>").strip("r").into_string();
        assert!(
            failed.contains("status alarm") && failed.contains("failed: dataset9.csv is &lt;empty&gt;"),
            "{failed}"
        );
        let unknown = Status { newest: Err("the history cannot be read".to_owned()), ..fine };
        assert!(unknown.strip("r").into_string().contains("It is unknown whether"));
        let none = Status { newest: Ok(Newest::default()), ..unknown };
        assert_eq!(none.alarm(), None);
    }
}
