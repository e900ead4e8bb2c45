//! What the pages look like in a real browser: nothing is cut off at any width, in light and in dark mode, paper has one
//! page of calls, and axe-core finds nothing that keeps people out.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use testkit::Workspace;
use testkit::browser::Browser;

use crate::browser::{WIDE, browser};
use crate::columns;
use crate::helpers::Api;
use crate::pages::awkward;

/// From a telephone to a large screen, with the widths at which the layout changes.
const WIDTHS: [u32; 8] = [400, 720, 799, 800, 1000, 1050, 1400, 1600];

const LONG: &str =
    "a corporation with a name that goes on and on, and_has_a_word_that_is_longer_than_any_line_of_a_telephone";

/// The elements that reach beyond the screen or are cut off by their cell or their scrolling frame.
const CUT_OFF: &str = "
    document.querySelectorAll('details').forEach(element => element.open = true);
    const name = element => `${element.tagName} ${element.className.baseVal ?? element.className}: ${element.textContent.slice(0, 60)}`;
    const found = [];
    if (document.documentElement.scrollWidth > innerWidth) found.push(`the page: ${document.documentElement.scrollWidth}`);
    for (const element of document.querySelectorAll('body *:not(svg *)')) {
        if (element.closest('.unseen, .skip') || element.closest('thead')?.clientWidth === 1) continue; // only read aloud
        if (element.getBoundingClientRect().right > innerWidth + 1) found.push(name(element));
        const cuts = element.matches('td, th, .wide, main, section, p, li, dd, button, select');
        if (cuts && element.clientWidth > 0 && element.scrollWidth > element.clientWidth + 1) found.push(name(element));
    }
    return found;";

/// The services whose pages are looked at, with a client of each: awkward and long names with several runs, categories, and
/// a hundred predictors.
fn services() -> Vec<(Api, String)> {
    let mut names = awkward();
    let owner = "Dr. Elisabeth von Hohenstein-Waldburg-Zeil";
    names.write(
        "accounts.csv",
        &format!("corporation,owner,value,phone\n\"{LONG}\",{owner},123456789,+49 30 1234567\n"),
    );
    names.set("accounts_path", json!("accounts.csv"));
    names.csv("practicedata/long.csv", &format!("\"{LONG}\",1,70,95,\n\"{LONG}\",2,60,95,\n"));
    names.run("fullprocess", &[]);
    let categories = columns::workspace();
    categories.run("fullprocess", &[]);
    let numbers = columns::numbers(100);
    numbers.run("fullprocess", &[]);
    let client = |api: &Api| {
        let list = api.get("/calllist?limit=1").ok();
        list["calls"][0]["corporation"].as_str().unwrap().to_owned()
    };
    let names = Api::of(names);
    for client in [LONG, "a10"] {
        let form = format!("corporation={client}&outcome=not_reached&by={owner}&note={LONG}&return=/");
        assert_eq!(names.form("/contacts", &form.replace(' ', "+")).status, 200);
    }
    let mut services = vec![(names, LONG.to_owned())];
    for workspace in [categories, numbers] {
        let api = Api::of(workspace);
        let client = client(&api);
        services.push((api, client));
    }
    services
}

/// Every kind of page.
fn pages(client: &str) -> Vec<String> {
    let client = client.replace(' ', "%20");
    [
        "/",
        "/clients",
        "/clients?q=a&order=name",
        &format!("/clients/{client}"),
        "/clients/nobody",
        "/model",
        "/terms",
        "/nothing",
    ]
    .map(str::to_owned)
    .into()
}

#[test]
fn nothing_is_cut_off_at_any_width() {
    let Some(browser) = browser(WIDE) else { return };
    for (api, client) in services() {
        for page in pages(&client) {
            browser.open(&format!("{}{page}", api.server.url));
            for width in WIDTHS {
                browser.resize(width, 900);
                assert_eq!(browser.run(CUT_OFF, &[]), json!([]), "{page} at {width} pixels");
            }
        }
    }
}

#[test]
fn dark_mode_has_a_dark_ground_and_light_letters() {
    let Some(browser) = browser(WIDE) else { return };
    let api = Api::of(awkward());
    let colors = "const light = color => color.match(/\\d+/g).slice(0, 3).reduce((sum, part) => sum + +part, 0);\
                  const style = getComputedStyle(document.body); return [light(style.backgroundColor), light(style.color)]";
    for page in ["/", "/model"] {
        browser.open(&format!("{}{page}", api.server.url));
        for dark in [false, true] {
            browser.emulate("screen", dark);
            let colors = browser.run(colors, &[]);
            let [ground, ink] = [0, 1].map(|index| colors[index].as_u64().unwrap());
            assert!(if dark { ground < 150 && ink > 600 } else { ground > 600 && ink < 150 }, "{page}: {colors}");
        }
    }
}

#[test]
fn paper_has_one_page_of_calls_with_boxes_to_tick() {
    let Some(browser) = browser(WIDE) else { return };
    if Command::new("pdftotext").arg("-v").output().is_err() {
        return testkit::skipped("install Debian's poppler-utils");
    }
    let categories = columns::workspace();
    categories.deploy();
    let (categories, api) = (Api::of(categories), Api::of(awkward()));
    for (api, dark) in [(&categories, false), (&api, true), (&api, false)] {
        browser.open(&api.server.url);
        browser.emulate("", dark);
        let file = api.workspace.path("calls.pdf");
        std::fs::write(&file, browser.print()).unwrap();
        let said = |program: &str, last: &[&str]| {
            let output = Command::new(program).arg(&file).args(last).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        assert!(said("pdfinfo", &[]).lines().any(|line| line.split_whitespace().eq(["Pages:", "1"])));
        let text = said("pdftotext", &["-layout", "-"]);
        for part in ["Whom to call today", "Called", "The first 12 of 50 calls"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("Search") && !text.contains("Download"), "{text}");
    }
    browser.emulate("print", false);
    let visible = |selector: &str| {
        let script =
            "return [...document.querySelectorAll(arguments[0])].filter(e => e.getClientRects().length > 0).length";
        browser.run(script, &[json!(selector)])
    };
    assert_eq!((visible(".box"), visible(".line")), (json!(12), json!(12)));
    assert_eq!(visible("form, nav, button, details, input"), json!(0));
}

/// The text of axe-core, which npm installs; `None`, with a message, if it is not installed.
fn axe() -> Option<String> {
    let folders = std::env::var_os("NODE_PATH").unwrap_or_default();
    let mut files = std::env::split_paths(&folders).map(|folder: PathBuf| folder.join("axe-core/axe.min.js"));
    let text = files.find_map(|file| std::fs::read_to_string(file).ok());
    if text.is_none() {
        testkit::skipped("install npm's axe-core, and name its node_modules folder in NODE_PATH");
    }
    text
}

/// The violations that axe-core finds on the open page: the rule, and the elements.
fn violations(browser: &Browser, axe: &str) -> Value {
    browser.run(axe, &[]);
    browser.run_to_callback(
        "const done = arguments[arguments.length - 1];
         document.querySelectorAll('details').forEach(element => element.open = true);
         axe.run(document, {resultTypes: ['violations']}).then(
             found => done(found.violations.map(rule => [rule.id, rule.help, ...rule.nodes.map(node => node.html.slice(0, 200))])),
             error => done(String(error)))",
        &[],
    )
}

#[test]
fn axe_finds_no_violation_on_any_page() {
    let Some(axe) = axe() else { return };
    let Some(browser) = browser(WIDE) else { return };
    let check = |api: &Api, page: &str| {
        for (width, dark) in [(1400, false), (1400, true), (400, false), (400, true)] {
            browser.resize(width, 900);
            browser.emulate("screen", dark);
            browser.open(&format!("{}{page}", api.server.url));
            assert_eq!(violations(&browser, &axe), json!([]), "{page} at {width} pixels, dark: {dark}");
        }
    };
    for (api, client) in services() {
        pages(&client).iter().for_each(|page| check(&api, page));
    }
    check(&Api::of(Workspace::with_data()), "/");
}
