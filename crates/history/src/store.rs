//! The open history: how it is found, created and opened, and how work is done with its connection.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use common::config::Config;
use common::config::database::{DatabaseUrl, ServerUrl};
use common::files::lock::Lock;
use sqlx::migrate::MigrateDatabase;
use sqlx::{MySql, Postgres};
use tokio::runtime::Runtime;

use crate::columns::{Columns, Kind, columns_of};
use crate::connection::{BUSY_LIMIT, CONNECT_LIMIT, Connection, Opening, ReadRow, runtime, within};
use crate::error::{DatabaseError, OldSchema};
use crate::schema;
use crate::sqlite_file::{FileStamp, log_of};
use crate::value::Value;

/// Length in bytes from which the write-ahead log of a SQLite file is moved into the file.
const LONGEST_LOG: u64 = 1 << 20;

/// A history that is open.
pub struct History {
    url: DatabaseUrl,
    runtime: Runtime,
    /// `Some` until the history is dropped or a statement fails.
    connection: Option<Connection>,
    /// The stamp of the file at the time it was opened with [`Opening::Immutable`].
    pub(crate) immutable: Option<FileStamp>,
    /// Time limit for each query, if it is lower than the limit of the connection.
    limit: Option<Duration>,
}

/// The state of a database as seen by this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// There is no database, or it has no schema.
    Missing,
    /// The schema has this version, which is older than the program's.
    Behind(i64),
    /// The schema has the version of this program.
    Current,
}

impl Drop for History {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.runtime.block_on(connection.close());
        }
    }
}

impl History {
    /// Opens the history that `config` names for writing. A SQLite file is created if it does not exist and is migrated
    /// if necessary; on a server, `dbsetup` does this.
    ///
    /// # Errors
    /// Fails if the database does not answer, cannot be written, has no schema, or has the schema of a newer program;
    /// the error names the database.
    pub fn open(config: &Config) -> Result<Self> {
        Self::open_with(config, |url| match url {
            // This check runs after the lock of the opening is released: it may wait for another process's transaction,
            // and readers must not wait for that.
            DatabaseUrl::Sqlite(path) => Self::open_file(url, path)?.writable(),
            _ => Self::connect(url, Opening::Existing)?.of_this_version()?.writable(),
        })
    }

    /// Opens the history for reading, without creating or migrating anything. `None` if there is no SQLite file or no
    /// schema yet.
    pub fn open_existing(config: &Config) -> Result<Option<Self>> {
        Self::open_with(config, |url| match url {
            DatabaseUrl::Sqlite(path) => match path.try_exists().context("looking for the file")? {
                true => Self::read_file(url, path),
                false => Ok(None),
            },
            _ => Self::connect(url, Opening::Existing)?.of_this_version().map(Some),
        })
    }

    /// Opens an existing history for [`History::add_contacts`], without creating or migrating anything. Whether the user
    /// may write is not checked, because adding contacts writes everything or nothing.
    ///
    /// # Errors
    /// Fails if there is no history, or if it does not have the schema of this program; the error names the database.
    pub fn open_for_contacts(config: &Config) -> Result<Self> {
        Self::open_with(config, |url| match url {
            DatabaseUrl::Sqlite(path) if !path.try_exists().context("looking for the file")? => {
                Err(OldSchema(0).into())
            }
            _ => Self::connect(url, Opening::Durable)?.of_this_version(),
        })
    }

    /// Opens a SQLite file for reading. The file may belong to another user.
    ///
    /// SQLite reads the write-ahead log through the `-shm` file next to the database and creates that file if it is
    /// missing. A user who may not create it can still read the database if there is no log: the last writer then
    /// closed the file properly, and everything is in the file itself. In this case the file is opened as one that does
    /// not change, and this is verified after every query.
    fn read_file(url: &DatabaseUrl, path: &Path) -> Result<Option<Self>> {
        let open = |opening, immutable| -> Result<Option<Self>> {
            let mut history = Self::connect(url, opening)?;
            history.immutable = immutable;
            match history.version()? {
                0 => Ok(None), // another process is creating the file at this moment
                _ => history.of_this_version().map(Some),
            }
        };
        open(Opening::ReadOnly, None).or_else(|refused| {
            FileStamp::without_log(path).and_then(|stamp| open(Opening::Immutable, Some(stamp))).map_err(|_| refused)
        })
    }

    /// Opens the history for dbsetup: creates the database if it does not exist and the server permits it, and migrates
    /// it.
    pub fn set_up(config: &Config) -> Result<Self> {
        Self::open_with(config, |url| match url {
            DatabaseUrl::Sqlite(path) => Self::open_file(url, path),
            DatabaseUrl::Postgres(server) => Self::create::<Postgres>(url, server),
            DatabaseUrl::MySql(server) => Self::create::<MySql>(url, server),
        })
    }

    /// Returns the state of the database without changing anything.
    pub fn state(config: &Config) -> Result<State> {
        if let DatabaseUrl::Sqlite(path) = &config.database
            && !path.exists()
        {
            return Ok(State::Missing);
        }
        let mut version = 0;
        Self::open_with(config, |url| {
            let mut history = Self::connect(url, Opening::ReadOnly)?;
            version = history.version()?;
            schema::check_not_newer(version)?;
            Ok(history)
        })?;
        Ok(match version {
            0 => State::Missing,
            schema::VERSION => State::Current,
            older => State::Behind(older),
        })
    }

    fn open_with<T>(config: &Config, open: impl FnOnce(&DatabaseUrl) -> Result<T>) -> Result<T> {
        let url = &config.database;
        open(url).map_err(|error| {
            let advice = match url {
                DatabaseUrl::Sqlite(_) => DatabaseError::advice_on_file(&error),
                _ => Some("is the server running, are address and user right, and has dbsetup been run?"),
            };
            let advice = advice.map(|advice| format!("; {advice}")).unwrap_or_default();
            error.context(format!("opening the history {url} (config key \"database_url\"){advice}"))
        })
    }

    pub(crate) fn connect(url: &DatabaseUrl, opening: Opening) -> Result<Self> {
        let runtime = runtime()?;
        match runtime.block_on(Connection::open(url, opening)) {
            Ok(connection) => {
                Ok(Self { url: url.clone(), runtime, connection: Some(connection), immutable: None, limit: None })
            }
            Err(error) => {
                runtime.shutdown_background(); // does not wait for a host name lookup that hangs
                Err(error)
            }
        }
    }

    /// Opens a SQLite file under a lock, because two concurrent first runs must not both migrate it or both switch it
    /// to the write-ahead log. The lock is a separate file: closing any other handle of the database file would release
    /// SQLite's own locks on it.
    fn open_file(url: &DatabaseUrl, path: &Path) -> Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        }
        let _opening = Lock::wait(&path.with_added_extension("lock"), BUSY_LIMIT)?;
        Self::connect(url, Opening::Create)?.migrated()
    }

    /// Creates the database if the server has none of this name.
    fn create<Db: MigrateDatabase>(url: &DatabaseUrl, server: &ServerUrl) -> Result<Self> {
        match Self::connect(url, Opening::Existing) {
            Err(error) if DatabaseError::is_missing_database(&error) => {
                let runtime = runtime()?;
                let created = runtime.block_on(within(CONNECT_LIMIT, Db::create_database(server.secret())));
                // If two processes create the database concurrently, the later one fails; the database then exists.
                Self::connect(url, Opening::Existing).map_err(|error| match created {
                    Ok(()) => error,
                    Err(refused) => refused.context("it has no such database, and this user may not create one"),
                })
            }
            other => other,
        }?
        .migrated()
    }

    fn migrated(mut self) -> Result<Self> {
        self.execute(async |connection| schema::migrate(connection).await)?;
        Ok(self)
    }

    fn writable(mut self) -> Result<Self> {
        self.execute(async |connection| connection.check_writable().await)?;
        Ok(self)
    }

    fn version(&mut self) -> Result<i64> {
        self.execute(async |connection| schema::version(connection).await)
    }

    fn of_this_version(mut self) -> Result<Self> {
        let version = self.version()?;
        schema::check_not_newer(version)?;
        if version < schema::VERSION {
            return Err(OldSchema(version).into());
        }
        Ok(self)
    }

    /// Drops a history at the end of a process. The end of the process closes a SQLite file; committed transactions
    /// remain in the write-ahead log, where the next process reads them. A proper close would wait for the disk three
    /// times (15 ms on a slow disk), which is most of the duration of a `fullprocess` that has nothing to do. A
    /// connection to a server is closed properly.
    pub fn end_with_process(mut self) {
        if let DatabaseUrl::Sqlite(_) = self.url {
            std::mem::forget(self.connection.take());
        }
    }

    /// Moves a long write-ahead log into the SQLite file. SQLite does not do it, because every process ends without closing
    /// the file: the next one appends to the log, and reads all of it when it opens the file.
    pub(crate) fn shorten_log(&mut self) {
        let DatabaseUrl::Sqlite(path) = &self.url else { return };
        if fs::metadata(log_of(path)).is_ok_and(|log| log.len() > LONGEST_LOG) {
            // If other processes read the log, a later run will do it.
            let _ = self.execute(async |connection| {
                connection.execute_raw("PRAGMA busy_timeout = 100").await?;
                connection.execute_raw("PRAGMA wal_checkpoint(TRUNCATE)").await
            });
        }
    }

    /// Returns the address of the database; as text it has no password.
    pub(crate) fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    /// Sets a time limit for each following query.
    pub fn set_query_limit(&mut self, limit: Duration) {
        self.limit = Some(limit);
    }

    /// Runs a query and returns its rows in order.
    pub(crate) fn fetch<T: ReadRow>(&mut self, query: &str, values: &[Value]) -> Result<Vec<T>> {
        let rows = self.execute(async |connection| connection.fetch(query, values).await);
        self.checked(rows)
    }

    /// Runs a query whose columns are those of a record.
    pub(crate) fn records<T: Columns>(&mut self, query: &str, values: &[Value]) -> Result<Vec<T>> {
        // Only this function is generic: the driver's code is compiled once, and not in every crate that reads records.
        let kinds: Vec<Kind> = columns_of::<T>().iter().map(|column| column.kind).collect();
        let records = self.rows(query, values, &kinds)?.into_iter().map(|row| T::read(&mut row.into_iter()));
        records.collect::<Result<_>>().with_context(|| format!("reading the history {}", self.url))
    }

    /// Runs a query whose columns are of these kinds, and returns the values of its rows in order.
    pub(crate) fn rows(&mut self, query: &str, values: &[Value], kinds: &[Kind]) -> Result<Vec<Vec<Value>>> {
        let rows = self.execute(async |connection| connection.fetch_values(query, values, kinds).await);
        self.checked(rows)
    }

    fn checked<T>(&self, rows: Result<T>) -> Result<T> {
        let rows = rows.and_then(|rows| self.check_unchanged().map(|()| rows));
        rows.with_context(|| format!("reading the history {}", self.url))
    }

    /// Fails if a file that was opened as [`Opening::Immutable`] has changed.
    fn check_unchanged(&self) -> Result<()> {
        match (&self.url, self.immutable) {
            (DatabaseUrl::Sqlite(path), Some(before)) if FileStamp::of(path)? != before => {
                bail!("another process wrote to it at the same time; try again")
            }
            _ => Ok(()),
        }
    }

    /// Runs `work` with the open connection and waits for its result. If it fails, the connection is discarded, because
    /// an unfinished transaction must not be continued.
    ///
    /// A server may have closed a connection that was idle for hours while a step worked, or may have been restarted.
    /// In that case `work`, which is always a whole transaction, is given a new connection.
    pub(crate) fn execute<T>(&mut self, work: impl AsyncFnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        let Self { url, runtime, connection, limit, .. } = self;
        let done = runtime.block_on(async {
            let answer = async {
                if let Some(open) = connection.as_mut().filter(|_| url.is_server())
                    && !open.is_alive().await
                {
                    *connection = Some(Connection::open(url, Opening::Existing).await?);
                }
                work(connection.as_mut().with_context(|| format!("the connection to {url} is lost"))?).await
            };
            match *limit {
                Some(limit) => within(limit, async { Ok(answer.await) }).await?,
                None => answer.await,
            }
        });
        if done.is_err() {
            let _discarded = connection.take();
        }
        done
    }

    /// Writes everything that `work` writes, or nothing.
    pub(crate) fn transaction(&mut self, work: impl AsyncFnOnce(&mut Connection) -> Result<()>) -> Result<()> {
        self.execute(async |connection| {
            connection.begin().await?;
            work(connection).await?;
            connection.execute_raw("COMMIT").await
        })
        .with_context(|| format!("writing to the history {}", self.url))
    }
}
