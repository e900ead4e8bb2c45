use super::*;

fn sample(rows: usize) -> Vec<u8> {
    let mut document =
        Document::new(Properties { title: "Sample".to_owned(), footer: "release r1".to_owned() }).unwrap();
    document.title("A title");
    document.paragraph(&"Many words that fill a line and then some more. ".repeat(8));
    document.warning("What must not be missed.");
    document.heading("A heading");
    document.table(&Table {
        columns: vec![Column::left("name", 0.4), Column::right("count", 0.6)],
        rows: (0..rows).map(|i| vec![format!("row {i}"), i.to_string()]).collect(),
        ..Table::default()
    });
    let svg = "<svg width=\"100\" height=\"50\" xmlns=\"http://www.w3.org/2000/svg\"><text x=\"5\" y=\"20\" \
        font-family=\"nobody has this\" font-size=\"12\">in a figure</text></svg>";
    document.figures(&[svg, svg]).unwrap();
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
    let properties = Properties { title: "Sample".to_owned(), footer: String::new() };
    let mut document = Document::new(properties).unwrap();
    while document.y < BOTTOM - 60.0 {
        document.note("filling");
    }
    document.heading("Over there");
    document.figures(&["<svg width=\"100\" height=\"30\" xmlns=\"http://www.w3.org/2000/svg\"/>"]).unwrap();
    assert_eq!((document.pages.len(), document.headings[0].page), (2, 1));
    assert!(matches!(&document.pages[1][0], Watermark::Text { text, .. } if text == "Over there"));
    assert!(!document.pages[0].iter().any(|mark| matches!(mark, Watermark::Text { text, .. } if text == "Over there")));
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
fn a_cell_that_would_fill_pages_is_cut() {
    let columns = [Column::left("name", 0.1)];
    let style = Style { size: 8.0, weight: Weight::Regular, color: INK };
    let cells = Cells::new(&columns, &["x".repeat(1000)], style);
    assert_eq!((cells.lines[0].len(), cells.lines[0][MOST_LINES - 1].as_str()), (MOST_LINES, "…"));
}

#[test]
fn odd_characters_are_drawn_as_far_as_the_font_goes() {
    let mut document = Document::new(Properties { title: "\u{1F600}".to_owned(), footer: "<&>".to_owned() }).unwrap();
    for text in ["\0\u{1}", "\u{1F600} 漢字", "\u{202e}שלום", "e\u{301}", "\u{FFFF}", "<script>alert(1)</script>", ""]
    {
        document.paragraph(text);
        document.table(&Table {
            columns: vec![Column::right(text, 0.001), Column::left(text, 0.9)],
            rows: vec![vec![text.to_owned(); 2]],
            small: true,
        });
    }
    assert!(document.finish().unwrap().len() > 1000);
}
