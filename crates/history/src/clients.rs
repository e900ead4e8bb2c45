//! The compiled dataset as the table `clients`. Its rows are replaced in one transaction, by the fastest method of each
//! database: COPY in PostgreSQL, INSERT statements of many rows elsewhere. The rows are streamed from finaldata.csv and
//! are never all in memory. If the columns have changed, the table itself is replaced.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use common::files::ingested::Ingested;
use common::schema::Schema;
use sqlx::postgres::PgConnection;

use crate::client_table::{ClientTable, Content};
use crate::connection::{Connection, DATASET_LIMIT, within};
use crate::tables::datasets::CLIENTS;
use crate::value::Value;

/// Maximum number of values in an INSERT statement: enough to make the overhead of a statement small, few enough to stay
/// in the processor's cache.
const VALUES_PER_STATEMENT: usize = 1500;
/// Size in bytes of one chunk sent to COPY.
const COPY_BYTES: usize = 256 * 1024;

/// The compiled dataset that `clients` is to contain.
#[derive(Clone, Copy)]
pub(crate) struct Dataset<'a> {
    /// The columns of the rows.
    pub schema: &'a Schema,
    pub ingested: &'a Ingested,
    /// The path of finaldata.csv; `None` if the rows are not to be stored.
    pub path: Option<&'a Path>,
}

/// Makes `clients` contain the rows of the dataset, or no row if there is no path. Must be called at the beginning of a
/// transaction: if the columns have changed, MySQL commits what was written before.
pub(crate) async fn update(connection: &mut Connection, dataset: Dataset<'_>) -> Result<()> {
    let Dataset { schema, ingested, path } = dataset;
    lock(connection).await?;
    let Some(path) = path else { return clear(connection).await };
    let table = ClientTable::of(schema, connection.dialect());
    let header = schema.header();
    let fill = async |connection: &mut Connection, name| fill(connection, &table, name, &header, path, ingested).await;
    if !table.is_current(connection).await? {
        table.replace(connection, fill).await
    } else if is_stored(connection, ingested).await? {
        Ok(())
    } else {
        clear(connection).await?;
        fill(connection, CLIENTS).await
    }
}

/// Returns whether `clients` already contains this dataset.
async fn is_stored(connection: &mut Connection, ingested: &Ingested) -> Result<bool> {
    let newest = "SELECT sha256, stored FROM datasets ORDER BY run_id DESC LIMIT 1";
    let newest: Vec<(String, i64)> = connection.fetch(newest, &[]).await?;
    let rows: Vec<(i64,)> = connection.fetch("SELECT COUNT(*) FROM clients", &[]).await?;
    Ok(newest == [(ingested.dataset_sha256.as_str().to_owned(), 1)] && rows == [(ingested.rows as i64,)])
}

/// Writes the rows of the finaldata.csv at `path`, which has this header, to the table called `name`.
async fn fill(
    connection: &mut Connection,
    table: &ClientTable,
    name: &str,
    header: &str,
    path: &Path,
    ingested: &Ingested,
) -> Result<()> {
    let lines = lines(path, header)?;
    let rows = match connection {
        Connection::Postgres(connection) => copy(connection, table, name, lines).await,
        connection => insert(connection, table, name, lines).await,
    };
    let rows = rows.with_context(|| format!("writing {} to its table clients", path.display()))?;
    if rows != ingested.rows {
        bail!("{} has {rows} rows, but {} were ingested; run ingestion again", path.display(), ingested.rows);
    }
    Ok(())
}

/// Serialises concurrent ingestions, because each must see the rows that the previous one has written. Readers are not
/// blocked.
async fn lock(connection: &mut Connection) -> Result<()> {
    match connection {
        Connection::Postgres(_) => connection.execute_raw("LOCK TABLE clients IN EXCLUSIVE MODE").await,
        _ => Ok(()), // SQLite has one writer; in MySQL the DELETE locks every row
    }
}

/// Deletes all rows of `clients`. TRUNCATE would be faster in PostgreSQL, but a transaction that has not read the table
/// yet would then find it empty. With DELETE, concurrent readers continue to see the rows of the previous dataset.
async fn clear(connection: &mut Connection) -> Result<()> {
    connection.execute_within(DATASET_LIMIT, "DELETE FROM clients", &[]).await.context("emptying its table clients")
}

/// Returns finaldata.csv positioned after its header. Every row is exactly one line, because a checked text contains no
/// line break.
fn lines(dataset: &Path, expected: &str) -> Result<BufReader<File>> {
    let file = File::open(dataset).with_context(|| format!("opening {}", dataset.display()))?;
    let mut lines = BufReader::with_capacity(COPY_BYTES, file);
    let mut header = String::new();
    lines.read_line(&mut header)?;
    if header.trim_end() != expected {
        bail!("{} does not have the header that ingestion writes; run ingestion again", dataset.display());
    }
    Ok(lines)
}

/// Sends the lines to PostgreSQL unchanged, each preceded by its row number; returns the number of rows.
async fn copy(connection: &mut PgConnection, table: &ClientTable, name: &str, mut lines: impl BufRead) -> Result<u64> {
    let statement = format!("COPY {name} ({}) FROM STDIN (FORMAT csv)", table.column_list());
    let mut copying = within(DATASET_LIMIT, connection.copy_in_raw(&statement)).await?;
    let (mut rows, mut piece) = (0, Vec::with_capacity(COPY_BYTES + 4096));
    loop {
        let start = piece.len();
        write!(piece, "{},", rows + 1)?;
        let read = match lines.read_until(b'\n', &mut piece) {
            Ok(read) => read,
            Err(error) => {
                within(DATASET_LIMIT, copying.abort("the dataset cannot be read")).await?;
                return Err(error.into());
            }
        };
        if read == 0 {
            piece.truncate(start);
        } else {
            rows += 1;
        }
        if piece.len() >= COPY_BYTES || read == 0 {
            within(DATASET_LIMIT, copying.send(piece.as_slice())).await?;
            piece.clear();
        }
        if read == 0 {
            within(DATASET_LIMIT, copying.finish()).await?;
            return Ok(rows);
        }
    }
}

async fn insert(connection: &mut Connection, table: &ClientTable, name: &str, lines: impl BufRead) -> Result<u64> {
    let ClientTable { columns, .. } = table;
    let row = format!("({})", vec!["?"; columns.len()].join(", "));
    let list = table.column_list();
    let statement = |rows| format!("INSERT INTO {name} ({list}) VALUES {}", vec![row.as_str(); rows].join(", "));
    let rows_per_statement = VALUES_PER_STATEMENT / columns.len();
    let full = statement(rows_per_statement);
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(lines);
    let mut record = csv::StringRecord::new();
    let (mut rows, mut values) = (0, Vec::with_capacity(VALUES_PER_STATEMENT));
    loop {
        let read = reader.read_record(&mut record)?;
        if read {
            rows += 1;
            values.push(Value::from(rows as i64));
            for (field, column) in record.iter().zip(&columns[1..]) {
                values.push(value(field, column.content)?);
            }
        }
        let pending = values.len() / columns.len();
        if pending == rows_per_statement {
            connection.execute_within(DATASET_LIMIT, &full, &values).await?;
            values.clear();
        } else if !read {
            if pending > 0 {
                connection.execute_within(DATASET_LIMIT, &statement(pending), &values).await?;
            }
            return Ok(rows);
        }
    }
}

/// Converts a field of finaldata.csv to a value; whole numbers become integers.
fn value(field: &str, content: Content) -> Result<Value> {
    Ok(match content {
        Content::Id | Content::Level | Content::Label if field.is_empty() => Value::Text(None),
        Content::Id | Content::Level | Content::Label => field.into(),
        Content::RowNumber | Content::Number | Content::ZeroOrOne if field.is_empty() => Value::Integer(None),
        Content::RowNumber | Content::Number | Content::ZeroOrOne => match field.parse::<i64>() {
            Ok(whole) => Value::Integer(Some(whole)),
            Err(_) => Value::Real(Some(field.parse().with_context(|| format!("{field:?} is not a number"))?)),
        },
    })
}
