//! What people read: a table with one line for each policy, and the recommended line of the config.

use std::fmt;

use common::cli;

use super::Outcome;
use crate::replay::measure::Measured;
use crate::replay::policy::Policy;
use crate::replay::recommendation::{Conclusion, FEWEST_FILES};

const TITLES: [&str; 7] = [
    "drift_test",
    "promotion",
    "F1 on next files (95 % interval)",
    "retrainings",
    "deployments",
    "missed drifts",
    "needless deployments",
];

impl cli::Outcome for Outcome {
    fn warnings(&self) -> Vec<String> {
        self.notes.clone()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (files, first) = (self.files.len(), self.first);
        let rows = self.policies.first().map_or(0, |policy| policy.n);
        let trained = if first == 1 { self.files[0].clone() } else { format!("the first {first} files") };
        writeln!(
            f,
            "replay of {files} files; the first model is trained on {trained}, and {rows} labelled rows of {} next files are scored",
            files - first
        )?;
        let lines: Vec<[String; 7]> =
            [TITLES.map(str::to_owned)].into_iter().chain(self.policies.iter().map(line)).collect();
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        for line in &lines {
            let [test, promotion, f1, numbers @ ..] = line;
            write!(f, "  {test:<0$}  {promotion:<1$}  {f1:<2$}", width(0), width(1), width(2))?;
            for (column, number) in (3..).zip(numbers) {
                write!(f, "  {number:>0$}", width(column))?;
            }
            writeln!(f)?;
        }
        self.write_recommendation(f)
    }
}

/// Returns the cells of a policy.
fn line(measured: &Measured) -> [String; 7] {
    let Measured { policy, f1, f1_interval, retrainings, deployments, missed_drifts, needless_deployments, .. } =
        measured;
    let (test, promotion) = match policy {
        Policy::Rule { test, promotion } => (test.as_str(), promotion.as_str()),
        Policy::Never => ("never", ""),
        Policy::Always => ("always", ""),
    };
    let interval = f1_interval.map(|i| format!(" ({:.4} to {:.4})", i.low, i.high)).unwrap_or_default();
    let [retrainings, deployments, missed, needless] =
        [retrainings, deployments, missed_drifts, needless_deployments].map(usize::to_string);
    [test.to_owned(), promotion.to_owned(), format!("{f1:.4}{interval}"), retrainings, deployments, missed, needless]
}

impl Outcome {
    fn write_recommendation(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let advice = &self.recommendation;
        let Some(Policy::Rule { test, promotion }) = advice.recommended else {
            return write!(
                f,
                "too few files: a recommendation needs {FEWEST_FILES} with enough known leavers (config key \
                 \"drift_min_positives\"), and there are {}",
                advice.judged_files
            );
        };
        if let Some(difference) = advice.against_never {
            let finding = match advice.conclusion {
                Conclusion::Better => "better than never replacing the first model",
                _ if difference.high < 0.0 => "every rule is worse than never replacing the first model",
                _ => "no rule is better than never replacing the first model by more than chance",
            };
            writeln!(f, "{finding}: F1 differs by {:+.4} to {:+.4}", difference.low, difference.high)?;
        }
        if advice.against_always.is_some_and(|difference| difference.high < 0.0) {
            writeln!(f, "a new model at every file is better than this rule by more than chance")?;
        }
        write!(f, "recommended: \"drift_test\": \"{}\", \"promotion\": \"{}\"", test.as_str(), promotion.as_str())
    }
}
