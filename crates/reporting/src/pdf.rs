//! A PDF document that flows from top to bottom over A4 pages: headings, paragraphs, tables and figures. All text is
//! selectable and uses the embedded font; the shapes of SVG figures remain vectors. The file contains no clock time and
//! no random number, so the same calls give the same bytes. Its tags describe the structure for screen readers.

mod emit;
mod structure;
mod table;
mod wrap;

use anyhow::Result;
use charts::Tree;
use charts::font::{Weight, width};

use self::structure::{Block, Leaf, Structure};
pub use self::table::TableStyle;
use self::wrap::wrap;

/// Width and height of an A4 page in points.
const PAGE: (f32, f32) = (595.0, 842.0);
const MARGIN: f32 = 48.0;
const WIDTH: f32 = PAGE.0 - 2.0 * MARGIN;
const BOTTOM: f32 = PAGE.1 - MARGIN - 12.0; // the footer is below this line

/// Distance between two baselines, in multiples of the font size.
const LEADING: f32 = 1.32;

/// Space between two figures side by side, in points.
const GUTTER: f32 = 12.0;

const INK: Color = Color(34, 34, 34);
const QUIET: Color = Color(96, 96, 96);
const HAIRLINE: Color = Color(200, 204, 208);
const SHADE: Color = Color(243, 245, 247);

const HEADING: Style = Style { size: 12.0, weight: Weight::Bold, color: Color(24, 52, 84) };
const BODY: Style = Style { size: 9.5, weight: Weight::Regular, color: INK };
const ASIDE: Style = Style { color: QUIET, ..BODY };
const NOTE: Style = Style { size: 7.5, weight: Weight::Regular, color: QUIET };

/// A PDF that is being built.
pub struct Document {
    /// Title in the metadata of the file.
    title: String,
    /// Text on the left of every footer; the page number is on the right.
    footer: String,
    pages: Vec<Vec<Element>>,
    structure: Structure,
    /// Vertical position of the next element, in points from the top.
    y: f32,
    headings: Vec<Heading>,
    /// Headings that are not on a page yet: they are placed together with the next element.
    pending: Vec<Pending>,
}

/// A heading that waits for the element below it.
struct Pending {
    text: String,
    /// Text at the right end of the heading's line; may be empty.
    aside: String,
    style: Style,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Color(u8, u8, u8);

/// An element on a page with the leaf of the structure to which it belongs; `None` for mere decoration.
struct Element {
    leaf: Option<Leaf>,
    shape: Shape,
}

/// What an element looks like; coordinates in points from the upper left corner, those of a text at its baseline.
enum Shape {
    Text {
        x: f32,
        y: f32,
        style: Style,
        text: String,
    },
    Area {
        x: f32,
        y: f32,
        width: f32,
        height: f32,
        color: Color,
    },
    /// A square to tick.
    Square {
        x: f32,
        y: f32,
        size: f32,
    },
    Figure {
        x: f32,
        y: f32,
        width: f32,
        height: f32,
        tree: Box<Tree>,
    },
}

/// A drawing as SVG.
pub struct Figure<'a> {
    pub svg: &'a str,
    /// Description for readers who cannot see the drawing.
    pub label: &'a str,
    /// Share of the width of a page that it needs, from 0 to 1.
    pub share: f32,
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

impl Pending {
    const ABOVE: f32 = 12.0;
    const BELOW: f32 = 5.0;

    fn lines(&self) -> Vec<String> {
        let room = WIDTH - width(&self.aside, ASIDE.weight, ASIDE.size);
        wrap(&self.text, self.style.weight, self.style.size, room)
    }

    fn height(&self) -> f32 {
        Self::ABOVE + self.lines().len() as f32 * self.style.size * LEADING + Self::BELOW
    }
}

impl Document {
    /// Creates an empty document.
    pub fn new(title: &str, footer: String) -> Self {
        let pages = vec![Vec::new()];
        let structure = Structure::default();
        Self { title: title.to_owned(), footer, pages, structure, y: MARGIN, headings: Vec::new(), pending: Vec::new() }
    }

    /// Adds the title of a part in large letters, with a remark at the right end of its line.
    pub fn title(&mut self, text: &str, aside: &str) {
        let style = Style { size: 17.0, ..HEADING };
        self.pending.push(Pending { text: text.to_owned(), aside: aside.to_owned(), style });
    }

    /// Adds the heading of a section; it stays on the same page as the next element.
    pub fn heading(&mut self, text: &str) {
        self.pending.push(Pending { text: text.to_owned(), aside: String::new(), style: HEADING });
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

    /// Number of pages so far.
    pub fn page_count(&self) -> usize {
        self.pages.len()
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
        let leaf = self.structure.leaf(Block::Paragraph);
        for line in lines {
            self.line(leaf, &line, style, 14.0);
        }
        self.y += 11.0;
    }

    /// Adds drawings. Those whose shares of the page's width fit stand side by side.
    ///
    /// # Errors
    /// Returns an error if a drawing is not a valid SVG.
    pub fn figures(&mut self, figures: &[Figure]) -> Result<()> {
        let mut rest = figures;
        while !rest.is_empty() {
            let mut filled = 0.0;
            let fits = |figure: &&Figure| {
                filled += figure.share;
                filled < 1.01
            };
            let (row, others) = rest.split_at(rest.iter().take_while(fits).count().max(1));
            self.figure_row(row)?;
            rest = others;
        }
        Ok(())
    }

    fn figure_row(&mut self, figures: &[Figure]) -> Result<()> {
        let room = WIDTH - GUTTER * (figures.len() as f32 - 1.0);
        let mut row = Vec::new();
        for figure in figures {
            let tree = charts::tree(figure.svg)?;
            let width = figure.share * room;
            row.push((figure.label, width, width * tree.size().height() / tree.size().width(), tree));
        }
        let tallest = row.iter().map(|(_, _, height, _)| *height).fold(0.0, f32::max);
        self.make_room(tallest);
        let (mut x, y) = (MARGIN, self.y);
        for (label, width, height, tree) in row {
            let leaf = self.structure.leaf(|leaf| Block::Figure { leaf, label: label.to_owned() });
            self.add(Some(leaf), Shape::Figure { x, y, width, height, tree: Box::new(tree) });
            x += width + GUTTER;
        }
        self.y += tallest + 8.0;
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
            let line = Shape::Area { x: MARGIN, y: y - 12.0, width: WIDTH, height: 0.5, color: HAIRLINE };
            let footer = Shape::Text { x: MARGIN, y, style: NOTE, text: self.footer.clone() };
            let number = Shape::Text { x: right, y, style: NOTE, text: number };
            page.extend([line, footer, number].map(|shape| Element { leaf: None, shape }));
        }
        emit::pdf(&self)
    }

    /// Adds lines of text. A page break leaves at least two lines on each page.
    fn text(&mut self, text: &str, style: Style) {
        let lines = wrap(text, style.weight, style.size, WIDTH);
        let count = lines.len();
        let mut leaf = None;
        for (index, line) in lines.into_iter().enumerate() {
            let together = if index == 0 || index + 2 == count { 2.min(count - index) } else { 1 };
            self.make_room(together as f32 * style.size * LEADING);
            let leaf = *leaf.get_or_insert_with(|| self.structure.leaf(Block::Paragraph)); // after the heading
            self.line(leaf, &line, style, 0.0);
        }
    }

    /// Adds one line of text at the current vertical position.
    fn line(&mut self, leaf: Leaf, text: &str, style: Style, indent: f32) {
        let text = text.to_owned();
        self.add(Some(leaf), Shape::Text { x: MARGIN + indent, y: self.y + style.size, style, text });
        self.y += style.size * LEADING;
    }

    /// Continues on a new page if an element of `height` and the headings before it do not fit on this one. Then places the
    /// headings.
    fn make_room(&mut self, height: f32) {
        let pending = std::mem::take(&mut self.pending);
        let headings: f32 = pending.iter().map(Pending::height).sum();
        if self.y + headings + height > BOTTOM && self.y > MARGIN {
            self.page_break();
        }
        pending.into_iter().for_each(|heading| self.place(heading));
    }

    fn place(&mut self, heading: Pending) {
        let lines = heading.lines();
        let Pending { text, aside, style } = heading;
        self.y += if self.y > MARGIN { Pending::ABOVE } else { 0.0 };
        let level = if style.size > HEADING.size { 1 } else { 2 };
        let leaf = self.structure.leaf(|leaf| Block::Heading { leaf, level });
        let first = self.y + style.size;
        self.headings.push(Heading { text, page: self.pages.len() - 1, y: self.y });
        for line in lines {
            self.line(leaf, &line, style, 0.0);
        }
        if !aside.is_empty() {
            let leaf = self.structure.leaf(Block::Paragraph);
            let x = PAGE.0 - MARGIN - width(&aside, ASIDE.weight, ASIDE.size);
            self.add(Some(leaf), Shape::Text { x, y: first, style: ASIDE, text: aside });
        }
        self.y += Pending::BELOW;
    }

    fn area(&mut self, x: f32, y: f32, width: f32, height: f32, color: Color) {
        self.add(None, Shape::Area { x, y, width, height, color });
    }

    fn add(&mut self, leaf: Option<Leaf>, shape: Shape) {
        if let Some(page) = self.pages.last_mut() {
            page.push(Element { leaf, shape });
        }
    }
}

#[cfg(test)]
mod tests {
    use insight::Table;

    use super::*;

    fn sample(rows: usize) -> Vec<u8> {
        let mut document = Document::new("Sample", "release r1".to_owned());
        document.title("A title", "aside");
        document.heading("A section");
        document.paragraph(&"Many words that fill a line and then some more. ".repeat(8));
        document.warning("What must not be missed.");
        document.heading("A heading");
        let cells = (0..rows).map(|i| vec![format!("row {i}"), i.to_string()]);
        let table = Table::of_texts("rows", &["name", "#count"], cells).with_caption("What the rows are.");
        document.table(&table, TableStyle::of(&table));
        let svg = "<svg width=\"100\" height=\"50\" xmlns=\"http://www.w3.org/2000/svg\"><text x=\"5\" y=\"20\" \
            font-family=\"nobody has this\" font-size=\"12\">in a figure</text></svg>";
        document.figures(&[(); 3].map(|()| Figure { svg, label: "A figure", share: 0.5 })).unwrap();
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
        for wanted in ["A title", "aside", "A section", "What must not be missed.", "row 119", "in a figure", "A note."]
        {
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
        let svg = "<svg width=\"100\" height=\"30\" xmlns=\"http://www.w3.org/2000/svg\"/>";
        document.figures(&[Figure { svg, label: "A figure", share: 1.0 }]).unwrap();
        assert_eq!((document.pages.len(), document.headings[0].page), (2, 1));
        assert!(
            matches!(&document.pages[1][0], Element { shape: Shape::Text { text, .. }, .. } if text == "Over there")
        );
        assert!(
            !document.pages[0].iter().any(
                |element| matches!(element, Element { shape: Shape::Text { text, .. }, .. } if text == "Over there")
            )
        );
    }

    #[test]
    fn odd_characters_are_drawn_as_far_as_the_font_goes() {
        let mut document = Document::new("\u{1F600}", "<&>".to_owned());
        for text in
            ["\0\u{1}", "\u{1F600} 漢字", "\u{202e}שלום", "e\u{301}", "\u{FFFF}", "<script>alert(1)</script>", ""]
        {
            document.paragraph(text);
            let table = Table::of_texts("odd", &[text, text], [vec![text.to_owned(), text.repeat(99)]]);
            document.table(&table, TableStyle::of(&table));
        }
        assert!(document.finish().unwrap().len() > 1000);
    }
}
