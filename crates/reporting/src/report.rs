//! report.pdf: the first page says whom to call and why. The following pages describe the model, its quality, why it is
//! live, its data, and their development over time. All contents refer to the live release, whose id is in every
//! footer.

mod calls;
mod data;
mod model;

use anyhow::Result;

use crate::pdf::{Document, Properties};
use insight::evidence::Evidence;

/// Creates the report; the same evidence gives the same bytes.
pub fn pdf(evidence: &Evidence) -> Result<Vec<u8>> {
    let release = &evidence.release;
    let mut document =
        Document::new(Properties { title: "Clients at risk".to_owned(), footer: format!("release {}", release.id) })?;
    calls::page(&mut document, evidence)?;
    document.page_break();
    model::card(&mut document, evidence)?;
    model::performance(&mut document, evidence)?;
    model::promotion(&mut document, evidence)?;
    model::drift(&mut document, evidence)?;
    data::files_and_columns(&mut document, evidence)?;
    data::trends(&mut document, evidence)?;
    data::dependencies(&mut document, evidence)?;
    document.finish()
}
