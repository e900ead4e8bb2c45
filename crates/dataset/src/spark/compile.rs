//! Merges CSV files into one dataset of distinct rows on the storage that the cluster shares.
//!
//! The rows are grouped on the cluster and written as Parquet into a new folder next to the current dataset. The record
//! of the ingestion on this machine names the current folder; it is replaced last and atomically, so a write that fails
//! or is killed leaves a folder to which nothing refers.

use std::io::{BufWriter, Write};
use std::path::Path;

use crate::MalformedRows;
use crate::quarantine::{QUARANTINE_HEADER, write_row};
use crate::rules::{EXAMPLES, check_any_row};
use anyhow::{Context, Result};
use common::files::checksum::Checksum;
use common::files::ingested::{Ingested, IngestedFile};
use common::files::{DataFile, QUARANTINE};
use common::schema::{LARGEST_COUNT, Schema};
use fs_err::File;

use crate::spark::connection::Connection;
use crate::spark::files::{self, InputFile};
use crate::spark::lines::Lines;
use crate::spark::names::{self, ID, TARGET, identifier};
use crate::spark::plan::{Existing, Format};
use crate::spark::row_rules::{FILE, READABLE};
use crate::spark::sql::{self, Cells};
use crate::spark::stored;

/// Merges `files` into a dataset at `location`, which is written as CSV too if `as_csv`; the malformed rows are written
/// to the folder `stage`.
pub fn compile(
    connection: &Connection,
    schema: &Schema,
    location: String,
    as_csv: bool,
    files: &[DataFile],
    stage: &Path,
) -> Result<Ingested> {
    let probed = files::probe(connection, schema, files)?;
    let inputs = probed.iter().cloned().map(|file| InputFile::new(schema, file, true)).collect::<Result<Vec<_>>>()?;
    let lines = Lines::open(connection, schema, inputs);
    let write = |what, sql, format, to| connection.write(what, sql, format, Existing::Overwrite, to);
    // The lines are read and split once; counts and dataset are made from a copy of their columns.
    let copy = stored::split_lines(&location);
    write("splitting the lines", lines.split(), Format::Temporary, copy.clone())?;
    let rows = lines.rows_of_copy(&sql::files("parquet", &copy));
    let counted = lines.count(&rows, MalformedRows::LeaveOut)?;
    check_any_row(counted.iter().map(|file| file.rows).sum(), files.len())?;
    let bad: Vec<usize> = (0..counted.len()).filter(|i| counted[*i].malformed > 0).collect();
    write_quarantine(&lines, &bad, &stage.join(QUARANTINE))?;

    let columns = names::columns(schema).join(", ");
    // Malformed lines are NULL in every column, like a row in which every value is missing. They share a group with
    // such rows; a group that contains only malformed lines is excluded.
    let distinct = format!(
        "SELECT {columns}, min(CASE WHEN {READABLE} THEN {FILE} END) AS {FILE} FROM ({rows}) GROUP BY {columns} \
         HAVING max(readable) = 1"
    );
    write("compiling the dataset", distinct, Format::Parquet, location.clone())?;
    if as_csv {
        let text = format!("SELECT {} FROM {}", as_text(schema), sql::files("parquet", &location));
        write("writing the dataset as CSV", text, Format::Csv, stored::csv_copy(&location))?;
    }
    stored::empty(connection, &copy)?;
    let dataset = Dataset::describe(connection, schema, &location, files.len())?;
    files::check_unchanged(connection, &probed)?;

    let hashes: String = probed.iter().map(|file| file.sha256.as_str()).collect();
    let ingested_files =
        probed.iter().zip(&counted).zip(&dataset.first_seen).map(|((file, counted), first)| IngestedFile {
            name: file.file.name.clone(),
            sha256: file.sha256.clone(),
            rows: counted.rows,
            duplicates: counted.rows.saturating_sub(*first),
            quarantined: counted.malformed,
            missing: schema.by_column(&counted.missing),
            batch: None,
            state: Some(file.state.clone()),
        });
    Ok(Ingested {
        files: ingested_files.collect(),
        // The dataset is determined by these contents in this order.
        dataset_sha256: Checksum::of_bytes(hashes.as_bytes()),
        rows: dataset.first_seen.iter().sum(),
        missing: schema.by_column(&dataset.missing),
        contradictory_corporations: dataset.contradictory,
        contradictory_examples: dataset.examples,
        location: Some(location),
    })
}

/// Returns the columns as text under the names of the schema. Whole numbers have no decimal point, and the target has
/// its labels.
fn as_text(schema: &Schema) -> String {
    let predictors = schema.predictors().iter().zip(names::predictors(schema)).map(|(predictor, x)| {
        let largest = sql::number(LARGEST_COUNT);
        let text = match predictor.is_category() {
            true => x,
            false => format!(
                "CASE WHEN {x} = floor({x}) AND abs({x}) <= {largest} THEN CAST(CAST({x} AS BIGINT) AS STRING) \
                 ELSE CAST({x} AS STRING) END"
            ),
        };
        format!("{text} AS {}", identifier(&predictor.name))
    });
    let id = format!("{ID} AS {}", identifier(schema.id()));
    let target = format!("{} AS {}", label(schema, TARGET), identifier(&schema.target().name));
    [id].into_iter().chain(predictors).chain([target]).collect::<Vec<_>>().join(", ")
}

/// Returns the label of the target for the column `target`, which is 1 or 0.
pub fn label(schema: &Schema, target: &str) -> String {
    let [positive, negative] = [true, false].map(|exited| schema.target().label(exited));
    match (positive, negative) {
        ("1", "0") => target.to_owned(), // stays a number
        _ => format!("CASE {target} WHEN 1 THEN {} WHEN 0 THEN {} END", sql::text(positive), sql::text(negative)),
    }
}

fn write_quarantine(lines: &Lines, bad: &[usize], path: &Path) -> Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    out.write_all(QUARANTINE_HEADER)?;
    if !bad.is_empty() {
        lines.malformed(bad, None, |file, line, reason, row| {
            let name = lines.files.get(file).map_or("", |file| &file.probed.file.name);
            let mut text = Vec::new();
            write_row(&mut text, name, line, reason, row);
            Ok(out.write_all(&text)?)
        })?;
    }
    Ok(out.flush()?)
}

/// The properties of a dataset that has been written.
struct Dataset {
    /// For each file, the number of distinct rows that it was the first to contain.
    first_seen: Vec<u64>,
    /// Number of missing values of each column of the schema.
    missing: Vec<u64>,
    contradictory: u64,
    examples: Vec<String>,
}

impl Dataset {
    fn describe(connection: &Connection, schema: &Schema, location: &str, files: usize) -> Result<Self> {
        let table = sql::files("parquet", location);
        let known: Vec<String> = names::columns(schema).iter().map(|column| format!("count({column})")).collect();
        let missing = vec![0; known.len()];
        let known = known.join(", ");
        let counts = format!("SELECT {FILE}, count(*), {known} FROM {table} GROUP BY {FILE}");
        let mut dataset = Self { first_seen: vec![0; files], missing, contradictory: 0, examples: Vec::new() };
        for row in &connection.rows("counting the distinct rows", counts)? {
            let mut cells = Cells::of(row);
            let (file, rows) = (cells.count() as usize, cells.count());
            *dataset.first_seen.get_mut(file).context("a row of no file")? = rows;
            for missing in &mut dataset.missing {
                *missing += rows - cells.count();
            }
        }
        // Few clients are contradictory, and hashes are grouped in half of the time of ids.
        let labelled = format!("{table} WHERE {ID} IS NOT NULL AND {TARGET} IS NOT NULL");
        let contradictory = format!("HAVING min({TARGET}) < max({TARGET})");
        let contradictions = format!(
            "SELECT {ID}, count(*) OVER () FROM (SELECT {ID} FROM {labelled} AND xxhash64({ID}) IN \
             (SELECT h FROM (SELECT xxhash64({ID}) AS h, {TARGET} FROM {labelled}) GROUP BY h {contradictory}) \
             GROUP BY {ID} {contradictory}) ORDER BY {ID} LIMIT {EXAMPLES}"
        );
        for row in &connection.rows("looking for contradictions", contradictions)? {
            let mut cells = Cells::of(row);
            dataset.examples.extend(cells.text());
            dataset.contradictory = cells.count();
        }
        Ok(dataset)
    }
}
