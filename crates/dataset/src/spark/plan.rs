//! Builds the plans that the server executes. A query is an SQL text with the reads that it names; a write is a query
//! with a folder.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};

use spark_connect_proto::expression::{ExprType, ExpressionString};
use spark_connect_proto::plan::OpType;
use spark_connect_proto::read::{DataSource, ReadType};
use spark_connect_proto::relation::RelType;
use spark_connect_proto::write_operation::{SaveMode, SaveType};
use spark_connect_proto::{
    Command, Expression, Plan, Project, Read, Relation, RelationCommon, Sql, SubqueryAlias, WithRelations,
    WriteOperation, command,
};

use crate::spark::sql;

/// A table of files. A read is needed for what SQL cannot express alike on both engines: options, and more than one
/// path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// Spark's name of the format.
    pub format: &'static str,
    pub options: Vec<(&'static str, String)>,
    pub paths: Vec<String>,
    /// SQL expressions over the columns of the format.
    pub columns: Vec<&'static str>,
}

/// The format in which rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Parquet, with typed columns.
    Parquet,
    /// Parquet for a copy that is soon removed: written faster, and a third larger.
    Temporary,
    /// CSV with a header in every part.
    Csv,
}

/// How an existing folder is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    Overwrite,
    Refuse,
}

/// Adds the storage that a statement writes and reads to the description of an operation, for errors: a storage that
/// fails or does not answer shows only in a query that the server does not finish.
pub fn with_storage(what: &str, sql: &str, reads: &[(String, Files)], folder: Option<&str>) -> String {
    let mut read: Vec<&str> = reads.iter().flat_map(|(_, files)| &files.paths).map(String::as_str).collect();
    read.extend(sql::parquet_addresses(sql));
    read.sort_unstable();
    read.dedup();
    let to = folder.map(|folder| format!("to {folder}"));
    let from = match read[..] {
        [] => None,
        [file] => Some(format!("from {file}")),
        [first, ..] => Some(format!("from {first} and {} more", read.len() - 1)),
    };
    let storage: Vec<String> = to.into_iter().chain(from).collect();
    if storage.is_empty() { what.to_owned() } else { format!("{what} ({})", storage.join(", ")) }
}

/// Returns a plan whose rows are the answer.
pub fn query(sql: String, reads: Vec<(String, Files)>) -> Plan {
    Plan { op_type: Some(OpType::Root(relation_of(sql, reads))) }
}

/// Returns a plan that writes the rows of a query into a folder.
pub fn write(sql: String, reads: Vec<(String, Files)>, format: Format, existing: Existing, folder: String) -> Plan {
    let (source, options): (_, &[(&str, &str)]) = match format {
        Format::Parquet => ("parquet", &[]),
        Format::Temporary => ("parquet", &[("compression", "snappy")]),
        // The last two options preserve spaces in names.
        Format::Csv => (
            "csv",
            &[
                ("header", "true"),
                ("escape", "\""),
                ("emptyValue", ""),
                ("ignoreLeadingWhiteSpace", "false"),
                ("ignoreTrailingWhiteSpace", "false"),
            ],
        ),
    };
    let mode = match existing {
        Existing::Overwrite => SaveMode::Overwrite,
        Existing::Refuse => SaveMode::ErrorIfExists,
    };
    let operation = WriteOperation {
        input: Some(relation_of(sql, reads)),
        source: Some(source.to_owned()),
        mode: mode.into(),
        options: options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        save_type: Some(SaveType::Path(folder)),
        ..Default::default()
    };
    let command = Command { command_type: Some(command::CommandType::WriteOperation(operation)) };
    Plan { op_type: Some(OpType::Command(command)) }
}

fn relation_of(sql: String, reads: Vec<(String, Files)>) -> Relation {
    let root = relation(RelType::Sql(Sql { query: sql, ..Default::default() }));
    if reads.is_empty() {
        return root;
    }
    let references = reads.into_iter().map(|(alias, files)| {
        let input = Some(Box::new(read(files)));
        relation(RelType::SubqueryAlias(Box::new(SubqueryAlias { input, alias, ..Default::default() })))
    });
    let references = references.collect();
    relation(RelType::WithRelations(Box::new(WithRelations { root: Some(Box::new(root)), references })))
}

fn read(files: Files) -> Relation {
    let options: HashMap<String, String> =
        files.options.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let source =
        DataSource { format: Some(files.format.to_owned()), options, paths: files.paths, ..Default::default() };
    let read = Read { read_type: Some(ReadType::DataSource(source)), ..Default::default() };
    let expressions = files.columns.into_iter().map(|column| Expression {
        expr_type: Some(ExprType::ExpressionString(ExpressionString { expression: column.to_owned() })),
        ..Default::default()
    });
    let input = Some(Box::new(relation(RelType::Read(read))));
    relation(RelType::Project(Box::new(Project { input, expressions: expressions.collect() })))
}

fn relation(kind: RelType) -> Relation {
    // Sail finds referenced relations by their ids.
    static NEXT_ID: AtomicI64 = AtomicI64::new(0);
    let plan_id = Some(NEXT_ID.fetch_add(1, Ordering::Relaxed));
    Relation { rel_type: Some(kind), common: Some(RelationCommon { plan_id, ..Default::default() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_described_with_its_storage() {
        let files = |paths: &[&str]| Files {
            format: "text",
            options: Vec::new(),
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
            columns: Vec::new(),
        };
        let of =
            |sql, paths: &[&str], folder| with_storage("counting", sql, &[("view".to_owned(), files(paths))], folder);
        assert_eq!(of("SELECT 1", &[], None), "counting");
        assert_eq!(of("FROM parquet.`s3a://a/b`", &[], None), "counting (from s3a://a/b)");
        let both = of("FROM view", &["s3a://a/2.csv", "s3a://a/1.csv", "s3a://a/1.csv"], Some("s3a://b"));
        assert_eq!(both, "counting (to s3a://b, from s3a://a/1.csv and 1 more)");
    }
}
