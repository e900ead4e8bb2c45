//! Contacts: the calls that client managers have made, and what came of them. They are not results of a run, so they have
//! a table of their own, to which the service appends.

use jiff::Timestamp;

use crate::columns::text_enum;

text_enum! {
    /// What came of a call.
    CallOutcome {
        /// Nobody answered.
        NotReached = "not_reached",
        /// The client was reached.
        Reached = "reached",
        /// The client has promised to stay.
        PromisedToStay = "promised_to_stay",
        /// The client has said that it is leaving.
        IsLeaving = "is_leaving",
    }
}

/// A call to a client.
#[derive(Clone, Debug, PartialEq)]
pub struct Contact {
    /// The client's id.
    pub client: String,
    /// What came of the call.
    pub outcome: CallOutcome,
    /// Who called.
    pub by: String,
    /// What else is worth knowing; may be empty.
    pub note: String,
    /// When the call was made.
    pub at: Timestamp,
}
