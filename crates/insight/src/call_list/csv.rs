//! calllist.csv: all listed clients with every number behind their risk.

use std::io::Write;

use anyhow::{Context, Result};
use common::schema::free_name;
use common::values::{Value, write_csv_text};
use rayon::ThreadPoolBuilder;
use rayon::prelude::*;

use super::{Call, CallList};

/// Number of clients whose rows one task writes.
const BLOCK: usize = 1024;
/// Number of blocks per thread that are made before they are written.
const BLOCKS_PER_THREAD: usize = 4;
/// Typical length of a row, in bytes.
const ROW: usize = 600;

/// Writes the list as CSV, with so many threads: one row per client, highest risk first. Numbers have full precision;
/// missing ones are empty.
///
/// # Errors
/// Fails if `out` cannot be written.
pub fn write_csv(list: &CallList, threads: usize, out: &mut (impl Write + Send)) -> Result<()> {
    let pool = ThreadPoolBuilder::new().num_threads(threads).build().context("starting threads")?;
    out.write_all(&header(list))?;
    let averages = list.model.averages();
    let block = |calls: &[Call]| {
        let mut rows = Vec::with_capacity(calls.len() * ROW);
        calls.iter().for_each(|call| write_row(&mut rows, list, &averages, call));
        rows
    };
    // While some blocks are written, the next ones are made.
    let mut made: Vec<Vec<u8>> = Vec::new();
    for calls in list.calls.chunks(BLOCK * BLOCKS_PER_THREAD * threads) {
        let write = || made.iter().try_for_each(|rows| out.write_all(rows));
        let (written, next) = pool.install(|| rayon::join(write, || calls.par_chunks(BLOCK).map(block).collect()));
        written?;
        made = next;
    }
    Ok(made.iter().try_for_each(|rows| out.write_all(rows))?)
}

fn header(list: &CallList) -> Vec<u8> {
    let free = |name| free_name(name, |name| list.schema().predictor(name).is_some()).into_owned();
    let first = ["rank", "corporation", "call", "risk", "previous_risk", "change"].map(free);
    let names = || list.schema().predictors().iter().map(|predictor| predictor.name.clone());
    let shares = names().map(|predictor| format!("{predictor}_log_odds"));
    let names = first.into_iter().chain(names()).chain(shares).chain(["reasons", "what_would_help"].map(free));
    let mut header = Vec::new();
    for (column, name) in names.enumerate() {
        if column > 0 {
            header.push(b',');
        }
        write_csv_text(&mut header, &name);
    }
    header.push(b'\n');
    header
}

fn write_row(out: &mut Vec<u8>, list: &CallList, averages: &[Value], call: &Call) {
    let mut row = Row(out);
    row.text(&call.rank.to_string());
    row.text(&neutralised(&call.id));
    row.text(if call.today { "1" } else { "0" });
    row.number(Some(call.risk));
    row.number(call.previous_risk);
    row.number(call.change());
    for value in &call.predictors {
        match value {
            Some(Value::Level(level)) => row.text(&neutralised(level)),
            value => row.number(value.as_ref().and_then(Value::number)),
        }
    }
    let shares = list.shares_against(averages, call);
    shares.iter().for_each(|share| row.number(Some(share.log_odds)));
    row.text(&list.story(call).join(" "));
    row.last(&list.remedy_in_words(call));
}

/// A row that is being written.
struct Row<'o>(&'o mut Vec<u8>);

impl Row<'_> {
    fn text(&mut self, text: &str) {
        write_csv_text(self.0, text);
        self.0.push(b',');
    }

    fn number(&mut self, number: Option<f64>) {
        if let Some(number) = number {
            let _ = write!(self.0, "{number}"); // memory can always be written
        }
        self.0.push(b',');
    }

    fn last(&mut self, text: &str) {
        write_csv_text(self.0, text);
        self.0.push(b'\n');
    }
}

/// Makes a text safe for spreadsheets: a text that a spreadsheet could interpret as a formula gets a leading
/// apostrophe.
///
/// Spreadsheets ignore leading white space, control characters and invisible characters when they look for a formula,
/// and some accept full-width signs, so these are all considered here. A leading tab or line end would also move the
/// text into another cell (OWASP, CSV injection).
pub fn neutralised(text: &str) -> String {
    let first = text.trim_start_matches(is_invisible).chars().next();
    let is_formula = first.is_some_and(|first| "=+-@\u{ff1d}\u{ff0b}\u{ff0d}\u{ff20}".contains(first));
    match is_formula || text.starts_with(char::is_control) {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
}

/// Whether a character is white space, a control character, or has no width: soft hyphens, joiners, direction marks and
/// byte order marks.
fn is_invisible(character: char) -> bool {
    let no_width = matches!(
        character,
        '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    );
    no_width || character.is_whitespace() || character.is_control()
}
