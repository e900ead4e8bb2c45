//! A connection to SQLite, PostgreSQL or MySQL, and the few operations in which the three differ.
//!
//! Statements are written once, with `?` for each value. Every wait for an answer has a time limit, so that a server
//! that accepts connections but does not answer stops a step instead of blocking it forever.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use common::config::database::DatabaseUrl;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlRow};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteRow, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection as _, FromRow};
use tokio::runtime::{Builder, Runtime};

use crate::columns::{Kind, decode};
use crate::error::DatabaseError;
use crate::value::{Value, arguments};

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

/// A kind of database, for the statements in which the three differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
    /// MySQL or MariaDB, which speak the same protocol.
    MySql,
}

impl Dialect {
    /// Returns the kind of the database at an address.
    pub fn of(url: &DatabaseUrl) -> Self {
        match url {
            DatabaseUrl::Sqlite(_) => Self::Sqlite,
            DatabaseUrl::Postgres(_) => Self::Postgres,
            DatabaseUrl::MySql(_) => Self::MySql,
        }
    }

    /// Returns a name as a quoted identifier.
    pub fn identifier(self, name: &str) -> String {
        let quote = if self == Self::MySql { '`' } else { '"' };
        format!("{quote}{}{quote}", name.replace(quote, &format!("{quote}{quote}")))
    }
}

/// Evaluates the same expression for each variant of [`Connection`]; inside it, `$Db` is the sqlx database type.
macro_rules! with_driver {
    ($self:expr, |$connection:ident: $Db:ident| $work:expr) => {
        match $self {
            Connection::Sqlite($connection) => {
                type $Db = sqlx::Sqlite;
                $work
            }
            Connection::Postgres($connection) => {
                type $Db = sqlx::Postgres;
                $work
            }
            Connection::MySql($connection) => {
                type $Db = sqlx::MySql;
                $work
            }
        }
    };
}
pub(crate) use with_driver;

/// A type that can be read from a row of any of the three databases.
pub(crate) trait ReadRow:
    for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + for<'r> FromRow<'r, MySqlRow> + Send + Unpin
{
}
impl<T> ReadRow for T where
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
    /// The file must exist and hold a history. A commit waits until it is on the disk.
    Durable,
    /// The file must exist and is not changed.
    ReadOnly,
    /// The file must exist, no process may write to it, and no file is created next to it.
    Immutable,
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
                        .read_only(matches!(opening, Opening::ReadOnly | Opening::Immutable))
                        .immutable(opening == Opening::Immutable)
                        .busy_timeout(BUSY_LIMIT)
                        .disable_statement_logging();
                    let options = match opening {
                        Opening::ReadOnly | Opening::Immutable => options,
                        Opening::Durable => options.synchronous(SqliteSynchronous::Full),
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

    pub fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
            Self::MySql(_) => Dialect::MySql,
        }
    }

    /// Executes one statement within [`ANSWER_LIMIT`].
    pub async fn execute(&mut self, sql: &str, values: &[Value]) -> Result<()> {
        self.execute_within(ANSWER_LIMIT, sql, values).await
    }

    /// Executes one statement within `limit`.
    pub async fn execute_within(&mut self, limit: Duration, sql: &str, values: &[Value]) -> Result<()> {
        let sql = self.statement(sql);
        within(limit, async {
            with_driver!(self, |connection: Db| {
                sqlx::query_with::<Db, _>(sql, arguments::<Db>(values)?).execute(connection).await.map(drop)
            })
        })
        .await
    }

    /// Executes one statement that takes no values and is not worth preparing, such as `COMMIT`.
    pub async fn execute_raw(&mut self, sql: &'static str) -> Result<()> {
        within(ANSWER_LIMIT, async {
            with_driver!(self, |connection: _Db| sqlx::raw_sql(sql).execute(connection).await.map(drop))
        })
        .await
    }

    /// Runs a query and returns its rows in order.
    pub async fn fetch<T: ReadRow>(&mut self, sql: &str, values: &[Value]) -> Result<Vec<T>> {
        let sql = self.statement(sql);
        within(ANSWER_LIMIT, async {
            with_driver!(self, |connection: Db| {
                sqlx::query_as_with::<Db, T, _>(sql, arguments::<Db>(values)?).fetch_all(connection).await
            })
        })
        .await
    }

    /// Runs a query whose columns are of these kinds, and returns the values of its rows in order.
    pub async fn fetch_values(&mut self, sql: &str, values: &[Value], kinds: &[Kind]) -> Result<Vec<Vec<Value>>> {
        let sql = self.statement(sql);
        within(ANSWER_LIMIT, async {
            with_driver!(self, |connection: Db| {
                let query = sqlx::query_with::<Db, _>(sql, arguments::<Db>(values)?);
                query.try_map(|row| decode(&row, kinds)).fetch_all(connection).await
            })
        })
        .await
    }

    /// Runs a query that is not one of this program's own: a `?` in it is not a placeholder, and the time limit is
    /// [`DATASET_LIMIT`].
    pub async fn fetch_verbatim<T: ReadRow>(&mut self, sql: String) -> Result<Vec<T>> {
        within(DATASET_LIMIT, async {
            with_driver!(self, |connection: Db| {
                sqlx::query_as::<Db, T>(AssertSqlSafe(sql)).fetch_all(connection).await
            })
        })
        .await
    }

    /// Inserts rows with as few statements as possible. Every row must have as many values as there are `columns`.
    pub async fn insert(&mut self, table: &str, columns: &[&str], rows: &[Vec<Value>]) -> Result<()> {
        let one = format!("({})", vec!["?"; columns.len()].join(", "));
        for rows in rows.chunks(MAX_VALUES / columns.len()) {
            let all = vec![one.as_str(); rows.len()].join(", ");
            let sql = format!("INSERT INTO {table} ({}) VALUES {all}", columns.join(", "));
            self.execute(&sql, &rows.concat()).await.with_context(|| format!("writing to its table {table}"))?;
        }
        Ok(())
    }

    /// Inserts one row into a table with a generated id; returns the id.
    pub async fn insert_with_id(&mut self, table: &str, columns: &[&str], row: &[Vec<Value>]) -> Result<i64> {
        self.insert(table, columns, row).await?;
        let last = match self {
            Self::Sqlite(_) => "SELECT last_insert_rowid()",
            Self::Postgres(_) => "SELECT lastval()",
            Self::MySql(_) => "SELECT CAST(LAST_INSERT_ID() AS SIGNED)",
        };
        let ids: Vec<(i64,)> = self.fetch(last, &[]).await?;
        ids.first().map(|(id,)| *id).context("it returned no id for the new row")
    }

    /// Begins a transaction that will write.
    pub async fn begin(&mut self) -> Result<()> {
        // SQLite acquires the write lock immediately, so that two writers wait for each other instead of failing
        // halfway.
        let begin = if matches!(self, Self::Sqlite(_)) { "BEGIN IMMEDIATE" } else { "BEGIN" };
        self.execute_raw(begin).await
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
            self.execute_raw("ROLLBACK").await
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
        within(CONNECT_LIMIT, async { with_driver!(self, |connection: _Db| connection.ping().await) }).await.is_ok()
    }

    /// Closes the connection. SQLite then merges its write-ahead log into the file.
    pub async fn close(self) {
        // An error is ignored: everything that matters is already committed.
        let _ = within(CONNECT_LIMIT, async { with_driver!(self, |connection: _Db| connection.close().await) }).await;
    }

    /// Converts the statement to the syntax of this database: PostgreSQL numbers its placeholders.
    fn statement(&self, sql: &str) -> AssertSqlSafe<String> {
        AssertSqlSafe(match self {
            Self::Postgres(_) => numbered(sql),
            _ => sql.to_owned(),
        })
    }
}

/// Numbers the placeholders of a statement. A `?` in a quoted identifier or text is none; a doubled quote ends and begins
/// a quotation.
fn numbered(sql: &str) -> String {
    let mut numbered = String::with_capacity(sql.len() * 2);
    let (mut quote, mut number) = (None, 0);
    for letter in sql.chars() {
        match (letter, quote) {
            ('?', None) => {
                number += 1;
                numbered += &format!("${number}");
                continue;
            }
            ('"' | '\'', None) => quote = Some(letter),
            (_, Some(open)) if letter == open => quote = None,
            _ => {}
        }
        numbered.push(letter);
    }
    numbered
}

/// Maximum number of values in one statement. The limit of SQLite is the lowest of the three.
const MAX_VALUES: usize = 32_766;

/// Awaits `answer`; fails if it takes longer than `limit`.
pub(crate) async fn within<T>(limit: Duration, answer: impl Future<Output = sqlx::Result<T>>) -> Result<T> {
    match tokio::time::timeout(limit, answer).await {
        Ok(answer) => Ok(answer.map_err(DatabaseError)?),
        Err(_) => Err(anyhow!("it did not answer within {} s", limit.as_secs())),
    }
}

/// Creates the runtime on which the asynchronous driver runs.
pub(crate) fn runtime() -> Result<Runtime> {
    Builder::new_current_thread().enable_all().build().context("starting the database runtime")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_mark_in_a_name_is_no_placeholder() {
        let sql = r#"INSERT INTO t ("what?", "a""?", "o'neil?") VALUES (?, '?''?', ?)"#;
        assert_eq!(numbered(sql), r#"INSERT INTO t ("what?", "a""?", "o'neil?") VALUES ($1, '?''?', $2)"#);
    }

    #[test]
    fn identifiers_are_quoted() {
        for (dialect, identifier) in [(Dialect::Postgres, "\"a\"\"b`\""), (Dialect::MySql, "`a\"b```")] {
            assert_eq!(dialect.identifier("a\"b`"), identifier);
        }
    }
}
