//! The compiled dataset as the table `clients`. It is replaced in one transaction, by the fastest method of each
//! database: COPY in PostgreSQL, INSERT statements of many rows elsewhere. The rows are streamed from finaldata.csv and
//! are never all in memory.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use common::files::ingested::Ingested;
use common::model::schema::COLUMNS;
use sqlx::postgres::PgConnection;

use crate::connection::{Connection, DATASET_LIMIT, Value, within};

/// Rows per INSERT statement: enough to make the overhead of a statement small, few enough to stay in the processor's
/// cache.
const ROWS_A_STATEMENT: usize = 250;
/// Size in bytes of one chunk sent to COPY.
const COPY_BYTES: usize = 256 * 1024;

/// Replaces the rows of `clients` with those of `dataset`, the finaldata.csv that `facts` describes. Must be called in
/// a transaction.
pub(crate) async fn replace(connection: &mut Connection, dataset: &Path, facts: &Ingested) -> Result<()> {
    clear(connection).await?;
    let lines = lines(dataset)?;
    let rows = match connection {
        Connection::Postgres(connection) => copy(connection, lines).await,
        connection => insert(connection, lines).await,
    };
    let rows = rows.with_context(|| format!("putting {} into its table clients", dataset.display()))?;
    if rows != facts.rows {
        bail!("{} holds {rows} rows where {} were ingested; run ingestion again", dataset.display(), facts.rows);
    }
    Ok(())
}

/// Serialises concurrent ingestions, because each must see the rows that the previous one has written. Readers are not
/// blocked.
pub(crate) async fn begin(connection: &mut Connection) -> Result<()> {
    match connection {
        Connection::Postgres(_) => connection.simple("LOCK TABLE clients IN EXCLUSIVE MODE").await,
        _ => Ok(()), // SQLite has one writer; in MySQL the DELETE locks every row
    }
}

/// Deletes all rows of `clients`. TRUNCATE would be faster in PostgreSQL, but a transaction that has not read the table
/// yet would then find it empty. With DELETE, concurrent readers continue to see the rows of the previous dataset.
pub(crate) async fn clear(connection: &mut Connection) -> Result<()> {
    connection.execute_within(DATASET_LIMIT, "DELETE FROM clients", &[]).await.context("emptying its table clients")
}

/// Returns finaldata.csv positioned after its header. Every row is exactly one line, because a checked name contains no
/// line break.
fn lines(dataset: &Path) -> Result<BufReader<File>> {
    let file = File::open(dataset).with_context(|| format!("opening {}", dataset.display()))?;
    let mut lines = BufReader::with_capacity(COPY_BYTES, file);
    let mut header = String::new();
    lines.read_line(&mut header)?;
    if header.trim_end() != COLUMNS.join(",") {
        bail!("{} has another header than ingestion writes; run ingestion again", dataset.display());
    }
    Ok(lines)
}

/// Sends the lines to PostgreSQL unchanged, each preceded by its row number; returns the number of rows.
async fn copy(connection: &mut PgConnection, mut lines: impl BufRead) -> Result<u64> {
    let statement = format!("COPY clients (number, {}) FROM STDIN (FORMAT csv)", COLUMNS.join(", "));
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
    let columns = [&["number"], &COLUMNS[..]].concat();
    let row = format!("({})", vec!["?"; columns.len()].join(", "));
    let statement =
        |rows| format!("INSERT INTO clients ({}) VALUES {}", columns.join(", "), vec![row.as_str(); rows].join(", "));
    let full = statement(ROWS_A_STATEMENT);
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(lines);
    let mut record = csv::StringRecord::new();
    let (mut rows, mut values) = (0, Vec::with_capacity(ROWS_A_STATEMENT * columns.len()));
    loop {
        let read = reader.read_record(&mut record)?;
        if read {
            rows += 1;
            values.push(Value::from(rows));
            values.push(Value::from(record.get(0).filter(|name| !name.is_empty())));
            for field in record.iter().skip(1) {
                values.push(number(field)?);
            }
        }
        let waiting = values.len() / columns.len();
        if waiting == ROWS_A_STATEMENT {
            connection.execute_within(DATASET_LIMIT, &full, &values).await?;
            values.clear();
        } else if !read {
            if waiting > 0 {
                connection.execute_within(DATASET_LIMIT, &statement(waiting), &values).await?;
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
            Err(_) => Value::Real(Some(field.parse().with_context(|| format!("\"{field}\" is not a number"))?)),
        },
    })
}
