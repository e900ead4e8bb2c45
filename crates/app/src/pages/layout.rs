//! Layout and elements that the pages share.

use common::config::Threshold;
use insight::wording::{points, risk_in_table};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// A complete page with navigation; `search` is the text in the search field. A footer names the `release` that the page
/// shows.
pub fn page(title: &str, search: &str, release: Option<&str>, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Clients at risk" }
                link rel="icon" type="image/svg+xml" href="/assets/icon.svg";
                link rel="stylesheet" href="/assets/page.css";
                script src="/assets/page.js" defer {}
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                header {
                    a.home href="/" { "Clients at risk" }
                    nav aria-label="Parts of the page" {
                        @for (part, name) in PARTS { a href={ "/#" (part) } { (name) } }
                        a href="/docs/" { "API" }
                    }
                    form role="search" action="/" method="get" {
                        label for="q" { "Find a client" }
                        input type="search" id="q" name="q" value=(search) placeholder="Part of its name" autocomplete="off";
                        button { "Search" }
                    }
                }
                main id="main" tabindex="-1" { (content) }
                @if let Some(release) = release { footer { "Release " (release) } }
            }
        }
    }
}

/// The sections of the start page: the anchor and the name of each.
const PARTS: [(&str, &str); 5] =
    [("calls", "Calls"), ("model", "Model"), ("trends", "Trends"), ("data", "Data"), ("dependencies", "Dependencies")];

/// A link to a client's page.
pub fn client_link(id: &str) -> Markup {
    html! { a href={ "/clients/" (utf8_percent_encode(id, NON_ALPHANUMERIC)) } { (id) } }
}

/// A risk as a number and as a bar, which shows a warning from the `threshold` on.
pub fn risk(risk: f64, threshold: Threshold) -> Markup {
    let (high, low) = (threshold.value(), threshold.value() / 2.0);
    html! {
        (risk_in_table(risk)) " "
        meter min="0" max="1" low=(low) high=(high) optimum="0" value=(format!("{risk:.4}")) aria-hidden="true" {}
    }
}

/// The change of a risk in percentage points; increases are emphasised, and `None` is shown as "new".
pub fn change(change: Option<f64>) -> Markup {
    match change {
        None => html! { "new" },
        Some(difference) if difference >= 0.0005 => html! { strong { (points(difference)) } },
        Some(difference) => html! { (points(difference)) },
    }
}

/// A chart. The reports draw its SVG; the only contents that come from data are numbers and names of columns.
pub fn chart(label: &str, svg: &str) -> Markup {
    html! {
        figure.wide tabindex="0" role="group" aria-label=(label) {
            div.chart role="img" aria-label=(label) { (PreEscaped(charts::themed(svg))) }
        }
    }
}
