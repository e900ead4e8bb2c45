//! Converts the elements on the pages into the bytes of a PDF.

use anyhow::{Context, Result, anyhow};
use charts::font::{Weight, glyph};
use krilla::color::rgb;
use krilla::geom::{PathBuilder, Point, Rect, Size, Transform};
use krilla::metadata::Metadata;
use krilla::num::NormalizedF32;
use krilla::outline::{Outline, OutlineNode};
use krilla::page::PageSettings;
use krilla::paint::{Fill, FillRule, Stroke};
use krilla::surface::Surface;
use krilla::tagging::{Artifact, ArtifactType, ContentTag, SpanTag};
use krilla::text::{Font, GlyphId, KrillaGlyph};
use krilla_svg::{SurfaceExt, SvgSettings};

use super::{Color, Document, Element, INK, MARGIN, PAGE, Shape, Style};

/// Converts a document into a PDF file.
pub fn pdf(document: &Document) -> Result<Vec<u8>> {
    let fonts = Weight::ALL.map(|weight| Font::new(weight.data().into(), 0));
    let [Some(regular), Some(bold)] = fonts else { return Err(anyhow!("the built-in font cannot be embedded")) };
    let fonts = [regular, bold];
    let mut file = krilla::Document::new();
    // No creation time, so that the same report gives the same file.
    file.set_metadata(
        Metadata::new().title(document.title.clone()).language("en".to_owned()).creator("risk".to_owned()),
    );
    let settings = || PageSettings::from_wh(PAGE.0, PAGE.1).context("the page has no size");
    let mut contents = vec![Vec::new(); document.structure.len()];
    for elements in &document.pages {
        let mut page = file.start_page_with(settings()?);
        let mut surface = page.surface();
        for Element { leaf, shape } in elements {
            let identifier = surface.start_tagged(match (leaf, shape) {
                (None, _) => ContentTag::Artifact(Artifact::with_kind(ArtifactType::Layout)),
                (Some(_), Shape::Text { .. }) => ContentTag::Span(SpanTag::empty()),
                (Some(_), _) => ContentTag::Other,
            });
            let drawn = draw(&mut surface, shape, &fonts);
            surface.end_tagged();
            drawn?;
            if let Some(contents) = leaf.and_then(|leaf| contents.get_mut(leaf)) {
                contents.push(identifier);
            }
        }
        surface.finish();
        page.finish();
    }
    let mut outline = Outline::new();
    for heading in &document.headings {
        let point = Point::from_xy(MARGIN, heading.y);
        let destination = krilla::destination::XyzDestination::new(heading.page, point);
        outline.push_child(OutlineNode::new(heading.text.clone(), destination));
    }
    file.set_outline(outline);
    file.set_tag_tree(document.structure.tree(contents));
    file.finish().map_err(|error| anyhow!("putting the PDF together: {error:?}"))
}

fn draw(surface: &mut Surface, shape: &Shape, fonts: &[Font; 2]) -> Result<()> {
    match shape {
        Shape::Area { x, y, width, height, color } => {
            let mut path = PathBuilder::new();
            path.push_rect(Rect::from_xywh(*x, *y, *width, *height).context("an area has no size")?);
            surface.set_fill(Some(fill(*color)));
            surface.draw_path(&path.finish().context("an area has no outline")?);
        }
        Shape::Square { x, y, size } => {
            let mut path = PathBuilder::new();
            path.push_rect(Rect::from_xywh(*x, *y, *size, *size).context("a box has no size")?);
            surface.set_fill(Some(fill(Color(255, 255, 255))));
            let paint = rgb::Color::new(INK.0, INK.1, INK.2).into();
            surface.set_stroke(Some(Stroke { paint, width: 0.8, ..Stroke::default() }));
            surface.draw_path(&path.finish().context("a box has no outline")?);
            surface.set_stroke(None);
        }
        Shape::Text { x, y, style: Style { size, weight, color }, text } => {
            surface.set_fill(Some(fill(*color)));
            let glyphs: Vec<KrillaGlyph> = text
                .char_indices()
                .map(|(start, character)| {
                    let (id, advance) = glyph(character, *weight);
                    let range = start..start + character.len_utf8();
                    KrillaGlyph::new(GlyphId::new(id), advance, 0.0, 0.0, 0.0, range, None)
                })
                .collect();
            surface.draw_glyphs(Point::from_xy(*x, *y), &glyphs, fonts[*weight as usize].clone(), text, *size, false);
        }
        Shape::Figure { x, y, width, height, tree } => {
            let size = Size::from_wh(*width, *height).context("a figure has no size")?;
            surface.push_transform(&Transform::from_translate(*x, *y));
            surface.draw_svg(tree, size, SvgSettings::default()).context("a figure cannot be drawn")?;
            surface.pop();
        }
    }
    Ok(())
}

fn fill(color: Color) -> Fill {
    let Color(red, green, blue) = color;
    Fill { paint: rgb::Color::new(red, green, blue).into(), opacity: NormalizedF32::ONE, rule: FillRule::NonZero }
}
