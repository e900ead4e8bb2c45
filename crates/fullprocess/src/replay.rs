//! `fullprocess --replay`: which `drift_test` and `promotion` would have been best on the files so far? Only reads.
//!
//! `training --replay` counts what every model predicts that could have been trained while the files arrived. The rest
//! is pure: `order` puts the files in the order of their arrival, `policy` plays every rule over the counts, `measure`
//! says what came of it, and `recommendation` compares the rules.

mod display;
mod measure;
mod order;
mod policy;
mod recommendation;

use anyhow::Result;
use common::config::Config;
use common::files::ingested::inputs;
use history::History;
use serde::Serialize;

use self::measure::Measured;
use self::order::Ordered;
use self::policy::Policy;
use self::recommendation::Recommendation;
use crate::new_files::listed;
use crate::steps::Steps;

/// Largest number of files that are played, the first of which may stand for several. The work grows with its square.
const MOST_FILES: usize = 200;

/// The outcome of a replay.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// Names of the files in the order in which they were played.
    pub files: Vec<String>,
    /// Number of these files on which the first model was trained.
    pub first: usize,
    /// Sentences about the order of the files, and about files that could not be played.
    pub notes: Vec<String>,
    /// What each policy did and how good its models were: the rules of the config, then "never" and "always".
    pub policies: Vec<Measured>,
    /// The rule to use.
    #[serde(flatten)]
    pub recommendation: Recommendation,
}

/// Plays the input files in the order of their arrival under every policy. Takes no lock, and changes no file, history or
/// release.
///
/// # Errors
/// Fails if the config names an engine, or if a file or the history cannot be read.
pub fn run(config: &Config) -> Result<Outcome> {
    let steps = Steps::of(config, None)?;
    let files = listed(config, &steps)?;
    let mut history = History::open_existing(config)?;
    let arrivals = history.as_mut().map(History::arrivals).transpose()?;
    let arrivals = match (arrivals, &config.input_database) {
        (Some(arrivals), Some(_)) => Some(order::with_merged(arrivals, &files, &inputs(config)?)),
        (arrivals, _) => arrivals,
    };
    if let Some(history) = history {
        history.end_with_process(); // a normal close would merge the write-ahead log into the file
    }
    let Ordered { files, mut notes } = order::by_arrival(files, arrivals.as_deref());
    let together = files.len().saturating_sub(MOST_FILES) + 1;
    if together > 1 {
        let single = files.len() - together;
        notes.push(format!("the last {single} files are played one by one; the {together} files before count as one"));
    }
    let counts = steps.replay(&files, together)?;

    let min_positives = config.drift_min_positives;
    let policies: Vec<Measured> = Policy::all()
        .map(|policy| measure::measure(&counts, &policy::play(&counts, policy, min_positives), min_positives))
        .collect();
    let recommendation = recommendation::recommend(&policies, min_positives);
    Ok(Outcome { files: counts.files, first: counts.first, notes, policies, recommendation })
}
