//! The table `timings`: durations of the steps.

use crate::columns::{columns, text_enum};
use crate::record::Recorded;

columns! {
    /// The duration of a step or of a trial of it.
    StepTiming in "timings" then "operation" {
        /// The work that was measured.
        operation: Operation,
        /// The measured duration in seconds.
        seconds: f64,
    }
}

text_enum! {
    /// Work whose duration is recorded.
    Operation {
        /// An ingestion, from the input folder to the compiled dataset.
        Ingestion = "ingestion",
        /// A training, from the compiled dataset to the model files.
        Training = "training",
        /// An ingestion by `diagnostics`, whose result is thrown away.
        TrialIngestion = "trial ingestion",
        /// A training by `diagnostics`, whose result is thrown away.
        TrialTraining = "trial training",
    }
}

/// A duration with its run.
pub type TimingRow = Recorded<StepTiming>;
