//! The parts of a report as data: what the PDF and the web pages have in common.

use std::fmt;

use crate::wording::{points, risk_in_table};

/// A part of the report with a title.
#[derive(Clone, Debug)]
pub struct Section {
    /// Short name, unique in a document; the anchor on a web page.
    pub id: &'static str,
    pub title: &'static str,
    /// The contents in their order.
    pub parts: Vec<Part>,
}

/// An element of a section.
#[derive(Clone, Debug)]
pub enum Part {
    /// A paragraph of running text.
    Text(String),
    /// A message that must not be overlooked.
    Warning(String),
    /// A remark in small print.
    Note(String),
    Table(Table),
    Figure {
        /// Description for readers who cannot see the drawing.
        label: &'static str,
        /// The drawing as SVG.
        svg: String,
        /// Share of the width of a page that it needs, from 0 to 1.
        share: f32,
    },
}

/// A table with one header row.
#[derive(Clone, Debug)]
pub struct Table {
    /// What the rows are.
    pub label: &'static str,
    /// Explanation of the columns; may be empty.
    pub caption: String,
    /// Titles and alignment of the columns.
    pub columns: Vec<Column>,
    /// The rows, with one cell per column.
    pub rows: Vec<Vec<Cell>>,
}

/// A column of a table.
#[derive(Clone, Debug)]
pub struct Column {
    /// Text in the header.
    pub title: String,
    /// Whether the cells are numbers, which are aligned to the right.
    pub is_number: bool,
}

/// A cell of a table. Its `Display` implementation gives its text.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// A text or a formatted number.
    Text(String),
    /// Sentences, each on a line of its own.
    Lines(Vec<String>),
    /// The id of a client, which identifies its row.
    Client(String),
    /// A probability of leaving.
    Risk(f64),
    /// A change of a risk; `None` if there is no earlier one.
    Change(Option<f64>),
    /// An empty box to tick with a pen.
    Tick,
}

impl Section {
    pub(crate) fn new(id: &'static str, title: &'static str) -> Self {
        Self { id, title, parts: Vec::new() }
    }
}

impl Table {
    /// A table without a caption. The columns are given as titles; those of numbers start with `#`.
    pub fn new(label: &'static str, columns: &[&str], rows: impl IntoIterator<Item = Vec<Cell>>) -> Self {
        let column = |title: &&str| {
            let number = title.strip_prefix('#');
            Column { title: number.unwrap_or(title).to_owned(), is_number: number.is_some() }
        };
        let columns = columns.iter().map(column).collect();
        Self { label, caption: String::new(), columns, rows: rows.into_iter().collect() }
    }

    /// A table whose cells are all plain texts.
    pub fn of_texts(label: &'static str, columns: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Self {
        Self::new(label, columns, rows.into_iter().map(|row| row.into_iter().map(Cell::Text).collect()))
    }

    /// The same table with an explanation of its columns.
    pub fn with_caption(self, caption: impl Into<String>) -> Self {
        Self { caption: caption.into(), ..self }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Text(text) | Self::Client(text) => f.write_str(text),
            Self::Lines(lines) => f.write_str(&lines.join("\n")),
            Self::Risk(risk) => f.write_str(&risk_in_table(*risk)),
            Self::Tick => Ok(()),
            Self::Change(None) => f.write_str("new"),
            Self::Change(Some(change)) => f.write_str(&points(*change)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_and_columns_are_texts_for_readers() {
        let lines = Cell::Lines(vec!["one.".to_owned(), "two.".to_owned()]);
        let cells =
            [Cell::Risk(0.123), Cell::Change(None), Cell::Change(Some(-0.01)), Cell::Client("a".to_owned()), lines];
        assert_eq!(cells.map(|cell| cell.to_string()), ["12.3 %", "new", "\u{2212}1.0", "a", "one.\ntwo."]);
        let table = Table::of_texts("names", &["Name", "#Rows"], [vec!["a".to_owned(), "1".to_owned()]]);
        assert_eq!(table.columns.iter().map(|column| column.is_number).collect::<Vec<_>>(), [false, true]);
        assert_eq!((table.columns[1].title.as_str(), &table.rows[0][1]), ("Rows", &Cell::Text("1".to_owned())));
    }
}
