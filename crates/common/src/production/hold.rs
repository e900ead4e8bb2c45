//! The hold: while the live release is held, `fullprocess` does not replace it.
//!
//! It is a file in the production folder, so it does not depend on the database. A file that cannot be read holds too.

use std::fmt;
use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use fs_err as fs;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::files::atomic;
use crate::files::names::HOLD;
use crate::production::json_if_any;

/// Maximum number of characters of a reason.
const LONGEST_REASON: usize = 200;

/// A hold on the live release. As text it says since when and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// When it was set, in UTC.
    pub since: Timestamp,
    /// Why it was set, if a reason was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Hold {
    /// Holds the live release from now on. An earlier hold is replaced.
    ///
    /// # Errors
    /// Fails if the reason is no single line of at most 200 characters, or if the file cannot be written.
    pub fn set(config: &Config, reason: Option<&str>) -> Result<Self> {
        let reason = reason.map(|reason| reason.trim().to_owned()).filter(|reason| !reason.is_empty());
        let hold = Self { since: Timestamp::now(), reason };
        hold.check()?;
        atomic::write(&path(config), &serde_json::to_vec_pretty(&hold)?)?;
        Ok(hold)
    }

    /// Returns the hold; `None` if the live release is not held.
    ///
    /// # Errors
    /// Fails if the file cannot be read or is damaged. The caller must then treat the release as held.
    pub fn read(config: &Config) -> Result<Option<Self>> {
        let path = path(config);
        let read = || -> Result<Option<Self>> {
            let hold: Option<Self> = json_if_any(&path)?;
            hold.iter().try_for_each(Self::check).with_context(|| path.display().to_string())?;
            Ok(hold)
        };
        read().context(
            "the hold on the live release cannot be read, so the release stays held; set it again with deployment \
             --hold, or end it with deployment --release-hold",
        )
    }

    /// Ends the hold, even if its file is damaged. Returns whether there was one.
    pub fn release(config: &Config) -> Result<bool> {
        match fs::remove_file(path(config)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            removed => Ok(removed.map(|()| true)?),
        }
    }

    fn check(&self) -> Result<()> {
        let reason = self.reason.as_deref().unwrap_or_default();
        let is_line = !reason.chars().any(char::is_control) && reason.chars().count() <= LONGEST_REASON;
        ensure!(is_line, "the reason of a hold must be one line of at most {LONGEST_REASON} characters");
        Ok(())
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "held since {} UTC", self.since.strftime("%Y-%m-%d %H:%M"))?;
        match &self.reason {
            Some(reason) => write!(f, " ({reason})"),
            None => Ok(()),
        }
    }
}

fn path(config: &Config) -> PathBuf {
    config.production.join(HOLD)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::production::tests::valid_config;

    #[test]
    fn a_hold_lasts_until_it_is_released() {
        let folder = tempfile::tempdir().unwrap();
        let config = valid_config(folder.path());
        assert_eq!((Hold::read(&config).unwrap(), Hold::release(&config).unwrap()), (None, false));
        let hold = Hold::set(&config, Some("  an audit ")).unwrap();
        assert!(hold.to_string().ends_with(" UTC (an audit)"), "{hold}");
        assert_eq!(Hold::read(&config).unwrap(), Some(hold));
        let again = Hold::set(&config, Some(" ")).unwrap();
        assert!(again.reason.is_none() && again.to_string().ends_with(" UTC"), "{again}");
        assert_eq!(Hold::read(&config).unwrap(), Some(again));
        assert!(Hold::release(&config).unwrap() && Hold::read(&config).unwrap().is_none());
    }

    #[test]
    fn a_reason_is_one_short_line() {
        let folder = tempfile::tempdir().unwrap();
        let config = valid_config(folder.path());
        for reason in ["two\nlines", "\u{1b}[31m", &"x".repeat(201)] {
            assert!(Hold::set(&config, Some(reason)).unwrap_err().to_string().contains("200 characters"));
        }
        assert!(Hold::read(&config).unwrap().is_none());
        assert!(Hold::set(&config, Some(&"ä".repeat(200))).is_ok());
    }

    #[test]
    fn a_damaged_file_is_an_error_until_the_hold_is_set_again_or_released() {
        let folder = tempfile::tempdir().unwrap();
        let config = valid_config(folder.path());
        for damaged in
            ["", "{", "{}", r#"{"since": "yesterday"}"#, r#"{"since": "2026-11-30T11:00:00Z", "reason": "\n"}"#]
        {
            Hold::set(&config, None).unwrap();
            fs::write(path(&config), damaged).unwrap();
            let error = format!("{:#}", Hold::read(&config).unwrap_err());
            assert!(error.contains("stays held") && error.contains("hold.json"), "{error}");
            assert!(Hold::release(&config).unwrap());
        }
        fs::create_dir(path(&config)).unwrap();
        assert!(Hold::read(&config).is_err() && Hold::release(&config).is_err());
    }
}
