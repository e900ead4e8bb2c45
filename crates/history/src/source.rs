//! Reads client rows from another database: the rows above a watermark are written to a CSV file, from which they are
//! ingested.
//!
//! All values are read as texts, whatever the types of the columns, so that the same checks apply to them as to the
//! rows of a file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use common::config::database::{InputDatabase, InputRows};
use common::files::DataFile;
use common::files::atomic::{self, AtomicFile};
use common::files::batch::{Batch, Watermark};
use common::schema::{Schema, Target};
use futures_util::TryStreamExt;
use sqlx::{ColumnIndex, Decode, Row, Type};

use crate::client_table::has_numeric_labels;
use crate::connection::{Connection, DATASET_LIMIT, Dialect, Opening, runtime, with_driver, within};

/// Time limit for the next row. The first row may have to wait for a sort.
const ROW_LIMIT: Duration = DATASET_LIMIT;

/// The rows found above a watermark.
#[derive(Debug)]
pub struct NewRows {
    /// The new rows; `None` if there are none.
    pub batch: Option<NewBatch>,
    /// Number of rows that are never read, because their value in the watermark column is missing.
    pub without_watermark: u64,
}

/// New rows in a file that still has its temporary name.
#[derive(Debug)]
pub struct NewBatch {
    /// The temporary file, with the name that it will be given.
    pub file: DataFile,
    /// The final path of the file.
    pub final_path: PathBuf,
}

impl NewBatch {
    /// Renames the file to its final name. Until then, `atomic::sweep` would delete it as an unfinished file.
    ///
    /// # Errors
    /// Fails if the file cannot be renamed or its folder cannot be synchronised.
    pub fn publish(self) -> Result<()> {
        let folder = self.final_path.parent().unwrap_or(Path::new("."));
        std::fs::rename(&self.file.path, &self.final_path)
            .with_context(|| format!("writing {}", self.final_path.display()))?;
        atomic::sync_folder(folder)
    }
}

/// Returns whether there is a row above `watermark`, or any row if `watermark` is `None`.
///
/// # Errors
/// Fails if the database does not answer, or lacks the table or the column; the error names the database.
pub fn has_new(input: &InputDatabase, watermark: Option<&Watermark>) -> Result<bool> {
    with_connection(input, async |connection| {
        let dialect = connection.dialect();
        let found =
            format!("SELECT COUNT(*) FROM (SELECT 1 AS one {} LIMIT 1) AS found", dialect.above(input, watermark));
        let rows: Vec<(i64,)> = connection.fetch_verbatim(found).await?;
        Ok(rows.first().is_some_and(|(count,)| *count > 0))
    })
}

/// Writes the columns of `schema` of the rows above `watermark` to a temporary file in `folder`, in the order of the
/// watermark column. A caller that
/// uses the rows must then call [`NewBatch::publish`].
///
/// # Errors
/// Fails like [`has_new`], and if the watermark column contains a value that cannot be a watermark.
pub fn read_new(
    input: &InputDatabase,
    schema: &Schema,
    watermark: Option<&Watermark>,
    folder: &Path,
) -> Result<NewRows> {
    with_connection(input, async |connection| {
        let dialect = connection.dialect();
        let missing = format!("SELECT COUNT(*) {} WHERE input.{} IS NULL", dialect.from(input), input.column);
        let missing: Vec<(i64,)> = connection.fetch_verbatim(missing).await?;
        let without_watermark = missing.first().map_or(0, |(count,)| *count as u64);

        std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        let partial = folder.join(".taken.partial");
        let Some(up_to) = write_rows(connection, dialect.select(input, schema, watermark), schema, &partial).await?
        else {
            std::fs::remove_file(&partial).with_context(|| format!("removing {}", partial.display()))?;
            return Ok(NewRows { batch: None, without_watermark });
        };
        let batch = Batch::new(input, watermark.cloned(), up_to);
        let name = batch.file_name(input);
        let path = folder.join(format!(".{name}.partial"));
        std::fs::rename(&partial, &path).with_context(|| format!("writing {}", path.display()))?;
        let final_path = folder.join(&name);
        let file = DataFile { name, path, batch: Some(batch) };
        Ok(NewRows { batch: Some(NewBatch { file, final_path }), without_watermark })
    })
}

fn with_connection<T>(input: &InputDatabase, work: impl AsyncFnOnce(&mut Connection) -> Result<T>) -> Result<T> {
    let done = runtime()?.block_on(async {
        let mut connection = Connection::open(&input.url, Opening::ReadOnly).await?;
        let done = work(&mut connection).await;
        connection.close().await;
        done
    });
    done.with_context(|| format!("reading rows of {} from {} (config key \"input_database\")", input.name(), input.url))
}

/// Writes the rows of the query `select` to `path`. Returns the highest value of the watermark column; `None` if there
/// is no row.
async fn write_rows(
    connection: &mut Connection,
    select: String,
    schema: &Schema,
    path: &Path,
) -> Result<Option<Watermark>> {
    let dialect = connection.dialect();
    let mut csv = csv::Writer::from_writer(AtomicFile::create(path)?);
    csv.write_record(schema.columns()).with_context(|| format!("writing {}", path.display()))?;
    let mut highest = None;
    with_driver!(connection, |connection: _Db| {
        let mut rows = sqlx::query(sqlx::AssertSqlSafe(select)).fetch(connection);
        while let Some(row) = within(ROW_LIMIT, rows.try_next()).await? {
            let mut fields = texts(&row, schema.width() + 2)?;
            let watermark_type = fields.pop().flatten();
            highest = fields.pop().flatten().map(|watermark| (watermark, watermark_type));
            if let Some(target) = fields.pop() {
                fields.push(target.map(|label| of_boolean(schema.target(), label)));
            }
            csv.write_record(fields.iter().map(|field| field.as_deref().unwrap_or_default()))
                .with_context(|| format!("writing {}", path.display()))?;
        }
    });
    let file =
        csv.into_inner().map_err(|error| error.into_error()).with_context(|| format!("writing {}", path.display()))?;
    file.commit()?;
    highest.map(|(watermark, watermark_type)| dialect.to_watermark(&watermark, watermark_type.as_deref())).transpose()
}

/// Returns the texts of the columns of the schema, of the watermark column and, in SQLite, of the type of the watermark.
fn texts<R: Row>(row: &R, width: usize) -> Result<Vec<Option<String>>>
where
    usize: ColumnIndex<R>,
    for<'r> Option<String>: Decode<'r, R::Database> + Type<R::Database>,
{
    (0..width).map(|index| Ok(row.try_get(index)?)).collect()
}

/// Converts the text of a boolean of PostgreSQL to a label if the labels are 1 and 0. With other labels the text is kept:
/// the config then names the labels `true` and `false`.
fn of_boolean(target: &Target, text: String) -> String {
    let label = match text.as_str() {
        "true" => "1",
        "false" => "0",
        _ => return text,
    };
    if has_numeric_labels(target) { label.to_owned() } else { text }
}

impl Dialect {
    fn select(self, input: &InputDatabase, schema: &Schema, watermark: Option<&Watermark>) -> String {
        let text = |column: &str| match self {
            // A cast to text would keep only 15 digits of a number.
            Self::Sqlite => format!(
                "CASE typeof({column}) WHEN 'real' THEN printf('%!.17g', {column}) ELSE CAST({column} AS TEXT) END"
            ),
            Self::Postgres => format!("CAST({column} AS TEXT)"),
            Self::MySql => format!("CAST({column} AS CHAR)"),
        };
        // Without the prefix `input.`, SQLite would read the quoted name of a missing column as a text, and the watermark
        // column would be the text column of the SELECT, in which 10 sorts before 9.
        let column = format!("input.{}", input.column);
        let mut columns: Vec<_> =
            schema.columns().map(|name| text(&format!("input.{}", self.identifier(name)))).collect();
        columns.push(text(&column));
        columns.push(if self == Self::Sqlite { format!("typeof({column})") } else { "NULL".to_owned() });
        format!("SELECT {} {} ORDER BY {column}", columns.join(", "), self.above(input, watermark))
    }

    fn from(self, input: &InputDatabase) -> String {
        match &input.rows {
            InputRows::Table(table) => format!("FROM {table} AS input"),
            InputRows::Query(query) => format!("FROM ({query}\n) AS input"), // the query may end in a comment
        }
    }

    fn above(self, input: &InputDatabase, watermark: Option<&Watermark>) -> String {
        let (from, column) = (self.from(input), &input.column);
        match watermark {
            None => format!("{from} WHERE input.{column} IS NOT NULL"),
            // In SQLite a literal has its own type; in the other databases a quoted literal takes the type of the
            // column.
            Some(Watermark::Integer(number)) if self == Self::Sqlite => {
                format!("{from} WHERE input.{column} > {number}")
            }
            // A watermark contains no character that could end the literal (`Watermark::text`).
            Some(watermark) => format!("{from} WHERE input.{column} > '{watermark}'"),
        }
    }

    fn to_watermark(self, text: &str, sqlite_type: Option<&str>) -> Result<Watermark> {
        let watermark = match (self, sqlite_type) {
            (Self::Sqlite, Some("integer")) => text.parse().ok().map(Watermark::Integer),
            (Self::Sqlite, Some("text")) => Watermark::text(text),
            (Self::Sqlite, _) => None,
            // '007' is a text and must be compared as text.
            _ => match text.parse::<i64>() {
                Ok(number) if number.to_string() == text => Some(Watermark::Integer(number)),
                _ => Watermark::text(text),
            },
        };
        match watermark {
            Some(watermark) => Ok(watermark),
            None => bail!("its growing column contains {text:?}; expected whole numbers, dates, times or plain texts"),
        }
    }
}

#[cfg(test)]
mod tests {
    use common::config::database::DatabaseUrl;

    use super::*;

    #[test]
    fn a_watermark_is_what_the_column_compares_by() {
        for (dialect, text, sqlite_type, watermark) in [
            (Dialect::Postgres, "10000", None, Watermark::Integer(10000)),
            (Dialect::Postgres, "000123", None, Watermark::Text("000123".into())),
            (Dialect::MySql, "2026-11-23 09:00:00.5", None, Watermark::Text("2026-11-23 09:00:00.5".into())),
            (Dialect::MySql, "9223372036854775808", None, Watermark::Text("9223372036854775808".into())),
            (Dialect::Sqlite, "7", Some("integer"), Watermark::Integer(7)),
            (Dialect::Sqlite, "7", Some("text"), Watermark::Text("7".into())),
        ] {
            assert_eq!(dialect.to_watermark(text, sqlite_type).unwrap(), watermark, "{dialect:?} {text}");
        }
        for (dialect, text, sqlite_type) in
            [(Dialect::Sqlite, "7.5", Some("real")), (Dialect::Postgres, "o'neil", None), (Dialect::MySql, "a/b", None)]
        {
            let error = dialect.to_watermark(text, sqlite_type).unwrap_err().to_string();
            assert!(error.contains(text) && error.contains("whole numbers"), "{error}");
        }
    }

    #[test]
    fn the_rows_above_a_watermark_are_asked_for_by_the_columns_own_type() {
        let url = DatabaseUrl::parse("sqlite://crm.db", Path::new("/")).unwrap();
        let rows = InputRows::Query("SELECT * FROM a -- all".into());
        let input = InputDatabase::new(url, rows, "id").unwrap();
        for (dialect, watermark, condition) in [
            (Dialect::Sqlite, Watermark::Integer(9), "input.id > 9"),
            (Dialect::Sqlite, Watermark::Text("9".into()), "input.id > '9'"),
            (Dialect::Postgres, Watermark::Integer(9), "input.id > '9'"),
            (Dialect::MySql, Watermark::Integer(9), "input.id > '9'"),
        ] {
            let select = dialect.select(&input, &Schema::default(), Some(&watermark));
            assert!(
                select.contains(&format!("FROM (SELECT * FROM a -- all\n) AS input WHERE {condition} ")),
                "{select}"
            );
            assert!(select.ends_with("ORDER BY input.id"), "{select}");
        }
    }
}
