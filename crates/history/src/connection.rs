//! One connection to one of the three kinds of database, and the little in which they differ.
//!
//! Statements are written once, with `?` for each value; what an answer must wait for is bounded, so that a server that is
//! there and says nothing stops a step instead of holding it for ever.

use std::fmt;
use std::future::Future;
use std::io;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use common::database::DatabaseUrl;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlDatabaseError, MySqlRow};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteRow, SqliteSynchronous};
use sqlx::{Arguments, AssertSqlSafe, ConnectOptions, Connection as _, Database, FromRow};

/// How long a server may take to let us in.
pub(crate) const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long one statement may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// How long a statement over the whole dataset may take.
pub(crate) const DATASET_LIMIT: Duration = Duration::from_secs(600);
/// How long to wait for another process's transaction on a SQLite file, and for one that makes or migrates the file.
pub(crate) const BUSY_LIMIT: Duration = Duration::from_secs(60);

/// An open connection.
pub(crate) enum Connection {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
    MySql(MySqlConnection),
}

/// Does the same with whichever connection it is; inside, `$Kind` is its kind for sqlx.
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

/// A value of a statement. Its type is known where there is no value too: PostgreSQL asks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Integer(Option<i64>),
    Real(Option<f64>),
    Text(Option<String>),
}

/// What a row of an answer can become, from any of the three.
pub(crate) trait Record:
    for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + for<'r> FromRow<'r, MySqlRow> + Send + Unpin
{
}
impl<T> Record for T where
    T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + for<'r> FromRow<'r, MySqlRow> + Send + Unpin
{
}

/// What may happen to a SQLite file when it is opened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opening {
    /// It is made where there is none.
    Create,
    /// It must be there.
    Existing,
    /// It must be there, and stays as it is.
    ReadOnly,
    /// It must be there, no process writes to it, and no file is made beside it.
    Unchanging,
}

impl Connection {
    /// Connects within [`CONNECT_LIMIT`].
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
                        // `app` reads while cron's run writes.
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

    /// Executes one statement.
    pub async fn execute(&mut self, sql: &str, values: &[Value]) -> Result<()> {
        self.execute_within(ANSWER_LIMIT, sql, values).await
    }

    /// As [`Connection::execute`], with another limit.
    pub async fn execute_within(&mut self, limit: Duration, sql: &str, values: &[Value]) -> Result<()> {
        let sql = self.statement(sql);
        within(limit, async {
            on_each!(self, |connection: Kind| {
                sqlx::query_with::<Kind, _>(sql, arguments::<Kind>(values)?).execute(connection).await.map(drop)
            })
        })
        .await
    }

    /// Executes one statement that takes no value and is not worth preparing, such as `COMMIT`.
    pub async fn simple(&mut self, sql: &'static str) -> Result<()> {
        within(ANSWER_LIMIT, async {
            on_each!(self, |connection: _Kind| sqlx::raw_sql(sql).execute(connection).await.map(drop))
        })
        .await
    }

    /// Asks; the rows in order.
    pub async fn fetch<T: Record>(&mut self, sql: &str, values: &[Value]) -> Result<Vec<T>> {
        let sql = self.statement(sql);
        within(ANSWER_LIMIT, async {
            on_each!(self, |connection: Kind| {
                sqlx::query_as_with::<Kind, T, _>(sql, arguments::<Kind>(values)?).fetch_all(connection).await
            })
        })
        .await
    }

    /// As [`Connection::fetch`], for a statement that is not this program's own: a `?` in it is what it is there, and it
    /// may take longer.
    pub async fn fetch_as_is<T: Record>(&mut self, sql: String) -> Result<Vec<T>> {
        within(DATASET_LIMIT, async {
            on_each!(self, |connection: Kind| {
                sqlx::query_as::<Kind, T>(AssertSqlSafe(sql)).fetch_all(connection).await
            })
        })
        .await
    }

    /// Inserts rows of as many values each as there are `columns`, in as few statements as there may be.
    pub async fn insert(&mut self, table: &str, columns: &[&str], rows: &[Vec<Value>]) -> Result<()> {
        let one = format!("({})", vec!["?"; columns.len()].join(", "));
        for rows in rows.chunks(MOST_VALUES / columns.len()) {
            let all = vec![one.as_str(); rows.len()].join(", ");
            let sql = format!("INSERT INTO {table} ({}) VALUES {all}", columns.join(", "));
            self.execute(&sql, &rows.concat()).await.with_context(|| format!("writing to its table {table}"))?;
        }
        Ok(())
    }

    /// Inserts one row into a table that numbers its rows; returns the number.
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
        // SQLite takes the lock for writing at once, so that two writers wait for each other instead of failing halfway.
        let begin = if matches!(self, Self::Sqlite(_)) { "BEGIN IMMEDIATE" } else { "BEGIN" };
        self.simple(begin).await
    }

    /// Checks that rows can be written, and leaves none.
    pub async fn check_writable(&mut self) -> Result<()> {
        if let Self::Sqlite(_) = self {
            // SQLite opens a file that it may only read, and begins a transaction on it, without an error: only a statement
            // that writes fails.
            let row =
                "INSERT INTO runs (step, version, started, seconds, ended, outcome) VALUES ('', '', '', 0, '', 'done')";
            self.begin().await?;
            self.execute(row, &[]).await?;
            self.simple("ROLLBACK").await
        } else {
            // A server refuses this statement too where it only reads or this user may not write. A row that is rolled back
            // would leave a gap in the numbers of the runs.
            let no_row = "INSERT INTO checked_files (run_id, release_id, name, sha256)
                SELECT run_id, release_id, name, sha256 FROM checked_files WHERE 1 = 0";
            self.execute(no_row, &[]).await
        }
    }

    /// Whether the server still answers on this connection.
    pub async fn is_alive(&mut self) -> bool {
        within(CONNECT_LIMIT, async { on_each!(self, |connection: _Kind| connection.ping().await) }).await.is_ok()
    }

    /// Says goodbye to a server, and has SQLite fold its write-ahead log into the file.
    pub async fn close(self) {
        // What matters is committed already.
        let _ = within(CONNECT_LIMIT, async { on_each!(self, |connection: _Kind| connection.close().await) }).await;
    }

    /// The statement as this kind of database wants it: PostgreSQL numbers its placeholders. A `?` in these statements is
    /// always a placeholder.
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

/// The most values that one statement may have: SQLite's limit is the lowest.
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

/// Waits for an answer, but not for ever.
pub(crate) async fn within<T>(limit: Duration, answer: impl Future<Output = sqlx::Result<T>>) -> Result<T> {
    match tokio::time::timeout(limit, answer).await {
        Ok(answer) => Ok(answer.map_err(Fault)?),
        Err(_) => Err(anyhow!("it did not answer within {} s", limit.as_secs())),
    }
}

/// What sqlx reports, in as many words as it takes: sqlx says it twice, once as the error and once as its cause.
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
    /// Whether a statement failed because there is no such table.
    pub fn is_missing_table(error: &anyhow::Error) -> bool {
        let Some(Self(sqlx::Error::Database(error))) = error.downcast_ref() else { return false };
        // The SQLSTATE of PostgreSQL and of MySQL; SQLite has a text alone.
        matches!(error.code().as_deref(), Some("42P01" | "42S02")) || error.message().starts_with("no such table")
    }

    /// What to do about a SQLite file that cannot be used, where the error tells.
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

    /// Whether a server lets us in, but has no such database.
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
        Self::Integer(Some(value as i64)) // counts of rows, far below 2^63
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
    /// No database takes a NUL in a text, so a message that quotes one shows a sign for it.
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
