//! A connection to SQLite, PostgreSQL or MySQL, and the few operations in which the three differ.
//!
//! Statements are written once, with `?` for each value. Every wait for an answer has a time limit, so that a server
//! that accepts connections but does not answer stops a step instead of blocking it forever.

use std::fmt;
use std::future::Future;
use std::io;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use common::config::database::DatabaseUrl;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlDatabaseError, MySqlRow};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteRow, SqliteSynchronous};
use sqlx::{Arguments, AssertSqlSafe, ConnectOptions, Connection as _, Database, FromRow};

/// Time limit for connecting to a server.
pub(crate) const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Time limit for one statement.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// Time limit for a statement over the whole dataset.
pub(crate) const DATASET_LIMIT: Duration = Duration::from_secs(600);
/// Time limit for waiting for another process's transaction on a SQLite file, or for a process that creates or migrates
/// the file.
pub(crate) const BUSY_LIMIT: Duration = Duration::from_secs(60);

pub(crate) enum Connection {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
    MySql(MySqlConnection),
}

/// Evaluates the same expression for each variant of [`Connection`]; inside it, `$Kind` is the sqlx database type.
macro_rules! on_each {
    ($self:expr, |$connection:ident: $Kind:ident| $work:expr) => {
        match $self {
            Connection::Sqlite($connection) => {
                type $Kind = sqlx::Sqlite;
                $work
            }
            Connection::Postgres($connection) => {
                type $Kind = sqlx::Postgres;
                $work
            }
            Connection::MySql($connection) => {
                type $Kind = sqlx::MySql;
                $work
            }
        }
    };
}
pub(crate) use on_each;

/// A value bound to a placeholder. The type is known even if the value is NULL, because PostgreSQL requires it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Integer(Option<i64>),
    Real(Option<f64>),
    Text(Option<String>),
}

/// A type that can be read from a row of any of the three databases.
pub(crate) trait Record:
    for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + for<'r> FromRow<'r, MySqlRow> + Send + Unpin
{
}
impl<T> Record for T where
    T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + for<'r> FromRow<'r, MySqlRow> + Send + Unpin
{
}

/// How a SQLite file is opened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opening {
    /// The file is created if it does not exist.
    Create,
    /// The file must exist.
    Existing,
    /// The file must exist and is not changed.
    ReadOnly,
    /// The file must exist, no process may write to it, and no file is created next to it.
    Unchanging,
}

impl Connection {
    /// Connects within [`CONNECT_LIMIT`] to a server, or within [`ANSWER_LIMIT`] to a file.
    pub async fn open(url: &DatabaseUrl, opening: Opening) -> Result<Self> {
        let connect = async {
            Ok::<_, sqlx::Error>(match url {
                DatabaseUrl::Sqlite(path) => {
                    let options = SqliteConnectOptions::new()
                        .filename(path)
                        .create_if_missing(opening == Opening::Create)
                        .read_only(matches!(opening, Opening::ReadOnly | Opening::Unchanging))
                        .immutable(opening == Opening::Unchanging)
                        .busy_timeout(BUSY_LIMIT)
                        .disable_statement_logging();
                    let options = match opening {
                        Opening::ReadOnly | Opening::Unchanging => options,
                        // `app` reads while a cron run writes.
                        _ => options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Normal),
                    };
                    Self::Sqlite(options.connect().await?)
                }
                DatabaseUrl::Postgres(server) => {
                    let options: PgConnectOptions = server.secret().parse()?;
                    Self::Postgres(options.disable_statement_logging().connect().await?)
                }
                DatabaseUrl::MySql(server) => {
                    let options: MySqlConnectOptions = server.secret().parse()?;
                    Self::MySql(options.disable_statement_logging().connect().await?)
                }
            })
        };
        let limit = if url.is_server() { CONNECT_LIMIT } else { ANSWER_LIMIT };
        within(limit, connect).await
    }

    /// Executes one statement within [`ANSWER_LIMIT`].
    pub async fn execute(&mut self, sql: &str, values: &[Value]) -> Result<()> {
        self.execute_within(ANSWER_LIMIT, sql, values).await
    }

    /// Executes one statement within `limit`.
    pub async fn execute_within(&mut self, limit: Duration, sql: &str, values: &[Value]) -> Result<()> {
        let sql = self.statement(sql);
        within(limit, async {
            on_each!(self, |connection: Kind| {
                sqlx::query_with::<Kind, _>(sql, arguments::<Kind>(values)?).execute(connection).await.map(drop)
            })
        })
        .await
    }

    /// Executes one statement that takes no values and is not worth preparing, such as `COMMIT`.
    pub async fn simple(&mut self, sql: &'static str) -> Result<()> {
        within(ANSWER_LIMIT, async {
            on_each!(self, |connection: _Kind| sqlx::raw_sql(sql).execute(connection).await.map(drop))
        })
        .await
    }

    /// Runs a query and returns its rows in order.
    pub async fn fetch<T: Record>(&mut self, sql: &str, values: &[Value]) -> Result<Vec<T>> {
        let sql = self.statement(sql);
        within(ANSWER_LIMIT, async {
            on_each!(self, |connection: Kind| {
                sqlx::query_as_with::<Kind, T, _>(sql, arguments::<Kind>(values)?).fetch_all(connection).await
            })
        })
        .await
    }

    /// Runs a query that is not one of this program's own: a `?` in it is not a placeholder, and the time limit is
    /// [`DATASET_LIMIT`].
    pub async fn fetch_as_is<T: Record>(&mut self, sql: String) -> Result<Vec<T>> {
        within(DATASET_LIMIT, async {
            on_each!(self, |connection: Kind| {
                sqlx::query_as::<Kind, T>(AssertSqlSafe(sql)).fetch_all(connection).await
            })
        })
        .await
    }

    /// Inserts rows with as few statements as possible. Every row must have as many values as there are `columns`.
    pub async fn insert(&mut self, table: &str, columns: &[&str], rows: &[Vec<Value>]) -> Result<()> {
        let one = format!("({})", vec!["?"; columns.len()].join(", "));
        for rows in rows.chunks(MOST_VALUES / columns.len()) {
            let all = vec![one.as_str(); rows.len()].join(", ");
            let sql = format!("INSERT INTO {table} ({}) VALUES {all}", columns.join(", "));
            self.execute(&sql, &rows.concat()).await.with_context(|| format!("writing to its table {table}"))?;
        }
        Ok(())
    }

    /// Inserts one row into a table with a generated id; returns the id.
    pub async fn insert_numbered(&mut self, table: &str, columns: &[&str], row: Vec<Value>) -> Result<i64> {
        self.insert(table, columns, &[row]).await?;
        let last = match self {
            Self::Sqlite(_) => "SELECT last_insert_rowid()",
            Self::Postgres(_) => "SELECT lastval()",
            Self::MySql(_) => "SELECT CAST(LAST_INSERT_ID() AS SIGNED)",
        };
        let numbers: Vec<(i64,)> = self.fetch(last, &[]).await?;
        numbers.first().map(|(number,)| *number).context("it gave the new row no number")
    }

    /// Begins a transaction that will write.
    pub async fn begin(&mut self) -> Result<()> {
        // SQLite acquires the write lock immediately, so that two writers wait for each other instead of failing
        // halfway.
        let begin = if matches!(self, Self::Sqlite(_)) { "BEGIN IMMEDIATE" } else { "BEGIN" };
        self.simple(begin).await
    }

    /// Checks that rows can be written, without leaving any.
    pub async fn check_writable(&mut self) -> Result<()> {
        if let Self::Sqlite(_) = self {
            // SQLite opens a read-only file, and begins a transaction on it, without an error; only a statement that
            // writes fails.
            let row =
                "INSERT INTO runs (step, version, started, seconds, ended, outcome) VALUES ('', '', '', 0, '', 'done')";
            self.begin().await?;
            self.execute(row, &[]).await?;
            self.simple("ROLLBACK").await
        } else {
            // A server also refuses this statement if it is read-only or if the user lacks the permission to write.
            // Inserting a row and rolling back would leave a gap in the ids of the runs.
            let no_row = "INSERT INTO checked_files (run_id, release_id, name, sha256)
                SELECT run_id, release_id, name, sha256 FROM checked_files WHERE 1 = 0";
            self.execute(no_row, &[]).await
        }
    }

    /// Returns whether the server still answers on this connection.
    pub async fn is_alive(&mut self) -> bool {
        within(CONNECT_LIMIT, async { on_each!(self, |connection: _Kind| connection.ping().await) }).await.is_ok()
    }

    /// Closes the connection. SQLite then merges its write-ahead log into the file.
    pub async fn close(self) {
        // An error is ignored: everything that matters is already committed.
        let _ = within(CONNECT_LIMIT, async { on_each!(self, |connection: _Kind| connection.close().await) }).await;
    }

    /// Converts the statement to the syntax of this database: PostgreSQL numbers its placeholders. Every `?` in these
    /// statements is a placeholder.
    fn statement(&self, sql: &str) -> AssertSqlSafe<String> {
        let Self::Postgres(_) = self else { return AssertSqlSafe(sql.to_owned()) };
        let mut numbered = String::with_capacity(sql.len() * 2);
        for (number, part) in sql.split('?').enumerate() {
            if number > 0 {
                numbered += &format!("${number}");
            }
            numbered += part;
        }
        AssertSqlSafe(numbered)
    }
}

/// Maximum number of values in one statement. The limit of SQLite is the lowest of the three.
const MOST_VALUES: usize = 32_766;

fn arguments<Kind>(values: &[Value]) -> sqlx::Result<Kind::Arguments>
where
    Kind: Database,
    for<'a> Option<i64>: sqlx::Encode<'a, Kind> + sqlx::Type<Kind>,
    for<'a> Option<f64>: sqlx::Encode<'a, Kind> + sqlx::Type<Kind>,
    for<'a> Option<&'a str>: sqlx::Encode<'a, Kind> + sqlx::Type<Kind>,
{
    let mut arguments = Kind::Arguments::default();
    for value in values {
        match value {
            Value::Integer(value) => arguments.add(*value),
            Value::Real(value) => arguments.add(*value),
            Value::Text(value) => arguments.add(value.as_deref()),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

/// Awaits `answer`; fails if it takes longer than `limit`.
pub(crate) async fn within<T>(limit: Duration, answer: impl Future<Output = sqlx::Result<T>>) -> Result<T> {
    match tokio::time::timeout(limit, answer).await {
        Ok(answer) => Ok(answer.map_err(Fault)?),
        Err(_) => Err(anyhow!("it did not answer within {} s", limit.as_secs())),
    }
}

/// An error of sqlx, displayed without repetition: sqlx reports the same text both as the error and as its cause.
#[derive(Debug)]
pub(crate) struct Fault(pub sqlx::Error);

impl std::error::Error for Fault {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match &self.0 {
            sqlx::Error::Database(error) => f.write_str(error.message()),
            sqlx::Error::Io(error) => error.fmt(f),
            other => other.fmt(f),
        }
    }
}

impl Fault {
    /// Returns whether a statement failed because a table does not exist.
    pub fn is_missing_table(error: &anyhow::Error) -> bool {
        let Some(Self(sqlx::Error::Database(error))) = error.downcast_ref() else { return false };
        // The SQLSTATE codes of PostgreSQL and MySQL; SQLite can only be recognised by the message.
        matches!(error.code().as_deref(), Some("42P01" | "42S02")) || error.message().starts_with("no such table")
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
            (Some(11 | 26), _) => Some("if it is beyond repair, move it away and the next run makes a new one"),
            (Some(13), _) | (_, Some(StorageFull | QuotaExceeded)) => Some("make room on its disk"),
            (Some(10), _) => Some("check its disk: there may be no room on it, or it may be damaged"),
            (Some(5 | 6), _) => Some("another process holds it; try again when that process has ended"),
            (Some(3 | 8 | 14 | 23), _) | (_, Some(PermissionDenied | ReadOnlyFilesystem)) => Some(
                "check that the path is right and that this user may write the file, its -wal and -shm, and its folder",
            ),
            _ => None,
        }
    }

    /// Returns whether the server accepted the connection but has no database of this name.
    pub fn is_missing_database(error: &anyhow::Error) -> bool {
        const MYSQL_UNKNOWN_DATABASE: u16 = 1049;
        let Some(Self(sqlx::Error::Database(error))) = error.downcast_ref() else { return false };
        let mysql = error.try_downcast_ref::<MySqlDatabaseError>();
        error.code().as_deref() == Some("3D000") || mysql.is_some_and(|error| error.number() == MYSQL_UNKNOWN_DATABASE)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(Some(value))
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Integer(Some(value as i64)) // row counts, far below 2^63
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Integer(Some(i64::from(value)))
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Real(Some(value))
    }
}

impl From<Option<f64>> for Value {
    fn from(value: Option<f64>) -> Self {
        Self::Real(value)
    }
}

impl From<&str> for Value {
    /// Replaces each NUL with a visible symbol, because no database accepts a NUL in a text and error messages may
    /// quote one.
    fn from(value: &str) -> Self {
        Self::Text(Some(value.replace('\0', "\u{2400}")))
    }
}

impl From<&String> for Value {
    fn from(value: &String) -> Self {
        value.as_str().into()
    }
}

impl From<Option<&str>> for Value {
    fn from(value: Option<&str>) -> Self {
        value.map_or(Self::Text(None), Self::from)
    }
}
