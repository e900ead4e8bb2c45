//! The outcome of `training --replay`: what every model predicts that could have been trained while files arrived. It
//! contains only counts, from which `fullprocess --replay` derives what each rule would have done.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use statistics::paired::Joint;

use crate::model::metrics::Confusion;

/// The models that could have been trained, and their counts on the test data and on the files that arrived after them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReplayOutcome {
    /// Names of the files in the order of their arrival.
    pub files: Vec<String>,
    /// Number of files on which the first model was trained: the fewest that contain both classes.
    pub first: usize,
    /// Model m was trained on the distinct rows of the first `first` + m files.
    pub models: Vec<ReplayedModel>,
}

/// A model of a replay.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ReplayedModel {
    /// Counts on the test data: the score that its deployment would have recorded.
    pub test: Confusion,
    /// Counts on every file that arrived after its training data, in the order of their arrival.
    pub later: Vec<Confusion>,
    /// Counts on a file together with the files that were pending when it arrived, by the index of the file. Unlabelled
    /// rows of pending files have labels that arrived since. Only files that are judged together with others are here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub with_pending: BTreeMap<usize, Confusion>,
    /// Comparison, as the challenger, with every earlier model.
    pub against: Vec<ReplayedComparison>,
}

/// The predictions of a model and of an earlier one, the champion, on the same rows.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct ReplayedComparison {
    /// Counts on the test data.
    pub test: Joint,
    /// Counts on the file that arrived next; `None` after the last file.
    pub next: Option<Joint>,
}
