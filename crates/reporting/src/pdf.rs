//! A PDF document that flows from top to bottom over A4 pages: headings, paragraphs, tables and figures. All text is
//! selectable and uses the embedded font; the shapes of SVG figures remain vectors. The file contains no clock time and
//! no random number, so the same calls give the same bytes.

mod emit;
mod font;

use anyhow::Result;
use charts::Tree;
use insight::{Column, Table};

use self::font::{Weight, width, wrap};

/// Width and height of an A4 page in points.
const PAGE: (f32, f32) = (595.0, 842.0);
const MARGIN: f32 = 48.0;
const WIDTH: f32 = PAGE.0 - 2.0 * MARGIN;
const BOTTOM: f32 = PAGE.1 - MARGIN - 12.0; // the footer is below this line

/// Distance between two baselines, in multiples of the font size.
const LEADING: f32 = 1.32;

/// Sum of the spaces on opposite sides of a cell's text, in points.
const PADDING: f32 = 8.0;

/// Longer cells are cut off, because a row must fit on a page.
const MOST_LINES: usize = 8;

/// Tables with more rows use a smaller font size.
const MANY_ROWS: usize = 30;

const INK: Color = Color(34, 34, 34);
const QUIET: Color = Color(96, 96, 96);
const HAIRLINE: Color = Color(200, 204, 208);
const SHADE: Color = Color(243, 245, 247);

const HEADING: Style = Style { size: 12.0, weight: Weight::Bold, color: Color(24, 52, 84) };
const BODY: Style = Style { size: 9.5, weight: Weight::Regular, color: INK };
const NOTE: Style = Style { size: 7.5, weight: Weight::Regular, color: QUIET };

/// A PDF that is being built.
pub struct Document {
    /// Title in the metadata of the file.
    title: String,
    /// Text on the left of every footer; the page number is on the right.
    footer: String,
    pages: Vec<Vec<Element>>,
    /// Vertical position of the next element, in points from the top.
    y: f32,
    headings: Vec<Heading>,
    /// A heading that is not on a page yet: it is placed together with the next element.
    pending: Option<(String, Style)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Color(u8, u8, u8);

/// An element on a page; coordinates in points from the upper left corner, those of a text at its baseline.
enum Element {
    Text { x: f32, y: f32, style: Style, text: String },
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
    pub fn new(title: &str, footer: String) -> Self {
        let pages = vec![Vec::new()];
        Self { title: title.to_owned(), footer, pages, y: MARGIN, headings: Vec::new(), pending: None }
    }

    /// Adds the title of a part, in large letters.
    pub fn title(&mut self, text: &str) {
        self.pending = Some((text.to_owned(), Style { size: 17.0, ..HEADING }));
    }

    /// Adds the heading of a section; it stays on the same page as the next element.
    pub fn heading(&mut self, text: &str) {
        self.pending = Some((text.to_owned(), HEADING));
    }

    /// Adds a paragraph of running text.
    pub fn paragraph(&mut self, text: &str) {
        self.text(text, BODY);
        self.y += 5.0;
    }

    /// Adds a remark in a small font size.
    pub fn note(&mut self, text: &str) {
        self.text(text, NOTE);
        self.y += 4.0;
    }

    /// Adds an important message: a shaded box with a dark bar.
    pub fn warning(&mut self, text: &str) {
        let style = Style { weight: Weight::Bold, ..BODY };
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

    /// Adds a table, which may continue on further pages; its header is repeated on every page.
    pub fn table(&mut self, table: &Table) {
        if !table.caption.is_empty() {
            self.note(&table.caption);
        }
        let size = if table.rows.len() > MANY_ROWS { 6.6 } else { 8.0 };
        let header = Style { size, weight: Weight::Bold, color: QUIET };
        let body = Style { size, ..BODY };
        let titles: Vec<String> = table.columns.iter().map(|column| column.title.clone()).collect();
        let texts: Vec<Vec<String>> =
            table.rows.iter().map(|row| row.iter().map(|cell| cell.to_string()).collect()).collect();
        let widths = column_widths(&titles, header, &texts, body);
        let titles = Cells::new(&widths, &titles, header);
        let rows: Vec<Cells> = texts.iter().map(|row| Cells::new(&widths, row, body)).collect();
        self.make_room(titles.height() + rows.first().map_or(0.0, Cells::height));
        for (index, row) in rows.iter().enumerate() {
            let continues = self.y + row.height() > BOTTOM;
            if continues {
                self.page_break();
            }
            if continues || index == 0 {
                self.row(&table.columns, &widths, &titles);
                self.area(MARGIN, self.y - 0.5, WIDTH, 0.5, QUIET);
            }
            if index % 2 == 0 {
                self.area(MARGIN, self.y, WIDTH, row.height(), SHADE);
            }
            self.row(&table.columns, &widths, row);
        }
        self.y += 8.0;
    }

    /// Adds a centred drawing that takes `share` of the page's width.
    ///
    /// # Errors
    /// Returns an error if the text is not a valid SVG.
    pub fn figure(&mut self, svg: &str, share: f32) -> Result<()> {
        let tree = charts::tree(svg)?;
        let ratio = tree.size().height() / tree.size().width();
        let width = share * WIDTH;
        let height = width * ratio;
        self.make_room(height);
        let (x, y) = (MARGIN + (WIDTH - width) / 2.0, self.y);
        self.add(Element::Figure { x, y, width, height, tree: Box::new(tree) });
        self.y += height + 8.0;
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
        self.make_room(0.0);
        let count = self.pages.len();
        for (index, page) in self.pages.iter_mut().enumerate() {
            let y = PAGE.1 - MARGIN + 12.0;
            let number = format!("page {} of {count}", index + 1);
            let right = PAGE.0 - MARGIN - width(&number, NOTE.weight, NOTE.size);
            page.push(Element::Area { x: MARGIN, y: y - 12.0, width: WIDTH, height: 0.5, color: HAIRLINE });
            page.push(Element::Text { x: MARGIN, y, style: NOTE, text: self.footer.clone() });
            page.push(Element::Text { x: right, y, style: NOTE, text: number });
        }
        emit::pdf(&self)
    }

    fn text(&mut self, text: &str, style: Style) {
        for line in wrap(text, style.weight, style.size, WIDTH) {
            self.make_room(style.size * LEADING);
            self.line(&line, style, 0.0);
        }
    }

    /// Adds one line of text at the current vertical position.
    fn line(&mut self, text: &str, style: Style, indent: f32) {
        self.add(Element::Text { x: MARGIN + indent, y: self.y + style.size, style, text: text.to_owned() });
        self.y += style.size * LEADING;
    }

    fn row(&mut self, columns: &[Column], widths: &[f32], cells: &Cells) {
        let Style { size, weight, .. } = cells.style;
        let mut left = MARGIN;
        for ((column, room), lines) in columns.iter().zip(widths).zip(&cells.lines) {
            for (number, text) in lines.iter().enumerate() {
                let y = self.y + 2.5 + size + number as f32 * size * LEADING;
                let x = match column.is_number {
                    true => left + room - PADDING / 2.0 - width(text, weight, size),
                    false => left + PADDING / 2.0,
                };
                self.add(Element::Text { x, y, style: cells.style, text: text.clone() });
            }
            left += room;
        }
        self.y += cells.height();
    }

    /// Continues on a new page if an element of `height` and the heading before it do not fit on this one. Then places the
    /// heading.
    fn make_room(&mut self, height: f32) {
        const ABOVE: f32 = 14.0;
        const BELOW: f32 = 5.0;
        let pending = self.pending.take();
        let wrapped = |(text, style): &(String, Style)| wrap(text, style.weight, style.size, WIDTH);
        let lines = pending.as_ref().map(wrapped).unwrap_or_default();
        let heading =
            pending.as_ref().map_or(0.0, |(_, style)| ABOVE + lines.len() as f32 * style.size * LEADING + BELOW);
        if self.y + heading + height > BOTTOM && self.y > MARGIN {
            self.page_break();
        }
        let Some((text, style)) = pending else { return };
        self.y += if self.y > MARGIN { ABOVE } else { 0.0 };
        self.headings.push(Heading { text, page: self.pages.len() - 1, y: self.y });
        for line in lines {
            self.line(&line, style, 0.0);
        }
        self.y += BELOW;
    }

    fn area(&mut self, x: f32, y: f32, width: f32, height: f32, color: Color) {
        self.add(Element::Area { x, y, width, height, color });
    }

    fn add(&mut self, element: Element) {
        if let Some(page) = self.pages.last_mut() {
            page.push(element);
        }
    }
}

/// Divides the page's width among the columns. Each column gets what its longest cell needs. If that is too much in all,
/// the widest columns get equal shares of what the others leave; if it is less than the page, the rest is distributed
/// evenly.
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
        widths[*j] = natural[*j].min(left / (order.len() - done) as f32);
        left -= widths[*j];
    }
    widths.iter().map(|width| width + left / widths.len() as f32).collect()
}

/// The cells of a table row, broken into lines.
struct Cells {
    lines: Vec<Vec<String>>,
    style: Style,
}

impl Cells {
    fn new(widths: &[f32], texts: &[String], style: Style) -> Self {
        let fit = |(room, text): (&f32, &String)| {
            let mut lines = wrap(text, style.weight, style.size, room - PADDING);
            if lines.len() > MOST_LINES {
                lines.truncate(MOST_LINES - 1);
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
    use super::*;

    fn sample(rows: usize) -> Vec<u8> {
        let mut document = Document::new("Sample", "release r1".to_owned());
        document.title("A title");
        document.paragraph(&"Many words that fill a line and then some more. ".repeat(8));
        document.warning("What must not be missed.");
        document.heading("A heading");
        let cells = (0..rows).map(|i| vec![format!("row {i}"), i.to_string()]);
        document.table(&Table::of_texts("rows", &["name", "#count"], cells).with_caption("What the rows are."));
        let svg = "<svg width=\"100\" height=\"50\" xmlns=\"http://www.w3.org/2000/svg\"><text x=\"5\" y=\"20\" \
            font-family=\"nobody has this\" font-size=\"12\">in a figure</text></svg>";
        document.figure(svg, 0.5).unwrap();
        document.note("A note.");
        document.finish().unwrap()
    }

    #[test]
    fn the_same_calls_give_the_same_bytes() {
        assert!(sample(120) == sample(120) && sample(3).starts_with(b"%PDF-"));
    }

    #[test]
    fn text_is_found_and_a_table_goes_on_under_its_header_on_the_next_page() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sample.pdf");
        std::fs::write(&path, sample(120)).unwrap();
        let Ok(output) = std::process::Command::new("pdftotext").arg("-layout").arg(&path).arg("-").output() else {
            return testkit::skipped("pdftotext is not installed (Debian package poppler-utils)");
        };
        let text = String::from_utf8(output.stdout).unwrap();
        let pages: Vec<&str> = text.trim_end_matches('\u{c}').split('\u{c}').collect();
        assert!(pages.len() >= 3, "{} pages", pages.len());
        for (number, page) in pages.iter().enumerate() {
            assert!(page.contains("release r1") && page.contains(&format!("page {} of {}", number + 1, pages.len())));
        }
        assert!(pages[1].contains("name") && pages[1].contains("count"), "{}", pages[1]);
        for wanted in ["A title", "What must not be missed.", "row 119", "in a figure", "A note."] {
            assert!(text.contains(wanted), "{wanted} is not in {text}");
        }
    }

    #[test]
    fn a_heading_goes_to_the_next_page_with_what_follows_it() {
        let mut document = Document::new("Sample", String::new());
        while document.y < BOTTOM - 60.0 {
            document.note("filling");
        }
        document.heading("Over there");
        document.figure("<svg width=\"100\" height=\"30\" xmlns=\"http://www.w3.org/2000/svg\"/>", 1.0).unwrap();
        assert_eq!((document.pages.len(), document.headings[0].page), (2, 1));
        assert!(matches!(&document.pages[1][0], Element::Text { text, .. } if text == "Over there"));
        assert!(
            !document.pages[0]
                .iter()
                .any(|element| matches!(element, Element::Text { text, .. } if text == "Over there"))
        );
    }

    #[test]
    fn lines_fit_and_long_words_are_broken() {
        let text = format!("a {} b", "x".repeat(200));
        let lines = wrap(&text, Weight::Regular, 8.0, 100.0);
        assert!(lines.len() > 5 && lines.iter().all(|line| width(line, Weight::Regular, 8.0) <= 100.0), "{lines:?}");
        assert_eq!(lines.concat().replace(' ', ""), text.replace(' ', ""));
        assert_eq!(wrap("", Weight::Bold, 8.0, 100.0), [""]);
        assert_eq!(wrap("two\n\tli\tnes", Weight::Bold, 8.0, 100.0), ["two", "li nes"]);
    }

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
        for widths in [&few, &many] {
            assert!((widths.iter().sum::<f32>() - WIDTH).abs() < 0.1, "{widths:?}");
        }
        assert!(few[0] < few[1] && many[0] < 15.0 && many[1] == many[2], "{few:?} {many:?}");
    }

    #[test]
    fn a_cell_that_would_fill_pages_is_cut() {
        let style = Style { size: 8.0, weight: Weight::Regular, color: INK };
        let cells = Cells::new(&[50.0], &["x".repeat(1000)], style);
        assert_eq!((cells.lines[0].len(), cells.lines[0][MOST_LINES - 1].as_str()), (MOST_LINES, "…"));
    }

    #[test]
    fn odd_characters_are_drawn_as_far_as_the_font_goes() {
        let mut document = Document::new("\u{1F600}", "<&>".to_owned());
        for text in
            ["\0\u{1}", "\u{1F600} 漢字", "\u{202e}שלום", "e\u{301}", "\u{FFFF}", "<script>alert(1)</script>", ""]
        {
            document.paragraph(text);
            document.table(&Table::of_texts("odd", &[text, text], [vec![text.to_owned(), text.repeat(99)]]));
        }
        assert!(document.finish().unwrap().len() > 1000);
    }
}
