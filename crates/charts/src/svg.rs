//! Drawing to SVG and PNG with a font that is embedded in the program.

use std::sync::{Arc, LazyLock};

use anyhow::{Context, Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, FontTransform, TextStyle};
use resvg::tiny_skia::{Color, Pixmap, Transform};
use resvg::usvg::{Options, fontdb::Database};

pub use resvg::usvg::Tree;

use crate::font::{self, Weight};
use crate::palette::SURFACE;

/// The real name of the embedded font, so that every renderer of the SVG finds it.
const FONT: &str = "DejaVu Sans";

/// The fonts that a browser tries in this order. Verdana has letters of almost the same width.
const FONTS: &str = "DejaVu Sans, Verdana, sans-serif";

/// plotters writes the size of a font divided by this number, so the size in the SVG is this much smaller.
const FONT_SCALE: f64 = 1.24;

/// The surface on which a figure or a part of it is drawn.
pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Options for parsing SVG: only the embedded font is used, also in place of every other font, so that the fonts
/// installed on the machine have no influence.
static OPTIONS: LazyLock<Options<'static>> = LazyLock::new(|| {
    let mut fonts = Database::new();
    Weight::ALL.iter().for_each(|weight| fonts.load_font_data(weight.data().to_vec()));
    fonts.set_sans_serif_family(FONT);
    fonts.set_serif_family(FONT);
    Options { fontdb: Arc::new(fonts), font_family: FONT.to_owned(), ..Options::default() }
});

/// Parses an SVG.
///
/// # Errors
/// Returns an error if the text is not a valid SVG.
pub fn tree(svg: &str) -> Result<Tree> {
    Tree::from_str(svg, &OPTIONS).context("reading a figure")
}

/// Width of every PNG file in pixels.
const PNG_WIDTH: u32 = 1800;

/// Returns the contents of a PNG file that shows an SVG, 1800 pixels wide.
///
/// # Errors
/// Returns an error if the text is not a valid SVG.
pub fn png(svg: &str) -> Result<Vec<u8>> {
    let tree = tree(svg)?;
    let scale = PNG_WIDTH as f32 / tree.size().width();
    let height = (tree.size().height() * scale).round() as u32;
    let mut pixels = Pixmap::new(PNG_WIDTH, height).context("a figure has no size")?;
    pixels.fill(Color::WHITE);
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixels.as_mut());
    // The figures are opaque, so the alpha channel is omitted. The default compression would halve the files, but take
    // as long as all other work of `reporting` together.
    let colors: Vec<u8> = pixels.pixels().iter().flat_map(|pixel| [pixel.red(), pixel.green(), pixel.blue()]).collect();
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, PNG_WIDTH, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_compression(png::Compression::Fast);
    encoder.write_header().and_then(|mut file| file.write_image_data(&colors)).context("encoding a figure as PNG")?;
    Ok(file)
}

/// Draws on an area of `size` pixels (width, height); returns an SVG.
pub fn svg(size: (u32, u32), draw: impl FnOnce(&Area<'_>) -> Result<()>) -> Result<String> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        area.fill(&SURFACE)?;
        draw(&area)?;
        area.present()?;
    }
    Ok(joined(&text))
}

/// How a text is drawn: its font size in pixels, and where its anchor is. The anchor is at half the height of the
/// letters.
#[derive(Clone, Copy)]
pub struct Lettering {
    pub size: f64,
    pub color: RGBColor,
    pub weight: Weight,
    /// Whether the text runs upwards instead of to the right.
    pub upwards: bool,
    pub anchor: HPos,
}

impl Lettering {
    /// Centred, horizontal text of normal weight.
    pub fn new(size: f64, color: RGBColor) -> Self {
        Self { size, color, weight: Weight::Regular, upwards: false, anchor: HPos::Center }
    }

    /// The same in bold.
    pub fn bold(self) -> Self {
        Self { weight: Weight::Bold, ..self }
    }

    /// The same, but the text begins at the anchor.
    pub fn left_aligned(self) -> Self {
        Self { anchor: HPos::Left, ..self }
    }

    /// Width of a text in pixels.
    pub fn width(self, text: &str) -> f64 {
        f64::from(font::width(text, self.weight, self.size as f32))
    }

    /// The same in smaller letters if the text would be wider than `room`.
    pub fn fitted(self, text: &str, room: f64) -> Self {
        Self { size: self.size * (room / self.width(text)).min(1.0), ..self }
    }

    /// The beginning of a text that is at most `room` pixels wide.
    pub fn shortened(self, text: &str, room: f64) -> String {
        font::shortened(text, self.weight, self.size as f32, room as f32)
    }
}

/// Draws a text in one line.
pub fn write(area: &Area, text: &str, at: (f64, f64), lettering: Lettering) -> Result<()> {
    let Lettering { size, color, weight, upwards, anchor } = lettering;
    let style = if weight == Weight::Bold { FontStyle::Bold } else { FontStyle::Normal };
    let font = FontDesc::new(FontFamily::Name(FONTS), size * FONT_SCALE, style);
    let font = if upwards { font.transform(FontTransform::Rotate270) } else { font };
    let style = TextStyle::from(font).color(&color).pos(Pos::new(anchor, VPos::Center));
    area.draw(&Text::new(text.to_owned(), pixel(at), style)).map_err(|error| anyhow!("drawing a text: {error}"))
}

/// The pixel nearest to a position.
pub fn pixel((x, y): (f64, f64)) -> (i32, i32) {
    (x.round() as i32, y.round() as i32)
}

/// Joins consecutive lines with the same style into one path with short relative steps. plotters draws every stroke of a
/// dashed line as a line of its own, so a dashed line over 500 runs would take most of a megabyte.
fn joined(svg: &str) -> String {
    let mut out = String::with_capacity(svg.len());
    let mut style = "";
    let mut lines: Vec<&str> = Vec::new();
    for line in svg.lines() {
        let polyline =
            line.strip_prefix("<polyline ").and_then(|line| line.strip_suffix("\"/>")?.split_once("points=\""));
        if polyline.is_none_or(|(attributes, _)| attributes != style) {
            close(&mut out, style, &mut lines);
        }
        match polyline {
            Some((attributes, points)) => {
                style = attributes;
                lines.push(points);
            }
            None => {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    out
}

/// Writes the collected lines, which have the same style.
fn close(out: &mut String, style: &str, lines: &mut Vec<&str>) {
    match lines[..] {
        [] => {}
        [one] => *out += &format!("<polyline {style}points=\"{one}\"/>\n"),
        _ => *out += &format!("<path {style}d=\"{}\"/>\n", path(lines)),
    }
    lines.clear();
}

/// Converts lines into the steps of a path; each step starts where the previous one ended.
fn path(lines: &[&str]) -> String {
    let mut steps = String::new();
    let mut at = (0i64, 0i64);
    for line in lines {
        let mut letter = if steps.is_empty() { 'M' } else { 'm' };
        for point in line.split_ascii_whitespace().filter_map(|point| point.split_once(',')) {
            let (Ok(x), Ok(y)) = (point.0.parse::<i64>(), point.1.parse::<i64>()) else { continue };
            let (right, down) = (x - at.0, y - at.1);
            let space = if down < 0 { "" } else { " " };
            steps += &format!("{letter}{right}{space}{down}");
            at = (x, y);
            letter = 'l';
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_one_style_become_one_path_and_all_else_stays() {
        let svg = "<svg>\n<polyline a=\"1\" points=\"1,2 3,4 \"/>\n<polyline a=\"1\" points=\"5,3 6,3 \"/>\n\
                   <polyline a=\"2\" points=\"0,0 9,9 \"/>\n<text x=\"1\">\na\n</text>\n</svg>";
        assert_eq!(
            joined(svg),
            "<svg>\n<path a=\"1\" d=\"M1 2l2 2m2-1l1 0\"/>\n<polyline a=\"2\" points=\"0,0 9,9 \"/>\n\
             <text x=\"1\">\na\n</text>\n</svg>\n"
        );
        assert_eq!(joined(&joined(svg)), joined(svg));
    }

    #[test]
    fn a_missing_font_is_replaced_by_the_embedded_one_and_wrong_svg_is_an_error() {
        let text = |font: &str| {
            format!(
                "<svg width=\"40\" height=\"20\" xmlns=\"http://www.w3.org/2000/svg\">\
                 <text x=\"5\" y=\"15\" font-family=\"{font}\">a</text></svg>"
            )
        };
        assert_eq!(png(&text("nobody has this")).unwrap(), png(&text(FONT)).unwrap());
        assert!(png("<svg").is_err());
    }
}
