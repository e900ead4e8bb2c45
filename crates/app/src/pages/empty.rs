//! The pages before the first deployment, for data that cannot be ranked, and for requests that failed.

use actix_web::http::StatusCode;
use common::config::Config;
use common::files::csv_files_if_any;
use common::production::last_run::LastRun;
use maud::{Markup, html};

use super::layout::{Frame, Place};
use crate::live::LiveModel;
use crate::problem::shortened;

/// The page before the first deployment: what exists, and which command to run.
pub fn nothing_yet(config: &Config, detail: &str) -> Markup {
    let files = csv_files_if_any(&config.input_folder).map_or(0, |files| files.len());
    let compiled = config.output_folder.join(common::files::FINAL_DATA).exists();
    let failed = LastRun::read(config).ok().flatten().filter(|run| !run.succeeded);
    let content = html! {
        section id="empty" {
            h1 { "There is nothing to show yet" }
            p.warning role="status" { (capitalised_sentence(detail)) }
            @if let Some(run) = failed {
                p.warning { "The last run of fullprocess failed: " (shortened(&run.line)) }
            }
            ol {
                li {
                    @match files {
                        0 => "The input folder contains no CSV file: put the clients' data there."
                        1 => "The input folder contains one CSV file."
                        _ => { "The input folder contains " (files) " CSV files." }
                    }
                }
                li { @if compiled { "They were compiled." } @else { "They have not been compiled." } }
                li { "On the server, run " code { "fullprocess --config config.json" } ". It compiles the files, trains a model, deploys
                      it and writes the reports. Cron can run it every ten minutes; README.md shows how." }
                li { "Then load this page again." }
            }
        }
    };
    Frame { title: "Nothing yet", place: Some(Place::Calls), ..Frame::default() }.around(&content)
}

/// The page if a release is live, but the clients cannot be ranked with it.
pub fn no_clients(live: &LiveModel, detail: &str) -> Markup {
    let content = html! {
        section id="calls" {
            h1 { "The clients cannot be shown" }
            p.warning role="status" { (capitalised_sentence(detail)) }
            p { "Release " (live.id) " still answers requests for predictions; see " a href="/docs/" { "the description of the API" } "." }
        }
    };
    Frame { title: "Clients", place: Some(Place::Calls), release: Some(&live.id), ..Frame::default() }.around(&content)
}

/// The page for a request that failed; `detail` says what to change.
pub fn problem(status: StatusCode, detail: &str) -> Markup {
    let phrase = status.canonical_reason().unwrap_or_default();
    let content = html! {
        section.problem {
            @match status {
                StatusCode::NOT_FOUND => {
                    h1 { "This page does not exist" }
                    p { "See " a href="/" { "today's calls" } " or " a href="/clients" { "all clients" } ", or search for a part of a
                         client's name." }
                    details {
                        summary { "For programs" }
                        p { (capitalised_sentence(detail)) }
                        p { a href="/docs/" { "The description of the API" } }
                    }
                }
                _ => {
                    h1 { (phrase) }
                    p.warning role="alert" { "The request failed: " (detail) "." }
                    p { "See " a href="/" { "today's calls" } " or " a href="/docs/" { "the description of the API" } "." }
                }
            }
        }
    };
    Frame { title: phrase, ..Frame::default() }.around(&content)
}

fn capitalised_sentence(text: &str) -> String {
    format!("{}.", insight::wording::capitalised(text))
}
