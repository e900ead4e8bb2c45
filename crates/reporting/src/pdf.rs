//! A PDF document that flows from top to bottom over A4 pages: headings, paragraphs, tables and figures. This module is
//! independent of the reports' contents. All text is selectable and uses the embedded font; the shapes of SVG figures
//! remain vectors. The file contains no clock time and no random number, so the same calls give the same bytes.

mod emit;
mod font;

use anyhow::{Context, Result};
use usvg::Tree;

use self::font::{Weight, width, wrap};

/// Width and height of an A4 page in points.
const PAGE: (f32, f32) = (595.0, 842.0);
const MARGIN: f32 = 48.0;
const WIDTH: f32 = PAGE.0 - 2.0 * MARGIN;
const BOTTOM: f32 = PAGE.1 - MARGIN - 12.0; // the footer is below this line

const INK: Color = Color(34, 34, 34);
const QUIET: Color = Color(96, 96, 96);
const HEADING: Color = Color(24, 52, 84);
const HAIRLINE: Color = Color(200, 204, 208);
const SHADE: Color = Color(243, 245, 247);

/// Properties that all pages share.
pub struct Properties {
    /// Title in the metadata of the file.
    pub title: String,
    /// Text on the left of every footer; the page number is on the right.
    pub footer: String,
}

/// Alignment of a column's cells: left for texts, right for numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

/// A column of a table.
#[derive(Clone, Debug)]
pub struct Column {
    /// Text in the table's header.
    pub title: String,
    /// Alignment of the cells.
    pub align: Align,
    /// Share of the table's width, from 0 to 1.
    pub width: f32,
}

impl Column {
    /// A left-aligned column, for texts.
    pub fn left(title: &str, width: f32) -> Self {
        Self { title: title.to_owned(), align: Align::Left, width }
    }

    /// A right-aligned column, for numbers.
    pub fn right(title: &str, width: f32) -> Self {
        Self { title: title.to_owned(), align: Align::Right, width }
    }
}

/// A table over the whole width of the page; its header is repeated on every page.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// The columns, whose widths add up to 1.
    pub columns: Vec<Column>,
    /// The rows, with one text per column.
    pub rows: Vec<Vec<String>>,
    /// Whether to use a smaller font size.
    pub small: bool,
}

/// A PDF that is being built.
pub struct Document {
    properties: Properties,
    pages: Vec<Vec<Watermark>>,
    /// Vertical position of the next element, in points from the top.
    y: f32,
    headings: Vec<Heading>,
    /// The last element if it is a headline: if the next element does not fit on the page, the headline moves to the
    /// next page with it.
    loose: Option<Loose>,
}

/// A headline that is the last element of a page so far.
struct Loose {
    /// Index of its first mark on the page, and its upper edge.
    first: usize,
    top: f32,
    /// Lower edge of the headline.
    bottom: f32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Color(u8, u8, u8);

/// An element on a page; coordinates in points from the upper left corner, those of a text at its baseline.
enum Watermark {
    Text { x: f32, y: f32, size: f32, weight: Weight, color: Color, text: String },
    Area { x: f32, y: f32, width: f32, height: f32, color: Color },
    Figure { x: f32, y: f32, width: f32, height: f32, tree: Box<Tree> },
}

/// An entry of the PDF outline.
struct Heading {
    text: String,
    page: usize,
    y: f32,
}

/// Font size, weight and colour of a text.
#[derive(Clone, Copy)]
struct Style {
    size: f32,
    weight: Weight,
    color: Color,
}

impl Document {
    /// Creates an empty document.
    ///
    /// # Errors
    /// Returns an error if the embedded font cannot be read.
    pub fn new(properties: Properties) -> Result<Self> {
        font::check()?;
        Ok(Self { properties, pages: vec![Vec::new()], y: MARGIN, headings: Vec::new(), loose: None })
    }

    /// Adds the title of a part.
    pub fn title(&mut self, text: &str) {
        self.headline(text, Style { size: 17.0, weight: Weight::Bold, color: HEADING }, 6.0);
    }

    /// Adds the heading of a section; it stays on the same page as the next element.
    pub fn heading(&mut self, text: &str) {
        self.y += if self.y > MARGIN { 14.0 } else { 0.0 };
        self.headline(text, Style { size: 12.0, weight: Weight::Bold, color: HEADING }, 3.0);
    }

    /// Adds a paragraph of running text.
    pub fn paragraph(&mut self, text: &str) {
        self.text(text, Style { size: 9.5, weight: Weight::Regular, color: INK }, 0.0);
        self.y += 5.0;
    }

    /// Adds a remark in a small font size.
    pub fn note(&mut self, text: &str) {
        self.text(text, Style { size: 7.5, weight: Weight::Regular, color: QUIET }, 0.0);
        self.y += 4.0;
    }

    /// Adds an important message: a shaded box with a dark bar.
    pub fn warning(&mut self, text: &str) {
        let style = Style { size: 9.5, weight: Weight::Bold, color: INK };
        let lines = wrap(text, style.weight, style.size, WIDTH - 24.0);
        let height = lines.len() as f32 * style.size * LEADING + 10.0;
        self.make_room(height);
        self.area(MARGIN, self.y, WIDTH, height, SHADE);
        self.area(MARGIN, self.y, 4.0, height, INK);
        self.y += 5.0;
        for line in lines {
            self.line(&line, style, 14.0);
        }
        self.y += 11.0;
    }

    /// Adds a table, which may continue on further pages.
    pub fn table(&mut self, table: &Table) {
        let size = if table.small { 6.6 } else { 8.0 };
        let titles: Vec<String> = table.columns.iter().map(|column| column.title.clone()).collect();
        let header = Style { size, weight: Weight::Bold, color: QUIET };
        let body = Style { size, weight: Weight::Regular, color: INK };
        let titles = Cells::new(&table.columns, &titles, header);
        let rows: Vec<Cells> = table.rows.iter().map(|row| Cells::new(&table.columns, row, body)).collect();
        self.make_room(titles.height() + rows.first().map_or(0.0, Cells::height));
        self.row(&table.columns, &titles, false);
        for (place, row) in rows.iter().enumerate() {
            if self.y + row.height() > BOTTOM {
                self.page_break();
                self.row(&table.columns, &titles, false);
            }
            self.row(&table.columns, row, place % 2 == 0);
        }
        self.y += 8.0;
    }

    /// Adds a centred drawing that takes `share` of the width.
    ///
    /// # Errors
    /// Returns an error if the text is not a valid SVG.
    pub fn figure(&mut self, drawing: &str, share: f32) -> Result<()> {
        self.side_by_side(&[drawing], share * WIDTH)
    }

    /// Adds drawings side by side, which share the page's width equally; each keeps its own aspect ratio.
    ///
    /// # Errors
    /// Returns an error if a text is not a valid SVG.
    pub fn figures(&mut self, drawings: &[&str]) -> Result<()> {
        self.side_by_side(drawings, WIDTH)
    }

    fn side_by_side(&mut self, drawings: &[&str], room: f32) -> Result<()> {
        const GAP: f32 = 12.0;
        let count = drawings.len().max(1) as f32;
        let width = (room - GAP * (count - 1.0)) / count;
        let left = MARGIN + (WIDTH - room) / 2.0;
        let trees =
            drawings.iter().map(|svg| font::tree(svg)).collect::<Result<Vec<_>>>().context("reading a figure")?;
        let height = |tree: &Tree| width * tree.size().height() / tree.size().width();
        let highest = trees.iter().map(height).fold(0.0, f32::max);
        self.make_room(highest);
        for (place, tree) in trees.into_iter().enumerate() {
            let (x, y, height) = (left + place as f32 * (width + GAP), self.y, height(&tree));
            self.mark(Watermark::Figure { x, y, width, height, tree: Box::new(tree) });
        }
        self.y += highest + 8.0;
        Ok(())
    }

    /// Continues at the top of a new page.
    pub fn page_break(&mut self) {
        self.pages.push(Vec::new());
        self.y = MARGIN;
    }

    /// Completes the document and returns the contents of the file.
    ///
    /// # Errors
    /// Returns an error if the PDF cannot be written.
    pub fn finish(mut self) -> Result<Vec<u8>> {
        let count = self.pages.len();
        let style = Style { size: 7.5, weight: Weight::Regular, color: QUIET };
        for (place, page) in self.pages.iter_mut().enumerate() {
            let y = PAGE.1 - MARGIN + 12.0;
            let number = format!("page {} of {count}", place + 1);
            let right = PAGE.0 - MARGIN - width(&number, style.weight, style.size);
            page.push(Watermark::Area { x: MARGIN, y: y - 12.0, width: WIDTH, height: 0.5, color: HAIRLINE });
            for (x, text) in [(MARGIN, self.properties.footer.clone()), (right, number)] {
                page.push(Watermark::Text { x, y, size: style.size, weight: style.weight, color: style.color, text });
            }
        }
        emit::pdf(&self)
    }

    fn headline(&mut self, text: &str, style: Style, below: f32) {
        const FOLLOWS: f32 = 30.0;
        let lines = wrap(text, style.weight, style.size, WIDTH);
        self.make_room(lines.len() as f32 * style.size * LEADING + FOLLOWS);
        self.headings.push(Heading { text: text.to_owned(), page: self.pages.len() - 1, y: self.y });
        let (first, top) = (self.pages.last().map_or(0, Vec::len), self.y);
        for line in lines {
            self.line(&line, style, 0.0);
        }
        self.y += below;
        self.loose = Some(Loose { first, top, bottom: self.y });
    }

    fn text(&mut self, text: &str, style: Style, indent: f32) {
        for line in wrap(text, style.weight, style.size, WIDTH - indent) {
            self.make_room(style.size * LEADING);
            self.line(&line, style, indent);
        }
    }

    /// Adds one line of text at the current vertical position.
    fn line(&mut self, text: &str, style: Style, indent: f32) {
        let Style { size, weight, color } = style;
        let (x, y) = (MARGIN + indent, self.y + size);
        self.mark(Watermark::Text { x, y, size, weight, color, text: text.to_owned() });
        self.y += size * LEADING;
    }

    fn row(&mut self, columns: &[Column], cells: &Cells, shaded: bool) {
        let height = cells.height();
        if shaded {
            self.area(MARGIN, self.y, WIDTH, height, SHADE);
        }
        let Style { size, weight, color } = cells.style;
        let mut left = MARGIN;
        for (column, lines) in columns.iter().zip(&cells.lines) {
            let room = column.width * WIDTH;
            for (number, text) in lines.iter().enumerate() {
                let y = self.y + PADDING / 2.0 + size + number as f32 * size * LEADING;
                let x = match column.align {
                    Align::Left => left + PADDING / 2.0,
                    Align::Right => left + room - PADDING / 2.0 - width(text, weight, size),
                };
                self.mark(Watermark::Text { x, y, size, weight, color, text: text.clone() });
            }
            left += room;
        }
        self.y += height;
        if !shaded && weight == Weight::Bold {
            self.area(MARGIN, self.y - 0.5, WIDTH, 0.5, QUIET);
        }
    }

    fn make_room(&mut self, height: f32) {
        if self.y + height <= BOTTOM || self.y <= MARGIN {
            return;
        }
        let loose = self.loose.take().filter(|loose| loose.bottom == self.y && loose.top > MARGIN);
        let moved = match (&loose, self.pages.last_mut()) {
            (Some(loose), Some(page)) => page.split_off(loose.first),
            _ => Vec::new(),
        };
        self.page_break();
        let Some(loose) = loose else { return };
        for mut mark in moved {
            let (Watermark::Text { y, .. } | Watermark::Area { y, .. } | Watermark::Figure { y, .. }) = &mut mark;
            *y += MARGIN - loose.top;
            self.mark(mark);
        }
        self.y += loose.bottom - loose.top;
        if let Some(heading) = self.headings.last_mut() {
            (heading.page, heading.y) = (self.pages.len() - 1, MARGIN);
        }
    }

    fn area(&mut self, x: f32, y: f32, width: f32, height: f32, color: Color) {
        self.mark(Watermark::Area { x, y, width, height, color });
    }

    fn mark(&mut self, mark: Watermark) {
        if let Some(page) = self.pages.last_mut() {
            page.push(mark);
        }
    }
}

/// Distance between two baselines, in multiples of the font size.
const LEADING: f32 = 1.32;

/// Sum of the spaces on opposite sides of a cell's text, in points.
const PADDING: f32 = 5.0;

/// Longer cells are cut off, because a row must fit on a page.
const MOST_LINES: usize = 8;

/// The cells of a table row, broken into lines.
struct Cells {
    lines: Vec<Vec<String>>,
    style: Style,
}

impl Cells {
    fn new(columns: &[Column], texts: &[String], style: Style) -> Self {
        let fit = |(column, text): (&Column, &String)| {
            let mut lines = wrap(text, style.weight, style.size, column.width * WIDTH - PADDING);
            if lines.len() > MOST_LINES {
                lines.truncate(MOST_LINES - 1);
                lines.push("…".to_owned());
            }
            lines
        };
        Self { lines: columns.iter().zip(texts).map(fit).collect(), style }
    }

    fn height(&self) -> f32 {
        let lines = self.lines.iter().map(Vec::len).max().unwrap_or(0).max(1);
        lines as f32 * self.style.size * LEADING + PADDING - 1.0
    }
}

#[cfg(test)]
mod tests;
