//! The record of the release to which the reports in the model folder belong.
//!
//! The record is written after the reports and holds their checksums, so it matches only the files that it describes.
//! It does not match after a reporting run that was killed, after a report was changed or removed, if the reports belong to
//! another release, or on another day, because clients pause for days after a call.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use fs_err as fs;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::files::atomic;
use crate::files::checksum::Checksum;
use crate::files::{CALL_LIST, CONFUSION_MATRIX, MODEL_QUALITY, REPORT, REPORT_RECORD, TIME_TRENDS};

/// The reports that [`ReportRecord`] describes.
pub const REPORTS: [&str; 5] = [CONFUSION_MATRIX, TIME_TRENDS, MODEL_QUALITY, CALL_LIST, REPORT];

/// The release to which the reports belong, and the checksums of the reports.
#[derive(Debug, Serialize, Deserialize)]
pub struct ReportRecord {
    /// Id of the release.
    release: String,
    /// Day of the reports in UTC; `None` in records of earlier versions.
    #[serde(default)]
    day: Option<Date>,
    /// SHA-256 of each report, by file name.
    sha256: BTreeMap<String, Checksum>,
}

impl ReportRecord {
    /// Creates the record of `reports` (name and checksum) of `release`, which were created at `now`.
    pub fn new<'a>(release: &str, now: Timestamp, reports: impl IntoIterator<Item = (&'a str, Checksum)>) -> Self {
        let named = |(name, checksum): (&str, Checksum)| (name.to_owned(), checksum);
        Self { release: release.to_owned(), day: Some(day(now)), sha256: reports.into_iter().map(named).collect() }
    }

    /// Writes the record into `folder`. Call it after the reports have been written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        atomic::write(&folder.join(REPORT_RECORD), &serde_json::to_vec_pretty(self)?)
    }

    /// Returns the report `name` if it is unchanged since it was created for `release`; `None` if there is none.
    pub fn report_of(release: &str, folder: &Path, name: &str) -> Option<Vec<u8>> {
        let record = Self::read(folder).filter(|record| record.release == release)?;
        let report = fs::read(folder.join(name)).ok()?;
        (record.sha256.get(name) == Some(&Checksum::of_bytes(&report))).then_some(report)
    }

    /// Whether `folder` holds all [`REPORTS`] unchanged, as they were created for `release` on the day of `now`.
    pub fn are_of(release: &str, now: Timestamp, folder: &Path) -> bool {
        let Some(facts) = Self::read(folder) else { return false };
        let is_unchanged = |name: &&str| {
            Checksum::of_file(&folder.join(name)).is_ok_and(|found| facts.sha256.get(*name) == Some(&found))
        };
        facts.release == release && facts.day == Some(day(now)) && REPORTS.iter().all(is_unchanged)
    }

    /// Reads the record in `folder`; `None` if there is none or it is damaged.
    fn read(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(folder.join(REPORT_RECORD)).ok()?).ok()
    }
}

/// The day of a time in UTC.
fn day(time: Timestamp) -> Date {
    time.to_zoned(TimeZone::UTC).date()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_report_is_checked_against_its_release_and_its_checksum() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let now: Timestamp = "2026-11-30T23:59:59Z".parse().unwrap();
        let are_of = |release| ReportRecord::are_of(release, now, folder);
        assert!(!are_of("1"));
        for name in REPORTS {
            fs::write(folder.join(name), name).unwrap();
        }
        let checksum = |name: &'static str| (name, Checksum::of_bytes(name.as_bytes()));
        ReportRecord::new("1", now, REPORTS.map(checksum)).write(folder).unwrap();
        assert!(are_of("1") && !are_of("2"));
        let [morning, tomorrow] = ["2026-11-30T00:00:00Z", "2026-12-01T00:00:00Z"].map(|time| time.parse().unwrap());
        assert!(ReportRecord::are_of("1", morning, folder) && !ReportRecord::are_of("1", tomorrow, folder));
        assert_eq!(ReportRecord::report_of("1", folder, REPORT), Some(REPORT.into()));
        assert_eq!(ReportRecord::report_of("2", folder, REPORT), None);
        for name in REPORTS {
            fs::write(folder.join(name), "of another release").unwrap();
            assert_eq!(ReportRecord::report_of("1", folder, name), None);
            assert!(!are_of("1"), "{name} is another");
            fs::remove_file(folder.join(name)).unwrap();
            assert!(!are_of("1"), "{name} is gone");
            fs::write(folder.join(name), name).unwrap();
        }
        assert!(are_of("1"));
        fs::write(folder.join(REPORT_RECORD), "{").unwrap();
        assert!(!are_of("1"));
    }
}
