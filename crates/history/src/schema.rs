//! The versions of the database schema and the migrations between them.

use anyhow::{Context, Result, anyhow, bail};
use sqlx::SqlSafeStr;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};

use crate::connection::{Connection, DATASET_LIMIT, Fault, on_each};

/// All tables except sqlx's own; `runs` comes first.
pub(crate) const TABLES: [&str; 19] = [
    "runs",
    "ingested_files",
    "ingested_missing_values",
    "datasets",
    "models",
    "coefficients",
    "scores",
    "drift_checks",
    "predictor_shifts",
    "promotions",
    "contestants",
    "decisions",
    "releases",
    "timings",
    "missing_percentages",
    "summary_statistics",
    "checked_files",
    "dependencies",
    "clients",
];

/// The newest schema version, which is the one that this program reads and writes.
pub const VERSION: i64 = 3;

/// Version, name and SQL text of each migration. SQLite has one migration more, because it was supported before the
/// other two databases.
const SQLITE: &[(i64, &str, &str)] = &[
    (1, "runs", include_str!("../migrations/sqlite/1_runs.sql")),
    (2, "facts", include_str!("../migrations/sqlite/2_facts.sql")),
    (3, "evidence", include_str!("../migrations/sqlite/3_evidence.sql")),
];
const POSTGRES: &[(i64, &str, &str)] = &[
    (2, "facts", include_str!("../migrations/postgres/2_facts.sql")),
    (3, "evidence", include_str!("../migrations/postgres/3_evidence.sql")),
];
const MYSQL: &[(i64, &str, &str)] = &[
    (2, "facts", include_str!("../migrations/mysql/2_facts.sql")),
    (3, "evidence", include_str!("../migrations/mysql/3_evidence.sql")),
];

/// Returns the schema version of a database; 0 if it has no schema yet.
pub(crate) async fn version(connection: &mut Connection) -> Result<i64> {
    let newest = "SELECT MAX(version) FROM _sqlx_migrations WHERE success = TRUE";
    match connection.fetch::<(Option<i64>,)>(newest, &[]).await {
        Ok(rows) => Ok(rows.first().and_then(|(version,)| *version).unwrap_or(0)),
        Err(error) if Fault::is_missing_table(&error) => Ok(0),
        Err(error) => Err(error),
    }
}

/// Fails if the schema was created by a newer version of the program.
pub(crate) fn check_not_newer(version: i64) -> Result<()> {
    if version > VERSION {
        bail!(
            "its schema has version {version}, which is newer than this program (it knows version {VERSION}); use the newer \
             program, nothing was written"
        );
    }
    Ok(())
}

/// Migrates a database to [`VERSION`]. Concurrent migrations wait for each other.
pub(crate) async fn migrate(connection: &mut Connection) -> Result<()> {
    let found = version(connection).await?;
    check_not_newer(found)?;
    if found < VERSION { migrate_to(connection, None).await } else { Ok(()) }
}

/// Applies the missing migrations up to `version`; all of them if it is `None`.
pub(crate) async fn migrate_to(connection: &mut Connection, version: Option<i64>) -> Result<()> {
    let scripts = match connection {
        Connection::Sqlite(_) => SQLITE,
        Connection::Postgres(_) => POSTGRES,
        Connection::MySql(_) => {
            // sqlx also acquires a lock, but passes a negative timeout, which MariaDB refuses. Closing the connection
            // releases the lock.
            let lock = "SELECT GET_LOCK(SHA1(CONCAT(DATABASE(), ' dbsetup')), 50)";
            let got: Vec<(Option<i64>,)> = connection.fetch(lock, &[]).await?;
            if got.first().and_then(|(got,)| *got) != Some(1) {
                bail!("another dbsetup has been at work on it for a minute");
            }
            forget_cut_short(connection).await?;
            MYSQL
        }
    };
    let migration = |(version, name, sql): &(i64, &'static str, &'static str)| {
        Migration::new(*version, (*name).into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    let wanted = scripts.iter().filter(|(number, ..)| version.is_none_or(|version| *number <= version));
    let migrator = Migrator::with_migrations(wanted.map(migration).collect());
    let run = async { on_each!(connection, |connection: _Kind| migrator.run(connection).await) };
    match tokio::time::timeout(DATASET_LIMIT, run).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => Fault(error).into(),
            other => anyhow!("{other}"), // the text includes the cause
        })
        .with_context(|| format!("bringing its schema to version {VERSION}")),
        Err(_) => bail!("its schema was not brought to version {VERSION} within {} s", DATASET_LIMIT.as_secs()),
    }
}

/// Removes the marker of an interrupted migration. MySQL commits each CREATE TABLE separately, so a migration can be
/// interrupted halfway; sqlx records that and refuses to continue. Continuing is safe, because the scripts skip the
/// tables that already exist.
async fn forget_cut_short(connection: &mut Connection) -> Result<()> {
    match connection.execute("DELETE FROM _sqlx_migrations WHERE success = FALSE", &[]).await {
        Err(error) if Fault::is_missing_table(&error) => Ok(()),
        other => other,
    }
}
