//! Line breaks in the font of all text.

use charts::font::{Weight, glyph, width};

/// Breaks `text` into lines of at most `room` points: at its own line ends, between words, and inside words that are
/// longer than a line. A percent sign stays with its number. Control characters become spaces.
pub fn wrap(text: &str, weight: Weight, size: f32, room: f32) -> Vec<String> {
    text.split('\n').flat_map(|line| wrap_line(line, weight, size, room)).collect()
}

fn wrap_line(text: &str, weight: Weight, size: f32, room: f32) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut filled = 0.0;
    let space = glyph(' ', weight).1 * size;
    let mut words: Vec<String> = Vec::new();
    for word in text.split(|character: char| character.is_whitespace() || character.is_control()) {
        match words.last_mut() {
            Some(number) if word.starts_with('%') => *number += &format!(" {word}"),
            _ if word.is_empty() => {}
            _ => words.push(word.to_owned()),
        }
    }
    for word in &words {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_and_long_words_are_broken() {
        let text = format!("a {} b", "x".repeat(200));
        let lines = wrap(&text, Weight::Regular, 8.0, 100.0);
        assert!(lines.len() > 5 && lines.iter().all(|line| width(line, Weight::Regular, 8.0) <= 100.0), "{lines:?}");
        assert_eq!(lines.concat().replace(' ', ""), text.replace(' ', ""));
        let percents = wrap("a risk of 97 %.", Weight::Regular, 10.0, width("a risk of 97", Weight::Regular, 10.0));
        assert_eq!(percents, ["a risk of", "97 %."]);
        assert_eq!(wrap("", Weight::Bold, 8.0, 100.0), [""]);
        assert_eq!(wrap("two\n\tli\tnes", Weight::Bold, 8.0, 100.0), ["two", "li nes"]);
    }
}
