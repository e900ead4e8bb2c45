//! The version of a database's schema, and its migration to that of this program.

use anyhow::{Context, Result, anyhow, bail};
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, SqlSafeStr};

use crate::connection::{Connection, DATASET_LIMIT, Dialect, with_driver};
use crate::error::DatabaseError;
pub use crate::migrations::VERSION;
use crate::migrations::migrations;

/// Returns the schema version of a database; 0 if it has no schema yet.
pub(crate) async fn version(connection: &mut Connection) -> Result<i64> {
    let newest = "SELECT MAX(version) FROM _sqlx_migrations WHERE success = TRUE";
    match connection.fetch::<(Option<i64>,)>(newest, &[]).await {
        Ok(rows) => Ok(rows.first().and_then(|(version,)| *version).unwrap_or(0)),
        Err(error) if DatabaseError::is_missing_table(&error) => Ok(0),
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
    if found == VERSION {
        return Ok(());
    }
    let dialect = connection.dialect();
    if dialect == Dialect::MySql {
        // sqlx also acquires a lock, but passes a negative timeout, which MariaDB refuses. Closing the connection
        // releases the lock.
        let lock = "SELECT GET_LOCK(SHA1(CONCAT(DATABASE(), ' dbsetup')), 50)";
        let got: Vec<(Option<i64>,)> = connection.fetch(lock, &[]).await?;
        if got.first().and_then(|(got,)| *got) != Some(1) {
            bail!("another dbsetup has been migrating it for 50 s; try again when that has ended");
        }
        forget_interrupted_migration(connection).await?;
    }
    let migration = |(version, name, sql): (i64, &'static str, String)| {
        Migration::new(version, name.into(), MigrationType::Simple, AssertSqlSafe(sql).into_sql_str(), false)
    };
    let migrator = Migrator::with_migrations(migrations(dialect).into_iter().map(migration).collect());
    let run = async { with_driver!(connection, |connection: _Db| migrator.run(connection).await) };
    match tokio::time::timeout(DATASET_LIMIT, run).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => DatabaseError(error).into(),
            other => anyhow!("{other}"), // the text includes the cause
        })
        .with_context(|| format!("migrating its schema to version {VERSION}")),
        Err(_) => bail!("its schema was not migrated to version {VERSION} within {} s", DATASET_LIMIT.as_secs()),
    }
}

/// Removes the marker of an interrupted migration. MySQL commits each change of the schema separately, so a migration
/// can be interrupted halfway; sqlx records that and refuses to continue. Continuing is safe, because the migrations
/// skip what has already been done.
async fn forget_interrupted_migration(connection: &mut Connection) -> Result<()> {
    match connection.execute("DELETE FROM _sqlx_migrations WHERE success = FALSE", &[]).await {
        Err(error) if DatabaseError::is_missing_table(&error) => Ok(()),
        other => other,
    }
}
