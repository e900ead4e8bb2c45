//! A PDF as a flow from top to bottom over A4 pages: headings, paragraphs, tables, figures. It knows nothing of what is
//! reported. Every text is just text, drawn with the font that the program brings and selectable; a figure is an SVG
//! whose shapes stay vectors. No clock and no random number is in a file: the same calls give the same bytes.

mod emit;
mod font;

use anyhow::{Context, Result};
use usvg::Tree;

use self::font::{Weight, width, wrap};

/// A4 in points.
const PAGE: (f32, f32) = (595.0, 842.0);
const MARGIN: f32 = 48.0;
const WIDTH: f32 = PAGE.0 - 2.0 * MARGIN;
const BOTTOM: f32 = PAGE.1 - MARGIN - 12.0; // the footer stands below

const INK: Color = Color(34, 34, 34);
const QUIET: Color = Color(96, 96, 96);
const HEADING: Color = Color(24, 52, 84);
const HAIRLINE: Color = Color(200, 204, 208);
const SHADE: Color = Color(243, 245, 247);

/// What every page has in common.
pub struct Properties {
    /// The file's title.
    pub title: String,
    /// The left half of every footer; the right one is the page's number.
    pub footer: String,
}

/// How a column's cells stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Texts.
    Left,
    /// Numbers.
    Right,
}

/// A column of a table.
#[derive(Clone, Debug)]
pub struct Column {
    /// What stands above it.
    pub title: String,
    /// How its cells stand.
    pub align: Align,
    /// Its share of the table's width.
    pub width: f32,
}

impl Column {
    /// A column of texts.
    pub fn left(title: &str, width: f32) -> Self {
        Self { title: title.to_owned(), align: Align::Left, width }
    }

    /// A column of numbers.
    pub fn right(title: &str, width: f32) -> Self {
        Self { title: title.to_owned(), align: Align::Right, width }
    }
}

/// A table over the whole width; its header is repeated on every page.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// The columns, whose widths add up to 1.
    pub columns: Vec<Column>,
    /// The rows, a text a column.
    pub rows: Vec<Vec<String>>,
    /// In smaller letters.
    pub small: bool,
}

/// A PDF in the making.
pub struct Document {
    properties: Properties,
    pages: Vec<Vec<Mark>>,
    /// Where the next thing goes, from the top.
    y: f32,
    headings: Vec<Heading>,
    /// The last thing that was set, where that is a headline: it moves along when what follows goes to the next page.
    loose: Option<Loose>,
}

/// A headline at the end of a page so far.
struct Loose {
    /// Its first mark on the page, and where it begins.
    first: usize,
    top: f32,
    /// Where it ends.
    bottom: f32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Color(u8, u8, u8);

/// Something on a page; coordinates in points from the upper left corner, a text's at its baseline.
enum Mark {
    Text { x: f32, y: f32, size: f32, weight: Weight, color: Color, text: String },
    Area { x: f32, y: f32, width: f32, height: f32, color: Color },
    Figure { x: f32, y: f32, width: f32, height: f32, tree: Box<Tree> },
}

/// An entry of the outline.
struct Heading {
    text: String,
    page: usize,
    y: f32,
}

/// How a text is set.
#[derive(Clone, Copy)]
struct Style {
    size: f32,
    weight: Weight,
    color: Color,
}

impl Document {
    /// An empty one.
    ///
    /// # Errors
    /// Where the built-in font cannot be read.
    pub fn new(properties: Properties) -> Result<Self> {
        font::check()?;
        Ok(Self { properties, pages: vec![Vec::new()], y: MARGIN, headings: Vec::new(), loose: None })
    }

    /// The title of a part.
    pub fn title(&mut self, text: &str) {
        self.headline(text, Style { size: 17.0, weight: Weight::Bold, color: HEADING }, 6.0);
    }

    /// The heading of a section; it stays with what follows.
    pub fn heading(&mut self, text: &str) {
        self.y += if self.y > MARGIN { 14.0 } else { 0.0 };
        self.headline(text, Style { size: 12.0, weight: Weight::Bold, color: HEADING }, 3.0);
    }

    /// Running text.
    pub fn paragraph(&mut self, text: &str) {
        self.text(text, Style { size: 9.5, weight: Weight::Regular, color: INK }, 0.0);
        self.y += 5.0;
    }

    /// A remark in small letters.
    pub fn note(&mut self, text: &str) {
        self.text(text, Style { size: 7.5, weight: Weight::Regular, color: QUIET }, 0.0);
        self.y += 4.0;
    }

    /// What must not be missed: a shaded box with a dark bar.
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

    /// A table.
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

    /// A drawing in the middle, over a share of the width.
    ///
    /// # Errors
    /// Where the text is no SVG.
    pub fn figure(&mut self, drawing: &str, share: f32) -> Result<()> {
        self.side_by_side(&[drawing], share * WIDTH)
    }

    /// Drawings side by side, each as wide as the page allows; all are as high as their own shape asks.
    ///
    /// # Errors
    /// Where a text is no SVG.
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
            self.mark(Mark::Figure { x, y, width, height, tree: Box::new(tree) });
        }
        self.y += highest + 8.0;
        Ok(())
    }

    /// Goes on at the top of a new page.
    pub fn page_break(&mut self) {
        self.pages.push(Vec::new());
        self.y = MARGIN;
    }

    /// The file.
    ///
    /// # Errors
    /// Where the file cannot be put together.
    pub fn finish(mut self) -> Result<Vec<u8>> {
        let count = self.pages.len();
        let style = Style { size: 7.5, weight: Weight::Regular, color: QUIET };
        for (place, page) in self.pages.iter_mut().enumerate() {
            let y = PAGE.1 - MARGIN + 12.0;
            let number = format!("page {} of {count}", place + 1);
            let right = PAGE.0 - MARGIN - width(&number, style.weight, style.size);
            page.push(Mark::Area { x: MARGIN, y: y - 12.0, width: WIDTH, height: 0.5, color: HAIRLINE });
            for (x, text) in [(MARGIN, self.properties.footer.clone()), (right, number)] {
                page.push(Mark::Text { x, y, size: style.size, weight: style.weight, color: style.color, text });
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

    /// One line, at the place where the next thing goes.
    fn line(&mut self, text: &str, style: Style, indent: f32) {
        let Style { size, weight, color } = style;
        let (x, y) = (MARGIN + indent, self.y + size);
        self.mark(Mark::Text { x, y, size, weight, color, text: text.to_owned() });
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
                self.mark(Mark::Text { x, y, size, weight, color, text: text.clone() });
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
            let (Mark::Text { y, .. } | Mark::Area { y, .. } | Mark::Figure { y, .. }) = &mut mark;
            *y += MARGIN - loose.top;
            self.mark(mark);
        }
        self.y += loose.bottom - loose.top;
        if let Some(heading) = self.headings.last_mut() {
            (heading.page, heading.y) = (self.pages.len() - 1, MARGIN);
        }
    }

    fn area(&mut self, x: f32, y: f32, width: f32, height: f32, color: Color) {
        self.mark(Mark::Area { x, y, width, height, color });
    }

    fn mark(&mut self, mark: Mark) {
        if let Some(page) = self.pages.last_mut() {
            page.push(mark);
        }
    }
}

/// From baseline to baseline, in sizes of the letters.
const LEADING: f32 = 1.32;

/// Around the text of a cell.
const PADDING: f32 = 5.0;

/// A longer cell is cut: a row must fit on a page.
const MOST_LINES: usize = 8;

/// A row of a table, broken into lines.
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
