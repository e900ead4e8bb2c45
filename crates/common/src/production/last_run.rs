//! The last run of `fullprocess`: when it ended, whether it succeeded, and its last line.
//!
//! It is a file beside the reports, which every real run replaces, so it also knows the runs that failed before the
//! database was open. Production itself is changed only by deployments. `app` shows it, and the next run learns from it what has changed.

use std::path::PathBuf;

use anyhow::Result;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::files::atomic;
use crate::files::names::LAST_RUN;
use crate::production::json_if_any;

/// The last real run of `fullprocess` that held its lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    /// When it started, in UTC.
    pub started: Timestamp,
    /// When it ended, in UTC.
    pub ended: Timestamp,
    /// Whether it succeeded; "nothing to do" is a success.
    pub succeeded: bool,
    /// The last line of its output, or its error.
    pub line: String,
    /// When the newest successful run ended, this one included; `None` if none has succeeded yet.
    pub last_success: Option<Timestamp>,
}

impl LastRun {
    /// Creates the description of a run that has just ended with `line`. `previous` is the run before.
    pub fn ended(started: Timestamp, succeeded: bool, line: String, previous: Option<&Self>) -> Self {
        let ended = Timestamp::now();
        let last_success = if succeeded { Some(ended) } else { previous.and_then(|run| run.last_success) };
        Self { started, ended, succeeded, line, last_success }
    }

    /// Replaces the file.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub fn write(&self, config: &Config) -> Result<()> {
        atomic::write(&path(config), &serde_json::to_vec_pretty(self)?)
    }

    /// Returns the last run; `None` if there was none.
    ///
    /// # Errors
    /// Fails if the file cannot be read or is damaged. The next run replaces it.
    pub fn read(config: &Config) -> Result<Option<Self>> {
        json_if_any(&path(config))
    }
}

fn path(config: &Config) -> PathBuf {
    config.output_model.join(LAST_RUN)
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

    use super::*;
    use crate::production::tests::valid_config;

    #[test]
    fn the_last_success_is_kept_while_runs_fail() {
        let folder = tempfile::tempdir().unwrap();
        let config = valid_config(folder.path());
        assert_eq!(LastRun::read(&config).unwrap(), None);
        let mut previous: Option<LastRun> = None;
        for succeeded in [false, true, false, false, true] {
            let line = "a \"line\"\nand another".to_owned();
            let run = LastRun::ended(Timestamp::now(), succeeded, line, previous.as_ref());
            let kept = previous.and_then(|before| before.last_success);
            assert_eq!(run.last_success, if succeeded { Some(run.ended) } else { kept });
            run.write(&config).unwrap();
            assert_eq!(LastRun::read(&config).unwrap().as_ref(), Some(&run));
            previous = Some(run);
        }
    }

    #[test]
    fn a_damaged_file_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let config = valid_config(folder.path());
        fs::create_dir_all(&config.output_model).unwrap();
        for damaged in ["", "{", "[]", r#"{"started": "yesterday"}"#] {
            fs::write(path(&config), damaged).unwrap();
            let error = format!("{:#}", LastRun::read(&config).unwrap_err());
            assert!(error.contains("lastrun.json"), "{error}");
        }
    }
}
