//! Reads CSV files and describes their columns in bounded memory.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};
use std::rc::Rc;

use anyhow::{Context, Result, bail, ensure};
use common::files::DataFile;
use common::schema::{LARGEST_COUNT, LONGEST_NAME, MOST_LEVELS};
use common::values::is_missing;
use dataset::row::check_text;
use fs_err::File;

/// Largest number of rows in the sample.
const SAMPLE: usize = 20_000;
/// Largest number of fields in the sample.
const SAMPLE_FIELDS: usize = 1_000_000;
/// Largest number of different values that are counted exactly; more are estimated.
const EXACT: usize = 4096;
/// Largest number of bytes of a row.
const LONGEST_ROW: usize = 1024 * 1024;
/// Number of characters of a field that the sample keeps. Longer fields are of no use as levels.
const KEPT: usize = 200;

/// The columns that all files have, in the order of the first file.
pub(super) struct Profile {
    pub(super) columns: Vec<Column>,
    /// Columns that only some files have, or whose name no config can have.
    pub(super) unusable: Vec<(String, &'static str)>,
    pub(super) rows: u64,
    /// Number of rows that have more or fewer fields than the header.
    pub(super) malformed: u64,
    /// Some rows, evenly distributed over the files; `None` for a missing value.
    pub(super) sample: Vec<Vec<Option<String>>>,
}

/// Description of one column over all rows.
#[derive(Default)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) known: u64,
    pub(super) missing: u64,
    pub(super) numbers: u64,
    /// Numbers that are whole and not negative.
    pub(super) counts: u64,
    pub(super) dates: u64,
    /// Values that ingestion would refuse as a level or an id, because of control characters or their length.
    pub(super) refused: u64,
    /// Number of words in all texts.
    pub(super) words: u64,
    pub(super) least: f64,
    pub(super) largest: f64,
    /// Texts that are no number, at most three.
    pub(super) texts: Vec<String>,
    /// Number of rows of each value; more than [`MOST_LEVELS`] entries are incomplete.
    pub(super) levels: BTreeMap<String, u64>,
    /// Number of different values of each file, added up.
    pub(super) distinct: f64,
    hashes: BTreeSet<u64>,
}

impl Column {
    fn add(&mut self, field: &str) {
        let trimmed = field.trim_ascii();
        if is_missing(trimmed.as_bytes()) {
            self.missing += 1;
            return;
        }
        self.known += 1;
        match trimmed.parse::<f64>() {
            Ok(number) if number.is_finite() => {
                let (least, largest) = if self.numbers == 0 { (number, number) } else { (self.least, self.largest) };
                (self.least, self.largest) = (least.min(number), largest.max(number));
                self.numbers += 1;
                self.counts += u64::from(number >= 0.0 && number.fract() == 0.0 && number <= LARGEST_COUNT);
            }
            _ => {
                if self.texts.len() < 3 && !self.texts.iter().any(|text| text == trimmed) {
                    self.texts.push(trimmed.chars().take(30).collect());
                }
            }
        }
        self.refused += u64::from(check_text(&self.name, field).is_err());
        self.dates += u64::from(is_date(trimmed));
        self.words += trimmed.split_whitespace().count() as u64;
        let level: String = field.chars().take(KEPT).collect();
        if self.levels.len() <= MOST_LEVELS || self.levels.contains_key(&level) {
            *self.levels.entry(level).or_default() += 1;
        }
        let mut hasher = DefaultHasher::new();
        field.hash(&mut hasher);
        let hash = hasher.finish();
        if self.hashes.len() < EXACT || self.hashes.last().is_some_and(|last| hash < *last) {
            self.hashes.insert(hash);
            if self.hashes.len() > EXACT {
                self.hashes.pop_last();
            }
        }
    }

    /// Adds the number of different values of the file that ends. From the smallest hashes, it follows how many there are.
    fn end_file(&mut self) {
        self.distinct += match self.hashes.last() {
            Some(last) if self.hashes.len() == EXACT => (EXACT - 1) as f64 / (*last as f64 / u64::MAX as f64),
            _ => self.hashes.len() as f64,
        };
        self.hashes.clear();
    }

    /// Number of different values within a file, divided by the number of known values.
    pub(super) fn uniqueness(&self) -> f64 {
        (self.distinct / self.known.max(1) as f64).min(1.0)
    }
}

/// Whether a text begins like a date: 2024-01-31, 31.01.2024 or 1/31/24.
fn is_date(text: &str) -> bool {
    let date = text.split(['T', ' ']).next().unwrap_or_default();
    let parts: Vec<&str> = date.split(['-', '/', '.']).collect();
    let digits = |part: &&str| (1..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    parts.len() == 3 && parts.iter().all(digits) && parts.iter().any(|part| part.len() >= 2)
}

/// Reads all rows of all files and describes their columns.
pub(super) fn read(files: &[DataFile]) -> Result<Profile> {
    let headers = files.iter().map(header).collect::<Result<Vec<_>>>()?;
    let in_all = |name: &&String| headers.iter().all(|header| header.contains(name));
    let usable = |name: &&String| unusable(name).is_none();
    let common: Vec<String> = headers[0].iter().filter(in_all).filter(usable).cloned().collect();
    ensure!(
        !common.is_empty(),
        "the {} files have no column in common; put files with other columns into another folder",
        files.len()
    );
    let mut others: Vec<(String, &'static str)> = Vec::new();
    for name in headers.iter().flatten() {
        if !common.contains(name) && !others.iter().any(|(other, _)| other == name) {
            others.push((name.clone(), unusable(name).unwrap_or("only some of the files have it")));
        }
    }
    let columns = common.into_iter().map(|name| Column { name, ..Column::default() }).collect();
    let mut profile = Profile { columns, unusable: others, rows: 0, malformed: 0, sample: Vec::new() };
    let mut stride = 1;
    for (file, header) in files.iter().zip(&headers) {
        profile.read_file(file, header, &mut stride).with_context(|| file.path.display().to_string())?;
    }
    ensure!(profile.rows > 0, "none of the {} CSV files contains a row", files.len());
    Ok(profile)
}

/// Returns why no config can have a column of this name.
pub(super) fn unusable(name: &str) -> Option<&'static str> {
    match name {
        "" => Some("it has no name"),
        _ if name.len() > LONGEST_NAME => Some("its name is longer than 63 bytes"),
        _ if name.contains(char::is_control) => Some("its name contains control characters"),
        _ => None,
    }
}

impl Profile {
    fn read_file(&mut self, file: &DataFile, header: &[String], stride: &mut u64) -> Result<()> {
        let indices: Vec<usize> = self
            .columns
            .iter()
            .map(|column| header.iter().position(|name| *name == column.name).context("the file has changed"))
            .collect::<Result<_>>()?;
        let limit = SAMPLE.min(SAMPLE_FIELDS / self.columns.len()).max(1);
        let (mut reader, since) = open(file)?;
        let mut record = csv::ByteRecord::new();
        reader.read_byte_record(&mut record)?;
        while reader.read_byte_record(&mut record)? {
            since.set(0);
            if record.len() == 1 && record.as_slice().trim_ascii().is_empty() {
                continue;
            }
            if record.len() != header.len() {
                self.malformed += 1;
                continue;
            }
            let line = record.position().map_or(0, csv::Position::line);
            let text = std::str::from_utf8(record.as_slice());
            text.map_err(|_| anyhow::anyhow!("line {line} is not UTF-8; save the file as UTF-8"))?;
            let field = |index: &usize| record.get(*index).and_then(|field| str::from_utf8(field).ok()).unwrap_or("");
            for (column, index) in self.columns.iter_mut().zip(&indices) {
                column.add(field(index));
            }
            if self.rows.is_multiple_of(*stride) {
                let known = |field: &str| (!is_missing(field.trim_ascii().as_bytes())).then_some(());
                let keep = |field: &str| known(field).map(|()| field.chars().take(KEPT).collect());
                self.sample.push(indices.iter().map(|index| keep(field(index))).collect());
            }
            self.rows += 1;
            if self.sample.len() > limit {
                let mut even = false;
                self.sample.retain(|_| {
                    even = !even;
                    even
                });
                *stride *= 2;
            }
        }
        self.columns.iter_mut().for_each(Column::end_file);
        Ok(())
    }
}

/// Returns the names of the columns of a file.
fn header(file: &DataFile) -> Result<Vec<String>> {
    let of_file = || -> Result<Vec<String>> {
        let (mut reader, _) = open(file)?;
        let mut record = csv::ByteRecord::new();
        reader.read_byte_record(&mut record)?;
        let bytes = record.as_slice();
        ensure!(
            !bytes.contains(&0) && !bytes.starts_with(b"\xff\xfe") && !bytes.starts_with(b"\xfe\xff"),
            "the file looks like UTF-16; save it as UTF-8"
        );
        let names = record.iter().map(|name| str::from_utf8(name).map(|name| name.trim().to_owned()));
        let names: Vec<String> =
            names.collect::<Result<_, _>>().context("the header (line 1) is not UTF-8; save the file as UTF-8")?;
        ensure!(names.iter().any(|name| !name.is_empty()), "the header (line 1) is empty; name the columns there");
        let other = [(';', "semicolons"), ('\t', "tabs"), ('|', "vertical bars")];
        if let Some((_, name)) = other.iter().find(|(separator, _)| names.len() == 1 && names[0].contains(*separator)) {
            bail!("the columns are separated by {name}; save the file with commas");
        }
        let mut seen = HashMap::new();
        for name in names.iter().filter(|name| !name.is_empty()) {
            if let Some(first) = seen.insert(name.to_lowercase(), name) {
                bail!(
                    "the columns \"{first}\" and \"{name}\" (line 1) have the same name (upper and lower case are not \
                     distinguished); rename or remove one"
                );
            }
        }
        Ok(names)
    };
    of_file().with_context(|| file.path.display().to_string())
}

fn open(file: &DataFile) -> Result<(csv::Reader<Limited>, Rc<Cell<usize>>)> {
    let since = Rc::new(Cell::new(0));
    let stream = Limited { file: File::open(&file.path)?, since: Rc::clone(&since) };
    Ok((csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(stream), since))
}

/// A file whose rows are limited, so that a quote which is not closed cannot exhaust the memory.
struct Limited {
    file: File,
    /// Number of bytes since the last row.
    since: Rc<Cell<usize>>,
}

impl Read for Limited {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.since.get() > LONGEST_ROW {
            return Err(io::Error::other(format!("a row is longer than {LONGEST_ROW} bytes; is a quote not closed?")));
        }
        let n = self.file.read(buffer)?;
        self.since.set(self.since.get() + n);
        Ok(n)
    }
}
