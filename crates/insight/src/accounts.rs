//! Accounts: who looks after a client, and what the client is worth. They come from a file of the customer management
//! system, are joined to the call list and are never predictors.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Error, Result, anyhow, bail, ensure};
use common::values::is_missing;
use csv::{ErrorKind, Position, ReaderBuilder, StringRecord};
use dataset::row::check_text;

/// Maximum size of the file in bytes.
const LARGEST_FILE: u64 = 64 << 20;

/// Maximum number of columns.
const MOST_COLUMNS: usize = 100;

/// The accounts of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Accounts {
    /// Names of the further columns, in the order of the file.
    pub columns: Vec<String>,
    /// The accounts by the client's id.
    pub by_client: HashMap<String, Account>,
}

/// The account of one client.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Account {
    /// The client manager who looks after the client.
    pub owner: Option<String>,
    /// What the client is worth, at least 0.
    pub value: Option<f64>,
    /// The values of the further columns, such as a segment or a telephone number; empty if missing.
    pub further: Vec<String>,
}

impl Accounts {
    /// Reads the accounts from a CSV file with a header. The client's id is in the column `id_name`, or in a column `id`
    /// if there is none of that name. The columns `owner` and `value` are optional; any others are kept as text.
    ///
    /// # Errors
    /// Fails if the file cannot be read, is too large, or has an invalid row. The error names the file, the line and
    /// the column, and says what to do.
    pub fn read(path: &Path, id_name: &str) -> Result<Self> {
        let name = path.file_name().unwrap_or(path.as_os_str()).display();
        contents(path).and_then(|bytes| Self::parse(&bytes, id_name)).with_context(|| format!("reading {name}"))
    }

    /// The warning on a list that is shown without accounts, because their file cannot be used.
    pub fn missing(error: &Error) -> String {
        format!(
            "This list has no accounts, because their file (config key \"accounts_path\") cannot be used: {error:#}."
        )
    }

    fn parse(bytes: &[u8], id_name: &str) -> Result<Self> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut reader = ReaderBuilder::new().has_headers(false).from_reader(bytes);
        let mut record = StringRecord::new();
        let mut next = |record: &mut StringRecord| reader.read_record(record).map_err(|error| described(error, bytes));
        ensure!(next(&mut record)?, "the file is empty; {}", expected(id_name));
        let header = Header::of(&record, id_name).context("line 1")?;
        let mut accounts = Self { columns: header.further_names(), by_client: HashMap::new() };
        while next(&mut record)? {
            let line = || line(record.position(), bytes);
            let (id, account) = header.account(&record).with_context(|| format!("line {}", line()))?;
            if accounts.by_client.insert(id.to_owned(), account).is_some() {
                let column = &header.names[header.id];
                bail!("line {}: {column} {id} is listed in an earlier line too; keep one of them", line());
            }
        }
        Ok(accounts)
    }

    /// Returns the names of all owners in alphabetical order.
    pub fn owners(&self) -> BTreeSet<&str> {
        self.by_client.values().filter_map(|account| account.owner.as_deref()).collect()
    }
}

/// Returns the content of a file.
fn contents(path: &Path) -> Result<Vec<u8>> {
    ensure!(fs::metadata(path)?.is_file(), "it is not a file; name a CSV file in the config key \"accounts_path\"");
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
    ensure!(bytes.len() as u64 <= LARGEST_FILE, "it has more than {LARGEST_FILE} bytes; remove columns or clients");
    Ok(bytes)
}

/// The error of a record, with its line.
fn described(error: csv::Error, bytes: &[u8]) -> Error {
    match error.kind() {
        ErrorKind::Utf8 { pos, .. } => {
            anyhow!("line {}: the text is not UTF-8; save the file as UTF-8", line(pos.as_ref(), bytes))
        }
        ErrorKind::UnequalLengths { pos, expected_len, len } => anyhow!(
            "line {}: {len} fields where the header has {expected_len}; put a text with a comma in double quotes",
            line(pos.as_ref(), bytes)
        ),
        _ => error.into(),
    }
}

/// The line of the record at a position, which may be that of blank lines before it.
fn line(position: Option<&Position>, bytes: &[u8]) -> usize {
    let (before, rest) = bytes.split_at(position.map_or(0, |position| position.byte() as usize).min(bytes.len()));
    let is_end = |byte: &&u8| matches!(byte, b'\r' | b'\n');
    let blank = rest.iter().take_while(is_end);
    1 + before.iter().chain(blank).filter(|byte| **byte == b'\n').count()
}

fn expected(id_name: &str) -> String {
    format!("expected the columns {id_name} (or id), and optionally owner, value and others, separated by commas")
}

/// Where the columns are in the file.
struct Header {
    names: Vec<String>,
    id: usize,
    owner: Option<usize>,
    value: Option<usize>,
}

impl Header {
    fn of(record: &StringRecord, id_name: &str) -> Result<Self> {
        let names: Vec<String> = record.iter().map(|name| name.trim().to_owned()).collect();
        ensure!(names.len() <= MOST_COLUMNS, "{} columns; expected at most {MOST_COLUMNS}", names.len());
        for (index, name) in names.iter().enumerate() {
            ensure!(!name.is_empty(), "column {} has no name; add one", index + 1);
            checked("a column's name", name)?;
            ensure!(!names[..index].contains(name), "column {name} occurs twice; keep one");
        }
        let position = |name: &str| names.iter().position(|found| found == name);
        let Some(id) = position(id_name).or_else(|| position("id")) else {
            bail!("column {id_name} is missing; {}", expected(id_name))
        };
        let other = |name| position(name).filter(|index| *index != id);
        Ok(Self { owner: other("owner"), value: other("value"), id, names })
    }

    /// The columns other than id, owner and value.
    fn further(&self) -> impl Iterator<Item = usize> {
        let known = [Some(self.id), self.owner, self.value];
        (0..self.names.len()).filter(move |index| !known.contains(&Some(*index)))
    }

    fn further_names(&self) -> Vec<String> {
        self.further().map(|index| self.names[index].clone()).collect()
    }

    /// The id and the account of a row.
    fn account<'r>(&self, record: &'r StringRecord) -> Result<(&'r str, Account)> {
        let text = |index: usize| -> Result<Option<&'r str>> {
            let text = checked(&self.names[index], &record[index])?;
            Ok((!is_missing(text.trim().as_bytes())).then_some(text))
        };
        let trimmed = |index: usize| Ok::<_, Error>(text(index)?.map(|text| text.trim().to_owned()));
        let id = text(self.id)?;
        let id =
            id.with_context(|| format!("{} is missing; add the client's id or remove the line", self.names[self.id]))?;
        let value = match self.value.map(text).transpose()?.flatten() {
            None => None,
            Some(value) => Some(amount(value).with_context(|| {
                format!("value is {value:?}; expected a number of at least 0, such as 1250.50, or nothing")
            })?),
        };
        let account = Account {
            owner: self.owner.map(trimmed).transpose()?.flatten(),
            value,
            further: self.further().map(|index| Ok(trimmed(index)?.unwrap_or_default())).collect::<Result<_>>()?,
        };
        Ok((id, account))
    }
}

/// Checks a field by the rules for texts of client tables.
fn checked<'a>(column: &str, field: &'a str) -> Result<&'a str> {
    check_text(column, field).map_err(Error::msg)
}

/// Parses what a client is worth; `None` if the text is not a finite number of at least 0.
fn amount(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|value: &f64| value.is_finite() && *value >= 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(owner: Option<&str>, value: Option<f64>, further: &[&str]) -> Account {
        Account {
            owner: owner.map(str::to_owned),
            value,
            further: further.iter().map(|text| (*text).to_owned()).collect(),
        }
    }

    #[test]
    fn columns_in_any_order_missing_values_quotes_and_line_ends() {
        let text = "\u{feff}segment,value, owner ,corporation,phone\r\nSMB,1250.5, Anna ,\"o'neil, ltd\",\"0 1\"\r\n\
                    NA,,NaN,b,\r\n\r\n ,0,n/a,c,<NA>";
        let accounts = Accounts::parse(text.as_bytes(), "corporation").unwrap();
        assert_eq!(accounts.columns, ["segment", "phone"]);
        let expected = [
            ("o'neil, ltd", account(Some("Anna"), Some(1250.5), &["SMB", "0 1"])),
            ("b", account(None, None, &["", ""])),
            ("c", account(None, Some(0.0), &["", ""])),
        ];
        assert_eq!(accounts.by_client, expected.map(|(id, account)| (id.to_owned(), account)).into());
        assert_eq!(accounts.owners().into_iter().collect::<Vec<_>>(), ["Anna"]);
    }

    #[test]
    fn the_id_has_the_name_of_the_schema_or_the_name_id() {
        let clients = |text: &str, id: &str| {
            let accounts = Accounts::parse(text.as_bytes(), id).unwrap();
            let mut clients: Vec<_> = accounts.by_client.into_keys().collect();
            clients.sort();
            (clients, accounts.columns)
        };
        assert_eq!(clients("id,owner\na,x\n", "customerID"), (vec!["a".to_owned()], vec![]));
        assert_eq!(clients("id,customerID\n7,a\n", "customerID"), (vec!["a".to_owned()], vec!["id".to_owned()]));
        assert_eq!(clients("owner,value\na,1\n", "owner"), (vec!["a".to_owned()], vec![]));
        assert_eq!(clients("corporation\n", "corporation"), (vec![], vec![]));
    }

    #[test]
    fn each_fault_names_the_file_the_line_the_column_and_what_to_do() {
        let long = format!("corporation,note\na,{}\n", "x".repeat(1001));
        let wide = (0..=MOST_COLUMNS).map(|index| format!("c{index}")).collect::<Vec<_>>().join(",");
        for (text, parts) in [
            (&b""[..], &["the file is empty", "corporation (or id)"][..]),
            (b"name,owner\na,b\n", &["line 1", "column corporation is missing", "expected the columns"]),
            (b"corporation;owner\na;b\n", &["line 1", "separated by commas"]),
            (b"corporation,owner,owner\n", &["line 1", "column owner occurs twice", "keep one"]),
            (b"corporation,,owner\n", &["line 1", "column 2 has no name"]),
            (wide.as_bytes(), &["line 1", "101 columns", "at most 100"]),
            (b"corporation,owner\na,b\n\na,c\n", &["line 4", "corporation a", "earlier line", "keep one"]),
            (b"corporation,owner\na,b,c\n", &["line 2", "3 fields where the header has 2", "double quotes"]),
            (b"corporation,value\na,1\nb,\"1,5\"\n", &["line 3", "value is \"1,5\"", "1250.50"]),
            (b"corporation,value\na,-1\n", &["line 2", "value is \"-1\"", "at least 0"]),
            (b"corporation,value\na,inf\n", &["line 2", "value is \"inf\""]),
            (b"corporation,owner\nNA,b\n", &["line 2", "corporation is missing"]),
            (b"corporation,owner\na,\xff\n", &["line 2", "not UTF-8", "save the file"]),
            (b"corporation,owner\na,\"b\nc,d\n", &["line 2", "owner holds a control character"]),
            (long.as_bytes(), &["line 2", "note holds a control character or is longer than 1000 bytes"]),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("accounts.csv");
            fs::write(&path, text).unwrap();
            let error = format!("{:#}", Accounts::read(&path, "corporation").unwrap_err());
            for part in ["reading accounts.csv"].iter().chain(parts) {
                assert!(error.contains(part), "{part} is not in {error}");
            }
            assert!(!error.contains(folder.path().to_str().unwrap()), "{error}");
        }
    }

    #[test]
    fn a_missing_file_and_a_folder_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let error = |path: &Path| format!("{:#}", Accounts::read(path, "corporation").unwrap_err());
        assert!(error(&folder.path().join("accounts.csv")).contains("reading accounts.csv: No such file"));
        assert!(error(folder.path()).contains("not a file"));
    }
}
