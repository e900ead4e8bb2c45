//! What the history says about the release that answers. While the database is away, the metrics show what was known
//! last.

use std::sync::{Arc, PoisonError, RwLock};

use actix_web::web;
use anyhow::Result;
use common::config::Config;
use common::model::metrics::Confusion;
use common::model::shift::PredictorShift;
use common::production::release::Release;
use history::{DriftVerdict, EstimateRow, History, Waiting};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::limits::SCRAPE_LIMIT;

/// The last answer of the history. Every scrape reads it again, one at a time.
#[derive(Default)]
pub struct LastKnown {
    recorded: Arc<RwLock<Recorded>>,
    reading: Arc<Mutex<()>>,
}

/// What the history says.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// Whether the database answered when it was last asked.
    pub database_answers: bool,
    /// The judgement of one release.
    judged: Option<Judged>,
}

/// How good a release has been since it went live.
#[derive(Clone, Debug)]
pub struct Judged {
    /// Id of the release.
    release: String,
    /// The newest counts on any data by which the release can be judged.
    pub counts: Confusion,
    /// The verdict of the newest drift check; `None` if there was none.
    pub verdict: Option<DriftVerdict>,
    /// The shifts of the predictors in the rows of that check; empty if they were not measured.
    pub shifts: Vec<PredictorShift>,
    /// Number of files by which the release cannot be judged yet.
    pub pending: usize,
    /// The F1 on the newest rows, estimated before their outcomes are known; `None` if it was not estimated.
    pub estimated_f1: Option<f64>,
}

impl Recorded {
    /// Reads what `history` says about `release`; without a history, nothing is recorded yet.
    pub fn read(config: &Config, history: Option<History>, release: Option<&Release>) -> Result<Self> {
        let judged = match (history, release) {
            (Some(mut history), Some(release)) => Some(Judged::read(config, &mut history, release)?),
            (None, Some(release)) => Some(Judged::not_yet(release)),
            (_, None) => None,
        };
        Ok(Self { database_answers: true, judged })
    }

    /// The judgement of `release`; `None` if the history could not be read since the release went live.
    pub fn judgement_of(&self, release: &Release) -> Option<&Judged> {
        self.judged.as_ref().filter(|judged| judged.release == release.id)
    }
}

impl LastKnown {
    /// Reads the history with `read`, and returns what is known after at most [`SCRAPE_LIMIT`].
    pub async fn refreshed(&self, read: impl FnOnce() -> Result<Recorded> + Send + 'static) -> Recorded {
        let (recorded, reading) = (self.recorded.clone(), self.reading.clone());
        let refresh = async {
            let alone = reading.lock_owned().await;
            // The work ends by itself, and what it finds is kept even if this scrape does not wait for it.
            let work = move || {
                let _alone = alone;
                let found = read();
                let mut recorded = recorded.write().unwrap_or_else(PoisonError::into_inner);
                match found {
                    Ok(found) => *recorded = found,
                    Err(error) => {
                        tracing::warn!("the metrics show earlier values because the history cannot be read: {error:#}");
                        recorded.database_answers = false;
                    }
                }
            };
            web::block(work).await
        };
        let in_time = matches!(timeout(SCRAPE_LIMIT, refresh).await, Ok(Ok(())));
        let mut known = self.recorded.read().unwrap_or_else(PoisonError::into_inner).clone();
        known.database_answers &= in_time;
        known
    }
}

impl Judged {
    /// The judgement of a release about which nothing is recorded but its own score.
    fn not_yet(release: &Release) -> Self {
        Self {
            release: release.id.clone(),
            counts: release.manifest.score.confusion,
            verdict: None,
            shifts: Vec::new(),
            pending: 0,
            estimated_f1: None,
        }
    }

    fn read(config: &Config, history: &mut History, release: &Release) -> Result<Self> {
        let recorded = &release.manifest.score;
        let newest = history.newest_score(&recorded.model_sha256, config.drift_min_positives)?;
        let check = history.newest_check(&release.id)?;
        let shifts = check.as_ref().map(|check| history.shifts_in_run(check.run)).transpose()?;
        let waiting = history.waiting_files(&release.id)?;
        let estimate = history.newest::<EstimateRow>(1)?.pop().filter(|estimate| estimate.release == release.id);
        Ok(Self {
            counts: newest.map_or(recorded.confusion, |score| score.record.confusion),
            verdict: check.map(|check| check.record.verdict),
            shifts: shifts.unwrap_or_default(),
            pending: waiting.iter().filter(|file| file.state == Waiting::CannotBeJudged).count(),
            estimated_f1: estimate.map(|estimate| estimate.record.quality.f1),
            ..Self::not_yet(release)
        })
    }
}
