//! The table `releases`: every switch of production.

use anyhow::Result;
use common::files::checksum::Checksum;
use common::production::release::{Production, Release};
use jiff::{SignedDuration, Timestamp};
use serde::{Serialize, Serializer};

use crate::columns::{columns, columns_of, serialize_row, text_enum, values_of};
use crate::record::Listed;
use crate::run::{Run, timestamp};
use crate::store::History;
use crate::value::Value;

columns! {
    /// A release that went live.
    WentLive in "releases" {
        /// The release's id.
        release: String => "release_id",
        /// How the release went live: `deployed`, `rolled back`, or `found live` if the switch itself was not recorded.
        action: Switch,
        /// When production was switched to the release (UTC).
        live_from: String,
        /// SHA-256 of the model file.
        model_sha256: Checksum,
        /// The F1 score recorded at deployment.
        f1: f64,
        /// Number of rows on which that score was computed.
        n: u64,
    }
}

text_enum! {
    /// How a release went live.
    Switch {
        /// It was deployed as a new release.
        Deployed = "deployed",
        /// It is an earlier release that was restored.
        RolledBack = "rolled back",
        /// The switch itself was not recorded, because its run was killed or because there was no database at the time.
        /// It is recorded when the release is first seen.
        FoundLive = "found live",
    }
}

columns! {
    /// A period in which a release was live.
    ReleaseRow {
        /// The release and how it went live.
        switch: WentLive,
        /// When production was switched to another release (UTC); `None` while the release is live.
        live_until: Option<String>,
        /// The id of the run that recorded the switch.
        run: i64 => "run_id",
    }
}

impl Serialize for ReleaseRow {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        serialize_row(&columns_of::<Self>(), &values_of(self), to)
    }
}

/// Returns the columns of a [`ReleaseRow`], with an expression for the end of its period.
fn select(live_until: &str) -> String {
    let name = |name| if name == "live_until" { live_until } else { name };
    columns_of::<ReleaseRow>().iter().map(|column| name(column.name)).collect::<Vec<_>>().join(", ")
}

impl Listed for ReleaseRow {
    /// The end of a release's live period is the start of a later one, so the newest rows suffice to compute it for
    /// themselves.
    fn newest() -> String {
        format!(
            "SELECT {} FROM (SELECT * FROM releases ORDER BY live_from DESC, run_id DESC LIMIT ?) AS newest
            ORDER BY live_from, run_id",
            select("LEAD(live_from) OVER (ORDER BY live_from, run_id)")
        )
    }
}

impl History {
    /// Returns the release that was live at `time`; `None` before the first release.
    pub fn live_at(&mut self, time: Timestamp) -> Result<Option<ReleaseRow>> {
        let time = Value::from(timestamp(time).as_str());
        Ok(self.records(&live_at(), &[time.clone(), time])?.pop())
    }

    /// Returns the id of the release that was last recorded as gone live.
    pub fn last_live(&mut self) -> Result<Option<String>> {
        Ok(self.last_release()?.map(|(release, _)| release))
    }

    /// Returns the release that was last recorded as gone live, and the time of the switch.
    fn last_release(&mut self) -> Result<Option<(String, Timestamp)>> {
        let query = "SELECT release_id, live_from FROM releases ORDER BY run_id DESC, live_from DESC LIMIT 1";
        let last: Option<(String, String)> = self.fetch(query, &[])?.pop();
        last.map(|(release, since)| Ok((release, since.parse()?))).transpose()
    }
}

/// Returns the query of the release that was live at a time; the time is the value of both placeholders.
pub(crate) fn live_at() -> String {
    format!(
        "SELECT {} FROM releases WHERE live_from <= ? ORDER BY live_from DESC, run_id DESC LIMIT 1",
        select("(SELECT MIN(later.live_from) FROM releases AS later WHERE later.live_from > ?)")
    )
}

impl Run {
    /// Records the live release if the history does not contain it, because the run that switched to it was killed
    /// before it could record the switch, or because there was no history at that time.
    pub fn note_unrecorded_release(&mut self, production: &Production) -> Result<()> {
        // A release that cannot be read is reported by the step itself; a rollback away from it must still be possible.
        let Ok(Some(live)) = production.current() else { return Ok(()) };
        match self.history().last_release()? {
            Some((recorded, _)) if recorded == live.id => Ok(()),
            _ => self.went_live(&live, Switch::FoundLive, production.live_since()?),
        }
    }

    /// Records that `release` went live. Its time is always later than that of the previous release, even if the clock
    /// has been set back.
    pub fn went_live(&mut self, release: &Release, action: Switch, since: Timestamp) -> Result<()> {
        let before = match self.last_switch {
            Some(time) => Some(time),
            None => self.history().last_release()?.map(|(_, time)| time),
        };
        let next = before.map(|time| time + SignedDuration::from_micros(1));
        let live_from = next.map_or(since, |next| next.max(since));
        self.last_switch = Some(live_from);
        let score = &release.manifest.score;
        self.add(WentLive {
            release: release.id.clone(),
            action,
            live_from: timestamp(live_from),
            model_sha256: score.model_sha256.clone(),
            f1: score.f1,
            n: score.n,
        });
        Ok(())
    }
}
