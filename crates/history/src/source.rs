//! Client rows from another database: those above a high-water mark, kept as a CSV file from which they are ingested.
//!
//! They come as texts, whatever the types of their columns are, so that the checks of a file's rows are theirs too.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use common::atomic::{self, AtomicFile};
use common::database::{DatabaseUrl, InputDatabase, InputRows};
use common::files::DataFile;
use common::ingested::{Batch, Mark};
use common::schema::COLUMNS;
use futures_util::TryStreamExt;
use sqlx::{ColumnIndex, Decode, Row, Type};

use crate::connection::{Connection, Opening, on_each, within};
use crate::store::runtime;

/// How long the next row may take; the first one may wait for a sort.
const ROW_LIMIT: Duration = Duration::from_secs(120);

/// What was found above a mark.
#[derive(Debug)]
pub struct NewRows {
    /// The file that the rows are in now; `None` where there was no new row.
    pub file: Option<DataFile>,
    /// Rows that no mark will ever be below: their value in the growing column is missing.
    pub without_mark: u64,
}

/// Whether there is a row above `mark`; without a mark, whether there is a row.
///
/// # Errors
/// Name the database: where it does not answer, or lacks the table or the column.
pub fn any_new(input: &InputDatabase, mark: Option<&Mark>) -> Result<bool> {
    with_connection(input, async |connection| {
        let kind = Kind::of(&input.url);
        let found = format!("SELECT COUNT(*) FROM (SELECT 1 AS one {} LIMIT 1) AS found", kind.above(input, mark));
        let rows: Vec<(i64,)> = connection.fetch_as_is(found).await?;
        Ok(rows.first().is_some_and(|(count,)| *count > 0))
    })
}

/// Takes the rows above `mark` and writes them to a file in `folder`, in the order of the growing column.
///
/// # Errors
/// As [`any_new`], and where the growing column holds something that can be no mark. No file is left then.
pub fn take_new(input: &InputDatabase, mark: Option<&Mark>, folder: &Path) -> Result<NewRows> {
    with_connection(input, async |connection| {
        let kind = Kind::of(&input.url);
        let missing = format!("SELECT COUNT(*) {} WHERE {} IS NULL", kind.from(input), input.column);
        let missing: Vec<(i64,)> = connection.fetch_as_is(missing).await?;
        let without_mark = missing.first().map_or(0, |(count,)| *count as u64);

        // The file's name holds the highest mark, which is known when all rows are there.
        std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        let taken = folder.join(".taken.partial");
        let highest = write_rows(connection, kind.select(input, mark), kind, &taken).await?;
        let file = match highest {
            None => None,
            Some(up_to) => {
                let name = format!("database.{}.{}.{up_to}.csv", input.name(), input.column);
                let path = folder.join(&name);
                std::fs::rename(&taken, &path).with_context(|| format!("writing {}", path.display()))?;
                atomic::sync_folder(folder)?;
                Some(DataFile { name, path, batch: Some(Batch::new(input, mark.cloned(), up_to)) })
            }
        };
        if file.is_none() {
            std::fs::remove_file(&taken).with_context(|| format!("removing {}", taken.display()))?;
        }
        Ok(NewRows { file, without_mark })
    })
}

fn with_connection<T>(input: &InputDatabase, work: impl AsyncFnOnce(&mut Connection) -> Result<T>) -> Result<T> {
    let done = runtime()?.block_on(async {
        let mut connection = Connection::open(&input.url, Opening::ReadOnly).await?;
        let done = work(&mut connection).await;
        connection.close().await;
        done
    });
    done.with_context(|| format!("taking rows of {} from {} (config key \"input_database\")", input.name(), input.url))
}

/// Writes the rows that `select` gives; returns the growing column's highest value, `None` where there is no row.
async fn write_rows(connection: &mut Connection, select: String, kind: Kind, path: &Path) -> Result<Option<Mark>> {
    let mut csv = csv::Writer::from_writer(AtomicFile::create(path)?);
    csv.write_record(COLUMNS).with_context(|| format!("writing {}", path.display()))?;
    let mut highest = None;
    on_each!(connection, |connection: _Kind| {
        let mut rows = sqlx::query(sqlx::AssertSqlSafe(select)).fetch(connection);
        while let Some(row) = within(ROW_LIMIT, rows.try_next()).await? {
            let [fields @ .., mark, mark_type] = texts(&row)?;
            let exited = fields[COLUMNS.len() - 1].as_deref().map(zero_or_one);
            let others = fields[..COLUMNS.len() - 1].iter().map(|field| field.as_deref());
            csv.write_record(others.chain([exited]).map(Option::unwrap_or_default))
                .with_context(|| format!("writing {}", path.display()))?;
            highest = mark.map(|mark| (mark, mark_type));
        }
    });
    let file =
        csv.into_inner().map_err(|error| error.into_error()).with_context(|| format!("writing {}", path.display()))?;
    file.commit()?;
    highest.map(|(mark, mark_type)| kind.mark(&mark, mark_type.as_deref())).transpose()
}

/// The five columns, the growing one, and in SQLite its type.
fn texts<R: Row>(row: &R) -> Result<[Option<String>; 7]>
where
    usize: ColumnIndex<R>,
    for<'r> Option<String>: Decode<'r, R::Database> + Type<R::Database>,
{
    let mut texts = [const { None }; 7];
    for (place, text) in texts.iter_mut().enumerate() {
        *text = row.try_get(place)?;
    }
    Ok(texts)
}

/// PostgreSQL's booleans as texts.
fn zero_or_one(text: &str) -> &str {
    match text {
        "true" => "1",
        "false" => "0",
        other => other,
    }
}

/// In what the three kinds of database differ here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sqlite,
    Postgres,
    MySql,
}

impl Kind {
    fn of(url: &DatabaseUrl) -> Self {
        match url {
            DatabaseUrl::Sqlite(_) => Self::Sqlite,
            DatabaseUrl::Postgres(_) => Self::Postgres,
            DatabaseUrl::MySql(_) => Self::MySql,
        }
    }

    fn select(self, input: &InputDatabase, mark: Option<&Mark>) -> String {
        let text = |column: &str| match self {
            // A cast would cut a number to 15 digits.
            Self::Sqlite => format!(
                "CASE typeof({column}) WHEN 'real' THEN printf('%!.17g', {column}) ELSE CAST({column} AS TEXT) END"
            ),
            Self::Postgres => format!("CAST({column} AS TEXT)"),
            Self::MySql => format!("CAST({column} AS CHAR)"),
        };
        let column = &input.column;
        let mut columns: Vec<_> = COLUMNS.iter().map(|column| text(column)).collect();
        columns.push(text(column));
        columns.push(if self == Self::Sqlite { format!("typeof({column})") } else { "NULL".to_owned() });
        format!("SELECT {} {} ORDER BY {column}", columns.join(", "), self.above(input, mark))
    }

    fn from(self, input: &InputDatabase) -> String {
        match &input.rows {
            InputRows::Table(table) => format!("FROM {table}"),
            InputRows::Query(query) => format!("FROM ({query}) AS input"),
        }
    }

    fn above(self, input: &InputDatabase, mark: Option<&Mark>) -> String {
        let (from, column) = (self.from(input), &input.column);
        match mark {
            None => format!("{from} WHERE {column} IS NOT NULL"),
            // A literal in quotes takes the column's type in PostgreSQL, whichever that is.
            Some(Mark::Integer(number)) if self != Self::Postgres => format!("{from} WHERE {column} > {number}"),
            // Nothing in a mark could end the literal (`Mark::text`).
            Some(mark) => format!("{from} WHERE {column} > '{mark}'"),
        }
    }

    fn mark(self, text: &str, sqlite_type: Option<&str>) -> Result<Mark> {
        let mark = match (self, sqlite_type) {
            (Self::Sqlite, Some("integer")) => text.parse().ok().map(Mark::Integer),
            (Self::Sqlite, Some("text")) => Mark::text(text),
            (Self::Sqlite, _) => None,
            _ => text.parse().ok().map(Mark::Integer).or_else(|| Mark::text(text)),
        };
        match mark {
            Some(mark) => Ok(mark),
            None => bail!("its growing column holds \"{text}\"; expected whole numbers, dates, times or plain texts"),
        }
    }
}
