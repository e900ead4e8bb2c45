//! The reasons why contacts were not recorded, as sentences for the person who has sent them.

use std::fmt;

use anyhow::Error;

use crate::error::{DatabaseError, Obstacle, OldSchema};

/// Why contacts were not recorded. Its text names neither a file nor an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotRecorded {
    /// The database was lost during the commit and may have recorded them.
    Unknown,
    /// The database has no history, or the schema of an older program.
    OldSchema,
    /// The service may not write to the database.
    ReadOnly,
    /// The database's disk is full.
    DiskFull,
    /// Another program keeps the database locked.
    Locked,
    /// The database does not answer, or anything else is wrong with it.
    Unavailable,
}

impl NotRecorded {
    /// Returns the reason that an error of [`History::add_contacts`] or [`History::open_for_contacts`] gives.
    ///
    /// [`History::add_contacts`]: crate::History::add_contacts
    /// [`History::open_for_contacts`]: crate::History::open_for_contacts
    pub fn of(error: &Error) -> Self {
        if error.downcast_ref::<UnknownOutcome>().is_some() {
            return Self::Unknown;
        }
        if error.downcast_ref::<OldSchema>().is_some() || DatabaseError::is_missing_database(error) {
            return Self::OldSchema;
        }
        match DatabaseError::obstacle(error) {
            Some(Obstacle::ReadOnly) => Self::ReadOnly,
            Some(Obstacle::DiskFull) => Self::DiskFull,
            Some(Obstacle::Locked) => Self::Locked,
            None => Self::Unavailable,
        }
    }
}

impl fmt::Display for NotRecorded {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "the database was lost before it confirmed, so it is unknown whether they were recorded",
            Self::OldSchema => {
                "nothing was recorded, because the database is not set up for contacts; run dbsetup on the server"
            }
            Self::ReadOnly => {
                "nothing was recorded, because the service may not write to the database; on the server, give its user \
                 the permission to do so"
            }
            Self::DiskFull => "nothing was recorded, because the database's disk is full; make room on the server",
            Self::Locked => "nothing was recorded, because another program has locked the database; try again later",
            Self::Unavailable => {
                "nothing was recorded, because the database does not answer; the server's log gives the reason"
            }
        })
    }
}

/// Marks an error after which it is unknown whether the transaction was committed.
#[derive(Debug)]
pub(super) struct UnknownOutcome;

impl fmt::Display for UnknownOutcome {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("it did not confirm the commit")
    }
}
