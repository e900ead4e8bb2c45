//! Errors of the SQL driver: their text, and what to do about them.

use std::{fmt, io};

use sqlx::mysql::MySqlDatabaseError;
use sqlx::postgres::PgDatabaseError;
use sqlx::sqlite::SqliteError;

use crate::schema::VERSION;

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

    /// Returns why a database refuses to write, if the error tells it.
    pub fn obstacle(error: &anyhow::Error) -> Option<Obstacle> {
        let error = error.chain().find_map(|cause| match cause.downcast_ref() {
            Some(Self(sqlx::Error::Database(error))) => Some(error),
            _ => None,
        })?;
        if error.try_downcast_ref::<SqliteError>().is_some() {
            match error.code()?.parse::<i32>().ok()? & 0xff {
                3 | 8 | 14 | 23 => Some(Obstacle::ReadOnly),
                13 => Some(Obstacle::DiskFull),
                5 | 6 => Some(Obstacle::Locked),
                _ => None,
            }
        } else if let Some(error) = error.try_downcast_ref::<PgDatabaseError>() {
            // https://www.postgresql.org/docs/current/errcodes-appendix.html
            match error.code() {
                "25006" | "42501" => Some(Obstacle::ReadOnly),
                "53100" => Some(Obstacle::DiskFull),
                "55P03" => Some(Obstacle::Locked),
                _ => None,
            }
        } else {
            // https://mariadb.com/docs/server/reference/error-codes
            match error.try_downcast_ref::<MySqlDatabaseError>()?.number() {
                1142 | 1143 | 1290 | 1792 | 1836 => Some(Obstacle::ReadOnly),
                1021 | 1114 => Some(Obstacle::DiskFull),
                1205 => Some(Obstacle::Locked),
                _ => None,
            }
        }
    }

    /// Returns whether a commit that failed with this error has certainly written nothing. Only SQLite, which is part of
    /// this process, gives this certainty.
    pub fn is_refused_commit(error: &anyhow::Error) -> bool {
        let Some(Self(sqlx::Error::Database(sqlite))) = error.downcast_ref() else { return false };
        sqlite.try_downcast_ref::<SqliteError>().is_some() && Self::obstacle(error).is_some()
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

/// What prevents a database from writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// The database, or the permission of its user, is only for reading.
    ReadOnly,
    DiskFull,
    /// Another connection holds a lock.
    Locked,
}

/// A database whose schema is older than this program needs; version 0 if it has none.
#[derive(Debug)]
pub(crate) struct OldSchema(pub i64);

impl std::error::Error for OldSchema {}

impl fmt::Display for OldSchema {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "its schema has version {}, this program needs {VERSION}; run dbsetup", self.0)
    }
}
