//! report.pdf: the first pages say whom to call and why. The following pages describe the model, its quality, why it is
//! live, its data, and their development over time. Every footer names the live release.

use anyhow::Result;
use insight::{Part, Section};

use crate::pdf::Document;

/// Creates the report from sections; the same sections give the same bytes. The calls come first, on pages of their own.
pub fn pdf(release: &str, calls: &Section, sections: &[Section]) -> Result<Vec<u8>> {
    let mut document = Document::new("Clients at risk", format!("release {release}"));
    document.title(calls.title);
    add(&mut document, calls)?;
    document.page_break();
    for section in sections {
        document.heading(section.title);
        add(&mut document, section)?;
    }
    document.finish()
}

fn add(document: &mut Document, section: &Section) -> Result<()> {
    for part in &section.parts {
        match part {
            Part::Text(text) => document.paragraph(text),
            Part::Warning(text) => document.warning(text),
            Part::Note(text) => document.note(text),
            Part::Table(table) => document.table(table),
            Part::Figure { svg, share, .. } => document.figure(svg, *share)?,
        }
    }
    Ok(())
}
