//! Errors of the SQL driver: their text, and what to do about them.

use std::{fmt, io};

use sqlx::mysql::MySqlDatabaseError;

/// An error of sqlx, displayed without repetition: sqlx reports the same text both as the error and as its cause.
#[derive(Debug)]
pub(crate) struct DatabaseError(pub sqlx::Error);

impl std::error::Error for DatabaseError {}

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match &self.0 {
            sqlx::Error::Database(error) => f.write_str(error.message()),
            sqlx::Error::Io(error) => error.fmt(f),
            sqlx::Error::Decode(error) => error.fmt(f),
            other => other.fmt(f),
        }
    }
}

impl DatabaseError {
    /// Returns whether a statement failed because a table does not exist.
    pub fn is_missing_table(error: &anyhow::Error) -> bool {
        let Some(Self(sqlx::Error::Database(error))) = error.downcast_ref() else { return false };
        // The SQLSTATE codes of PostgreSQL and MySQL; SQLite can only be recognised by the message.
        matches!(error.code().as_deref(), Some("42P01" | "42S02")) || error.message().starts_with("no such table")
    }

    /// Returns whether PostgreSQL refuses to drop a table because a view uses it.
    pub fn is_used_by_view(error: &anyhow::Error) -> bool {
        let Some(Self(sqlx::Error::Database(error))) = error.downcast_ref() else { return false };
        error.code().as_deref() == Some("2BP01")
    }

    /// Returns whether the server accepted the connection but has no database of this name.
    pub fn is_missing_database(error: &anyhow::Error) -> bool {
        const MYSQL_UNKNOWN_DATABASE: u16 = 1049;
        let Some(Self(sqlx::Error::Database(error))) = error.downcast_ref() else { return false };
        let mysql = error.try_downcast_ref::<MySqlDatabaseError>();
        error.code().as_deref() == Some("3D000") || mysql.is_some_and(|error| error.number() == MYSQL_UNKNOWN_DATABASE)
    }

    /// Returns what to do about a SQLite file that cannot be used, if the error indicates it.
    pub fn advice_on_file(error: &anyhow::Error) -> Option<&'static str> {
        use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        let code = error.chain().find_map(|cause| match cause.downcast_ref() {
            Some(Self(sqlx::Error::Database(error))) => error.code()?.parse::<i32>().ok(),
            _ => None,
        });
        let kind = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
        // SQLite's primary result codes: https://www.sqlite.org/rescode.html
        match (code.map(|code| code & 0xff), kind) {
            (Some(11 | 26), _) => Some("if it cannot be repaired, move it away and the next run creates a new one"),
            (Some(13), _) | (_, Some(StorageFull | QuotaExceeded)) => Some("make room on its disk"),
            (Some(10), _) => Some("check its disk: there may be no room on it, or it may be damaged"),
            (Some(5 | 6), _) => Some("another process has locked it; try again when that process has ended"),
            (Some(3 | 8 | 14 | 23), _) | (_, Some(PermissionDenied | ReadOnlyFilesystem)) => Some(
                "check that the path is right and that this user may write the file, its -wal and -shm, and its folder",
            ),
            _ => None,
        }
    }
}
