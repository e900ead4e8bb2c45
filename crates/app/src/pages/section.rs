//! Sections and tables as HTML. `insight` words them.

use common::config::Threshold;
use insight::{Cell, Part, Section, Table};
use maud::{Markup, html};

use super::layout::{change, chart, client_link, risk};

/// Tables with more rows are hidden until they are opened.
const MOST_ROWS: usize = 30;

/// A table with more columns becomes cards already on a screen of medium width.
const MOST_COLUMNS: usize = 6;

/// A section with its heading.
pub fn section(section: &Section, threshold: Threshold) -> Markup {
    let title = format!("{}-title", section.id);
    html! {
        section id=(section.id) aria-labelledby=(title) {
            h2 id=(title) { (section.title) }
            @for parts in section.parts.chunk_by(|a, b| is_figure(a) && is_figure(b)) {
                @if is_figure(&parts[0]) && parts.len() > 1 { div.charts { @for part in parts { (self::part(part, threshold)) } } }
                @else { @for part in parts { (self::part(part, threshold)) } }
            }
        }
    }
}

fn is_figure(part: &Part) -> bool {
    matches!(part, Part::Figure { .. })
}

/// An element of a section.
pub fn part(part: &Part, threshold: Threshold) -> Markup {
    match part {
        Part::Text(text) => html! { p { (text) } },
        Part::Note(text) => html! { p.note { (text) } },
        Part::Warning(text) => html! { p.warning { (text) } },
        Part::Figure { label, svg, .. } => chart(label, svg),
        Part::Table(table) if table.rows.len() > MOST_ROWS => html! {
            details { summary { (table.label) ": " (table.rows.len()) } (self::table(table, threshold)) }
        },
        Part::Table(table) => self::table(table, threshold),
    }
}

/// A table, which becomes a list of cards on a narrow screen. Should it still be wider than the screen, it scrolls by
/// itself, also with the keyboard.
///
/// The roles are explicit, because a table that is laid out as cards would lose them.
pub fn table(table: &Table, threshold: Threshold) -> Markup {
    let number = |column: usize| table.columns.get(column).is_some_and(|column| column.is_number).then_some("number");
    html! {
        div.wide role="group" aria-label=(table.label) tabindex="0" {
            table.cards.broad[table.columns.len() > MOST_COLUMNS] role="table" {
                @if !table.caption.is_empty() { caption { (table.caption) } }
                thead role="rowgroup" { tr role="row" {
                    @for (j, column) in table.columns.iter().enumerate() {
                        th scope="col" role="columnheader" class=[number(j)] { (column.title) }
                    }
                } }
                tbody role="rowgroup" { @for row in &table.rows { tr role="row" {
                    @let head = row.iter().position(|cell| matches!(cell, Cell::Client(_))).unwrap_or(0);
                    @for (j, (cell, column)) in row.iter().zip(&table.columns).enumerate() {
                        @if j == head { th scope="row" role="rowheader" class=[number(j)] { (self::cell(cell, threshold)) } }
                        @else { td role="cell" class=[number(j)] data-label=(column.title) { (self::cell(cell, threshold)) } }
                    }
                } } }
            }
        }
    }
}

fn cell(cell: &Cell, threshold: Threshold) -> Markup {
    match cell {
        Cell::Text(text) => html! { (text) },
        Cell::Lines(lines) => html! { ul { @for line in lines { li { (line) } } } },
        Cell::Client(id) => client_link(id),
        Cell::Risk(probability) => risk(*probability, threshold),
        Cell::Change(difference) => change(*difference),
        Cell::Tick => html! {},
    }
}
