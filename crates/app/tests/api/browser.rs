//! The pages in a real browser: no errors in its console, and every action of a user, by mouse and by keyboard, on wide
//! and narrow screens, in light and dark mode, with and without scripts.

use serde_json::{Value, json};
use testkit::Workspace;
use testkit::browser::{Browser, Screen};

use crate::helpers::{Api, documented_endpoints};
use crate::pages::{AWKWARD, awkward};

const WIDE: Screen = Screen { width: 1400, height: 1000, dark: false, scripts: true };
const NARROW: Screen = Screen { width: 400, height: 800, dark: true, scripts: true };

/// Starts a browser; `None`, with a message, if no browser is installed.
fn browser(screen: Screen) -> Option<Browser> {
    Browser::start(screen).map_err(testkit::skipped).ok()
}

fn check_console(browser: &Browser) {
    let said = browser.console();
    assert!(said.is_empty(), "the console says {said:?}");
}

/// The texts in one column of the visible calls.
fn column(browser: &Browser, place: u32) -> Vec<String> {
    let script = "return [...document.querySelectorAll('#call-list tbody tr:not([hidden])')]\
                  .map(row => row.cells[arguments[0]].textContent.trim())";
    let texts = browser.run(script, &[json!(place)]);
    texts.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_morning_at_a_desk() {
    let Some(browser) = browser(WIDE) else { return };
    let api = Api::of(awkward());
    browser.open(&api.server.url);
    assert_eq!(browser.text("h1"), "Whom to call today");
    assert_eq!((browser.count("#call-list tbody tr"), browser.count(".chart svg")), (50, 3));
    check_console(&browser);

    // Sorts by name, and then back by risk.
    let names = column(&browser, 1);
    browser.click("#call-list th:nth-child(2) button");
    let sorted = column(&browser, 1);
    assert!(sorted != names && sorted.len() == names.len());
    assert_eq!(browser.role_and_name("#call-list th:nth-child(2)").0, "columnheader");
    browser.click("#call-list th:nth-child(2) button");
    assert_eq!(column(&browser, 1), sorted.iter().rev().cloned().collect::<Vec<_>>());
    browser.click("#call-list th:nth-child(1) button");
    assert_eq!(column(&browser, 1), names);

    // Filters the calls.
    browser.type_into("#filter", "SÖHNE");
    assert_eq!(column(&browser, 1), ["größe & söhne"]);
    assert_eq!(browser.text("#filtered"), "1 of 50");
    browser.type_into("#filter", "x");
    browser.press("\u{e003}"); // backspace
    assert_eq!(column(&browser, 1).len(), 50);

    // Finds a client, opens its page, and uses the "what if" form.
    browser.type_into("#q", "<script>");
    browser.press("\u{e007}"); // enter
    browser.wait_for("#found");
    assert_eq!(browser.text("#found tbody th"), AWKWARD[0]);
    browser.click("#found tbody a");
    browser.wait_for(".what-if");
    assert_eq!(browser.text("h1"), AWKWARD[0]);
    browser.type_into("#predictor-0", "900");
    browser.type_into("#predictor-1", "4000");
    browser.type_into("#predictor-2", "3");
    browser.click(".what-if button");
    browser.wait_for("#answer");
    let answer = browser.text("#answer");
    assert!(answer.contains("no longer be predicted to leave"), "{answer}");
    check_console(&browser);
}

#[test]
fn names_from_data_are_shown_as_texts() {
    let Some(browser) = browser(WIDE) else { return };
    let api = Api::of(awkward());
    browser.open(&api.server.url);
    for name in AWKWARD {
        let script = "const link = [...document.querySelectorAll('#call-list a')].find(a => a.textContent === arguments[0]);\
                      link.click(); return link.href";
        assert!(browser.run(script, &[json!(name)]).is_string(), "{name}");
        browser.wait_for(".what-if");
        assert_eq!(browser.text("h1"), name);
        check_console(&browser);
        browser.open(&api.server.url);
    }
}

#[test]
fn nothing_is_wider_than_a_telephone_and_all_can_be_read_there() {
    let Some(browser) = browser(NARROW) else { return };
    let api = Api::of(awkward());
    let long =
        "a corporation with a name that goes on and on, and_has_a_word_that_is_longer_than_any_line_of_a_telephone";
    api.workspace.csv("practicedata/long.csv", &format!("\"{long}\",1,70,95,\n"));
    api.workspace.run("fullprocess", &[]);
    for page in ["/", "/?q=a", "/clients/a26?lastmonth_activity=9", "/clients/nobody"] {
        browser.open(&format!("{}{page}", api.server.url));
        let width = browser.run("return document.documentElement.scrollWidth", &[]);
        assert!(width.as_u64().unwrap() <= 400, "{page} is {width} pixels wide");
        // Dark mode: a dark background and light letters.
        let colors = "const style = getComputedStyle(document.body);\
                      const light = color => color.match(/\\d+/g).slice(0, 3).reduce((sum, part) => sum + +part, 0);\
                      return [light(style.backgroundColor), light(style.color)]";
        let colors = browser.run(colors, &[]);
        assert!(colors[0].as_u64().unwrap() < 150 && colors[1].as_u64().unwrap() > 600, "{page}: {colors}");
        let said = browser.console();
        // The browser itself reports in its console that a page was not found.
        assert!(said.is_empty() || page.ends_with("nobody"), "{page}: the console says {said:?}");
    }
}

#[test]
fn a_screen_reader_finds_its_way_and_a_keyboard_too() {
    let Some(browser) = browser(WIDE) else { return };
    let api = Api::of(awkward());
    browser.open(&api.server.url);
    for (selector, role, name) in [
        ("header", "banner", ""),
        ("nav", "navigation", "Parts of the page"),
        ("main", "main", ""),
        ("form[role=search]", "search", ""),
        ("#q", "searchbox", "Find a client"),
        ("#filter", "searchbox", "Show only calls with"),
        ("#call-list", "table", ""),
        ("#call-list thead th", "columnheader", ""),
        ("#call-list tbody th", "rowheader", ""),
        (".chart", "image", "Confusion matrix"),
        ("#model", "region", "The model"),
    ] {
        let (found, label) = browser.role_and_name(selector);
        let alike = found == role || (role == "image" && found == "img");
        assert!(alike && (name.is_empty() || label == name), "{selector}: {found} {label:?}");
    }
    let headings = browser.run("return [...document.querySelectorAll('h1,h2,h3')].map(h => h.tagName)", &[]);
    assert_eq!(headings[0], "H1");
    assert!(headings.as_array().unwrap()[1..].iter().all(|heading| heading == "H2"), "{headings}");
    let unnamed = browser.run(
        "return [...document.querySelectorAll('input,button,a,summary')].filter(e => \
         !(e.textContent.trim() || e.labels?.length || e.getAttribute('aria-label'))).map(e => e.outerHTML)",
        &[],
    );
    assert_eq!(unnamed, json!([]));
    // The first press of the Tab key offers to skip the navigation.
    browser.press("\u{e004}"); // tab
    assert_eq!(browser.run("return document.activeElement.className", &[]), json!("skip"));
    browser.press("\u{e007}"); // enter
    assert_eq!(browser.run("return document.activeElement.id", &[]), json!("main"));
    let reached = (0..200).any(|_| {
        browser.press("\u{e004}");
        browser.run("return document.activeElement.matches('#call-list th:nth-child(2) button')", &[]) == json!(true)
    });
    assert!(reached, "no number of tabs leads to the column's head");
    browser.press(" ");
    let sorted = "return document.querySelector('#call-list th:nth-child(2)').getAttribute('aria-sort')";
    assert_eq!(browser.run(sorted, &[]), json!("ascending"));
}

#[test]
fn without_scripts_everything_can_be_read_and_asked() {
    let Some(browser) = browser(Screen { scripts: false, ..WIDE }) else { return };
    let api = Api::of(awkward());
    browser.open(&api.server.url);
    assert_eq!(browser.text("h1"), "Whom to call today");
    assert_eq!((browser.count("#call-list tbody tr"), browser.count("#call-list th button")), (50, 0));
    browser.type_into("#q", "a26");
    browser.click("form[role=search] button");
    browser.wait_for("#found");
    assert_eq!(browser.text("#found tbody th"), "a26");
    browser.click("#found tbody a");
    browser.wait_for(".what-if");
    browser.type_into("#predictor-0", "1");
    browser.click(".what-if button");
    browser.wait_for("#answer");
    assert!(browser.text("#answer").starts_with("With these numbers"));
}

#[test]
fn an_empty_system_says_what_to_run() {
    let Some(browser) = browser(WIDE) else { return };
    let api = Api::of(Workspace::with_data());
    browser.open(&api.server.url);
    assert!(browser.text("#empty").contains("fullprocess --config config.json"), "{}", browser.text("#empty"));
    // The only error is about the page itself: nothing that it needs is missing.
    let said = browser.console();
    assert!(said.iter().all(|line| line["message"].to_string().contains("/ - Failed to load resource")), "{said:?}");
}

#[test]
fn swagger_ui_works_without_the_internet() {
    let Some(browser) = browser(WIDE) else { return };
    let api = Api::deployed();
    browser.open(&format!("{}/docs", api.server.url));
    let operations = documented_endpoints();
    let script = format!("return document.querySelectorAll('.opblock').length === {operations}");
    browser.wait("the operations are shown", &script);
    assert!(browser.url().ends_with("/docs/"));
    browser.click("#operations-reports-scoring button.opblock-summary-control");
    browser.wait_for(".try-out__btn");
    browser.click(".try-out__btn");
    browser.click(".execute");
    browser.wait_for(".live-responses-table");
    assert!(browser.text(".live-responses-table").contains("\"f1\""));
    let elsewhere = "return performance.getEntriesByType('resource').map(entry => entry.name)\
                     .filter(name => !name.startsWith(location.origin) && !name.startsWith('data:'))";
    assert_eq!(browser.run(elsewhere, &[]), json!([]));
    let errors: Vec<Value> = browser.console().into_iter().filter(|line| line["level"] == "SEVERE").collect();
    assert!(errors.is_empty(), "{errors:?}");
}
