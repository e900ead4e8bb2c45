//! The open history: opened in one of three ways, appended to, asked.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use common::config::Config;
use common::database::{DatabaseUrl, ServerUrl};
use common::lock::Lock;
use common::release::{Production, Release};
use jiff::{SignedDuration, Timestamp};
use sqlx::migrate::MigrateDatabase;
use sqlx::{MySql, Postgres};
use tokio::runtime::{Builder, Runtime};

use crate::connection::{BUSY_LIMIT, CONNECT_LIMIT, Connection, Fault, Opening, Record, Value, within};
use crate::facts::{Switch, WentLive};
use crate::{CheckedFile, Run, RunRecord, clients, schema};

/// The open history.
pub struct History {
    url: DatabaseUrl,
    runtime: Runtime,
    /// `Some` until dropped.
    connection: Option<Connection>,
    /// The file's stamp when it was opened with [`Opening::Unchanging`].
    unchanging: Option<Stamp>,
    /// How long each question may take, where that is less than the connection allows.
    limit: Option<Duration>,
}

/// What a database is, seen from this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// There is no database, or none with a schema.
    Missing,
    /// Its schema has this version, which is older than the program's.
    Behind(i64),
    /// It is as the program wants it.
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
    /// Opens the history that `config` names, to write. A SQLite file is made where there is none, and brought up to date;
    /// on a server that is for dbsetup to do.
    ///
    /// # Errors
    /// Names the database: where it does not answer, cannot be written, has no schema or one of a newer program.
    pub fn open(config: &Config) -> Result<Self> {
        Self::open_with(config, |url| match url {
            // Outside the lock of the opening: it may wait for another's transaction, for which no reader need wait.
            DatabaseUrl::Sqlite(path) => Self::open_file(url, path, Opening::Create)?.writable(),
            _ => Self::connect(url, Opening::Existing)?.of_this_version()?.writable(),
        })
    }

    /// Opens the history to read, making and migrating nothing; `None` where there is no SQLite file or schema yet.
    pub fn open_existing(config: &Config) -> Result<Option<Self>> {
        Self::open_with(config, |url| match url {
            DatabaseUrl::Sqlite(path) => match path.try_exists().context("looking for the file")? {
                true => Self::read_file(url, path),
                false => Ok(None),
            },
            _ => Self::connect(url, Opening::Existing)?.of_this_version().map(Some),
        })
    }

    /// Opens a file to read, which may belong to another user.
    ///
    /// SQLite reads the write-ahead log through the file `-shm` beside it, and makes that file if it is missing. A user who
    /// is not allowed to make it can still read while there is no log, because the last writer has closed the file
    /// properly: everything is in the file itself. It is then opened as a file that does not change, and that is checked
    /// after every answer.
    fn read_file(url: &DatabaseUrl, path: &Path) -> Result<Option<Self>> {
        let open = |opening, unchanging| -> Result<Option<Self>> {
            let mut history = Self::connect(url, opening)?;
            history.unchanging = unchanging;
            match history.version()? {
                0 => Ok(None), // another process is just making it
                _ => history.of_this_version().map(Some),
            }
        };
        open(Opening::ReadOnly, None).or_else(|refused| {
            Stamp::without_log(path).and_then(|stamp| open(Opening::Unchanging, Some(stamp))).map_err(|_| refused)
        })
    }

    /// Opens the history for dbsetup: makes the database where there is none and may be one, and migrates it.
    pub fn set_up(config: &Config) -> Result<Self> {
        Self::open_with(config, |url| match url {
            DatabaseUrl::Sqlite(path) => Self::open_file(url, path, Opening::Create),
            DatabaseUrl::Postgres(server) => Self::make::<Postgres>(url, server),
            DatabaseUrl::MySql(server) => Self::make::<MySql>(url, server),
        })
    }

    /// What the database is; changes nothing.
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
                runtime.shutdown_background(); // without waiting for a look-up of the host that hangs
                Err(error)
            }
        }
    }

    /// Two first runs at once must neither both migrate nor both switch to the write-ahead log. The lock is a file of its
    /// own: closing any other handle of the database file would drop SQLite's own locks on it.
    fn open_file(url: &DatabaseUrl, path: &Path, opening: Opening) -> Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        }
        let _opening = Lock::wait(&path.with_added_extension("lock"), BUSY_LIMIT)?;
        let history = Self::connect(url, opening)?;
        if opening == Opening::Create { history.migrated() } else { history.of_this_version() }
    }

    /// Makes the database where the server has none of this name.
    fn make<Kind: MigrateDatabase>(url: &DatabaseUrl, server: &ServerUrl) -> Result<Self> {
        match Self::connect(url, Opening::Existing) {
            Err(error) if Fault::is_missing_database(&error) => {
                let runtime = runtime()?;
                let made = runtime.block_on(within(CONNECT_LIMIT, Kind::create_database(server.secret())));
                // Of two at once, one is too late; then it is there.
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

    /// For a process that is about to end: its end closes a SQLite file. What is committed stands in the write-ahead log,
    /// and the next to open it reads it there. Closing properly would wait for the disk three times, 15 ms on a slow one,
    /// which is most of what a `fullprocess` with nothing to do takes. To a server it says goodbye.
    pub fn leave(mut self) {
        if let DatabaseUrl::Sqlite(_) = self.url {
            std::mem::forget(self.connection.take());
        }
    }

    /// From now on gives up a question that takes longer than `limit`.
    pub fn hurry(&mut self, limit: Duration) {
        self.limit = Some(limit);
    }

    /// Where it is.
    pub fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    /// The names of its tables, and how many rows each holds.
    pub fn row_counts(&mut self) -> Result<Vec<(&'static str, u64)>> {
        let count = |table: &'static str| {
            let query = format!("SELECT COUNT(*) FROM {table}");
            let counts: Vec<(i64,)> = self.fetch(&query, &[])?;
            Ok((table, counts.first().map_or(0, |(count,)| *count as u64)))
        };
        schema::TABLES.into_iter().map(count).collect()
    }

    /// Whether a release was checked against a file of this name and content.
    pub fn was_checked(&mut self, file: &CheckedFile) -> Result<bool> {
        let query = "SELECT COUNT(*) FROM checked_files WHERE release_id = ? AND name = ? AND sha256 = ?";
        let values = [(&file.release).into(), (&file.name).into(), file.sha256.as_str().into()];
        Ok(self.fetch::<(i64,)>(query, &values)?.first().is_some_and(|(count,)| *count > 0))
    }

    /// The newest version of dependency `name` that the registry has ever named, and when that was.
    pub fn latest_known(&mut self, name: &str) -> Result<Option<(String, String)>> {
        let query = "SELECT dependencies.latest_version, runs.started FROM dependencies JOIN runs ON runs.id = run_id
            WHERE name = ? AND latest_version IS NOT NULL ORDER BY run_id DESC LIMIT 1";
        Ok(self.fetch(query, &[name.into()])?.pop())
    }

    /// The newest F1 scores that live releases had, at their deployment or on new rows; at most `last`.
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

    /// The id of the release that was recorded last as gone live.
    pub fn last_live(&mut self) -> Result<Option<String>> {
        Ok(self.last_release()?.map(|(release, _)| release))
    }

    /// The release that was recorded last as gone live, and since when.
    fn last_release(&mut self) -> Result<Option<(String, Timestamp)>> {
        let query = "SELECT release_id, live_from FROM releases ORDER BY run_id DESC, live_from DESC LIMIT 1";
        let last: Option<(String, String)> = self.fetch(query, &[])?.pop();
        last.map(|(release, since)| Ok((release, since.parse()?))).transpose()
    }

    /// Asks the database.
    pub(crate) fn fetch<T: Record>(&mut self, query: &str, values: &[Value]) -> Result<Vec<T>> {
        let rows = self.ask(async |connection| connection.fetch(query, values).await);
        let rows = rows.and_then(|rows| self.check_unchanged().map(|()| rows));
        rows.with_context(|| format!("reading the history {}", self.url))
    }

    /// Fails if the file that was opened as one that does not change has changed.
    fn check_unchanged(&self) -> Result<()> {
        match (&self.url, self.unchanging) {
            (DatabaseUrl::Sqlite(path), Some(before)) if Stamp::of(path)? != before => {
                bail!("another process wrote to it at the same time; try again")
            }
            _ => Ok(()),
        }
    }

    /// Waits for what `work` does with the open connection. Where that fails, the connection is given up: what it had begun
    /// must not be taken up again.
    ///
    /// A server may have closed a connection that was idle while a step worked for hours, or may have been restarted; then
    /// `work`, which is a whole transaction each time, gets a new one.
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

    /// Writes one run and all its facts, or nothing.
    pub(crate) fn append(&mut self, run: &RunRecord) -> Result<()> {
        self.ask(async |connection| {
            connection.begin().await?;
            write(connection, run).await?;
            connection.simple("COMMIT").await
        })
        .with_context(|| format!("writing to the history {}", self.url))
    }
}

/// What changes whenever a SQLite file does.
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

    /// The stamp of a file that holds all that was written: there is no log of later transactions beside it.
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

/// What waits for the driver, which is asynchronous.
pub(crate) fn runtime() -> Result<Runtime> {
    Builder::new_current_thread().enable_all().build().context("starting the database runtime")
}

impl Run {
    /// Notes a live release of which the history knows nothing, because the run that made it live was killed before it could
    /// say so, or there was no such history then.
    pub fn note_unrecorded_release(&mut self, production: &Production) -> Result<()> {
        // One that cannot be read is for the step to complain of; a rollback away from it must go on.
        let Ok(Some(live)) = production.current() else { return Ok(()) };
        match self.history.last_release()? {
            Some((recorded, _)) if recorded == live.id => Ok(()),
            _ => self.went_live(&live, Switch::FoundLive, production.live_since()?),
        }
    }

    /// Notes that `release` went live. What is recorded later went live later, whatever a clock says that was set back.
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

/// Whether `clients` holds this very dataset already.
async fn is_stored(connection: &mut Connection, ingested: &common::ingested::Ingested) -> Result<bool> {
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
        // The log holds the second run, and the file is as it was.
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
        // As while another process is just making it.
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

    /// What was recorded by a program of schema version 1.
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
