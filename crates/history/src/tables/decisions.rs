//! The table `decisions`: what `fullprocess` decided, and why.

use serde::{Serialize, Serializer};

use crate::columns::{columns, text_enum};

text_enum! {
    /// The decision of a full process.
    Decision {
        /// No file is new, and the reports belong to the live release.
        NothingToDo = "nothing_to_do",
        /// No file is new, but the reports did not belong to the live release and were created again.
        Reported = "reported",
        /// The rows of the new files are no evidence against the live model.
        NoDrift = "no_drift",
        /// Too few of the clients in the new files are known to have left. The files are pending.
        CannotBeJudged = "cannot_be_judged",
        /// The live model has drifted, and a new one has been deployed.
        Redeployed = "redeployed",
        /// The live model has drifted, but the rule `promotion` does not accept the new one.
        Kept = "kept",
        /// The live model has drifted or has other columns than the config, but it is held.
        Held = "held",
        /// The columns of the config differ from those of the live release, and a model with the new columns was deployed.
        ColumnsChanged = "columns_changed",
        /// Nothing had been deployed, and a first model was deployed.
        Bootstrapped = "bootstrapped",
        /// The live release or the compiled dataset was damaged or lost and has been repaired; nothing else had to be
        /// done.
        Repaired = "repaired",
    }
}

impl Serialize for Decision {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

columns! {
    /// The decision of a full process with its reason.
    DecisionRecord in "decisions" {
        /// The decision that was made.
        decision: Decision,
        /// The reason, as a sentence.
        reason: String,
        /// The id of the release that is live afterwards.
        live: Option<String> => "live_release",
    }
}
