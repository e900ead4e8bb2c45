//! From drawing to PNG or SVG, with a font that the program brings.

use std::sync::LazyLock;

use anyhow::{Context, Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};

/// The family of all text, under its own name, so that an SVG finds it too.
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
    Ok(text)
}

/// Draws on a white area of `size` pixels (width, height); returns the PNG file's bytes.
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
