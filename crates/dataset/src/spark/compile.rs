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
use common::config::cluster::Cluster;
use common::files::checksum::Checksum;
use common::files::ingested::{Ingested, IngestedFile};
use common::files::{DataFile, QUARANTINE};
use common::model::schema::{COLUMNS, CORPORATION, TARGET, by_column};
use fs_err::File;

use crate::spark::connection::Connection;
use crate::spark::files::{self, InputFile};
use crate::spark::lines::Lines;
use crate::spark::plan::{Existing, Format};
use crate::spark::row_rules::{FILE, READABLE};
use crate::spark::sql::{self, Cells};

/// Merges `files` into a dataset at `location`; the malformed rows are written to the folder `stage`.
pub fn compile(
    connection: &Connection,
    cluster: &Cluster,
    location: String,
    files: &[DataFile],
    stage: &Path,
) -> Result<Ingested> {
    let probed = files::probe(connection, files)?;
    let inputs = probed.iter().cloned().map(|file| InputFile::new(file, true)).collect::<Result<Vec<_>>>()?;
    let lines = Lines::open(connection, inputs);
    let counted = lines.count(MalformedRows::LeaveOut)?;
    check_any_row(counted.iter().map(|file| file.rows).sum(), files.len())?;
    let bad: Vec<usize> = (0..counted.len()).filter(|i| counted[*i].malformed > 0).collect();
    write_quarantine(&lines, &bad, &stage.join(QUARANTINE))?;

    let columns = COLUMNS.join(", ");
    // Malformed lines are NULL in every column, like a row in which every value is missing. They share a group with
    // such rows; a group that contains only malformed lines is excluded.
    let distinct = format!(
        "SELECT {columns}, min(CASE WHEN {READABLE} THEN {FILE} END) AS {FILE} FROM ({}) GROUP BY {columns} \
         HAVING max(readable) = 1",
        lines.rows()
    );
    let write = |what, sql, format, to| connection.write(what, sql, format, Existing::Overwrite, to);
    write("compiling the dataset", distinct, Format::Parquet, location.clone())?;
    if cluster.dataset_csv {
        let text = format!("SELECT {} FROM {}", as_text(), sql::files("parquet", &location));
        write("writing the dataset as CSV", text, Format::Csv, format!("{location}.csv"))?;
    }
    let dataset = Dataset::describe(connection, &location, files.len())?;
    files::check_unchanged(connection, &probed)?;

    let hashes: String = probed.iter().map(|file| file.sha256.as_str()).collect();
    let ingested_files =
        probed.iter().zip(&counted).zip(&dataset.first_seen).map(|((file, counted), first)| IngestedFile {
            name: file.file.name.clone(),
            sha256: file.sha256.clone(),
            rows: counted.rows,
            duplicates: counted.rows.saturating_sub(*first),
            quarantined: counted.malformed,
            missing: by_column(counted.missing),
            batch: None,
            state: Some(file.state.clone()),
        });
    Ok(Ingested {
        files: ingested_files.collect(),
        // The dataset is determined by these contents in this order.
        dataset_sha256: Checksum::of_bytes(hashes.as_bytes()),
        rows: dataset.first_seen.iter().sum(),
        missing: by_column(dataset.missing),
        contradictory_corporations: dataset.contradictory,
        contradictory_examples: dataset.examples,
        location: Some(location),
    })
}

/// Returns the address of a new, unused folder.
pub fn new_location(cluster: &Cluster) -> Result<String> {
    let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S%.6fZ").to_string().replace('.', "-");
    Ok(format!("{}/finaldata/{now}-{}", sql::address(Path::new(&cluster.output))?, std::process::id()))
}

/// Returns expressions for [`COLUMNS`] as text, in which whole numbers have no decimal point.
fn as_text() -> String {
    let column = |name: &str| match name {
        CORPORATION | TARGET => name.to_owned(),
        _ => format!(
            "CASE WHEN {name} = floor({name}) THEN CAST(CAST({name} AS BIGINT) AS STRING) ELSE CAST({name} AS STRING) END \
             AS {name}"
        ),
    };
    COLUMNS.map(column).join(", ")
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
    /// Number of missing values for each of [`COLUMNS`].
    missing: [u64; 5],
    contradictory: u64,
    examples: Vec<String>,
}

impl Dataset {
    fn describe(connection: &Connection, location: &str, files: usize) -> Result<Self> {
        let table = sql::files("parquet", location);
        let known = COLUMNS.map(|column| format!("count({column})")).join(", ");
        let counts = format!("SELECT {FILE}, count(*), {known} FROM {table} GROUP BY {FILE}");
        let mut dataset = Self { first_seen: vec![0; files], missing: [0; 5], contradictory: 0, examples: Vec::new() };
        for row in &connection.rows("counting the distinct rows", counts)? {
            let mut cells = Cells::of(row);
            let (file, rows) = (cells.count() as usize, cells.count());
            *dataset.first_seen.get_mut(file).context("a row of no file")? = rows;
            for missing in &mut dataset.missing {
                *missing += rows - cells.count();
            }
        }
        let contradictions = format!(
            "SELECT {CORPORATION}, count(*) OVER () FROM (SELECT {CORPORATION} FROM {table} WHERE {CORPORATION} IS NOT \
             NULL AND {TARGET} IS NOT NULL GROUP BY {CORPORATION} HAVING min({TARGET}) < max({TARGET})) \
             ORDER BY {CORPORATION} LIMIT {EXAMPLES}"
        );
        for row in &connection.rows("looking for contradictions", contradictions)? {
            let mut cells = Cells::of(row);
            dataset.examples.extend(cells.text());
            dataset.contradictory = cells.count();
        }
        Ok(dataset)
    }
}
