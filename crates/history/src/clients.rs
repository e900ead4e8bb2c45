//! The compiled dataset as the table `clients`. It is replaced in one transaction, by the fastest method of each
//! database: COPY in PostgreSQL, INSERT statements of many rows elsewhere. The rows are streamed from finaldata.csv and
//! are never all in memory.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use common::files::ingested::Ingested;
use common::schema::Schema;
use sqlx::postgres::PgConnection;

use crate::connection::{Connection, DATASET_LIMIT, within};
use crate::value::Value;

/// Rows per INSERT statement: enough to make the overhead of a statement small, few enough to stay in the processor's
/// cache.
const ROWS_PER_STATEMENT: usize = 250;
/// Size in bytes of one chunk sent to COPY.
const COPY_BYTES: usize = 256 * 1024;

/// Makes `clients` contain the rows of the finaldata.csv at `path`, which `ingested` describes, or no row if there is no
/// path. Must be called in a transaction, before the dataset is recorded.
pub(crate) async fn update(connection: &mut Connection, ingested: &Ingested, path: Option<&Path>) -> Result<()> {
    lock(connection).await?;
    match path {
        Some(_) if is_stored(connection, ingested).await? => Ok(()),
        Some(path) => replace(connection, path, ingested).await,
        None => clear(connection).await,
    }
}

/// Returns whether `clients` already contains this dataset.
async fn is_stored(connection: &mut Connection, ingested: &Ingested) -> Result<bool> {
    let newest = "SELECT sha256, stored FROM datasets ORDER BY run_id DESC LIMIT 1";
    let newest: Vec<(String, i64)> = connection.fetch(newest, &[]).await?;
    let rows: Vec<(i64,)> = connection.fetch("SELECT COUNT(*) FROM clients", &[]).await?;
    Ok(newest == [(ingested.dataset_sha256.as_str().to_owned(), 1)] && rows == [(ingested.rows as i64,)])
}

async fn replace(connection: &mut Connection, dataset: &Path, ingested: &Ingested) -> Result<()> {
    clear(connection).await?;
    let lines = lines(dataset)?;
    let rows = match connection {
        Connection::Postgres(connection) => copy(connection, lines).await,
        connection => insert(connection, lines).await,
    };
    let rows = rows.with_context(|| format!("writing {} to its table clients", dataset.display()))?;
    if rows != ingested.rows {
        bail!("{} has {rows} rows, but {} were ingested; run ingestion again", dataset.display(), ingested.rows);
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

/// Returns finaldata.csv positioned after its header. Every row is exactly one line, because a checked name contains no
/// line break.
fn lines(dataset: &Path) -> Result<BufReader<File>> {
    let file = File::open(dataset).with_context(|| format!("opening {}", dataset.display()))?;
    let mut lines = BufReader::with_capacity(COPY_BYTES, file);
    let mut header = String::new();
    lines.read_line(&mut header)?;
    if header.trim_end() != Schema::default().header() {
        bail!("{} does not have the header that ingestion writes; run ingestion again", dataset.display());
    }
    Ok(lines)
}

/// Sends the lines to PostgreSQL unchanged, each preceded by its row number; returns the number of rows.
async fn copy(connection: &mut PgConnection, mut lines: impl BufRead) -> Result<u64> {
    let statement = format!(
        "COPY clients (number, {}) FROM STDIN (FORMAT csv)",
        Schema::default().columns().collect::<Vec<_>>().join(", ")
    );
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

async fn insert(connection: &mut Connection, lines: impl BufRead) -> Result<u64> {
    let schema = Schema::default();
    let columns: Vec<&str> = ["number"].into_iter().chain(schema.columns()).collect();
    let row = format!("({})", vec!["?"; columns.len()].join(", "));
    let statement =
        |rows| format!("INSERT INTO clients ({}) VALUES {}", columns.join(", "), vec![row.as_str(); rows].join(", "));
    let full = statement(ROWS_PER_STATEMENT);
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(lines);
    let mut record = csv::StringRecord::new();
    let (mut rows, mut values) = (0, Vec::with_capacity(ROWS_PER_STATEMENT * columns.len()));
    loop {
        let read = reader.read_record(&mut record)?;
        if read {
            rows += 1;
            values.push(Value::from(rows as i64));
            values.push(record.get(0).filter(|name| !name.is_empty()).map_or(Value::Text(None), Value::from));
            for field in record.iter().skip(1) {
                values.push(number(field)?);
            }
        }
        let pending = values.len() / columns.len();
        if pending == ROWS_PER_STATEMENT {
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
fn number(field: &str) -> Result<Value> {
    Ok(match field {
        "" => Value::Integer(None),
        _ => match field.parse::<i64>() {
            Ok(whole) => Value::Integer(Some(whole)),
            Err(_) => Value::Real(Some(field.parse().with_context(|| format!("{field:?} is not a number"))?)),
        },
    })
}
