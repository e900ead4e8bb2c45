//! The colours of all figures, and their names in the style sheet of a web page.

use std::fmt::Write;

use plotters::style::RGBColor;

/// Colour on which a figure is drawn.
pub const SURFACE: RGBColor = RGBColor(255, 255, 255);
/// Colour of texts and axes.
pub const INK: RGBColor = RGBColor(34, 34, 34);
/// Colour of texts and lines of less importance.
pub const QUIET: RGBColor = RGBColor(96, 96, 96);
/// Colour of grid lines.
pub const GRID: RGBColor = RGBColor(222, 226, 230);
/// Colour of the data.
pub const ACCENT: RGBColor = RGBColor(8, 69, 148);
/// Colour of intervals and of data of less importance.
pub const BAND: RGBColor = RGBColor(158, 188, 218);

/// The end of the CSS custom property that replaces a colour on a web page: `--chart-surface`, and so on.
const NAMES: [(RGBColor, &str); 6] =
    [(SURFACE, "surface"), (INK, "ink"), (QUIET, "quiet"), (GRID, "grid"), (ACCENT, "accent"), (BAND, "band")];

/// Returns a figure of this crate for a web page, which may have light or dark colours: each colour becomes a CSS custom
/// property with that colour as the fallback, such as `fill="var(--chart-ink, #222222)"`.
///
/// The properties are `--chart-surface`, `--chart-ink`, `--chart-quiet`, `--chart-grid`, `--chart-accent` and
/// `--chart-band`. PNG files and the PDF need the figure as it is, because their renderers know no custom properties.
pub fn themed(svg: &str) -> String {
    let names = NAMES.map(|(RGBColor(red, green, blue), name)| (format!("#{red:02X}{green:02X}{blue:02X}"), name));
    let mut themed = String::with_capacity(svg.len() * 5 / 4);
    let mut rest = svg;
    // A quotation mark within a text is written as `&quot;`, so only values of attributes match.
    while let Some(quote) = rest.find("\"#") {
        let (before, value) = rest.split_at(quote + 1);
        let (color, after) = value.split_at_checked("#000000".len()).unwrap_or((value, ""));
        themed.push_str(before);
        let _ = match names.iter().find(|(code, _)| code == color) {
            Some((_, name)) => write!(themed, "var(--chart-{name}, {color})"), // memory can always be written
            None => write!(themed, "{color}"),
        };
        rest = after;
    }
    themed + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_of_attributes_become_properties_and_texts_stay() {
        let svg = "<text fill=\"#222222\" stroke=\"#ABCDEF\">\n&quot;#222222&quot; ü\n</text><a b=\"#2\"/>\"#ü";
        assert_eq!(
            themed(svg),
            "<text fill=\"var(--chart-ink, #222222)\" stroke=\"#ABCDEF\">\n&quot;#222222&quot; ü\n</text><a b=\"#2\"/>\"#ü"
        );
    }
}
