//! The lines of many files as one relation, with counts for each file.

use std::collections::{BTreeMap, BTreeSet};

use crate::MalformedRows;
use crate::quarantine::check_malformed_share;
use anyhow::{Context, Result};
use common::schema::Schema;

use crate::spark::connection::Connection;
use crate::spark::files::{self, InputFile, name_of_file};
use crate::spark::names;
use crate::spark::row_rules::{self, FILE, READABLE, clean, not_blank};
use crate::spark::split::{self, Layout};
use crate::spark::sql::{self, Cells};
use crate::spark::view::View;

/// Maximum number of files whose malformed rows one query fetches.
const FILES_PER_QUERY: usize = 64;
/// Maximum total size in bytes of the small files that are read as one table of contents. Sail compares these contents.
const GROUP_BYTES: u64 = 8 << 20;
/// Size in bytes from which a file is read line by line even if the engine cannot determine the file of a line.
const LARGE: u64 = 4 << 20;

/// The counts of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileCounts {
    /// Number of readable rows.
    pub rows: u64,
    /// Number of malformed rows.
    pub malformed: u64,
    /// Number of missing values in the readable rows, for each column of the schema.
    pub missing: Vec<u64>,
}

/// The lines of several files.
pub struct Lines<'a> {
    connection: &'a Connection,
    schema: &'a Schema,
    /// The files, in the order given.
    pub files: Vec<InputFile>,
    /// The views that the queries of [`Lines::split`] and [`Lines::rows`] read.
    pub views: Vec<View>,
    /// For each layout of a file, a query of the lines of its files, with the columns `file` (its index) and `value`.
    lines: BTreeMap<Layout, String>,
}

impl<'a> Lines<'a> {
    /// Creates the views of `files`; nothing is read yet.
    pub fn open(connection: &'a Connection, schema: &'a Schema, files: Vec<InputFile>) -> Self {
        let mut by_layout: BTreeMap<Layout, Vec<usize>> = BTreeMap::new();
        for (i, file) in files.iter().enumerate() {
            by_layout.entry(file.layout.clone()).or_default().push(i);
        }
        let mut views = Vec::new();
        let mut lines = BTreeMap::new();
        for (layout, of_layout) in by_layout {
            lines.insert(layout, lines_of(connection, &files, &of_layout, &mut views));
        }
        Self { connection, schema, files, views, lines }
    }

    /// Returns a query that splits all lines ([`split::split`]), including headers and blank lines.
    pub fn split(&self) -> String {
        let headers: BTreeSet<&str> = self.files.iter().filter_map(|file| file.valid_header.as_deref()).collect();
        let queries = self.lines.iter().map(|(layout, lines)| split::split(self.schema, layout, &headers, lines));
        sql::union_all(&queries.collect::<Vec<_>>())
    }

    /// Returns a query of every line that is not blank, including headers. Its columns are [`FILE`] (the file's index
    /// from 0), `readable` (see [`READABLE`]), and [`names::columns`], which are all NULL if the line is not a readable
    /// row. Within a file, the rows keep their order as far as the engine keeps that of lines.
    pub fn rows(&self) -> String {
        let lines: Vec<String> = self.lines.values().cloned().collect();
        self.checked("value", &sql::union_all(&lines))
    }

    /// Returns a query of the same rows as [`Lines::rows`], in any order, from a copy of [`Lines::split`].
    pub fn rows_of_copy(&self, copy: &str) -> String {
        let others = self.checked("raw", &format!("SELECT file, raw FROM {copy} WHERE raw IS NOT NULL"));
        split::joined(self.schema, copy, &others)
    }

    /// Returns a query of the rows in the column `value` of `lines`, which also has the column `file`.
    fn checked(&self, value: &str, lines: &str) -> String {
        let all: Vec<usize> = (0..self.files.len()).collect();
        let lines = format!(
            "SELECT l.file AS file, 0 AS line, {}, {} FROM ({lines}) AS l JOIN {} ON l.file = f.file WHERE {}",
            clean(value),
            row_rules::layout_columns(self.schema),
            self.table(&all),
            self.is_row(value)
        );
        row_rules::checked(self.schema, &lines)
    }

    /// Returns the condition that a line is neither blank nor, in a file whose header is a valid row, the header.
    fn is_row(&self, value: &str) -> String {
        match self.files.iter().any(|file| file.valid_header.is_some()) {
            true => format!("{} AND {}", not_blank(value), row_rules::is_not(value, "header")),
            false => not_blank(value),
        }
    }

    /// Returns a table of files: names, indices, layouts, the numbers of the lines that contain their headers, and the
    /// headers that are valid rows.
    fn table(&self, files: &[usize]) -> String {
        let values = files.iter().map(|i| {
            let file = &self.files[*i];
            let layout = row_rules::layout(&file.layout.columns, file.layout.width);
            let header = sql::text(file.valid_header.as_deref().unwrap_or_default());
            format!("({}, {i}, {layout}, {}, {header})", sql::text(&file.probed.name), file.header_line)
        });
        let layout = row_rules::layout_columns(self.schema);
        format!("(VALUES {}) AS f(name, file, {layout}, header_line, header)", values.collect::<Vec<_>>().join(", "))
    }

    /// Counts the readable and the malformed rows of each file; `rows` is the query [`Lines::rows`] or
    /// [`Lines::rows_of_copy`].
    ///
    /// # Errors
    /// Fails if a file has more malformed rows than `policy` allows; the error names file and line.
    pub fn count(&self, rows: &str, policy: MalformedRows) -> Result<Vec<FileCounts>> {
        let columns = names::columns(self.schema);
        let missing: Vec<String> = columns
            .iter()
            .map(|column| format!("count(CASE WHEN {READABLE} AND {column} IS NULL THEN 1 END)"))
            .collect();
        let query =
            format!("SELECT {FILE}, count(*), sum(readable), {} FROM ({rows}) GROUP BY {FILE}", missing.join(", "));
        let mut counted =
            vec![FileCounts { missing: vec![0; columns.len()], ..FileCounts::default() }; self.files.len()];
        self.connection.each("counting the rows", query, |row| {
            let mut cells = Cells::of(&row);
            let (i, lines, rows) = (cells.count() as usize, cells.count(), cells.count());
            let missing = columns.iter().map(|_| cells.count()).collect();
            if let (Some(counted), Some(file)) = (counted.get_mut(i), self.files.get(i)) {
                let malformed = lines.saturating_sub(rows + self.lines_before_rows(file));
                *counted = FileCounts { rows, malformed, missing };
            }
            Ok(())
        })?;
        for (i, (file, counted)) in self.files.iter().zip(&counted).enumerate() {
            let FileCounts { rows, malformed, .. } = *counted;
            let refused = policy == MalformedRows::Refuse && malformed > 0;
            if refused || check_malformed_share(malformed, rows, None).is_err() {
                let mut first = None;
                self.malformed(&[i], Some(1), |_, line, reason, _| {
                    first = Some(format!("line {line}: {reason}"));
                    Ok(())
                })?;
                let check = match refused {
                    true => Err(anyhow::anyhow!(first.unwrap_or_default())),
                    false => check_malformed_share(malformed, rows, first.as_deref()),
                };
                check.with_context(|| file.probed.file.path.display().to_string())?;
            }
        }
        Ok(counted)
    }

    /// Returns how many of the lines that [`Lines::rows`] returns are before the first row of a file: the header,
    /// unless it is left out because it is a valid row, and a byte order mark on a line of its own. Spark removes the mark.
    fn lines_before_rows(&self, file: &InputFile) -> u64 {
        let has_mark = file.is_marked_blank && !self.connection.lines_know_their_file();
        u64::from(file.valid_header.is_none()) + u64::from(has_mark)
    }

    /// Calls `visit` with each malformed row of the given files, in order. Its arguments are the file's index, the
    /// line, the reason and the original row.
    pub fn malformed(
        &self,
        files: &[usize],
        most: Option<usize>,
        mut visit: impl FnMut(usize, u64, &str, &str) -> Result<()>,
    ) -> Result<()> {
        let limit = most.map_or_else(String::new, |most| format!(" LIMIT {most}"));
        for batch in files.chunks(FILES_PER_QUERY) {
            let read: Vec<&InputFile> = batch.iter().map(|i| &self.files[*i]).collect();
            let contents = contents(self.connection, &read);
            let selects: Vec<String> = contents
                .iter()
                .map(|(_, content)| format!("SELECT name, posexplode({LINES}) AS (position, value) FROM ({content})"))
                .collect();
            let lines = format!(
                "SELECT file, position + 1 AS line, {}, {} FROM ({}) AS l JOIN {} ON l.name = f.name \
                 WHERE {} AND position >= header_line",
                clean("value"),
                row_rules::layout_columns(self.schema),
                sql::union_all(&selects),
                self.table(batch),
                self.is_row("value")
            );
            let query = format!(
                "SELECT file, line, reason, value FROM ({}) WHERE reason IS NOT NULL ORDER BY file, line{limit}",
                row_rules::reasoned(self.schema, &lines)
            );
            self.connection.each("reading the malformed rows", query, |row| {
                let mut cells = Cells::of(&row);
                let (file, line) = (cells.count() as usize, cells.count());
                let (reason, text) = (cells.text().unwrap_or_default(), cells.text().unwrap_or_default());
                visit(file, line, &reason, &text)
            })?;
        }
        Ok(())
    }
}

/// Returns a query of the lines of some files, with the columns `file` (the file's index) and `value`; adds the views that
/// it reads to `views`.
fn lines_of(connection: &Connection, files: &[InputFile], some: &[usize], views: &mut Vec<View>) -> String {
    let mut selects = Vec::new();
    let mut named = Vec::new();
    let is_large = |i: &usize| files[*i].probed.length >= LARGE;
    let mut text = |addresses: &[&str], columns| {
        views.push(connection.view(files::read("text", addresses, columns)));
        views[views.len() - 1].to_string()
    };
    let (large, small): (Vec<usize>, Vec<usize>) = match connection.lines_know_their_file() {
        true => (Vec::new(), some.to_vec()),
        false => some.iter().partition(|i| is_large(i)),
    };
    for i in large {
        let view = text(&[files[i].probed.address.as_str()], vec!["value"]);
        selects.push(format!("SELECT {i} AS file, value FROM {view}"));
    }
    if connection.lines_know_their_file() {
        let addresses: Vec<&str> = small.iter().map(|i| files[*i].probed.address.as_str()).collect();
        let view = text(&addresses, vec![name_of_file(connection), "value"]);
        named.push(format!("SELECT name, value FROM {view}"));
    } else {
        let small: Vec<&InputFile> = small.iter().map(|i| &files[*i]).collect();
        for (view, content) in contents(connection, &small) {
            named.push(format!("SELECT name, explode({LINES}) AS value FROM ({content})"));
            views.push(view);
        }
    }
    if !named.is_empty() {
        let names = small.iter().map(|i| format!("({}, {i})", sql::text(&files[*i].probed.name)));
        selects.push(format!(
            "SELECT f.file AS file, l.value AS value FROM ({}) AS l JOIN (VALUES {}) AS f(name, file) ON l.name = f.name",
            sql::union_all(&named),
            names.collect::<Vec<_>>().join(", ")
        ));
    }
    sql::union_all(&selects)
}

/// Removes repeated files; sorts by address.
fn unique(mut files: Vec<&InputFile>) -> Vec<&InputFile> {
    files.sort_by(|a, b| a.probed.address.cmp(&b.probed.address));
    files.dedup_by(|a, b| a.probed.address == b.probed.address);
    files
}

/// An SQL expression that splits a content into lines.
const LINES: &str = "split(CAST(content AS STRING), '\\n')";

/// Returns queries with the columns `name` and `content`, such that each file is in exactly one of them, and the views
/// that they read.
fn contents(connection: &Connection, files: &[&InputFile]) -> Vec<(View, String)> {
    let files = unique(files.to_vec());
    let bytes = if connection.lines_know_their_file() { u64::MAX } else { GROUP_BYTES };
    let groups = files::batches(&files, usize::MAX, bytes, |file| file.probed.length);
    let query = |group: &[&InputFile]| {
        let addresses: Vec<&str> = group.iter().map(|file| file.probed.address.as_str()).collect();
        let columns = vec![name_of_file(connection), "content"];
        let view = connection.view(files::read("binaryFile", &addresses, columns));
        // Sail distributes the parts of a file to its processors, and each part returns the whole content.
        let query = match group.len() {
            1 => format!("SELECT name, content FROM {view} LIMIT 1"),
            _ if connection.lines_know_their_file() => format!("SELECT name, content FROM {view}"),
            _ => format!("SELECT DISTINCT name, content FROM {view}"),
        };
        (view, query)
    };
    groups.into_iter().map(query).collect()
}
