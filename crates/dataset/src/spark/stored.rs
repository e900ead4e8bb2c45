//! Datasets on the storage that the cluster shares: their addresses, and the columns that they have.
//!
//! A dataset has the neutral names of [`names`], so its columns do not tell which schema it was compiled with. The
//! address of the folder therefore ends in a fingerprint of the schema. Earlier versions of this program stored the
//! default columns by their own names, in folders without a fingerprint; these datasets can still be read.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};
use common::config::cluster::Cluster;
use common::files::checksum::Checksum;
use common::files::ingested::Ingested;
use common::schema::{Schema, difference_of_names};

use crate::spark::connection::Connection;
use crate::spark::names::{self, identifier};
use crate::spark::plan::{Existing, Format};
use crate::spark::row_rules::FILE;
use crate::spark::sql;

/// The text before the fingerprint in an address.
const MARK: &str = "-columns-";

/// Number of hexadecimal digits of a fingerprint.
const DIGITS: usize = 16;

/// Returns the address of a new, unused folder.
pub fn new_location(cluster: &Cluster, schema: &Schema) -> Result<String> {
    let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S%.6fZ").to_string().replace('.', "-");
    let folder = sql::address(Path::new(&cluster.output))?;
    Ok(format!("{folder}/finaldata/{now}-{}{MARK}{}", std::process::id(), fingerprint(schema)))
}

/// Returns whether `location` can be the address of a dataset of `cluster`. Only such folders may be emptied, whatever
/// the record of an ingestion says.
pub fn is_location(cluster: &Cluster, location: &str) -> bool {
    let Ok(folder) = sql::address(Path::new(&cluster.output)) else { return false };
    let Some(name) = location.strip_prefix(&format!("{folder}/finaldata/")) else { return false };
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_plain && name.len() > 8 && name.as_bytes()[..8].iter().all(u8::is_ascii_digit)
}

/// Returns the address of the copy of a dataset as CSV.
pub fn csv_copy(location: &str) -> String {
    format!("{location}.csv")
}

/// Returns the address of the split lines of all files, which exist while a dataset is compiled.
pub fn split_lines(location: &str) -> String {
    format!("{location}.lines")
}

/// Empties a folder.
///
/// # Errors
/// Fails if the engine cannot write to it.
pub fn empty(connection: &Connection, folder: &str) -> Result<()> {
    // No SQL statement deletes a folder; overwriting it with an empty result releases its storage.
    let nothing = "SELECT 1 AS retired WHERE false".to_owned();
    connection.write("emptying an unused folder", nothing, Format::Parquet, Existing::Overwrite, folder.to_owned())?;
    // The folder itself is deleted too if it is on a file system that this machine shares.
    let _ = folder.strip_prefix("file://").map(fs::remove_dir_all);
    Ok(())
}

/// Returns a fingerprint of everything in a schema that changes the meaning of a stored dataset.
fn fingerprint(schema: &Schema) -> String {
    let target = schema.target();
    let mut text = format!("{:?} {:?} {:?} {:?}", schema.id(), target.name, target.positive, target.negative);
    for predictor in schema.predictors() {
        text += &format!(" {:?} {}", predictor.name, predictor.type_name());
    }
    Checksum::of_bytes(text.as_bytes()).as_str().chars().take(DIGITS).collect()
}

/// Returns a FROM clause with [`names::columns`], [`FILE`] and `readable` of the dataset at `location`.
///
/// # Errors
/// Fails if the dataset was compiled with other columns; the error names the difference.
pub fn relation(schema: &Schema, location: &str, ingested: &Ingested) -> Result<String> {
    let files = sql::files("parquet", location);
    if location.ends_with(&format!("{MARK}{}", fingerprint(schema))) {
        return Ok(format!("(SELECT *, 1 AS readable FROM {files})"));
    }
    if !location.contains(MARK) && schema.difference(&Schema::default()).is_none() {
        let columns = schema.columns().zip(names::columns(schema));
        let columns: Vec<String> = columns.map(|(own, name)| format!("{} AS {name}", identifier(own))).collect();
        return Ok(format!("(SELECT {}, {FILE}, 1 AS readable FROM {files})", columns.join(", ")));
    }
    bail!(
        "the compiled dataset has other columns than this table: {}; run ingestion again",
        difference(schema, ingested)
    )
}

/// Describes how the columns of a dataset differ from those of `schema`.
fn difference(schema: &Schema, ingested: &Ingested) -> String {
    let names = difference_of_names(ingested.missing.keys().map(String::as_str), schema.columns());
    names.unwrap_or_else(|| "their order, kinds, transforms or labels".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ingested(schema: &Schema) -> Ingested {
        let text = format!(
            r#"{{"files": [], "dataset_sha256": "{}", "rows": 0, "missing": {{}}, "contradictory_corporations": 0,
                "contradictory_examples": []}}"#,
            Checksum::of_bytes(b"")
        );
        let ingested: Ingested = serde_json::from_str(&text).unwrap();
        Ingested { missing: schema.by_column(&vec![0; schema.width()]), ..ingested }
    }

    #[test]
    fn only_folders_of_datasets_may_be_emptied() {
        let address = common::config::cluster::EngineAddress::parse("sc://host").unwrap();
        let time_limit = std::time::Duration::from_secs(1);
        let cluster =
            Cluster { address, time_limit, output: "s3a://b/out".to_owned(), dataset_csv: false, ca_path: None };
        let new = new_location(&cluster, &Schema::default()).unwrap();
        assert!(is_location(&cluster, &new) && is_location(&cluster, "s3a://b/out/finaldata/20260101T000000-1Z-7"));
        for wrong in [
            "",
            "/",
            "file:///",
            "s3a://b/out",
            "s3a://b/out/finaldata/",
            "s3a://b/out/finaldata/..",
            "s3a://b/out/finaldata/20260101T000000-1Z-7/..",
            "s3a://b/out/finaldata/../20260101T000000-1Z-7",
            "s3a://b/out/finaldata/20260101T000000%2F..",
            "s3a://b/out/finaldata/reports",
            "s3a://b/other/finaldata/20260101T000000-1Z-7",
        ] {
            assert!(!is_location(&cluster, wrong), "{wrong}");
        }
    }

    #[test]
    fn a_dataset_is_only_read_with_the_columns_it_has() {
        let (default, other) = (Schema::default(), crate::spark::names::tests::schema());
        let location = |schema| format!("file:///s/finaldata/20260101T000000-1Z-7{MARK}{}", fingerprint(schema));
        for schema in [&default, &other] {
            let read = relation(schema, &location(schema), &ingested(schema)).unwrap();
            assert_eq!(read, format!("(SELECT *, 1 AS readable FROM parquet.`{}`)", location(schema)));
        }
        let earlier = relation(&default, "file:///s/finaldata/20260101T000000-1Z-7", &ingested(&default)).unwrap();
        assert!(earlier.contains("`lastmonth_activity` AS x1") && earlier.contains(FILE), "{earlier}");
        for (schema, location, expected) in [
            (&other, location(&default), "\"exited\", \"lastmonth_activity\""),
            (&other, "file:///s/finaldata/20260101T000000-1Z-7".to_owned(), "instead of \"key\""),
            (&default, location(&other), "instead of \"corporation\""),
        ] {
            let compiled = if *schema == default { &other } else { &default };
            let error = relation(schema, &location, &ingested(compiled)).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("run ingestion again"), "{error}");
        }
        let text = r#"{"id": "corporation", "target": "exited", "predictors":
            ["lastmonth_activity", "lastyear_activity", "number_of_employees"]}"#;
        let numbers = common::config::schema_of_json(text).unwrap();
        let error = relation(&numbers, &location(&default), &ingested(&default)).unwrap_err().to_string();
        assert!(error.contains("kinds, transforms or labels"), "{error}");
    }
}
