//! CSV files as seen by an engine: listing them, computing their checksums on the cluster, and reading their headers.
//!
//! A query of this module covers at most [`FILES_PER_QUERY`] files. The queries of rows ([`crate::spark::lines`]) cover all files at
//! once: they contain the name of each file as data.

use std::collections::HashMap;
use std::path::PathBuf;

use crate::row::{parse_id, parse_target, parse_value};
use crate::rules::{ABSENT, check_target, expected, find_columns};
use anyhow::{Context, Result, bail};
use common::files::checksum::Checksum;
use common::files::{DataFile, has_csv_suffix};
use common::schema::Schema;

use crate::spark::connection::Connection;
use crate::spark::plan::Files;
use crate::spark::split::Layout;
use crate::spark::sql::{self, Cells};

/// Number of bytes at the start of a file within which its header must end.
const HEAD: usize = 32 * 1024;
/// Maximum number of files, and of bytes ([`BYTES_PER_QUERY`]), in one query. Sail holds several contents in memory at
/// once.
const FILES_PER_QUERY: usize = 512;
const BYTES_PER_QUERY: u64 = 1 << 30;
/// Maximum number of paths in a read. For more paths, Spark looks them up one by one in a cluster job, and Sail sends
/// three requests for each to an object storage; listing their folder once is faster.
const MOST_PATHS: usize = 32;

/// The state of a file, an [engine's text](Probed::state), and its length.
pub type State = (String, u64);

/// Returns the CSV files of the folder at `address` with their states, sorted by name.
pub fn list(connection: &Connection, address: &str) -> Result<Vec<(DataFile, State)>> {
    let none = || format!("{address} contains no CSV file that the engine can see; put at least one *.csv there");
    // Without the pattern Sail reads every file below the folder, such as those of a dataset in the same bucket.
    let mut read = read("binaryFile", &[address], vec!["path", "length", "modificationTime"]);
    read.options.push(("pathGlobFilter", "*.[cC][sS][vV]".to_owned()));
    let view = connection.view(read);
    let rows = match connection.rows("listing the files", format!("SELECT path, length, {STATE} FROM {view}")) {
        // Spark refuses a folder that does not exist; Sail finds no files in it.
        Err(error) if error.to_string().contains("PATH_NOT_FOUND") => return Err(error.context(none())),
        rows => rows?,
    };
    let mut files = Vec::new();
    for row in &rows {
        let mut cells = Cells::of(row);
        let path = cells.text().context("listing the files: a file without a path")?;
        let (length, state) = (cells.count(), cells.text().unwrap_or_default());
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
        let name = name.to_owned();
        if path_of(folder) == path_of(address) && !name.starts_with('.') && has_csv_suffix(name.as_ref()) {
            let path = PathBuf::from(format!("{address}/{name}"));
            sql::address(&path)?;
            files.push((DataFile { name, path, batch: None }, (state, length)));
        }
    }
    if files.is_empty() {
        bail!(none());
    }
    files.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    files.dedup_by(|(a, _), (b, _)| a == b); // Sail lists a large file once for each of its parts
    Ok(files)
}

/// Returns a path without scheme and host, which Spark and Sail write differently.
fn path_of(address: &str) -> &str {
    let path = match address.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        None => address.strip_prefix("file:").unwrap_or(address),
    };
    path.trim_matches('/')
}

/// A file and the properties that are known before its rows are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probed {
    /// The file's name and path.
    pub file: DataFile,
    /// The address by which the engine reads the file.
    pub address: String,
    /// The name by which the engine identifies the file in query results.
    pub name: String,
    /// SHA-256 of the content.
    pub sha256: Checksum,
    /// The engine's text of the file's length and modification time.
    pub state: String,
    /// The length in bytes.
    pub length: u64,
    /// The beginning up to the end of the header.
    head: String,
}

/// The expression that represents the state of a file as one text.
const STATE: &str = "concat(CAST(length AS STRING), ' ', CAST(modificationTime AS STRING)) AS state";

/// Returns the expression by which the engine identifies the file of a row.
pub fn name_of_file(connection: &Connection) -> &'static str {
    match connection.lines_know_their_file() {
        true => "_metadata.file_path AS name",
        false => "path AS name",
    }
}

/// Returns a read of files of one format as a table. If there are many, the read may include other files: those with
/// similar names in the same folders, and with the same names in other folders.
pub fn read(format: &'static str, addresses: &[&str], columns: Vec<&'static str>) -> Files {
    let mut paths: Vec<&str> = addresses.to_vec();
    paths.sort_unstable();
    paths.dedup();
    let mut options = if format == "text" { vec![("lineSep", "\n".to_owned())] } else { Vec::new() };
    if paths.len() > MOST_PATHS {
        let mut names: Vec<String> = Vec::new();
        for path in &mut paths {
            let (folder, name) = path.rsplit_once('/').unwrap_or_default();
            // Sail's pattern cannot contain these characters.
            names.push(name.replace(|letter: char| letter == ',' || letter.is_whitespace(), "?"));
            *path = folder;
        }
        paths.sort_unstable();
        paths.dedup();
        names.sort_unstable();
        names.dedup();
        options.push(("pathGlobFilter", format!("{{{}}}", names.join(","))));
    }
    Files { format, options, paths: paths.into_iter().map(sql::folder).collect(), columns }
}

/// Splits files into groups of consecutive files with at most `most` files and `bytes` bytes each; a larger file forms
/// a group of its own.
pub fn batches<T>(files: &[T], most: usize, bytes: u64, length: impl Fn(&T) -> u64) -> Vec<&[T]> {
    let mut batches = Vec::new();
    let mut rest = files;
    while !rest.is_empty() {
        let mut sum = 0u64;
        let fitting = rest.iter().take(most).take_while(|file| {
            sum = sum.saturating_add(length(file));
            sum <= bytes
        });
        let (batch, after) = rest.split_at(fitting.count().max(1));
        batches.push(batch);
        rest = after;
    }
    batches
}

/// Returns the state of each file; `None` if the file no longer exists. Sail reads the contents for it.
pub fn states(connection: &Connection, files: &[DataFile]) -> Result<Vec<Option<State>>> {
    let addresses = files.iter().map(|file| sql::address(&file.path)).collect::<Result<Vec<_>>>()?;
    let mut states = vec![None; files.len()];
    let indices = indices(&addresses);
    for batch in addresses.chunks(FILES_PER_QUERY) {
        let batch: Vec<&str> = batch.iter().map(String::as_str).collect();
        let view = connection.view(read("binaryFile", &batch, vec!["path", "length", "modificationTime"]));
        let query = format!("SELECT path, length, {STATE} FROM {view}");
        for row in &connection.rows("looking whether files have changed", query)? {
            let mut cells = Cells::of(row);
            let (path, length, state) = (cells.text().unwrap_or_default(), cells.count(), cells.text());
            for i in indices.get(path_of(&path)).into_iter().flatten() {
                states[*i] = state.clone().map(|state| (state, length));
            }
        }
    }
    Ok(states)
}

/// Returns the indices of each file in a list that may contain it twice.
fn indices(addresses: &[String]) -> HashMap<&str, Vec<usize>> {
    let mut indices: HashMap<&str, Vec<usize>> = HashMap::new();
    for (i, address) in addresses.iter().enumerate() {
        indices.entry(path_of(address)).or_default().push(i);
    }
    indices
}

/// Fails if a file has changed since it was probed.
pub fn check_unchanged(connection: &Connection, probed: &[Probed]) -> Result<()> {
    let files: Vec<DataFile> = probed.iter().map(|probed| probed.file.clone()).collect();
    for (state, probed) in states(connection, &files)?.into_iter().zip(probed) {
        if state.is_none_or(|(state, _)| state != probed.state) {
            bail!("{} changed while it was read; run again when its writer has finished", probed.file.path.display());
        }
    }
    Ok(())
}

/// Reads the state, the checksum and the beginning of every file.
///
/// # Errors
/// Fails if a file is missing, empty, or not UTF-8; the error names the file.
pub fn probe(connection: &Connection, schema: &Schema, files: &[DataFile]) -> Result<Vec<Probed>> {
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let addresses = files.iter().map(|file| sql::address(&file.path)).collect::<Result<Vec<_>>>()?;
    let lengths = states(connection, files)?.into_iter().map(|state| state.map_or(0, |(_, length)| length));
    let known: Vec<(&String, u64)> = addresses.iter().zip(lengths).collect();
    let indices = indices(&addresses);
    for same in indices.values() {
        let [first, second] = [same.first(), same.last()].map(|i| i.map_or("", |i| &addresses[*i]));
        if first != second {
            bail!(
                "{first} and {second} have the same path, which an engine cannot tell apart; read one after the other"
            );
        }
    }
    let mut found: Vec<Option<Probed>> = vec![None; files.len()];
    for batch in batches(&known, FILES_PER_QUERY, BYTES_PER_QUERY, |(_, length)| *length) {
        let batch: Vec<&str> = batch.iter().map(|(address, _)| address.as_str()).collect();
        let columns = vec![name_of_file(connection), "path", "length", "modificationTime", "content"];
        let view = connection.view(read("binaryFile", &batch, columns));
        // Sail converts the beginning of the bytes to text, which fails if they are not valid UTF-8.
        let query = format!(
            "SELECT path, name, sha2(content, 256) AS hash, length, {STATE}, CASE WHEN is_valid_utf8(content) THEN \
             substring(content, 1, {HEAD}) END AS head FROM {view}"
        );
        for row in &connection.rows("looking at the files", query)? {
            let mut cells = Cells::of(row);
            let (path, name) = (cells.text().unwrap_or_default(), cells.text().unwrap_or_default());
            let sha256: Checksum = cells.text().context("looking at the files: no checksum of a file")?.parse()?;
            let (length, state, head) = (cells.count(), cells.text().unwrap_or_default(), cells.text());
            for i in indices.get(path_of(&path)).into_iter().flatten() {
                let (file, address) = (files[*i].clone(), addresses[*i].clone());
                let Some(head) = head.as_deref().map(up_to_header) else {
                    bail!("{}: it is not UTF-8; save the file as UTF-8", file.path.display())
                };
                let head = head.to_owned();
                let (name, sha256, state) = (name.clone(), sha256.clone(), state.clone());
                found[*i] = Some(Probed { file, address, name, sha256, state, length, head });
            }
        }
    }
    let missing = |file: &DataFile| {
        format!("{} does not exist or is empty; expected the columns {}", file.path.display(), expected(schema))
    };
    found.into_iter().zip(files).map(|(probed, file)| probed.with_context(|| missing(file))).collect()
}

/// A file whose header has been parsed.
#[derive(Clone, Debug)]
pub struct InputFile {
    /// The properties of the file.
    pub probed: Probed,
    /// The positions of the columns.
    pub layout: Layout,
    /// Number of the line that contains the header, counted from 1.
    pub header_line: u64,
    /// The header, without byte order mark and CR, if it would be a valid row.
    pub valid_header: Option<String>,
    /// Whether the file begins with a byte order mark and a blank line.
    pub is_marked_blank: bool,
}

impl InputFile {
    /// Parses the header; if `needed`, the file must have the target column.
    pub fn new(schema: &Schema, probed: Probed, needed: bool) -> Result<Self> {
        let understand = || -> Result<_> {
            let unmarked = probed.head.strip_prefix('\u{feff}');
            let head = unmarked.unwrap_or(&probed.head);
            let (header_line, header) = (1..)
                .zip(head.split('\n'))
                .find(|(_, text)| !is_blank(text.as_bytes()))
                .with_context(|| format!("the file is empty; expected the columns {}", expected(schema)))?;
            // After a line break, because the parser would skip a second byte order mark.
            let text = format!("\n{header}");
            let mut record = csv::ByteRecord::new();
            csv::ReaderBuilder::new()
                .has_headers(false)
                .terminator(csv::Terminator::Any(b'\n'))
                .from_reader(text.as_bytes())
                .read_byte_record(&mut record)?;
            let columns = find_columns(schema, record.iter())?;
            if needed {
                check_target(schema, &columns)?;
            }
            let header = header.strip_suffix('\r').unwrap_or(header);
            let valid_header = is_row(schema, &columns, &record).then(|| header.to_owned());
            let is_marked_blank = unmarked.is_some() && header_line > 1;
            Ok((columns, record.len(), header_line, valid_header, is_marked_blank))
        };
        let (columns, width, header_line, valid_header, is_marked_blank) =
            understand().with_context(|| probed.file.path.display().to_string())?;
        Ok(Self { probed, layout: Layout { columns, width }, header_line, valid_header, is_marked_blank })
    }
}

/// Returns the beginning of a file up to the end of its first line that is not blank.
fn up_to_header(head: &str) -> &str {
    let mut end = 0;
    for line in head.split_inclusive('\n') {
        end += line.len();
        if !is_blank(line.strip_prefix('\u{feff}').unwrap_or(line).as_bytes()) {
            break;
        }
    }
    &head[..end]
}

/// Returns whether a line is blank: white space, which may be in one quoted field.
fn is_blank(line: &[u8]) -> bool {
    let rest = match line.strip_prefix(b"\"") {
        Some(quoted) => quoted.trim_ascii_start().strip_prefix(b"\""),
        None => Some(line),
    };
    rest.is_some_and(|rest| rest.trim_ascii().is_empty())
}

/// Returns whether a header would be a valid row, as that of a file without numbers and without the target is.
fn is_row(schema: &Schema, columns: &[usize], header: &csv::ByteRecord) -> bool {
    let mut fields = columns.iter().map(|column| match *column {
        ABSENT => &[],
        column => header.get(column).unwrap_or_default().trim_ascii(),
    });
    let mut next = || fields.next().unwrap_or_default();
    parse_id(schema, next()).is_ok()
        && schema.predictors().iter().all(|predictor| parse_value(predictor, next()).is_ok())
        && parse_target(schema.target(), next()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_has_a_largest_number_and_size_and_leaves_nothing_out() {
        let cut = |lengths: &[u64]| -> Vec<usize> {
            batches(lengths, 3, 10, |length| *length).iter().map(|b| b.len()).collect()
        };
        assert_eq!(cut(&[1, 1, 1, 1]), [3, 1]);
        assert_eq!(cut(&[11, 5, 5, 1, 99]), [1, 2, 1, 1]);
        assert_eq!(cut(&[]), [0; 0]);
    }

    #[test]
    fn the_same_folder_whatever_the_engine_calls_it() {
        for path in ["file:///tmp/in", "file:/tmp/in", "tmp/in", "/tmp/in/"] {
            assert_eq!(path_of(path), "tmp/in");
        }
        assert_eq!((path_of("s3a://bucket/a/b"), path_of("s3a://bucket")), ("a/b", ""));
    }

    fn input(schema: &Schema, head: &str, needed: bool) -> Result<InputFile> {
        let file = DataFile { name: "a.csv".to_owned(), path: "/in/a.csv".into(), batch: None };
        let address = "file:///in/a.csv".to_owned();
        let probed = Probed {
            file,
            name: address.clone(),
            address,
            sha256: Checksum::of_bytes(b""),
            state: String::new(),
            length: 0,
            head: head.to_owned(),
        };
        InputFile::new(schema, probed, needed)
    }

    #[test]
    fn headers_are_understood_as_on_one_machine() {
        let schema = Schema::default();
        let input = |head: &str, needed| input(&schema, head, needed);
        let header = schema.header();
        let file = input(&format!("\u{feff}\r\n{header}\r\na,1,2,3,0"), true).unwrap();
        assert_eq!((file.layout.columns, file.layout.width, file.header_line), (vec![0, 1, 2, 3, 4], 5, 2));
        let reordered =
            input("\"exited\",corporation,number_of_employees,lastyear_activity,lastmonth_activity\n", true);
        assert_eq!(reordered.unwrap().layout.columns, [1, 4, 3, 2, 0]);
        let without = header.replace(",exited", "");
        assert_eq!(input(&without, false).unwrap().layout.columns[4], ABSENT);
        for (head, expected) in [("", "empty"), (without.as_str(), "exited is missing"), ("a,b\n", "\"a\" (line 1)")] {
            let error = format!("{:#}", input(head, true).unwrap_err());
            assert!(error.contains("/in/a.csv") && error.contains(expected), "{error}");
        }
    }

    #[test]
    fn what_follows_the_header_is_not_kept() {
        for (head, kept) in [
            ("a,b\n1,2\n", "a,b\n"),
            ("\u{feff}a,b\r\n1,2", "\u{feff}a,b\r\n"),
            ("\u{feff}\n \n\"\"\na\nb", "\u{feff}\n \n\"\"\na\n"),
            ("a,b", "a,b"),
            (" \n\n", " \n\n"),
            ("", ""),
        ] {
            assert_eq!(up_to_header(head), kept);
        }
    }

    #[test]
    fn a_header_of_any_names_is_found() {
        let schema = crate::spark::names::tests::schema();
        let file = input(&schema, "gone,skipped,\"a \"\"b\"\", c\",SELECT,key\r\n", true).unwrap();
        assert_eq!((file.layout.columns, file.layout.width), (vec![4, 2, 3, 0], 5));
    }
}
