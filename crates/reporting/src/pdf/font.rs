//! The font of all text, DejaVu Sans, which is embedded in the program: text widths and line breaks.

use std::sync::LazyLock;

use ttf_parser::Face;

/// The two embedded faces of the font.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    Regular,
    Bold,
}

impl Weight {
    pub const ALL: [Self; 2] = [Self::Regular, Self::Bold];

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

/// Width of `text` in points at the font size `size`.
pub fn width(text: &str, weight: Weight, size: f32) -> f32 {
    text.chars().map(|character| glyph(character, weight).1 * size).sum()
}

/// Breaks `text` into lines of at most `room` points: at its own line ends, between words, and inside words that are
/// longer than a line. Control characters become spaces.
pub fn wrap(text: &str, weight: Weight, size: f32, room: f32) -> Vec<String> {
    text.split('\n').flat_map(|line| wrap_line(line, weight, size, room)).collect()
}

fn wrap_line(text: &str, weight: Weight, size: f32, room: f32) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut filled = 0.0;
    let space = glyph(' ', weight).1 * size;
    for word in text.split(|character: char| character.is_whitespace() || character.is_control()) {
        if word.is_empty() {
            continue;
        }
        let wide = width(word, weight, size);
        if !line.is_empty() {
            if filled + space + wide <= room {
                line.push(' ');
                line.push_str(word);
                filled += space + wide;
                continue;
            }
            lines.push(std::mem::take(&mut line));
            filled = 0.0;
        }
        for character in word.chars() {
            let advance = glyph(character, weight).1 * size;
            if filled + advance > room && !line.is_empty() {
                lines.push(std::mem::take(&mut line));
                filled = 0.0;
            }
            line.push(character);
            filled += advance;
        }
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}
