//! Drawing to PNG and SVG, with a font that is embedded in the program.

use std::sync::LazyLock;

use anyhow::{Context, Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};

/// The font family of all text. It has its real name, so that a renderer of the SVG finds it too.
pub const FONT: &str = "DejaVu Sans";

static FONTS: LazyLock<Result<(), &str>> = LazyLock::new(|| {
    for (style, font) in [(FontStyle::Normal, dejavu::sans::regular()), (FontStyle::Bold, dejavu::sans::bold())] {
        register_font(FONT, style, font).map_err(|_| "the built-in font cannot be read")?;
    }
    Ok(())
});

/// Draws on a white area of `size` units (width, height); returns an SVG.
pub fn svg<F>(size: (u32, u32), draw: F) -> Result<String>
where
    F: FnOnce(&DrawingArea<SVGBackend<'_>, Shift>) -> Result<()>,
{
    FONTS.as_ref().map_err(|error| anyhow!("{error}"))?;
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        draw(&area)?;
        area.present()?;
    }
    Ok(joined(&text))
}

/// Joins consecutive lines with the same style into one path with short relative steps. plotters cannot draw dashed
/// lines, so a dashed line over 500 runs consists of thousands of lines and would take most of a megabyte.
fn joined(svg: &str) -> String {
    let mut out = String::with_capacity(svg.len());
    let mut look = "";
    let mut lines: Vec<&str> = Vec::new();
    for line in svg.lines() {
        let polyline =
            line.strip_prefix("<polyline ").and_then(|line| line.strip_suffix("\"/>")?.split_once("points=\""));
        match polyline {
            Some((attributes, points)) if attributes == look => lines.push(points),
            Some((attributes, points)) => {
                close(&mut out, look, &mut lines);
                look = attributes;
                lines.push(points);
            }
            None => {
                close(&mut out, look, &mut lines);
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    out
}

/// Writes the collected lines, which have the same style.
fn close(out: &mut String, look: &str, lines: &mut Vec<&str>) {
    match lines[..] {
        [] => {}
        [one] => *out += &format!("<polyline {look}points=\"{one}\"/>\n"),
        _ => *out += &format!("<path {look}d=\"{}\"/>\n", path(lines)),
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

/// Draws on a white area of `size` pixels (width, height); returns the contents of a PNG file.
pub fn png<F>(size: (u32, u32), draw: F) -> Result<Vec<u8>>
where
    F: FnOnce(&DrawingArea<BitMapBackend<'_>, Shift>) -> Result<()>,
{
    FONTS.as_ref().map_err(|error| anyhow!("{error}"))?;
    let mut pixels = vec![0; (size.0 * size.1 * 3) as usize];
    {
        let area = BitMapBackend::with_buffer(&mut pixels, size).into_drawing_area();
        area.fill(&WHITE)?;
        draw(&area)?;
        area.present()?;
    }
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, size.0, size.1);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header().and_then(|mut writer| writer.write_image_data(&pixels)).context("encoding the picture")?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_one_look_become_one_path_and_all_else_stays() {
        let svg = "<svg>\n<polyline a=\"1\" points=\"1,2 3,4 \"/>\n<polyline a=\"1\" points=\"5,3 6,3 \"/>\n\
                   <polyline a=\"2\" points=\"0,0 9,9 \"/>\n<text x=\"1\">\na\n</text>\n</svg>";
        assert_eq!(
            joined(svg),
            "<svg>\n<path a=\"1\" d=\"M1 2l2 2m2-1l1 0\"/>\n<polyline a=\"2\" points=\"0,0 9,9 \"/>\n\
             <text x=\"1\">\na\n</text>\n</svg>\n"
        );
        assert_eq!(joined(&joined(svg)), joined(svg));
    }
}
