//! Tables: the widths of columns, and rows that never break across pages.

use charts::font::width;
use insight::{Cell, Table};

use super::structure::{Block, Leaf};
use super::wrap::wrap;
use super::{BODY, BOTTOM, Document, LEADING, MARGIN, NOTE, QUIET, SHADE, Shape, Style, WIDTH, Weight};

/// Sum of the spaces on opposite sides of a cell's text, in points.
const PADDING: f32 = 8.0;

/// Size of a box to tick in points.
const BOX: f32 = 11.0;

/// Tables with more rows use a smaller font size.
const MANY_ROWS: usize = 30;

/// How much room the cells of a table take.
#[derive(Clone, Copy, Debug)]
pub struct TableStyle {
    /// Font size in points.
    pub size: f32,
    /// Maximum number of lines in a cell, because a row must fit on a page; what is longer is cut off.
    pub most_lines: usize,
}

impl TableStyle {
    /// The style of a table with a few rows, or with many.
    pub fn of(table: &Table) -> Self {
        Self { size: if table.rows.len() > MANY_ROWS { 6.6 } else { 8.0 }, most_lines: 8 }
    }
}

impl Document {
    /// Adds a table, which may continue on further pages; its header is repeated on every page.
    pub fn table(&mut self, table: &Table, style: TableStyle) {
        let TableStyle { size, most_lines } = style;
        let header = Style { size, weight: Weight::Bold, color: QUIET };
        let body = Style { size, ..BODY };
        let titles: Vec<String> = table.columns.iter().map(|column| column.title.clone()).collect();
        let texts: Vec<Vec<String>> =
            table.rows.iter().map(|row| row.iter().map(|cell| cell.to_string()).collect()).collect();
        let widths = column_widths(&titles, header, &texts, body);
        let titles = Cells::new(&widths, &titles, header, most_lines);
        let rows: Vec<Cells> = texts.iter().map(|row| Cells::new(&widths, row, body, most_lines)).collect();
        let caption = match table.caption.as_str() {
            "" => Vec::new(),
            caption => wrap(caption, NOTE.weight, NOTE.size, WIDTH),
        };
        // The caption and the header stay with the first two rows.
        let first: f32 = rows.iter().take(2).map(Cells::height).sum();
        self.make_room(caption.len() as f32 * NOTE.size * LEADING + 4.0 + titles.height() + first);
        if !caption.is_empty() {
            let leaf = self.structure.leaf(Block::Paragraph);
            caption.iter().for_each(|line| self.line(leaf, line, NOTE, 0.0));
            self.y += 4.0;
        }
        let (header, leaves) = self.structure.table(widths.len(), rows.len());
        for (index, (row, leaves)) in rows.iter().zip(&leaves).enumerate() {
            let continues = self.y + row.height() > BOTTOM;
            if continues {
                self.page_break();
            }
            if continues || index == 0 {
                // A repeated header is read once.
                self.row(table, &widths, &titles, (index == 0).then_some(&header));
                self.area(MARGIN, self.y - 0.5, WIDTH, 0.5, QUIET);
            }
            if index % 2 == 0 {
                self.area(MARGIN, self.y, WIDTH, row.height(), SHADE);
            }
            self.boxes(&widths, &table.rows[index], leaves);
            self.row(table, &widths, row, Some(leaves));
        }
        self.y += 8.0;
    }

    fn row(&mut self, table: &Table, widths: &[f32], cells: &Cells, leaves: Option<&Vec<Leaf>>) {
        let Style { size, weight, .. } = cells.style;
        let mut left = MARGIN;
        for (j, ((column, room), lines)) in table.columns.iter().zip(widths).zip(&cells.lines).enumerate() {
            let leaf = leaves.map(|leaves| leaves[j]);
            for (number, text) in lines.iter().enumerate() {
                let y = self.y + 2.5 + size + number as f32 * size * LEADING;
                let x = match column.is_number {
                    true => left + room - PADDING / 2.0 - width(text, weight, size),
                    false => left + PADDING / 2.0,
                };
                self.add(leaf, Shape::Text { x, y, style: cells.style, text: text.clone() });
            }
            left += room;
        }
        self.y += cells.height();
    }

    /// Draws the boxes to tick of a row.
    fn boxes(&mut self, widths: &[f32], cells: &[Cell], leaves: &[Leaf]) {
        let mut x = MARGIN + PADDING / 2.0;
        for ((width, cell), leaf) in widths.iter().zip(cells).zip(leaves) {
            if *cell == Cell::Tick {
                self.add(Some(*leaf), Shape::Square { x, y: self.y + 3.0, size: BOX });
            }
            x += width;
        }
    }
}

/// Divides the page's width among the columns. Each column gets what its longest cell needs. If that is too much in all,
/// the wide columns share what the others leave, in the ratio of the roots of their needs: a column of sentences gets more
/// than one of long names, but not everything. If it is less than the page, the rest is distributed evenly.
fn column_widths(titles: &[String], header: Style, rows: &[Vec<String>], body: Style) -> Vec<f32> {
    let needed = |text: &str, style: Style| {
        let lines = text.split('\n').map(|line| width(line, style.weight, style.size));
        lines.fold(0.0, f32::max) + PADDING + 0.5 // rounding must not break a line that just fits
    };
    let natural: Vec<f32> = titles
        .iter()
        .enumerate()
        .map(|(j, title)| rows.iter().map(|row| needed(&row[j], body)).fold(needed(title, header), f32::max))
        .collect();
    let mut order: Vec<usize> = (0..natural.len()).collect();
    order.sort_by(|a, b| natural[*a].total_cmp(&natural[*b]));
    let mut widths = natural.clone();
    let mut left = WIDTH;
    for (done, j) in order.iter().enumerate() {
        let wide = &order[done..];
        if natural[*j] > left / wide.len() as f32 {
            let roots: f32 = wide.iter().map(|j| natural[*j].sqrt()).sum();
            wide.iter().for_each(|j| widths[*j] = left * natural[*j].sqrt() / roots);
            return widths;
        }
        left -= natural[*j];
    }
    widths.iter().map(|width| width + left / widths.len() as f32).collect()
}

/// The cells of a table row, broken into lines.
struct Cells {
    lines: Vec<Vec<String>>,
    style: Style,
}

impl Cells {
    fn new(widths: &[f32], texts: &[String], style: Style, most_lines: usize) -> Self {
        let fit = |(room, text): (&f32, &String)| {
            let mut lines = wrap(text, style.weight, style.size, room - PADDING);
            if lines.len() > most_lines {
                lines.truncate(most_lines - 1);
                lines.push("…".to_owned());
            }
            lines
        };
        Self { lines: widths.iter().zip(texts).map(fit).collect(), style }
    }

    fn height(&self) -> f32 {
        let lines = self.lines.iter().map(Vec::len).max().unwrap_or(0).max(1);
        lines as f32 * self.style.size * LEADING + 4.0
    }
}

#[cfg(test)]
mod tests {
    use super::super::INK;
    use super::*;

    #[test]
    fn columns_share_the_width_by_what_they_need() {
        let style = Style { size: 8.0, weight: Weight::Regular, color: INK };
        let widths = |cells: &[&str]| {
            let cells: Vec<String> = cells.iter().map(|cell| (*cell).to_owned()).collect();
            column_widths(&vec![String::new(); cells.len()], style, &[cells], style)
        };
        let few = widths(&["a", "some words"]);
        let long = "word ".repeat(100);
        let many = widths(&["a", &long, &long]);
        for widths in [&few, &many, &widths(&["a", &"name ".repeat(30), &long])] {
            assert!((widths.iter().sum::<f32>() - WIDTH).abs() < 0.1, "{widths:?}");
        }
        let sentences = widths(&["a", &"name ".repeat(30), &long]);
        assert!(sentences[2] > sentences[1] && sentences[1] > 0.3 * WIDTH, "{sentences:?}");
        assert!(few[0] < few[1] && many[0] < 15.0 && many[1] == many[2], "{few:?} {many:?}");
    }

    #[test]
    fn a_cell_that_would_fill_pages_is_cut() {
        let style = Style { size: 8.0, weight: Weight::Regular, color: INK };
        let cells = Cells::new(&[50.0], &["x".repeat(1000)], style, 8);
        assert_eq!((cells.lines[0].len(), cells.lines[0][7].as_str()), (8, "…"));
    }
}
