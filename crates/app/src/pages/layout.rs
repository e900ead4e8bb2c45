//! Layout and elements that the pages share.

use common::config::Threshold;
use insight::Turn;
use insight::wording::{points, risk_in_table};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::time::day_of_year;

/// The pages of the navigation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Calls,
    Clients,
    Model,
    Terms,
}

/// The address and the name of each page in the navigation.
const PLACES: [(Place, &str, &str); 4] = [
    (Place::Calls, "/", "Calls"),
    (Place::Clients, "/clients", "All clients"),
    (Place::Model, "/model", "Model"),
    (Place::Terms, "/terms", "Terms"),
];

/// What surrounds the content of a page.
#[derive(Default)]
pub struct Frame<'f> {
    pub title: &'f str,
    /// The page of the navigation that this is, if it is one.
    pub place: Option<Place>,
    /// The text in the search field.
    pub search: &'f str,
    /// The release that the page shows, for the footer.
    pub release: Option<&'f str>,
}

impl Frame<'_> {
    /// The page with this frame around its content.
    pub fn around(&self, content: &Markup) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) " · Clients at risk" }
                    link rel="icon" type="image/svg+xml" href="/assets/icon.svg";
                    link rel="stylesheet" href="/assets/page.css";
                    script src="/assets/page.js" defer {}
                }
                body {
                    a.skip href="#main" { "Skip to the content" }
                    header.site { (self.navigation()) }
                    main id="main" tabindex="-1" { (content) }
                    footer.site {
                        p {
                            @if let Some(release) = self.release { "Release " (release) " · " }
                            a href="/terms" { "What the words mean" } " · " a href="/docs/" { "API" }
                        }
                    }
                }
            }
        }
    }

    fn navigation(&self) -> Markup {
        html! {
            a.brand href="/" { img src="/assets/icon.svg" alt="" width="24" height="24"; "Clients at risk" }
            nav aria-label="Pages" {
                @for (place, address, name) in PLACES {
                    a href=(address) aria-current=[(self.place == Some(place)).then_some("page")] { (name) }
                }
            }
            form role="search" action="/clients" method="get" {
                label for="q" { "Find a client" }
                input type="search" id="q" name="q" value=(self.search) placeholder="Part of its name" autocomplete="off";
                button { "Search" }
            }
        }
    }
}

/// A text as a part of an address.
pub fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// The address of a client's page.
pub fn client_path(id: &str) -> String {
    format!("/clients/{}", encoded(id))
}

/// A link to a client's page.
pub fn client_link(id: &str) -> Markup {
    html! { a href=(client_path(id)) { (id) } }
}

/// Whether and when a client is called, in one or two words.
pub fn turn(turn: Turn) -> Markup {
    match turn {
        Turn::Today => html! { span.tag.today { "Today" } },
        Turn::Later => html! { span.quiet { "Later" } },
        Turn::Paused { until } => html! { span.tag { "Back on " (day_of_year(until)) } },
        Turn::HeldOut => html! { span.tag { "Held out" } },
    }
}

/// A risk as a number and as a bar with a mark at the `threshold`.
pub fn risk(risk: f64, threshold: Threshold) -> Markup {
    html! { span.risk-number { (risk_in_table(risk)) } " " (bar(risk, threshold)) }
}

/// A bar that is as long as the risk is high. Its colour and the mark at the `threshold` say whether the client is
/// predicted to leave, which the number says too.
fn bar(risk: f64, threshold: Threshold) -> Markup {
    let mark = format!("{:.1}", 100.0 * threshold.value());
    html! {
        svg.bar viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true" {
            rect.track width="100" height="10" rx="2" {}
            rect class=(level(risk, threshold)) width=(format!("{:.1}", 100.0 * risk)) height="10" rx="2" {}
            rect.mark x=(mark) width="1.5" height="10" {}
        }
    }
}

/// The level of a risk: high from the threshold on, low below half of it.
pub fn level(risk: f64, threshold: Threshold) -> &'static str {
    match risk / threshold.value() {
        1.0.. => "high",
        0.5.. => "medium",
        _ => "low",
    }
}

/// A sentence in which no line begins with a percent sign.
pub fn sentence(text: &str) -> String {
    text.replace(" %", "\u{a0}%")
}

/// The change of a risk in percentage points; increases are emphasised, and `None` is shown as "new".
pub fn change(change: Option<f64>) -> Markup {
    match change {
        None => html! { "new" },
        Some(difference) if difference >= 0.0005 => html! { strong.up { (points(difference)) } },
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_begin_at_the_threshold_and_at_half_of_it() {
        let threshold = Threshold::new(0.4).unwrap();
        assert_eq!([0.4, 0.39, 0.2, 0.19].map(|risk| level(risk, threshold)), ["high", "medium", "medium", "low"]);
        assert!(risk(0.123, threshold).into_string().contains("12.3 %"));
    }
}
