//! The open history: opening, appending and querying.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use common::config::Config;
use common::config::database::{DatabaseUrl, ServerUrl};
use common::files::lock::Lock;
use common::production::release::{Production, Release};
use jiff::{SignedDuration, Timestamp};
use sqlx::migrate::MigrateDatabase;
use sqlx::{MySql, Postgres};
use tokio::runtime::{Builder, Runtime};

use crate::connection::{BUSY_LIMIT, CONNECT_LIMIT, Connection, Fault, Opening, Record, Value, within};
use crate::facts::{Switch, WentLive};
use crate::{CheckedFile, Run, RunRecord, clients, schema};

/// A history that is open.
pub struct History {
    url: DatabaseUrl,
    runtime: Runtime,
    /// `Some` until the history is dropped or a statement fails.
    connection: Option<Connection>,
    /// The stamp of the file at the time it was opened with [`Opening::Unchanging`].
    unchanging: Option<Stamp>,
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
            DatabaseUrl::Sqlite(path) => Self::open_file(url, path, Opening::Create)?.writable(),
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

    /// Opens a SQLite file for reading. The file may belong to another user.
    ///
    /// SQLite reads the write-ahead log through the `-shm` file next to the database and creates that file if it is
    /// missing. A user who may not create it can still read the database if there is no log: the last writer then
    /// closed the file properly, and everything is in the file itself. In this case the file is opened as one that does
    /// not change, and this is verified after every query.
    fn read_file(url: &DatabaseUrl, path: &Path) -> Result<Option<Self>> {
        let open = |opening, unchanging| -> Result<Option<Self>> {
            let mut history = Self::connect(url, opening)?;
            history.unchanging = unchanging;
            match history.version()? {
                0 => Ok(None), // another process is creating the file at this moment
                _ => history.of_this_version().map(Some),
            }
        };
        open(Opening::ReadOnly, None).or_else(|refused| {
            Stamp::without_log(path).and_then(|stamp| open(Opening::Unchanging, Some(stamp))).map_err(|_| refused)
        })
    }

    /// Opens the history for dbsetup: creates the database if it does not exist and the server permits it, and migrates
    /// it.
    pub fn set_up(config: &Config) -> Result<Self> {
        Self::open_with(config, |url| match url {
            DatabaseUrl::Sqlite(path) => Self::open_file(url, path, Opening::Create),
            DatabaseUrl::Postgres(server) => Self::make::<Postgres>(url, server),
            DatabaseUrl::MySql(server) => Self::make::<MySql>(url, server),
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
                DatabaseUrl::Sqlite(_) => Fault::advice_on_file(&error),
                _ => Some("is the server running, are address and user right, and has dbsetup been run?"),
            };
            let advice = advice.map(|advice| format!("; {advice}")).unwrap_or_default();
            error.context(format!("opening the history {url} (config key \"database_url\"){advice}"))
        })
    }

    fn connect(url: &DatabaseUrl, opening: Opening) -> Result<Self> {
        let runtime = runtime()?;
        match runtime.block_on(Connection::open(url, opening)) {
            Ok(connection) => {
                Ok(Self { url: url.clone(), runtime, connection: Some(connection), unchanging: None, limit: None })
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
    fn open_file(url: &DatabaseUrl, path: &Path, opening: Opening) -> Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        }
        let _opening = Lock::wait(&path.with_added_extension("lock"), BUSY_LIMIT)?;
        let history = Self::connect(url, opening)?;
        if opening == Opening::Create { history.migrated() } else { history.of_this_version() }
    }

    /// Creates the database if the server has none of this name.
    fn make<Kind: MigrateDatabase>(url: &DatabaseUrl, server: &ServerUrl) -> Result<Self> {
        match Self::connect(url, Opening::Existing) {
            Err(error) if Fault::is_missing_database(&error) => {
                let runtime = runtime()?;
                let made = runtime.block_on(within(CONNECT_LIMIT, Kind::create_database(server.secret())));
                // If two processes create the database concurrently, the later one fails; the database then exists.
                Self::connect(url, Opening::Existing).map_err(|error| match made {
                    Ok(()) => error,
                    Err(refused) => refused.context("it has no such database, and we may not make one"),
                })
            }
            other => other,
        }?
        .migrated()
    }

    fn migrated(mut self) -> Result<Self> {
        self.ask(async |connection| schema::migrate(connection).await)?;
        Ok(self)
    }

    fn writable(mut self) -> Result<Self> {
        self.ask(async |connection| connection.check_writable().await)?;
        Ok(self)
    }

    fn version(&mut self) -> Result<i64> {
        self.ask(async |connection| schema::version(connection).await)
    }

    fn of_this_version(mut self) -> Result<Self> {
        let version = self.version()?;
        schema::check_not_newer(version)?;
        if version < schema::VERSION {
            bail!("its schema has version {version}, this program needs {}; run dbsetup", schema::VERSION);
        }
        Ok(self)
    }

    /// Drops a history at the end of a process. The end of the process closes a SQLite file; committed transactions
    /// remain in the write-ahead log, where the next process reads them. A proper close would wait for the disk three
    /// times (15 ms on a slow disk), which is most of the duration of a `fullprocess` that has nothing to do. A
    /// connection to a server is closed properly.
    pub fn leave(mut self) {
        if let DatabaseUrl::Sqlite(_) = self.url {
            std::mem::forget(self.connection.take());
        }
    }

    /// Sets a time limit for each following query.
    pub fn hurry(&mut self, limit: Duration) {
        self.limit = Some(limit);
    }

    /// Returns the URL of the database.
    pub fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    /// Returns the names of the tables, each with its number of rows.
    pub fn row_counts(&mut self) -> Result<Vec<(&'static str, u64)>> {
        let count = |table: &'static str| {
            let query = format!("SELECT COUNT(*) FROM {table}");
            let counts: Vec<(i64,)> = self.fetch(&query, &[])?;
            Ok((table, counts.first().map_or(0, |(count,)| *count as u64)))
        };
        schema::TABLES.into_iter().map(count).collect()
    }

    /// Returns whether a release was checked against a file of this name and content.
    pub fn was_checked(&mut self, file: &CheckedFile) -> Result<bool> {
        let query = "SELECT COUNT(*) FROM checked_files WHERE release_id = ? AND name = ? AND sha256 = ?";
        let values = [(&file.release).into(), (&file.name).into(), file.sha256.as_str().into()];
        Ok(self.fetch::<(i64,)>(query, &values)?.first().is_some_and(|(count,)| *count > 0))
    }

    /// Returns the newest version of dependency `name` that the registry has ever returned, and when it was recorded.
    pub fn latest_known(&mut self, name: &str) -> Result<Option<(String, String)>> {
        let query = "SELECT dependencies.latest_version, runs.started FROM dependencies JOIN runs ON runs.id = run_id
            WHERE name = ? AND latest_version IS NOT NULL ORDER BY run_id DESC LIMIT 1";
        Ok(self.fetch(query, &[name.into()])?.pop())
    }

    /// Returns the newest F1 scores of live releases, at their deployment or on new rows; at most `last` of them.
    pub fn past_scores(&mut self, last: u32) -> Result<Vec<f64>> {
        let query = "SELECT f1 FROM (
                SELECT run_id, f1 FROM (SELECT run_id, f1 FROM drift_checks ORDER BY run_id DESC LIMIT ?) AS checks
                UNION ALL
                SELECT run_id, f1 FROM (SELECT run_id, f1 FROM releases ORDER BY run_id DESC LIMIT ?) AS deployments
            ) AS newest ORDER BY run_id DESC LIMIT ?";
        let scores: Vec<(f64,)> =
            self.fetch(query, &[i64::from(last).into(), i64::from(last).into(), i64::from(last).into()])?;
        Ok(scores.into_iter().map(|(f1,)| f1).collect())
    }

    /// Returns the id of the release that was last recorded as gone live.
    pub fn last_live(&mut self) -> Result<Option<String>> {
        Ok(self.last_release()?.map(|(release, _)| release))
    }

    /// Returns the release that was last recorded as gone live, and the time of the switch.
    fn last_release(&mut self) -> Result<Option<(String, Timestamp)>> {
        let query = "SELECT release_id, live_from FROM releases ORDER BY run_id DESC, live_from DESC LIMIT 1";
        let last: Option<(String, String)> = self.fetch(query, &[])?.pop();
        last.map(|(release, since)| Ok((release, since.parse()?))).transpose()
    }

    /// Runs a query and returns its rows in order.
    pub(crate) fn fetch<T: Record>(&mut self, query: &str, values: &[Value]) -> Result<Vec<T>> {
        let rows = self.ask(async |connection| connection.fetch(query, values).await);
        let rows = rows.and_then(|rows| self.check_unchanged().map(|()| rows));
        rows.with_context(|| format!("reading the history {}", self.url))
    }

    /// Fails if a file that was opened as [`Opening::Unchanging`] has changed.
    fn check_unchanged(&self) -> Result<()> {
        match (&self.url, self.unchanging) {
            (DatabaseUrl::Sqlite(path), Some(before)) if Stamp::of(path)? != before => {
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
    fn ask<T>(&mut self, work: impl AsyncFnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        let Self { url, runtime, connection, limit, .. } = self;
        let done = runtime.block_on(async {
            let asked = async {
                if let Some(open) = connection.as_mut().filter(|_| url.is_server())
                    && !open.is_alive().await
                {
                    *connection = Some(Connection::open(url, Opening::Existing).await?);
                }
                work(connection.as_mut().with_context(|| format!("the connection to {url} is lost"))?).await
            };
            match *limit {
                Some(limit) => within(limit, async { Ok(asked.await) }).await?,
                None => asked.await,
            }
        });
        if done.is_err() {
            let _given_up = connection.take();
        }
        done
    }

    /// Writes one run and all its records, or nothing.
    pub(crate) fn append(&mut self, run: &RunRecord) -> Result<()> {
        self.ask(async |connection| {
            connection.begin().await?;
            write(connection, run).await?;
            connection.simple("COMMIT").await
        })
        .with_context(|| format!("writing to the history {}", self.url))
    }
}

/// The attributes of a SQLite file that change with every write to it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Result<Self> {
        let file = fs::metadata(path).with_context(|| format!("looking at {}", path.display()))?;
        Ok(Self { inode: file.ino(), size: file.size(), modified: (file.mtime(), file.mtime_nsec()) })
    }

    /// Returns the stamp of a file that is complete, that is, one without a log of later transactions next to it.
    fn without_log(path: &Path) -> Result<Self> {
        let stamp = Self::of(path)?;
        for suffix in ["-wal", "-journal"] {
            let mut log = path.as_os_str().to_owned();
            log.push(suffix);
            if Path::new(&log).try_exists()? {
                bail!("{} holds transactions that are not in the file yet", Path::new(&log).display());
            }
        }
        Ok(stamp)
    }
}

/// Creates the runtime on which the asynchronous driver runs.
pub(crate) fn runtime() -> Result<Runtime> {
    Builder::new_current_thread().enable_all().build().context("starting the database runtime")
}

impl Run {
    /// Records the live release if the history does not contain it, because the run that switched to it was killed
    /// before it could record the switch, or because there was no history at that time.
    pub fn note_unrecorded_release(&mut self, production: &Production) -> Result<()> {
        // A release that cannot be read is reported by the step itself; a rollback away from it must still be possible.
        let Ok(Some(live)) = production.current() else { return Ok(()) };
        match self.history.last_release()? {
            Some((recorded, _)) if recorded == live.id => Ok(()),
            _ => self.went_live(&live, Switch::FoundLive, production.live_since()?),
        }
    }

    /// Records that `release` went live. Its time is always later than that of the previous release, even if the clock
    /// has been set back.
    pub fn went_live(&mut self, release: &Release, action: Switch, since: Timestamp) -> Result<()> {
        let noted = self.facts.releases.last().map(|noted| noted.live_from);
        let before = match noted {
            Some(time) => Some(time),
            None => self.history.last_release()?.map(|(_, time)| time),
        };
        let next = before.map(|time| time + SignedDuration::from_micros(1));
        self.facts.releases.push(WentLive {
            release: release.id.clone(),
            action,
            live_from: next.map_or(since, |next| next.max(since)),
            score: release.manifest.score.clone(),
        });
        Ok(())
    }
}

async fn write(connection: &mut Connection, run: &RunRecord<'_>) -> Result<()> {
    let outcome = if run.error.is_none() { "done" } else { "failed" };
    let id = connection
        .insert_numbered(
            "runs",
            &["step", "version", "started", "seconds", "error", "ended", "outcome", "process"],
            vec![
                run.step.into(),
                run.version.into(),
                (&run.started).into(),
                run.seconds.into(),
                run.error.as_deref().into(),
                (&run.ended).into(),
                outcome.into(),
                run.process.into(),
            ],
        )
        .await?;
    let stored = run.store_dataset && run.facts.ingested.is_some();
    if let Some((ingested, path)) = &run.facts.ingested {
        clients::begin(connection).await?;
        match run.store_dataset {
            true if is_stored(connection, ingested).await? => {}
            true => clients::replace(connection, path, ingested).await?,
            false => clients::clear(connection).await?,
        }
    }
    for table in run.facts.tables(stored) {
        let columns = [&["run_id"], table.columns].concat();
        let rows: Vec<_> = table.rows.into_iter().map(|row| [vec![id.into()], row].concat()).collect();
        connection.insert(table.table, &columns, &rows).await?;
    }
    Ok(())
}

/// Returns whether `clients` already contains this dataset.
async fn is_stored(connection: &mut Connection, ingested: &common::files::ingested::Ingested) -> Result<bool> {
    let newest = "SELECT sha256, stored FROM datasets ORDER BY run_id DESC LIMIT 1";
    let newest: Vec<(String, i64)> = connection.fetch(newest, &[]).await?;
    let rows: Vec<(i64,)> = connection.fetch("SELECT COUNT(*) FROM clients", &[]).await?;
    Ok(newest == [(ingested.dataset_sha256.as_str().to_owned(), 1)] && rows == [(ingested.rows as i64,)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn config(folder: &Path) -> (Config, PathBuf) {
        for name in ["data", "test"] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        let text = r#"{"input_folder_path": "data", "output_folder_path": "out", "test_data_path": "test",
            "output_model_path": "models", "prod_deployment_path": "production"}"#;
        fs::write(folder.join("config.json"), text).unwrap();
        (Config::load(Some(&folder.join("config.json"))).unwrap(), folder.join("history.sqlite"))
    }

    fn rows(config: &Config, table: &str) -> u64 {
        let counts = History::open(config).unwrap().row_counts().unwrap();
        counts.into_iter().find(|(name, _)| *name == table).unwrap().1
    }

    #[test]
    fn a_failed_step_is_recorded_with_its_error_and_without_its_facts() {
        let folder = tempfile::tempdir().unwrap();
        let (config, _) = config(folder.path());
        let failed: Result<()> = crate::record(&config, "test", |run| {
            run.facts.timings.push(("training", 0.5));
            bail!("no \0 data")
        });
        assert_eq!(failed.unwrap_err().to_string(), "no \0 data");
        assert_eq!((rows(&config, "runs"), rows(&config, "timings")), (1, 0));
        let errors: Vec<(String,)> = History::open(&config).unwrap().fetch("SELECT error FROM runs", &[]).unwrap();
        assert_eq!(errors[0].0, "no \u{2400} data");
    }

    #[test]
    fn a_history_that_cannot_be_used_stops_the_step_before_its_work() {
        let folder = tempfile::tempdir().unwrap();
        let (config, path) = config(folder.path());
        fs::write(path, "this is no database, and longer than a header is, to be sure of it").unwrap();
        let refused: Result<()> = crate::record(&config, "test", |_| unreachable!("the work must not begin"));
        let error = format!("{:#}", refused.unwrap_err());
        assert!(error.contains("history.sqlite") && error.contains("database_url"), "{error}");
    }

    #[test]
    fn a_newer_schema_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (config, path) = config(folder.path());
        let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
            VALUES (99, 'later', TRUE, x'00', 0)";
        let mut history = History::open(&config).unwrap();
        history.ask(async |connection| connection.execute(newer, &[]).await).unwrap();
        drop(history);
        let before = fs::read(&path).unwrap();
        for refused in [History::open(&config).err(), History::set_up(&config).err(), History::state(&config).err()] {
            let error = format!("{:#}", refused.unwrap());
            assert!(error.contains("version 99") && error.contains("newer"), "{error}");
        }
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[test]
    fn a_file_without_a_log_is_read_until_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let (config, path) = config(folder.path());
        let write = |step: &str| {
            let row =
                "INSERT INTO runs (step, version, started, seconds, ended, outcome) VALUES (?, '', '', 0, '', 'done')";
            let mut history = History::open(&config).unwrap();
            history.ask(async |connection| connection.execute(row, &[step.into()]).await).unwrap();
            history
        };
        drop(write("first"));
        let mut reader = History::connect(&config.database, Opening::Unchanging).unwrap();
        reader.unchanging = Some(Stamp::without_log(&path).unwrap());
        let mut steps = || reader.fetch::<(String,)>("SELECT step FROM runs", &[]);
        assert_eq!(steps().unwrap(), [("first".to_owned(),)]);
        // The log contains the second run, and the file itself is unchanged.
        let writer = write("second");
        assert!(Stamp::without_log(&path).is_err());
        assert_eq!(steps().unwrap(), [("first".to_owned(),)]);
        drop(writer);
        let error = format!("{:#}", steps().unwrap_err());
        assert!(error.contains("history.sqlite") && error.contains("try again"), "{error}");
        let mut history = History::open_existing(&config).unwrap().unwrap();
        assert_eq!(history.row_counts().unwrap()[0], ("runs", 2));
    }

    #[test]
    fn reading_makes_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let (config, path) = config(folder.path());
        assert!(History::open_existing(&config).unwrap().is_none());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "the config and two folders");
        // The state while another process is creating the file.
        fs::write(&path, "").unwrap();
        assert!(History::open_existing(&config).unwrap().is_none());
        assert!(!path.with_added_extension("lock").exists());
    }

    #[test]
    fn two_processes_write_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let (config, _) = config(folder.path());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10 {
                        crate::record(&config, "test", |_| Ok(())).unwrap();
                    }
                });
            }
        });
        assert_eq!(rows(&config, "runs"), 40);
    }

    /// Upgrades a history that was recorded by a program of schema version 1.
    #[test]
    fn a_history_of_version_1_is_brought_up_to_date_with_all_its_rows() {
        let folder = tempfile::tempdir().unwrap();
        let (config, _) = config(folder.path());
        let mut old = History::connect(&config.database, Opening::Create).unwrap();
        let facts = "
            INSERT INTO runs (step, version, started, seconds) VALUES ('scoring', '0.1.0', '2026-11-22T23:59:59.5Z', 1.25);
            INSERT INTO runs (step, version, started, seconds, error) VALUES ('x', '0.1.0', '2026-11-23T00:00:00Z', 1, 'no');
            INSERT INTO ingested_files VALUES (1, 'o''neil.csv', 'aa', 3, 1, 0);
            INSERT INTO scores VALUES (1, 'bb', '[\"t.csv\"]', 4, 1, 1, 1, 1, 0.5);
            INSERT INTO timings VALUES (1, 'training', 0.5);
            INSERT INTO missing_percentages VALUES (1, 'exited', 1.5);
            INSERT INTO checked_files VALUES (1, 'r1', 'a.csv', 'aa');
            INSERT INTO latest_versions VALUES (1, 'serde', '1.99.0');";
        old.ask(async |connection| {
            schema::migrate_to(connection, Some(1)).await?;
            connection.simple(facts).await
        })
        .unwrap();
        drop(old);
        assert_eq!(History::state(&config).unwrap(), State::Behind(1));

        let mut history = History::open(&config).unwrap();
        let counts = history.row_counts().unwrap().into_iter().filter(|(_, count)| *count > 0).collect::<Vec<_>>();
        let kept = ["ingested_files", "scores", "timings", "missing_percentages", "checked_files", "dependencies"];
        assert_eq!(counts[0], ("runs", 2));
        assert_eq!(counts[1..].iter().map(|(table, _)| *table).collect::<Vec<_>>(), kept);
        let runs: Vec<(String, String)> = history.fetch("SELECT outcome, ended FROM runs ORDER BY id", &[]).unwrap();
        assert_eq!(runs[0], ("done".to_owned(), "2026-11-23T00:00:00.750Z".to_owned()));
        assert_eq!(runs[1].0, "failed");
        assert_eq!(history.latest_known("serde").unwrap().unwrap().0, "1.99.0");
        assert_eq!(History::state(&config).unwrap(), State::Current);
    }
}
