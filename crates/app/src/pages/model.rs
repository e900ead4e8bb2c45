//! The page for engineers: the model, its quality, its drift, why it is live, the data, trends and dependencies.

use std::sync::Arc;

use insight::wording::capitalised;
use maud::{Markup, html};

use super::layout::{Frame, Place};
use super::section::section;
use crate::live::LiveModel;
use crate::views::Overview;

/// The page about the live release, or about why its state cannot be shown.
pub fn page(live: &LiveModel, overview: Result<Arc<Overview>, String>) -> Markup {
    let content = html! {
        h1 { "The model and its data" }
        p.note {
            "For engineers. " a href="/terms#model-title" { "What the words mean" } " · "
            a href="/docs/" { "Try the API" } " · " a href="/openapi.json" { "OpenAPI document" } " · "
            a href="/metrics" { "Metrics" } " · " a href="/history?what=runs" { "History of runs" } " · "
            a href="/report.pdf" { "Report (PDF)" }
        }
        @match &overview {
            Ok(overview) => {
                nav.local aria-label="Sections" {
                    @for part in &overview.sections { a href={ "#" (part.id) } { (part.title) } }
                }
                @for part in &overview.sections { (section(part, live.threshold)) }
            }
            Err(detail) => p.warning { (capitalised(detail)) "." }
        }
    };
    Frame { title: "Model", place: Some(Place::Model), release: Some(&live.id), ..Frame::default() }.around(&content)
}
