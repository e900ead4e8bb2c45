//! CSV files as an engine sees them: found by listing, hashed where they are, and read line by line with the same rules as
//! on one machine.
//!
//! Spark's and Sail's own CSV readers differ from each other and from this project in what a bad row is, so files are read
//! as lines and split here, in SQL. A row is a line: a quote that is not closed on its line makes the row malformed.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use common::checksum::Checksum;
use common::files::{DataFile, has_csv_suffix};
use common::schema::{COLUMNS, PREDICTORS, TARGET};
use engine::MalformedRows;
use engine::rules::{
    ABSENT, LARGEST_EXACT, LONGEST_NAME, MISSING, Malformed, check_malformed_share, check_target, find_columns,
};

use crate::compile::FILE;
use crate::connection::Connection;
use crate::sql::{self, Cells};

/// The beginning of a file in which its header must end, in bytes.
const HEAD: usize = 4096;

/// The CSV files of the folder at `address`, in the order of their names.
pub fn list(connection: &Connection, address: &str) -> Result<Vec<DataFile>> {
    let none = || format!("{address} holds no CSV file that the engine can see; put at least one *.csv there");
    let query = format!("SELECT path FROM {}", sql::files("binaryFile", address));
    // Spark refuses a folder that is not there, Sail finds nothing in it.
    let rows = connection.rows("listing the files", query).with_context(none)?;
    let mut files = Vec::new();
    for row in &rows {
        let path = Cells::of(row).text().context("listing the files: a file without a path")?;
        let (folder, name) = path.rsplit_once('/').unwrap_or_default();
        let name = name.to_owned();
        if within(folder) == within(address) && !name.starts_with('.') && has_csv_suffix(name.as_ref()) {
            let path = PathBuf::from(format!("{address}/{name}"));
            sql::place(&path)?;
            files.push(DataFile { name, path, batch: None });
        }
    }
    if files.is_empty() {
        bail!(none());
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    files.dedup(); // Sail tells of a large file once for each of its parts
    Ok(files)
}

/// A path without scheme and host, which Spark and Sail write differently.
fn within(address: &str) -> &str {
    let path = match address.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        None => address.strip_prefix("file:").unwrap_or(address),
    };
    path.trim_matches('/')
}

/// Whether a line is a row. A number and not a truth value, because Sail does not agree with itself on whether the latter
/// may be NULL.
pub const READABLE: &str = "readable = 1";

/// What is known of a file before its rows are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probed {
    /// The file.
    pub file: DataFile,
    /// Its address.
    pub address: String,
    /// Of its content.
    pub sha256: Checksum,
    /// Its length and when it was changed, as the engine says them.
    pub state: String,
    head: String,
}

/// The state of a file as one text.
const STATE: &str = "concat(CAST(length AS STRING), ' ', CAST(modificationTime AS STRING)) AS state";

/// The state of each file, `None` where it is gone; reads none of them.
pub fn states(connection: &Connection, files: &[DataFile]) -> Result<Vec<Option<String>>> {
    let select = |(i, file): (usize, &DataFile)| -> Result<String> {
        Ok(format!("SELECT {i} AS file, {STATE} FROM {}", sql::files("binaryFile", &sql::place(&file.path)?)))
    };
    let selects = files.iter().enumerate().map(select).collect::<Result<Vec<_>>>()?;
    let mut states = vec![None; files.len()];
    for row in &connection.rows("looking whether files have changed", selects.join(" UNION ALL "))? {
        let mut cells = Cells::of(row);
        if let Some(state) = states.get_mut(cells.count() as usize) {
            *state = cells.text();
        }
    }
    Ok(states)
}

/// Fails where a file has changed since it was probed.
pub fn check_unchanged(connection: &Connection, probed: &[Probed]) -> Result<()> {
    let files: Vec<DataFile> = probed.iter().map(|probed| probed.file.clone()).collect();
    let states = states(connection, &files)?;
    if !states.iter().zip(probed).all(|(state, probed)| state.as_ref() == Some(&probed.state)) {
        bail!("a file changed while it was read; run again when its writer has finished");
    }
    Ok(())
}

/// Looks at every file.
pub fn probe(connection: &Connection, files: &[DataFile]) -> Result<Vec<Probed>> {
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let addresses = files.iter().map(|file| sql::place(&file.path)).collect::<Result<Vec<_>>>()?;
    let query = |i: usize, address: &str| {
        let file = sql::files("binaryFile", address);
        format!(
            "SELECT {i} AS file, sha2(content, 256) AS hash, {STATE}, substring(content, 1, {HEAD}) AS head FROM {file}"
        )
    };
    let selects: Vec<String> = addresses.iter().enumerate().map(|(i, address)| query(i, address)).collect();
    let looked = connection.rows("looking at the files", selects.join(" UNION ALL "));
    let rows = match looked {
        Err(error) if format!("{error:#}").to_lowercase().contains("utf-8") => {
            // The engine does not say which.
            for (select, file) in selects.iter().zip(files) {
                connection
                    .rows("looking at the files", select.clone())
                    .with_context(|| format!("{}: it is not UTF-8; save the file as UTF-8", file.path.display()))?;
            }
            return Err(error);
        }
        looked => looked?,
    };
    let mut found: Vec<Option<Probed>> = vec![None; files.len()];
    for row in &rows {
        let mut cells = Cells::of(row);
        let i = cells.count() as usize;
        let sha256 = cells.text().context("looking at the files: a file without a checksum")?.parse()?;
        let (state, head) = (cells.text().unwrap_or_default(), cells.text().unwrap_or_default());
        let (Some(file), Some(address)) = (files.get(i), addresses.get(i)) else {
            bail!("an unknown file was answered")
        };
        found[i] = Some(Probed { file: file.clone(), address: address.clone(), sha256, state, head });
    }
    let missing =
        |file: &DataFile| format!("{} is gone or empty; expected {}", file.path.display(), COLUMNS.join(", "));
    found.into_iter().zip(files).map(|(probed, file)| probed.with_context(|| missing(file))).collect()
}

/// A file whose header is understood.
#[derive(Clone, Debug)]
pub struct InputFile {
    /// What is known of it.
    pub probed: Probed,
    /// For each of [`COLUMNS`], its place.
    places: [usize; 5],
    width: usize,
    /// The line on which the header stands, from 1.
    header_line: u64,
}

impl InputFile {
    /// Understands the header; every file must have the target where that is `needed`.
    pub fn new(probed: Probed, needed: bool) -> Result<Self> {
        let understand = || -> Result<_> {
            let head = probed.head.strip_prefix('\u{feff}').unwrap_or(&probed.head);
            let (line, header) = (1..)
                .zip(head.split('\n'))
                .find(|(_, text)| !text.trim().is_empty())
                .with_context(|| format!("the file is empty; expected the columns {}", COLUMNS.join(", ")))?;
            let mut record = csv::ByteRecord::new();
            csv::ReaderBuilder::new()
                .has_headers(false)
                .terminator(csv::Terminator::Any(b'\n'))
                .from_reader(header.as_bytes())
                .read_byte_record(&mut record)?;
            let places = find_columns(record.iter())?;
            if needed {
                check_target(&places)?;
            }
            Ok((places, record.len(), line))
        };
        let (places, width, header_line) = understand().with_context(|| probed.file.path.display().to_string())?;
        Ok(Self { probed, places, width, header_line })
    }
}

/// What was counted in one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Rows that can be read.
    pub rows: u64,
    /// Rows that cannot.
    pub malformed: u64,
    /// Missing values of the readable rows, for each of [`COLUMNS`].
    pub missing: [u64; 5],
}

/// The lines of several files.
pub struct Lines<'a> {
    connection: &'a Connection,
    /// In the order given.
    pub files: Vec<InputFile>,
    views: Vec<String>,
}

impl<'a> Lines<'a> {
    /// Opens `files`.
    pub fn open(connection: &'a Connection, files: Vec<InputFile>) -> Result<Self> {
        let mut views = Vec::new();
        for (i, file) in files.iter().enumerate() {
            let view = format!("lines_{}_{i}", &file.probed.sha256.short());
            connection.view_of_lines("opening the files", view.clone(), file.probed.address.clone())?;
            views.push(view);
        }
        Ok(Self { connection, files, views })
    }

    /// A query of every line that is not blank, headers included: [`FILE`] (its number from 0), `readable` ([`READABLE`]), and
    /// [`COLUMNS`], all NULL where the line is no readable row.
    pub fn rows(&self) -> String {
        let selects = self.files.iter().zip(&self.views).enumerate().map(|(i, (file, view))| {
            let lines =
                format!("SELECT {i} AS file, 0 AS line, {} FROM {view} WHERE {}", clean("value"), not_blank("value"));
            checked(&lines, file)
        });
        selects.collect::<Vec<_>>().join(" UNION ALL ")
    }

    /// Counts good rows and bad; more bad ones than `policy` allows are an error that names file and line.
    pub fn count(&self, policy: MalformedRows) -> Result<Vec<Counted>> {
        let missing: Vec<String> = COLUMNS
            .iter()
            .map(|column| format!("count(CASE WHEN {READABLE} AND {column} IS NULL THEN 1 END)"))
            .collect();
        let query = format!(
            "SELECT {FILE}, count(*), sum(readable), {}, sum(garbled) \
             FROM ({}) GROUP BY {FILE}",
            missing.join(", "),
            self.rows()
        );
        let mut counted = vec![Counted::default(); self.files.len()];
        for row in &self.connection.rows("counting the rows", query)? {
            let mut cells = Cells::of(row);
            let (i, lines, rows) = (cells.count() as usize, cells.count(), cells.count());
            let missing = std::array::from_fn(|_| cells.count());
            let (Some(counted), Some(file)) = (counted.get_mut(i), self.files.get(i)) else { continue };
            if cells.count() > 0 {
                bail!("{} holds text that is not UTF-8; save the file as UTF-8", file.probed.file.path.display());
            }
            *counted = Counted { rows, malformed: lines.saturating_sub(rows + 1), missing };
        }
        for (i, (file, counted)) in self.files.iter().zip(&counted).enumerate() {
            let Counted { rows, malformed, .. } = *counted;
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

    /// Shows the malformed rows of some files in order: the file's number, line, reason, and the row as it stands.
    pub fn malformed(
        &self,
        files: &[usize],
        most: Option<usize>,
        mut visit: impl FnMut(usize, u64, &str, &str) -> Result<()>,
    ) -> Result<()> {
        let selects = files.iter().map(|i| {
            let file = &self.files[*i];
            let text = sql::files("binaryFile", &file.probed.address);
            let lines = format!(
                "SELECT {i} AS file, position + 1 AS line, {} FROM (SELECT posexplode(split(CAST(content AS STRING), \
                 '\\n')) AS (position, text) FROM (SELECT content FROM {text} LIMIT 1)) WHERE {} AND position >= {}",
                clean("text"),
                not_blank("text"),
                file.header_line
            );
            format!("SELECT file, line, reason, value FROM ({}) WHERE reason IS NOT NULL", reasoned(&lines, file))
        });
        let limit = most.map_or_else(String::new, |most| format!(" LIMIT {most}"));
        let query = format!(
            "SELECT file, line, reason, value FROM ({}) ORDER BY file, line{limit}",
            selects.collect::<Vec<_>>().join(" UNION ALL ")
        );
        self.connection.each("reading the malformed rows", query, |row| {
            let mut cells = Cells::of(&row);
            let (file, line) = (cells.count() as usize, cells.count());
            let (reason, text) = (cells.text().unwrap_or_default(), cells.text().unwrap_or_default());
            visit(file, line, &reason, &text)
        })
    }
}

/// A line as a `value` without its CR and its byte order mark.
fn clean(value: &str) -> String {
    format!("trim(LEADING '\u{feff}' FROM trim(TRAILING '\\r' FROM {value})) AS value")
}

/// As everywhere, blank lines are none.
fn not_blank(value: &str) -> String {
    format!("trim(BOTH ' \\t\\r\\f' FROM {value}) NOT IN ('', '\u{feff}', '\"\"')")
}

/// The fields of each line of a query as texts: `t0` to `t4` in the order of [`COLUMNS`], and `width` and `open`.
fn fields(lines: &str, file: &InputFile) -> String {
    // Every match begins with a comma and so is never empty: of empty ones the engines find different numbers.
    let parts = r#"CASE WHEN instr(value, '"') = 0 THEN split(value, ',')
        ELSE regexp_extract_all(concat(',', value), ',("[^"]*(?:""[^"]*)*"[^,]*|[^,]*)', 1) END"#;
    let field = |column: usize| match file.places[column] {
        ABSENT => format!("'' AS t{column}"),
        place => {
            let raw = format!("try_element_at(parts, {})", place + 1);
            format!(
                "CASE WHEN NOT quoted THEN {raw} WHEN left({raw}, 1) = '\"' THEN \
                 replace(substring({raw}, 2, length({raw}) - 2), '\"\"', '\"') ELSE {raw} END AS t{column}"
            )
        }
    };
    let all: Vec<String> = (0..COLUMNS.len()).map(field).collect();
    let open: Vec<String> = file
        .places
        .iter()
        .filter(|place| **place != ABSENT)
        .map(|place| {
            let raw = format!("try_element_at(parts, {})", place + 1);
            format!(r#"(left({raw}, 1) = '"' AND NOT {raw} RLIKE '^"[^"]*(""[^"]*)*"$')"#)
        })
        .collect();
    format!(
        "SELECT file, line, value, size(parts) AS width, {}, quoted AND ({}) AS open \
         FROM (SELECT file, line, value, instr(value, '\"') > 0 AS quoted, {parts} AS parts FROM ({lines}))",
        all.join(", "),
        open.join(" OR ")
    )
}

/// The same with the numbers `x1` to `x4`.
fn numbers(lines: &str, file: &InputFile) -> String {
    let numbers: Vec<String> = (1..COLUMNS.len())
        .map(|j| format!("coalesce(try_cast(t{j} AS DOUBLE), try_cast({} AS DOUBLE)) + 0D AS x{j}", trimmed(j)))
        .collect();
    format!("SELECT *, {} FROM ({})", numbers.join(", "), fields(lines, file))
}

fn trimmed(column: usize) -> String {
    format!("trim(BOTH ' \\t\\r\\f' FROM t{column})")
}

fn is_missing(text: &str) -> String {
    format!("{text} IN {}", sql::texts(MISSING))
}

/// Whether a name can be one; the replacement character tells that the file's encoding was another.
fn is_no_name() -> String {
    format!("(octet_length(t0) > {LONGEST_NAME} OR t0 RLIKE '[\\\\p{{Cc}}\u{fffd}]')")
}

/// [`FILE`], `readable`, `garbled` and [`COLUMNS`] of each line of a query.
fn checked(lines: &str, file: &InputFile) -> String {
    let largest = sql::number(LARGEST_EXACT);
    let counts = (1..=PREDICTORS.len()).map(|j| {
        let known = format!("x{j} >= 0D AND x{j} <= {largest}");
        format!("({known} OR (x{j} IS NULL OR isnan(x{j})) AND {})", is_missing(&trimmed(j)))
    });
    let target = format!("(x4 = 0D OR x4 = 1D OR {})", is_missing(&trimmed(4)));
    let good: Vec<String> = counts.chain([target]).collect();
    let readable = format!("width = {} AND NOT open AND NOT {} AND {}", file.width, is_no_name(), good.join(" AND "));
    let predictors: Vec<String> = (1..=PREDICTORS.len())
        .map(|j| format!("CASE WHEN {READABLE} AND NOT isnan(x{j}) THEN x{j} END AS {}", PREDICTORS[j - 1]))
        .collect();
    format!(
        "SELECT file AS {FILE}, readable, CASE WHEN {READABLE} THEN 0 WHEN value RLIKE '\u{fffd}' THEN 1 ELSE 0 END AS \
         garbled, CASE WHEN {READABLE} AND NOT {} THEN t0 END AS {}, {}, \
         CASE WHEN {READABLE} AND NOT isnan(x4) THEN CAST(x4 AS INT) END AS {TARGET} \
         FROM (SELECT *, CASE WHEN {readable} THEN 1 ELSE 0 END AS readable FROM ({}))",
        is_missing("t0"),
        COLUMNS[0],
        predictors.join(", "),
        numbers(lines, file)
    )
}

/// `file`, `line`, `value` and the `reason` why a line is no row, NULL where it is one.
fn reasoned(lines: &str, file: &InputFile) -> String {
    let say = |reason: Malformed| sql::text(&reason.to_string());
    let mut cases = vec![
        format!("WHEN open THEN {}", say(Malformed::OpenQuote)),
        // The number of fields is only known there.
        format!("WHEN width <> {0} THEN concat(CAST(width AS STRING), ' fields where the header has {0}')", file.width),
        format!("WHEN {} THEN {}", is_no_name(), say(Malformed::NotAName)),
    ];
    for (j, column) in (1..).zip(PREDICTORS) {
        let largest = sql::number(LARGEST_EXACT);
        cases.push(format!(
            "WHEN (x{j} IS NULL OR isnan(x{j})) AND NOT {} THEN {}",
            is_missing(&trimmed(j)),
            say(Malformed::NotANumber(column))
        ));
        cases.push(format!("WHEN x{j} < 0D THEN {}", say(Malformed::Negative(column))));
        cases.push(format!("WHEN x{j} > {largest} AND NOT isnan(x{j}) THEN {}", say(Malformed::TooLarge(column))));
    }
    cases.push(format!(
        "WHEN NOT coalesce(x4 = 0D OR x4 = 1D, false) AND NOT {} THEN {}",
        is_missing(&trimmed(4)),
        say(Malformed::NotZeroOrOne)
    ));
    format!("SELECT file, line, value, CASE {} END AS reason FROM ({})", cases.join(" "), numbers(lines, file))
}

/// Writes a malformed row as a line of quarantine.csv.
pub fn write_quarantined(out: &mut impl Write, file: &str, line: u64, reason: &str, row: &str) -> Result<()> {
    let mut record = csv::WriterBuilder::new().from_writer(Vec::new());
    record.write_record([file, &line.to_string(), reason, row])?;
    out.write_all(&record.into_inner()?).context("writing the quarantine")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_folder_whatever_the_engine_calls_it() {
        for path in ["file:///tmp/in", "file:/tmp/in", "tmp/in", "/tmp/in/"] {
            assert_eq!(within(path), "tmp/in");
        }
        assert_eq!((within("s3a://bucket/a/b"), within("s3a://bucket")), ("a/b", ""));
    }

    fn input(head: &str, needed: bool) -> Result<InputFile> {
        let file = DataFile { name: "a.csv".to_owned(), path: "/in/a.csv".into(), batch: None };
        let address = "file:///in/a.csv".to_owned();
        InputFile::new(
            Probed { file, address, sha256: Checksum::of_bytes(b""), state: String::new(), head: head.to_owned() },
            needed,
        )
    }

    #[test]
    fn headers_are_understood_as_on_one_machine() {
        let header = COLUMNS.join(",");
        let file = input(&format!("\u{feff}\r\n{header}\r\na,1,2,3,0"), true).unwrap();
        assert_eq!((file.places, file.width, file.header_line), ([0, 1, 2, 3, 4], 5, 2));
        let reordered =
            input("\"exited\",corporation,number_of_employees,lastyear_activity,lastmonth_activity\n", true);
        assert_eq!(reordered.unwrap().places, [1, 4, 3, 2, 0]);
        let without = header.replace(",exited", "");
        assert_eq!(input(&without, false).unwrap().places[4], ABSENT);
        for (head, expected) in [("", "empty"), (without.as_str(), "exited is missing"), ("a,b\n", "\"a\" (line 1)")] {
            let error = format!("{:#}", input(head, true).unwrap_err());
            assert!(error.contains("/in/a.csv") && error.contains(expected), "{error}");
        }
    }
}
