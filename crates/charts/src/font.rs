//! The font of all text, DejaVu Sans, which is embedded in the program: its files and the widths of texts.

use std::sync::LazyLock;

use ttf_parser::Face;

/// The two embedded faces of the font.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// The face of running text.
    Regular,
    /// The face of titles and of what must not be overlooked.
    Bold,
}

impl Weight {
    /// Both faces, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::Regular, Self::Bold];

    /// The contents of the face's TrueType file.
    pub fn data(self) -> &'static [u8] {
        match self {
            Self::Regular => dejavu::sans::regular(),
            Self::Bold => dejavu::sans::bold(),
        }
    }
}

static FACES: LazyLock<Option<[Face<'static>; 2]>> = LazyLock::new(|| {
    let [regular, bold] = Weight::ALL.map(|weight| Face::parse(weight.data(), 0).ok());
    Some([regular?, bold?])
});

/// The glyph of a character, and its advance width in multiples of the font size. A character that the font lacks is
/// replaced by �.
pub fn glyph(character: char, weight: Weight) -> (u32, f32) {
    let Some(faces) = FACES.as_ref() else { return (0, 0.0) };
    let face = &faces[weight as usize];
    let known = face.glyph_index(character).or_else(|| face.glyph_index('\u{FFFD}'));
    let Some(id) = known else { return (0, 0.0) };
    let advance = f32::from(face.glyph_hor_advance(id).unwrap_or(0)) / f32::from(face.units_per_em());
    (u32::from(id.0), advance)
}

/// Width of `text` at the font size `size`, in the unit of `size`.
pub fn width(text: &str, weight: Weight, size: f32) -> f32 {
    text.chars().map(|character| glyph(character, weight).1 * size).sum()
}

/// The longest beginning of `text` that is at most `room` wide; an ellipsis shows that something is missing.
pub fn shortened(text: &str, weight: Weight, size: f32, room: f32) -> String {
    if width(text, weight, size) <= room {
        return text.to_owned();
    }
    let mut left = room - width("…", weight, size);
    let fits = |character: &char| {
        left -= glyph(*character, weight).1 * size;
        left >= 0.0
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters_and_fit() {
        let short = |text: &str, room| shortened(text, Weight::Regular, 10.0, room);
        assert_eq!(short("größe.csv", 100.0), "größe.csv");
        let cut = short(&"ö".repeat(80), 100.0);
        assert!(cut.starts_with("öö") && cut.ends_with("ö…") && width(&cut, Weight::Regular, 10.0) <= 100.0, "{cut}");
        assert_eq!(short("wide", 0.0), "…");
    }
}
