//! The pages in a real browser: no errors in its console, and every action of a user, by mouse and by keyboard, with and
//! without scripts. The tests in `look` cover what the pages look like.

use serde_json::{Value, json};
use testkit::Workspace;
use testkit::browser::{Browser, Screen};

use crate::helpers::{Api, documented_endpoints};
use crate::pages::{AWKWARD, awkward};

pub const WIDE: Screen = Screen { width: 1400, height: 1000, dark: false, scripts: true };

/// Starts a browser; `None`, with a message, if no browser is installed.
pub fn browser(screen: Screen) -> Option<Browser> {
    Browser::start(screen).map_err(testkit::skipped).ok()
}

fn check_console(browser: &Browser) {
    let said = browser.console();
    assert!(said.is_empty(), "the console says {said:?}");
}

#[test]
fn a_morning_at_a_desk() {
    let Some(browser) = browser(WIDE) else { return };
    let api = Api::of(awkward());
    browser.open(&api.server.url);
    assert_eq!(browser.text("h1"), "Whom to call today");
    assert_eq!(browser.count("#call-list tbody tr"), 50);
    check_console(&browser);

    // Finds a client, opens its page, and uses the "what if" form.
    browser.type_into("#q", "<script>");
    browser.press("\u{e007}"); // enter
    browser.wait_for("#found");
    assert_eq!(browser.text("#found tbody th"), AWKWARD[0]);
    browser.click("#found tbody a");
    browser.wait_for(".what-if");
    assert!(browser.text("h1").starts_with(AWKWARD[0]));
    browser.type_into("#predictor-0", "900");
    browser.type_into("#predictor-1", "4000");
    browser.type_into("#predictor-2", "3");
    browser.click(".what-if button");
    browser.wait_for("#answer");
    let answer = browser.text("#answer");
    assert!(answer.contains("no longer be predicted to leave"), "{answer}");

    // Pages through all clients, and orders them by name.
    browser.click("header nav a[href='/clients']");
    browser.wait_for(".paging");
    let first = browser.text("#found tbody th");
    browser.click(".paging a");
    browser.wait("the second page", "return location.search === '?page=2'");
    assert_ne!(browser.text("#found tbody th"), first);
    browser.click("#found thead a[href*='order=name']");
    browser.wait_for("#found th[aria-sort=ascending]");
    assert_eq!(browser.text("#found tbody th"), AWKWARD[1]);

    // An address of a section that was once on the first page.
    browser.open(&format!("{}/#drift", api.server.url));
    browser.wait("the page of the model", "return location.pathname === '/model' && location.hash === '#drift'");
    assert!(browser.count(".chart svg") >= 2);
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
        assert!(browser.text("h1").starts_with(name), "{name}");
        check_console(&browser);
        browser.open(&api.server.url);
    }
}

#[test]
fn a_screen_reader_finds_its_way_and_a_keyboard_too() {
    let Some(browser) = browser(WIDE) else { return };
    let api = Api::of(awkward());
    browser.open(&api.server.url);
    for (selector, role, name) in [
        ("header", "banner", ""),
        ("nav", "navigation", "Pages"),
        ("main", "main", ""),
        ("form[role=search]", "search", ""),
        ("#q", "searchbox", "Find a client"),
        (".status", "region", "Status"),
        ("#call-list", "table", ""),
        ("#call-list thead th", "columnheader", ""),
        ("#call-list tbody th", "rowheader", ""),
    ] {
        let (found, label) = browser.role_and_name(selector);
        assert!(found == role && (name.is_empty() || label == name), "{selector}: {found} {label:?}");
    }
    let headings = browser.run("return [...document.querySelectorAll('h1,h2,h3')].map(h => h.tagName)", &[]);
    assert_eq!(headings[0], "H1");
    assert!(headings.as_array().unwrap()[1..].iter().all(|heading| heading == "H2"), "{headings}");
    let unnamed = browser.run(
        "return [...document.querySelectorAll('input:not([type=hidden]),select,textarea,button,a,summary')].filter(e => \
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
        browser.run("return document.activeElement.matches('#call-list th a')", &[]) == json!(true)
    });
    assert!(reached, "no number of tabs leads to the first client");
    browser.press("\u{e007}"); // enter
    browser.wait_for(".what-if");
    browser.open(&format!("{}/model", api.server.url));
    let (found, label) = browser.role_and_name(".chart");
    assert!(["image", "img"].contains(&found.as_str()) && label == "Confusion matrix", "{found} {label:?}");
    assert_eq!(browser.role_and_name("#model"), ("region".to_owned(), "The model".to_owned()));
}

#[test]
fn without_scripts_everything_can_be_read_and_asked() {
    let Some(browser) = browser(Screen { scripts: false, ..WIDE }) else { return };
    let api = Api::of(awkward());
    browser.open(&api.server.url);
    assert_eq!(browser.text("h1"), "Whom to call today");
    assert_eq!(browser.count("#call-list tbody tr"), 50);
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

    // Records a call on the page of the client.
    browser.click(".record input[value=is_leaving]");
    browser.type_into(".record input[name=by]", "Anna");
    browser.type_into(".record textarea", "<b>too late</b>");
    browser.click(".record button");
    browser.wait_for(".contacts");
    assert!(browser.text(".contacts").contains("Is leaving") && browser.text(".contacts").contains("<b>too late</b>"));
    assert!(browser.text("h1").contains("Back on"));
}

#[test]
fn a_call_is_recorded_from_the_list_with_the_keyboard() {
    let Some(browser) = browser(WIDE) else { return };
    let api = Api::of(awkward());
    browser.open(&api.server.url);
    let first = browser.text("#call-list tbody th a");
    // Until the focus is on the first row's way to record a call.
    let reached = (0..30).any(|_| {
        browser.press("\u{e004}"); // tab
        browser.run("return document.activeElement.matches('#call-list summary')", &[]) == json!(true)
    });
    assert!(reached);
    browser.press("\u{e007}\u{e004} "); // enter opens the form, tab leads to the first choice, space takes it
    browser.press("\u{e004}"); // to the name
    browser.press("Anna");
    browser.press("\u{e004}Back soon\u{e004}\u{e007}"); // the note, and the button
    browser.wait_for(".confirmation");
    let said = browser.text(".confirmation");
    assert!(said.starts_with(&format!("The call to {first} is recorded: not reached.")), "{said}");
    assert!(browser.text("#paused").contains("Back soon"));
    assert_ne!(browser.text("#call-list tbody th a"), first);
    // The browser knows the name of the caller, and is at the next client.
    assert_eq!(browser.run("return document.querySelector('.record input[name=by]').value", &[]), json!("Anna"));
    let target = browser.run("return document.querySelector('#call-list tr:target th a').textContent", &[]);
    assert_eq!(target, json!(browser.text("#call-list tbody th a")));
    check_console(&browser);
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
