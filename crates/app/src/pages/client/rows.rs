//! The rows of a client: their risks as a chart, and their values as a table.

use common::schema::{Kind, Predictor};
use common::values::Value;
use insight::wording::{grouped, label_with_unit, number, number_if_known};
use insight::{Call, CallList, Cell, Column, Table};
use maud::{Markup, html};

use crate::live::LiveModel;
use crate::pages::layout::chart;
use crate::pages::section::table;
use crate::problem::Problem;
use crate::views::ScoredRow;

/// Maximum number of rows in the table; the newest ones are shown.
const ROWS_SHOWN: usize = 200;

/// Maximum number of predictors in the table of the rows.
const MOST_COLUMNS: usize = 6;

/// Number of rows in the table of all predictors.
const NEWEST: usize = 3;

/// Maximum length of a number that is shown as it is.
const LONGEST_NUMBER: usize = 10;

/// The rows, oldest first; `files` names the file of each, if it is known.
pub fn section(
    live: &LiveModel,
    rows: &[ScoredRow],
    files: Option<&[String]>,
    list: &CallList,
    call: &Call,
) -> Result<Markup, Problem> {
    let labels: Vec<String> = (0..rows.len()).map(|row| label(row, rows.len(), files)).collect();
    let risks: Vec<(String, f64)> = labels.iter().cloned().zip(rows.iter().map(|row| row.risk)).collect();
    let svg = charts::client_risks(&risks, live.threshold.value());
    let svg = svg.map_err(|error| Problem::not_ready("the chart failed", &error))?;
    let rows = Rows { live, rows, labels: &labels, has_files: files.is_some() };
    let strongest: Vec<String> = list.reasons(call).map(|reason| reason.predictor).collect();
    Ok(html! {
        section aria-labelledby="rows-title" {
            h2 id="rows-title" { "The client's rows" }
            @if let Some(svg) = &svg { (chart("Risk of leaving, row by row", svg)) }
            (rows.tables(&strongest))
        }
    })
}

/// The name of a row: its file, or else its position from the newest one.
fn label(row: usize, rows: usize, files: Option<&[String]>) -> String {
    match (files.and_then(|files| files.get(row)), rows - row - 1) {
        (Some(file), _) => file.clone(),
        (None, 0) => "newest".to_owned(),
        (None, 1) => "1 row earlier".to_owned(),
        (None, earlier) => format!("{} rows earlier", grouped(earlier as u64)),
    }
}

/// A client's rows, oldest first.
struct Rows<'r> {
    live: &'r LiveModel,
    rows: &'r [ScoredRow],
    labels: &'r [String],
    has_files: bool,
}

impl Rows<'_> {
    /// The rows with all predictors. If there are many, the rows with those that have the strongest effect on the client's
    /// risk, and the newest rows with all of them; `strongest` names all predictors, the strongest first.
    fn tables(&self, strongest: &[String]) -> Markup {
        let predictors = self.live.model.schema.predictors();
        let threshold = self.live.threshold;
        if predictors.len() <= MOST_COLUMNS {
            let all: Vec<usize> = (0..predictors.len()).collect();
            return table(&self.table(&all, ""), threshold);
        }
        let strongest = &strongest[..MOST_COLUMNS];
        let some: Vec<usize> = (0..predictors.len()).filter(|j| strongest.contains(&predictors[*j].name)).collect();
        let note = format!(
            " Of {} columns, the {MOST_COLUMNS} with the strongest effect on this client's risk.",
            predictors.len()
        );
        html! {
            (table(&self.table(&some, &note), threshold))
            details {
                summary { "All " (predictors.len()) " columns" }
                (table(&self.all_columns(), threshold))
            }
        }
    }

    /// The rows, newest first, with some of the predictors; `note` follows the explanation.
    fn table(&self, predictors: &[usize], note: &str) -> Table {
        let column = |title: &str, is_number| Column { title: title.to_owned(), is_number };
        let of_predictor = |j: &usize| {
            let predictor = &self.live.model.schema.predictors()[*j];
            column(&label_with_unit(predictor), !predictor.is_category())
        };
        let first = column(if self.has_files { "File" } else { "Row" }, false);
        let columns = [first].into_iter().chain(predictors.iter().map(of_predictor));
        let columns = columns.chain([column("Left", false), column("Risk", true)]).collect();
        let cells = self.rows.iter().zip(self.labels).rev().take(ROWS_SHOWN).map(|(row, label)| {
            let exited = row.exited.map_or("unknown", |exited| if exited { "yes" } else { "no" });
            let values = [label.clone()].into_iter().chain(predictors.iter().map(|j| self.value(row, *j)));
            values.chain([exited.to_owned()]).map(Cell::Text).chain([Cell::Risk(row.risk)]).collect()
        });
        let cells = cells.collect();
        let all = self.rows.len();
        let caption = match all {
            1 => "The risk is that of the live model.".to_owned(),
            2..=ROWS_SHOWN => "Newest first. All risks are those of the live model.".to_owned(),
            _ => format!(
                "Newest first. All risks are those of the live model. The newest {ROWS_SHOWN} of {} rows are shown.",
                grouped(all as u64)
            ),
        };
        Table { label: "Rows of the client", caption: caption + note, columns, rows: cells }
    }

    /// The newest rows as columns, with one line for each predictor.
    fn all_columns(&self) -> Table {
        let newest: Vec<(&ScoredRow, &String)> = self.rows.iter().zip(self.labels).rev().take(NEWEST).collect();
        let titles = newest.iter().map(|(_, label)| Column { title: (*label).clone(), is_number: true });
        let first = Column { title: "Column".to_owned(), is_number: false };
        let lines = self.live.model.schema.predictors().iter().enumerate().map(|(j, predictor)| {
            let values = newest.iter().map(|(row, _)| self.value(row, j));
            [label_with_unit(predictor)].into_iter().chain(values).map(Cell::Text).collect()
        });
        let rows = lines.collect();
        let columns = [first].into_iter().chain(titles).collect();
        Table { label: "All columns of the newest rows", caption: "Newest row first.".to_owned(), columns, rows }
    }

    fn value(&self, row: &ScoredRow, j: usize) -> String {
        let predictor = &self.live.model.schema.predictors()[j];
        row.predictors[j].as_ref().map_or_else(|| number_if_known(None), |value| in_table(predictor, value))
    }
}

/// A value as it is in the data, if it is a text or a number of few characters.
fn in_table(predictor: &Predictor, value: &Value) -> String {
    match value {
        Value::Level(level) => level.clone(),
        Value::Number(count) if predictor.kind == Kind::Count => number(*count),
        Value::Number(other) => {
            let text = other.to_string();
            if text.len() <= LONGEST_NUMBER { text } else { number(*other) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_the_name_of_its_file_or_its_age() {
        let files = ["a.csv".to_owned(), "b.csv".to_owned()];
        assert_eq!([0, 1].map(|row| label(row, 2, Some(&files))), ["a.csv", "b.csv"]);
        assert_eq!([0, 1, 2].map(|row| label(row, 3, None)), ["2 rows earlier", "1 row earlier", "newest"]);
    }
}
