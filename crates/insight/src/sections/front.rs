//! The first page of the report, for client managers: whom to call today and why, what has changed, and how old it is.

use history::Operation;
use jiff::civil::Date;

use super::calls;
use crate::agenda::{Agenda, Entry};
use crate::changes::{Changes, day};
use crate::evidence::Evidence;
use crate::section::{Cell, Part, Section, Table};
use crate::wording::{NOT_CHECKED, capitalised, check_in_short, count, grouped, minutes};

/// Number of calls on the first page.
const FIRST: usize = 15;

/// Maximum number of calls in the report; calllist.csv contains all of them.
const MOST: usize = 100;

/// Maximum number of further columns of an account that are shown.
const MOST_FURTHER: usize = 2;

/// The sections of the first page on a day: the first calls, and the changes since the list before.
pub fn front(evidence: &Evidence, agenda: &Agenda, changes: Option<&Changes>, today: Date) -> Vec<Section> {
    let mut section = Section::new(calls::ID, calls::TITLE);
    section.parts.push(Part::Note(status(evidence, today)));
    section.parts.extend(calls::introduction(agenda));
    let entries: Vec<&Entry> = agenda.today().collect();
    let shown = entries.len().min(FIRST);
    if shown > 0 {
        section.parts.push(Part::Table(table(agenda, &entries[..shown])));
    }
    if entries.len() > shown {
        let others = count((entries.len() - shown) as u64, "other call");
        section.parts.push(Part::Note(format!("{others}: at the end of this report and in calllist.csv.")));
    }
    let changes = changes.map(|changes| Section {
        parts: changes.sentences().into_iter().map(Part::Note).collect(),
        ..Section::new("changes", "What has changed")
    });
    [section].into_iter().chain(changes).collect()
}

/// Today's calls that are not on the first page; `None` if there are no others.
pub fn other_calls(agenda: &Agenda) -> Option<Section> {
    let entries: Vec<&Entry> = agenda.today().collect();
    let others = entries.get(FIRST..entries.len().min(MOST)).filter(|others| !others.is_empty())?;
    let mut section = Section::new("other-calls", "Today's other calls");
    section.parts.push(Part::Table(table(agenda, others)));
    if entries.len() > MOST {
        let more = grouped((entries.len() - MOST) as u64);
        section
            .parts
            .push(Part::Note(format!("{more} more calls are in calllist.csv and on the service's page of calls.")));
    }
    Some(section)
}

/// The age of the data and the newest check, in one line.
fn status(evidence: &Evidence, today: Date) -> String {
    let compiled = evidence.past.timings.iter().rfind(|row| row.operation == Operation::Ingestion);
    let compiled = match compiled {
        Some(row) => format!("Data compiled {}.", when(&row.started, today)),
        None => "It is unknown when the data were compiled.".to_owned(),
    };
    let checks = evidence.checks_of_live();
    let check = match checks.last() {
        Some(check) => {
            format!("Model checked on new files {}: {}.", when(&check.started, today), check_in_short(check))
        }
        None => {
            let live = day(evidence.release.manifest.created).strftime("%-d %B %Y").to_string();
            format!("Model live since {live}; {NOT_CHECKED}.")
        }
    };
    format!("{compiled} {check}")
}

/// A time of the history, and how many days ago it was.
fn when(time: &str, today: Date) -> String {
    let at = minutes(time);
    let Ok(then) = time.parse().map(day) else { return at };
    match (today - then).get_days() {
        ..=0 => format!("today at {} UTC", at.get(11..).unwrap_or(&at)),
        1 => format!("yesterday at {} UTC", at.get(11..).unwrap_or(&at)),
        days => format!("{days} days ago, on {}", then.strftime("%-d %B %Y")),
    }
}

fn table(agenda: &Agenda, entries: &[&Entry]) -> Table {
    let has_accounts = agenda.accounts.is_some();
    let mut columns = vec!["#Rank", "", "#Risk", "Why, and what would help"];
    columns.extend(has_accounts.then_some("Account"));
    columns.push("Called");
    let mut table = Table::new("Today's calls", &columns, entries.iter().map(|entry| row(agenda, entry)));
    table.columns[1].title = capitalised(agenda.list.schema().id());
    table
}

fn row(agenda: &Agenda, entry: &Entry) -> Vec<Cell> {
    let call = agenda.call(entry);
    let mut row = vec![
        Cell::Text(grouped(entry.rank as u64)),
        Cell::Client(call.id.clone()),
        Cell::Risk(call.risk),
        Cell::Lines(agenda.list.story(call)),
    ];
    row.extend(agenda.accounts.is_some().then(|| Cell::Lines(account(agenda, entry))));
    row.push(Cell::Tick);
    row
}

/// The account of a client: who looks after it, and the first other values, such as a telephone number.
fn account(agenda: &Agenda, entry: &Entry) -> Vec<String> {
    let Some(account) = agenda.account(entry) else { return vec!["no account".to_owned()] };
    let further: Vec<&str> = account.further.iter().map(String::as_str).filter(|value| !value.is_empty()).collect();
    let further = further[..further.len().min(MOST_FURTHER)].join(", ");
    account.owner.iter().cloned().chain((!further.is_empty()).then_some(further)).collect()
}
