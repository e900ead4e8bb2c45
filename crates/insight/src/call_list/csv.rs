//! calllist.csv: the clients of an agenda with every number behind their risk, their accounts and the last calls.

use std::io::Write;

use anyhow::{Context, Result};
use common::schema::free_name;
use common::values::{Value, write_csv_text};
use rayon::ThreadPoolBuilder;
use rayon::prelude::*;

use crate::agenda::{Agenda, Entry, Turn};

/// Number of clients whose rows one task writes.
const BLOCK: usize = 1024;
/// Number of blocks per thread that are made before they are written.
const BLOCKS_PER_THREAD: usize = 4;
/// Typical length of a row, in bytes.
const ROW: usize = 600;

/// The columns before those of the predictors.
const FIRST: [&str; 6] = ["rank", "corporation", "call", "risk", "previous_risk", "change"];
/// The columns after those of the predictors; the further columns of the accounts follow.
const LAST: [&str; 11] = [
    "reasons",
    "what_would_help",
    "owner",
    "value",
    "value_at_risk",
    "turn",
    "paused_until",
    "last_call",
    "last_outcome",
    "last_caller",
    "last_note",
];

/// Writes some entries of an agenda as CSV, with so many threads: one row per client. Numbers have full precision;
/// missing ones are empty.
///
/// # Errors
/// Fails if `out` cannot be written.
pub fn write_csv(agenda: &Agenda, entries: &[Entry], threads: usize, out: &mut (impl Write + Send)) -> Result<()> {
    let pool = ThreadPoolBuilder::new().num_threads(threads).build().context("starting threads")?;
    out.write_all(&header(agenda))?;
    let averages = agenda.list.model.averages();
    let block = |entries: &[Entry]| {
        let mut rows = Vec::with_capacity(entries.len() * ROW);
        entries.iter().for_each(|entry| write_row(&mut rows, agenda, &averages, entry));
        rows
    };
    // While some blocks are written, the next ones are made.
    let mut made: Vec<Vec<u8>> = Vec::new();
    for entries in entries.chunks(BLOCK * BLOCKS_PER_THREAD * threads) {
        let write = || made.iter().try_for_each(|rows| out.write_all(rows));
        let (written, next) = pool.install(|| rayon::join(write, || entries.par_chunks(BLOCK).map(block).collect()));
        written?;
        made = next;
    }
    Ok(made.iter().try_for_each(|rows| out.write_all(rows))?)
}

fn header(agenda: &Agenda) -> Vec<u8> {
    let predictors = || agenda.list.schema().predictors().iter().map(|predictor| predictor.name.clone());
    let shares = predictors().map(|predictor| format!("{predictor}_log_odds"));
    let further = agenda.accounts.iter().flat_map(|accounts| accounts.columns.iter().map(String::as_str));
    let is_predictor = |name: &str| agenda.list.schema().predictor(name).is_some();
    let free = |name: &str| free_name(name, is_predictor).into_owned();
    let mut names: Vec<String> = FIRST.into_iter().map(free).chain(predictors()).chain(shares).collect();
    for name in LAST.into_iter().chain(further) {
        let free = free_name(name, |name| names.iter().any(|taken| taken == name)).into_owned();
        names.push(free);
    }
    let mut header = Vec::new();
    let mut row = Row::new(&mut header);
    names.iter().for_each(|name| row.text(name));
    row.end();
    header
}

fn write_row(out: &mut Vec<u8>, agenda: &Agenda, averages: &[Value], entry: &Entry) {
    let (list, call) = (&agenda.list, agenda.call(entry));
    let mut row = Row::new(out);
    row.text(&entry.rank.to_string());
    row.text(&neutralised(&call.id));
    row.text(if entry.turn == Turn::Today { "1" } else { "0" });
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
    row.text(&list.remedy_in_words(call));
    let account = agenda.account(entry);
    row.text(&neutralised(account.and_then(|account| account.owner.as_deref()).unwrap_or_default()));
    row.number(account.and_then(|account| account.value));
    row.number(agenda.value_at_risk(entry));
    row.text(entry.turn.as_str());
    row.text(&entry.turn.paused_until().map_or_else(String::new, |until| until.to_string()));
    match agenda.last_contact(entry) {
        None => (0..4).for_each(|_| row.text("")),
        Some(last) => {
            row.text(&last.at.to_string());
            row.text(last.outcome.as_str());
            row.text(&neutralised(&last.by));
            row.text(&neutralised(&last.note));
        }
    }
    let further = agenda.accounts.as_ref().map_or(0, |accounts| accounts.columns.len());
    for column in 0..further {
        row.text(&neutralised(account.map_or("", |account| account.further[column].as_str())));
    }
    row.end();
}

/// A row that is being written.
struct Row<'o> {
    out: &'o mut Vec<u8>,
    is_empty: bool,
}

impl<'o> Row<'o> {
    fn new(out: &'o mut Vec<u8>) -> Self {
        Self { out, is_empty: true }
    }

    fn text(&mut self, text: &str) {
        self.separate();
        write_csv_text(self.out, text);
    }

    fn number(&mut self, number: Option<f64>) {
        self.separate();
        if let Some(number) = number {
            let _ = write!(self.out, "{number}"); // memory can always be written
        }
    }

    fn separate(&mut self) {
        if !std::mem::take(&mut self.is_empty) {
            self.out.push(b',');
        }
    }

    fn end(self) {
        self.out.push(b'\n');
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
