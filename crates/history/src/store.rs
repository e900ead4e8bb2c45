//! The SQLite file: opening, migrating, appending, asking.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use common::config::Config;
use common::lock::Lock;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqlSafeStr};
use tokio::runtime::{Builder, Runtime};

use crate::RunRecord;

/// How long to wait for another process's transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// The tables, for a count of what they hold.
const TABLES: [&str; 7] =
    ["runs", "ingested_files", "scores", "timings", "missing_percentages", "checked_files", "latest_versions"];

/// The open history.
pub struct History {
    path: PathBuf,
    runtime: Runtime,
    /// `Some` until dropped.
    connection: Option<SqliteConnection>,
}

impl Drop for History {
    /// Closes properly: the last to leave folds the write-ahead log into the file.
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            let _ = self.runtime.block_on(connection.close()); // everything is committed already
        }
    }
}

impl History {
    /// Opens the history that `config` names; makes it where there is none, and brings an older one up to date.
    ///
    /// # Errors
    /// Names the file: where it cannot be opened or written, is no SQLite file, or was made by a newer program.
    pub fn open(config: &Config) -> Result<Self> {
        let path = config.database.clone();
        let runtime = Builder::new_current_thread().enable_time().build().context("starting the database runtime")?;
        let open = async {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            // Two first runs at once must neither both migrate nor both switch to the write-ahead log. The lock is a file
            // of its own: closing any other handle of the database file would drop SQLite's own locks on it.
            let _opening = Lock::wait(&path.with_added_extension("lock"))?;
            let options = SqliteConnectOptions::new()
                .filename(&path)
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal) // `app` reads while cron's run writes
                .synchronous(SqliteSynchronous::Normal)
                .busy_timeout(BUSY_TIMEOUT)
                .disable_statement_logging();
            let mut connection = options.connect().await?;
            migrate(&mut connection).await?;
            Ok::<_, anyhow::Error>(connection)
        };
        let connection = runtime
            .block_on(open)
            .with_context(|| format!(
                "opening the history {} (config key \"database_url\"); if it is beyond repair, move it away and the next \
                 run makes a new one",
                path.display()
            ))?;
        Ok(Self { path, runtime, connection: Some(connection) })
    }

    /// For a process that is about to end: its end closes the file. What is committed stands in the write-ahead log, and
    /// the next to open it reads it there. Closing properly would wait for the disk three times, 15 ms on a slow one,
    /// which is most of what a `fullprocess` with nothing to do takes.
    pub fn leave_open(mut self) {
        std::mem::forget(self.connection.take());
    }

    /// Where it is.
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// The version of its schema.
    pub fn schema_version(&self) -> i64 {
        MIGRATIONS.last().map_or(0, |(version, _, _)| *version)
    }

    /// The names of its tables, and how many rows each holds.
    pub fn row_counts(&mut self) -> Result<Vec<(&'static str, u64)>> {
        TABLES
            .into_iter()
            .map(|table| {
                let query = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
                let count: i64 = self.ask(async |connection| sqlx::query_scalar(query).fetch_one(connection).await)?;
                Ok((table, count as u64))
            })
            .collect()
    }

    /// Whether `release` was checked against a file of this name and content, and found good.
    pub fn was_checked(&mut self, file: &crate::CheckedFile) -> Result<bool> {
        let query = sqlx::query_scalar::<_, i64>(
            "SELECT COUNT(*) FROM checked_files WHERE release_id = ? AND name = ? AND sha256 = ?",
        )
        .bind(&file.release)
        .bind(&file.name)
        .bind(file.sha256.as_str());
        Ok(self.ask(async |connection| query.fetch_one(connection).await)? > 0)
    }

    /// The newest version of dependency `name` that the registry has ever named, and when that was.
    pub fn latest_known(&mut self, name: &str) -> Result<Option<(String, String)>> {
        let query = sqlx::query_as(
            "SELECT latest_versions.version, runs.started FROM latest_versions JOIN runs ON runs.id = run_id
             WHERE name = ? ORDER BY run_id DESC LIMIT 1",
        )
        .bind(name);
        self.ask(async |connection| query.fetch_optional(connection).await)
    }

    /// Waits for what `query` asks of the open connection.
    fn ask<T>(&mut self, query: impl AsyncFnOnce(&mut SqliteConnection) -> sqlx::Result<T>) -> Result<T> {
        let Self { path, runtime, connection } = self;
        let connection = connection.as_mut().context("the history is closed")?;
        runtime.block_on(query(connection)).with_context(|| format!("using the history {}", path.display()))
    }

    /// Writes one run and all its facts, or nothing.
    pub(crate) fn append(&mut self, run: &RunRecord) -> Result<()> {
        self.ask(async |connection| {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            let t = &mut *transaction;
            let id: i64 = sqlx::query_scalar(
                "INSERT INTO runs (step, version, started, seconds, error) VALUES (?, ?, ?, ?, ?) RETURNING id",
            )
            .bind(run.step)
            .bind(run.version)
            .bind(&run.started)
            .bind(run.seconds)
            .bind(&run.error)
            .fetch_one(&mut *t)
            .await?;
            for file in &run.facts.ingested_files {
                sqlx::query("INSERT INTO ingested_files VALUES (?, ?, ?, ?, ?, ?)")
                    .bind(id)
                    .bind(&file.name)
                    .bind(file.sha256.as_str())
                    .bind(file.rows as i64)
                    .bind(file.duplicates as i64)
                    .bind(file.quarantined as i64)
                    .execute(&mut *t)
                    .await?;
            }
            for (score, data) in &run.facts.scores {
                sqlx::query("INSERT INTO scores VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")
                    .bind(id)
                    .bind(score.model_sha256.as_str())
                    .bind(common::ingested::record_of_names(&data.iter().map(String::as_str).collect::<Vec<_>>()))
                    .bind(score.n as i64)
                    .bind(score.confusion.true_positives as i64)
                    .bind(score.confusion.false_positives as i64)
                    .bind(score.confusion.false_negatives as i64)
                    .bind(score.confusion.true_negatives as i64)
                    .bind(score.f1)
                    .execute(&mut *t)
                    .await?;
            }
            for (what, seconds) in &run.facts.timings {
                sqlx::query("INSERT INTO timings VALUES (?, ?, ?)")
                    .bind(id)
                    .bind(what)
                    .bind(seconds)
                    .execute(&mut *t)
                    .await?;
            }
            for (column, percent) in &run.facts.missing_percentages {
                sqlx::query("INSERT INTO missing_percentages VALUES (?, ?, ?)")
                    .bind(id)
                    .bind(column)
                    .bind(percent)
                    .execute(&mut *t)
                    .await?;
            }
            for file in &run.facts.checked_files {
                sqlx::query("INSERT INTO checked_files VALUES (?, ?, ?, ?)")
                    .bind(id)
                    .bind(&file.release)
                    .bind(&file.name)
                    .bind(file.sha256.as_str())
                    .execute(&mut *t)
                    .await?;
            }
            for (name, version) in &run.facts.latest_versions {
                sqlx::query("INSERT INTO latest_versions VALUES (?, ?, ?)")
                    .bind(id)
                    .bind(name)
                    .bind(version)
                    .execute(&mut *t)
                    .await?;
            }
            transaction.commit().await
        })
    }
}

const MIGRATIONS: [(i64, &str, &str); 1] = [(1, "runs", include_str!("../migrations/1_runs.sql"))];

async fn migrate(connection: &mut SqliteConnection) -> Result<()> {
    let migrations = MIGRATIONS.map(|(version, name, sql)| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    match Migrator::with_migrations(migrations.into()).run(connection).await {
        Err(sqlx::migrate::MigrateError::VersionMissing(version)) => bail!(
            "its schema has version {version}, which is newer than this program; use the newer program, nothing was written"
        ),
        other => Ok(other?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CheckedFile, Facts};
    use common::checksum::Checksum;
    use common::metrics::Confusion;
    use common::score::Score;

    fn config(folder: &std::path::Path) -> Config {
        for name in ["data", "test"] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        let text = r#"{"input_folder_path": "data", "output_folder_path": "out", "test_data_path": "test",
            "output_model_path": "models", "prod_deployment_path": "production"}"#;
        fs::write(folder.join("config.json"), text).unwrap();
        Config::load(Some(&folder.join("config.json"))).unwrap()
    }

    fn counts(config: &Config) -> Vec<u64> {
        History::open(config).unwrap().row_counts().unwrap().into_iter().map(|(_, count)| count).collect()
    }

    fn checked(name: &str, content: &str) -> CheckedFile {
        CheckedFile { release: "r1".into(), name: name.into(), sha256: Checksum::of_bytes(content.as_bytes()) }
    }

    #[test]
    fn a_run_and_its_facts_are_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        crate::record(&config, "test", |run| {
            run.facts = Facts {
                timings: vec![("training", 0.5)],
                missing_percentages: vec![("exited".into(), 1.5)],
                checked_files: vec![checked("o'neil \"größe\".csv", "a")],
                latest_versions: vec![("serde".into(), "1.0.0".into())],
                scores: vec![(
                    Score {
                        model_sha256: Checksum::of_bytes(b"m"),
                        f1: 0.0,
                        n: 0,
                        confusion: Confusion::default(),
                        threshold: 0.5,
                    },
                    vec!["testdata.csv".into()],
                )],
                ..Facts::default()
            };
            Ok(())
        })
        .unwrap();
        assert_eq!(counts(&config), [1, 0, 1, 1, 1, 1, 1]);
        let mut history = History::open(&config).unwrap();
        assert!(history.was_checked(&checked("o'neil \"größe\".csv", "a")).unwrap());
        assert!(!history.was_checked(&checked("o'neil \"größe\".csv", "changed")).unwrap());
        assert_eq!(history.latest_known("serde").unwrap().unwrap().0, "1.0.0");
        assert_eq!(history.latest_known("anyhow").unwrap(), None);
    }

    #[test]
    fn a_failed_step_is_recorded_with_its_error_and_without_its_facts() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        let failed: Result<()> = crate::record(&config, "test", |run| {
            run.facts.timings.push(("training", 0.5));
            bail!("no data")
        });
        assert_eq!(failed.unwrap_err().to_string(), "no data");
        assert_eq!(counts(&config), [1, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_history_that_cannot_be_used_stops_the_step_before_its_work() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        fs::write(&config.database, "this is no database, and longer than a header is, to be sure of it").unwrap();
        let refused: Result<()> = crate::record(&config, "test", |_| unreachable!("the work must not begin"));
        let error = format!("{:#}", refused.unwrap_err());
        assert!(error.contains("history.sqlite") && error.contains("database_url"), "{error}");
    }

    #[test]
    fn a_newer_schema_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        let mut history = History::open(&config).unwrap();
        let newer = sqlx::query(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (99, 'later', TRUE, x'00', 0)",
        );
        history.ask(async |connection| newer.execute(connection).await).unwrap();
        let error = format!("{:#}", History::open(&config).err().unwrap());
        assert!(error.contains("version 99") && error.contains("newer"), "{error}");
    }

    #[test]
    fn two_processes_write_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10 {
                        crate::record(&config, "test", |_| Ok(())).unwrap();
                    }
                });
            }
        });
        assert_eq!(counts(&config)[0], 40);
    }
}
