//! report.pdf: one page for client managers, which says whom to call and why and what has changed. Then the model, its
//! quality, why it is live, its data, and their development over time, for engineers. Every footer names the live release.

use anyhow::Result;
use insight::{Part, Section};

use crate::pdf::{Document, Figure, TableStyle};

/// The styles in which the table of calls is set until everything for client managers is on one page.
const FITS: [TableStyle; 8] = [
    TableStyle { size: 8.4, most_lines: 8 },
    TableStyle { size: 8.0, most_lines: 8 },
    TableStyle { size: 7.6, most_lines: 6 },
    TableStyle { size: 7.2, most_lines: 5 },
    TableStyle { size: 6.8, most_lines: 4 },
    TableStyle { size: 6.4, most_lines: 4 },
    TableStyle { size: 6.4, most_lines: 3 },
    TableStyle { size: 6.4, most_lines: 2 },
];

/// The contents of the report.
pub struct Contents<'a> {
    /// Id of the live release.
    pub release: &'a str,
    /// The day of the report in words.
    pub day: &'a str,
    /// The sections of the first page.
    pub front: &'a [Section],
    /// The sections for engineers.
    pub sections: &'a [Section],
    /// The calls that are not on the first page.
    pub other_calls: Option<&'a Section>,
}

impl Contents<'_> {
    /// Creates the PDF; the same contents give the same bytes.
    pub fn pdf(&self) -> Result<Vec<u8>> {
        let mut document = self.first_page()?;
        document.page_break();
        document.title("The model and its data", "");
        for section in self.sections {
            document.heading(section.title);
            add(&mut document, &section.parts, None)?;
        }
        if let Some(calls) = self.other_calls {
            document.heading(calls.title);
            add(&mut document, &calls.parts, None)?;
        }
        document.finish()
    }

    /// Sets the first page in the largest style with which everything fits.
    fn first_page(&self) -> Result<Document> {
        let mut document = Document::new("Clients at risk", format!("release {}", self.release));
        for style in FITS {
            document = Document::new("Clients at risk", format!("release {}", self.release));
            for (index, section) in self.front.iter().enumerate() {
                match index {
                    0 => document.title(section.title, self.day),
                    _ => document.heading(section.title),
                }
                add(&mut document, &section.parts, Some(style))?;
            }
            if document.page_count() == 1 {
                break;
            }
        }
        Ok(document)
    }
}

/// Adds the parts of a section; `style` is that of its tables, or the usual one.
fn add<'p>(document: &mut Document, parts: &'p [Part], style: Option<TableStyle>) -> Result<()> {
    for parts in parts.chunk_by(|a, b| matches!((a, b), (Part::Figure { .. }, Part::Figure { .. }))) {
        match &parts[0] {
            Part::Text(text) => document.paragraph(text),
            Part::Warning(text) => document.warning(text),
            Part::Note(text) => document.note(text),
            Part::Table(table) => document.table(table, style.unwrap_or_else(|| TableStyle::of(table))),
            Part::Figure { .. } => {
                let figure = |part: &'p Part| match part {
                    Part::Figure { label, svg, share } => Some(Figure { svg, label, share: *share }),
                    _ => None,
                };
                document.figures(&parts.iter().filter_map(figure).collect::<Vec<_>>())?;
            }
        }
    }
    Ok(())
}
