//! The reports: they describe the deployed model, work on a machine without fonts and with any counts, and are
//! reproducible.

#![expect(clippy::unwrap_used, reason = "a test that cannot ask its question has failed")]

use std::collections::BTreeSet;
use std::path::Path;

use charts::{Matrix, confusion_matrix, png as picture_of};
use common::config::{DriftTest, Threshold};
use common::files::checksum::Checksum;
use common::model::metrics::Confusion;
use history::{CallOutcome, Contact, DriftCheck, DriftVerdict, History, MissingPercentage, Operation, StepTiming};
use scoring::Outcome;
use testkit::Workspace;

const PICTURE: &str = "practicemodels/confusionmatrix.png";

const REPORTS: [&str; 5] = ["confusionmatrix.png", "timetrends.png", "modelquality.png", "calllist.csv", "report.pdf"];

/// A decoded PNG picture.
#[derive(PartialEq)]
struct Picture {
    width: usize,
    height: usize,
    /// Red, green and blue bytes of all pixels, row by row.
    bytes: Vec<u8>,
}

impl Picture {
    fn decode(file: &[u8]) -> Self {
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut bytes).unwrap();
        assert_eq!((info.color_type, info.bit_depth), (png::ColorType::Rgb, png::BitDepth::Eight));
        Self { width: info.width as usize, height: info.height as usize, bytes }
    }

    fn pixel(&self, x: usize, y: usize) -> &[u8] {
        &self.bytes[(y * self.width + x) * 3..][..3]
    }

    fn is_white(&self, x: usize, y: usize) -> bool {
        self.pixel(x, y) == [255, 255, 255]
    }

    /// Checks that the picture is large enough to read and that every band that should have contents has some.
    fn check_drawn(&self, what: &str) {
        assert!(self.width >= 500 && self.height >= 500, "{what}: {} × {}", self.width, self.height);
        let colors: BTreeSet<_> = self.bytes.chunks(3).step_by(7).collect();
        assert!(colors.len() > 10, "{what}: {} colours", colors.len());
        let columns = 0..self.width;
        let inked = |y: usize| columns.clone().any(|x| !self.is_white(x, y));
        for (band, rows) in [("the title", 0..self.height / 10), ("the last line", self.height * 9 / 10..self.height)] {
            assert!(rows.into_iter().any(inked), "{what}: {band} is empty");
        }
        // No text is cut off: nothing reaches the edge.
        for (x, y) in (0..self.width).flat_map(|x| [(x, 0), (x, self.height - 1)]) {
            assert!(self.is_white(x, y), "{what}: something at {x}, {y}");
        }
        for (x, y) in (0..self.height).flat_map(|y| [(0, y), (self.width - 1, y)]) {
            assert!(self.is_white(x, y), "{what}: something at {x}, {y}");
        }
    }
}

/// The outcome that scoring would give for these counts.
fn outcome(confusion: Confusion, data: &[&str]) -> Outcome {
    Outcome {
        model: "20261123T065005Z-5dd63e969bec".to_owned(),
        model_sha256: Checksum::of_bytes(b"model"),
        data: data.iter().map(|name| (*name).to_owned()).collect(),
        f1: confusion.f1(),
        precision: confusion.precision(),
        recall: confusion.recall(),
        n: confusion.n(),
        confusion,
        threshold: Threshold::new(0.5).unwrap(),
        unlabelled: 0,
        malformed: 0,
        imputed: 0,
        unseen: 0,
        estimated: None,
        shifts: Vec::new(),
        predicted: None,
        leaks: Default::default(),
        test_sha256: None,
        against: None,
    }
}

fn confusion(true_positives: u64, false_positives: u64, false_negatives: u64, true_negatives: u64) -> Confusion {
    Confusion { true_positives, false_positives, false_negatives, true_negatives }
}

fn draw(outcome: &Outcome) -> Vec<u8> {
    let Outcome { confusion, model, threshold, data, .. } = outcome;
    let matrix = Matrix { confusion: *confusion, release: model, threshold: threshold.value(), data };
    picture_of(&confusion_matrix(&matrix).unwrap()).unwrap()
}

/// Runs reporting as on a bare server, without environment variables and fonts; returns the contents of the picture.
fn report(workspace: &Workspace) -> Vec<u8> {
    let mut command = workspace.command("reporting");
    let output = command.env_clear().env("FONTCONFIG_FILE", "/nonexistent").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    workspace.read(PICTURE)
}

/// Saves the pictures for visual inspection: `RISK_PICTURES=folder cargo nextest run …`.
fn keep(name: &str, file: &[u8]) {
    if let Some(folder) = std::env::var_os("RISK_PICTURES") {
        std::fs::write(Path::new(&folder).join(name), file).unwrap();
    }
}

#[test]
fn the_picture_is_whole_and_the_same_every_time() {
    let workspace = Workspace::with_data();
    workspace.deploy();
    let file = report(&workspace);
    Picture::decode(&file).check_drawn("the test data");
    assert!(report(&workspace) == file, "the same inputs have given another picture");
    // With all fonts that are installed on this machine.
    let said = workspace.run_json("reporting", &[]);
    assert!(workspace.read(PICTURE) == file, "the machine's fonts have a say");
    let release = common::production::release::Production::of(&workspace.config()).live().unwrap();
    assert_eq!(said["release"], release.id);
    assert_eq!((&said["f1"], &said["n"]), (&serde_json::json!(1.0), &serde_json::json!(8)));
    let files = REPORTS.map(|name| workspace.path("practicemodels").canonicalize().unwrap().join(name));
    assert_eq!(said["files"], serde_json::json!(files));
}

#[test]
fn it_is_the_deployed_models_and_changes_nothing_else() {
    let workspace = Workspace::with_data();
    workspace.deploy();
    let file = report(&workspace);
    let release = common::production::release::Production::of(&workspace.config()).live().unwrap();
    let score = scoring::Options { deployed: true, ..Default::default() };
    let score = scoring::evaluate(&workspace.config(), &score).unwrap();
    assert_eq!(score.model, release.id);
    assert!(draw(&score) == file, "the picture is not of the deployed model's score");

    // Another model, trained and scored but not deployed, which predicts the opposite for every client.
    workspace.csv("practicedata/dataset3.csv", &testkit::rows("c", 500, true));
    for step in ["ingestion", "training", "scoring"] {
        workspace.run(step, &[]);
    }
    let folders = ["ingesteddata", "practicemodels", "production_deployment"];
    let other_files = || {
        let mut files = workspace.snapshot(&folders);
        files.retain(|(path, _)| !REPORTS.iter().chain(&["reports.json"]).any(|name| path.ends_with(name)));
        files
    };
    let before = other_files();
    assert!(report(&workspace) == file, "the picture is of a model that is not deployed");
    assert!(other_files() == before, "reporting has changed more than its reports");

    workspace.run("deployment", &[]);
    assert!(report(&workspace) != file, "the picture is not of the deployed model");
}

/// The text of each page of report.pdf; `None` if pdftotext is not installed.
fn report_text(workspace: &Workspace) -> Option<Vec<String>> {
    let path = workspace.path("practicemodels/report.pdf");
    let Ok(output) = std::process::Command::new("pdftotext").arg("-layout").arg(path).arg("-").output() else {
        testkit::skipped("pdftotext is not installed (Debian package poppler-utils)");
        return None;
    };
    let text = String::from_utf8(output.stdout).unwrap();
    Some(text.trim_end_matches('\u{c}').split('\u{c}').map(str::to_owned).collect())
}

#[test]
fn the_report_tells_what_the_score_and_the_history_hold_of_one_release() {
    let workspace = Workspace::with_data();
    let process = || workspace.command_without_cargo("fullprocess").arg("--json").output().unwrap();
    assert!(process().status.success());
    let first = common::production::release::Production::of(&workspace.config()).live().unwrap().id;
    workspace.csv("practicedata/dataset3.csv", &testkit::rows("c", 400, true));
    assert!(process().status.success());
    let release = common::production::release::Production::of(&workspace.config()).live().unwrap();
    assert_ne!(release.id, first);
    let Some(pages) = report_text(&workspace) else { return };
    for page in &pages {
        assert!(page.contains(&format!("release {}", release.id)), "{page}");
    }
    let text = pages.concat();
    let sentences = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let recorded = workspace.text("practicemodels/latestscore.txt");
    assert!(text.contains(&format!("F1 {recorded}")), "{text}");
    let listing = |what: &str| workspace.run_json("dbsetup", &["--history", what, "--last", "10"])["rows"].clone();
    let check = &listing("checks")[0];
    assert!(text.contains(&format!("F1 {:.4}", check["f1"].as_f64().unwrap())), "{text}");
    assert!(sentences.contains(&format!("recorded {:.4}", check["recorded_f1"].as_f64().unwrap())), "{text}");
    let comparisons = listing("comparisons");
    let last: Vec<_> = comparisons.as_array().unwrap().iter().rev().take(4).collect();
    for model in last {
        let f1 = format!("{:.4}", model["f1"].as_f64().unwrap());
        let name = model["model"].as_str().unwrap();
        assert!(text.lines().any(|line| line.contains(name) && line.contains(&f1)), "{name} {f1}: {text}");
    }
    for wanted in [
        "Whom to call today",
        "Is it still good?",
        "Estimated quality",
        "lastmonth_activity",
        "dataset3.csv",
        "fewer than 30",
        &first,
    ] {
        assert!(sentences.contains(wanted), "{wanted} is not in {text}");
    }
    // The printed list and the file name the same clients in the same order.
    let listed = workspace.text("practicemodels/calllist.csv");
    let called = |line: &str| line.split(',').nth(1).unwrap().to_owned();
    let names: Vec<String> = listed.lines().skip(1).take(5).map(called).collect();
    let places: Vec<_> = names.iter().map(|name| pages[0].find(&format!(" {name} ")).unwrap()).collect();
    assert!(places.is_sorted(), "{names:?}: {}", pages[0]);
}

/// Fifty clients to call with names of this length.
fn many_clients(length: usize) -> Workspace {
    let workspace = Workspace::with_data();
    let client =
        |i: usize| format!("client {i:03} {},{},{},3,0\n", "of a corporation ".repeat(length), 400 + i, 4000 - 7 * i);
    workspace.csv("practicedata/many.csv", &(0..60).map(client).collect::<String>());
    workspace.run("ingestion", &[]);
    workspace.deploy();
    workspace.run("reporting", &[]);
    workspace
}

#[test]
fn the_first_page_is_one_page_for_the_client_manager() {
    for length in [0, 1, 50] {
        let workspace = many_clients(length);
        let Some(pages) = report_text(&workspace) else { return };
        let sentences = pages[0].split_whitespace().collect::<Vec<_>>().join(" ");
        for wanted in ["Whom to call today", "UTC", "Rank", "Called", "Data compiled today", "35 other calls"] {
            assert!(sentences.contains(wanted), "{wanted} is not in {}", pages[0]);
        }
        let ranks = |page: &str| {
            let first = |line: &str| line.split_whitespace().next().and_then(|word| word.parse::<usize>().ok());
            page.lines().filter_map(first).collect::<Vec<_>>()
        };
        assert!(ranks(&pages[0]).starts_with(&(1..=15).collect::<Vec<_>>()), "{:?}", ranks(&pages[0]));
        assert!(pages[1].trim_start().starts_with("The model and its data"), "{}", pages[1]);
        let rest = pages[1..].concat();
        let others = rest.split_once("Today's other calls").unwrap().1;
        assert!(others.contains(" 16 ") && others.contains(" 50 ") && !others.contains(" 51 "), "{others}");
    }
}

#[test]
fn the_report_describes_its_structure_to_screen_readers() {
    let workspace = many_clients(0);
    let path = workspace.path("practicemodels/report.pdf");
    let Ok(output) = std::process::Command::new("pdfinfo").arg("-struct-text").arg(path).output() else {
        return testkit::skipped("pdfinfo is not installed (Debian package poppler-utils)");
    };
    let text = String::from_utf8(output.stdout).unwrap();
    let count = |what: &str| text.lines().filter(|line| line.split_whitespace().next() == Some(what)).count();
    assert!(count("H1") == 2 && count("H2") >= 7 && count("Table") >= 5, "{text}");
    assert!(count("Figure") >= 6, "{text}");
    assert!(text.contains("Whom to call today") && text.contains("client 059"), "{text}");
}

#[test]
fn the_same_inputs_give_the_same_files_to_the_last_byte() {
    let workspace = Workspace::with_data();
    workspace.deploy();
    let reports = || {
        workspace.run("reporting", &[]);
        REPORTS.map(|name| workspace.read(&format!("practicemodels/{name}")))
    };
    assert!(reports() == reports());
    assert!(reports()[4].len() < 2_000_000);
}

#[test]
fn a_called_client_pauses_and_the_report_tells_what_became_of_a_list() {
    let mut workspace = Workspace::with_data();
    workspace.set("call_capacity", serde_json::json!(4));
    workspace.deploy();
    workspace.run("reporting", &[]);
    let called = || -> Vec<String> {
        let listed = workspace.text("practicemodels/calllist.csv");
        let fields = listed.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
        fields.filter(|fields| fields[2] == "1").map(|fields| fields[1].to_owned()).collect()
    };
    let first = called();
    let now = jiff::Timestamp::now();
    let contact = |client: &str| Contact {
        client: client.to_owned(),
        outcome: CallOutcome::Reached,
        by: "Anna".to_owned(),
        note: String::new(),
        at: now,
    };
    let mut history = History::open_for_contacts(&workspace.config()).unwrap();
    history.add_contacts(None, &Checksum::of_bytes(b"1"), &[contact(&first[0]), contact("unknown")]).unwrap();
    drop(history);
    workspace.run("reporting", &[]);
    assert_eq!((called().len(), &called()[..3]), (4, &first[1..]), "the next client takes the place of a paused one");
    if let Some(pages) = report_text(&workspace) {
        let text = pages.concat().split_whitespace().collect::<Vec<_>>().join(" ");
        for wanted in ["Do the calls help?", "no client is held out", "without 1 client who pauses after a call"] {
            assert!(text.contains(wanted), "{wanted} is not in {text}");
        }
        assert!(!text.contains("had been reached by a call before"), "{text}");
    }
    // Three of the four clients of the first list leave, of which one was on the second list too.
    let left: String = first[..3].iter().map(|client| format!("{client},1,1,1,1\n")).collect();
    workspace.csv("practicedata/later.csv", &left);
    workspace.deploy();
    workspace.run("reporting", &[]);
    let release = common::production::release::Production::of(&workspace.config()).live().unwrap();
    let history = || History::open_existing(&workspace.config()).unwrap().unwrap();
    let lists: Vec<history::PublishedListRow> = history().newest(9).unwrap();
    assert_eq!((lists.len(), &lists[2].release), (3, &release.id));
    if let Some(pages) = report_text(&workspace) {
        let text = pages.concat();
        let left: Vec<&str> = text
            .lines()
            .skip_while(|line| !line.contains("Have left"))
            .filter(|line| line.trim_start().starts_with("20"))
            .take(2)
            .map(|line| line.split_whitespace().last().unwrap())
            .collect();
        assert_eq!(left, ["2", "3"], "{text}");
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains("trained on data in which 1 client had been reached by a call before"), "{text}");
    }
}

#[test]
fn what_a_killed_run_left_is_removed_by_the_next_one() {
    let workspace = Workspace::with_data();
    workspace.deploy();
    for name in REPORTS {
        workspace.write(&format!("practicemodels/.{name}.abcdef.partial"), "half");
    }
    workspace.run("reporting", &[]);
    workspace.assert_no_leftovers("practicemodels");
}

#[test]
fn names_are_text_on_paper_and_no_formula_in_a_spreadsheet() {
    let workspace = Workspace::with_data();
    workspace.csv("practicedata/names.csv", "<b>x</b>,5,40,300,0\n=1+2,5,40,300,0\n\u{1F600} 漢字,5,40,400,0\n");
    workspace.run("ingestion", &[]);
    workspace.deploy();
    workspace.run("reporting", &[]);
    let listed = workspace.text("practicemodels/calllist.csv");
    assert!(listed.contains(",<b>x</b>,") && listed.contains(",'=1+2,"), "{listed}");
    let Some(pages) = report_text(&workspace) else { return };
    let together: String = pages[0].split_whitespace().collect();
    assert!(together.contains("=1+2") && together.contains("<b>x</b>"), "{}", pages[0]);
}

#[test]
fn five_hundred_checks_and_a_hundred_files_still_make_a_small_report() {
    let workspace = Workspace::with_data();
    workspace.deploy();
    let release = common::production::release::Production::of(&workspace.config()).live().unwrap().id;
    let recorded = || -> anyhow::Result<()> {
        for check in 0..500_u32 {
            history::record(&workspace.config(), "test", |run| {
                run.add(StepTiming { operation: Operation::Ingestion, seconds: 0.01 * f64::from(check % 7) });
                run.add(StepTiming { operation: Operation::Training, seconds: 0.02 });
                run.add(MissingPercentage { column: "exited".to_owned(), percent: f64::from(check % 5) });
                run.add(DriftCheck {
                    release: release.clone(),
                    data: vec![format!("{check}.csv")],
                    confusion: confusion(30 + u64::from(check % 9), 10, 10, 50),
                    f1_low: Some(0.6),
                    f1_high: Some(0.9),
                    recorded_f1: 1.0,
                    verdict: DriftVerdict::CannotTell,
                    test: DriftTest::Interval,
                    drifted: false,
                });
                Ok(())
            })?;
        }
        Ok(())
    };
    recorded().unwrap();
    for file in 0..100 {
        workspace.csv(&format!("practicedata/more{file}.csv"), &format!("m{file},5,40,60,\n"));
    }
    workspace.run("ingestion", &[]);
    workspace.run("reporting", &[]);
    assert!(workspace.read("practicemodels/report.pdf").len() < 2_000_000);
    keep("timetrends-500.png", &workspace.read("practicemodels/timetrends.png"));
    let Some(pages) = report_text(&workspace) else { return };
    assert!(pages.len() < 15, "{} pages", pages.len());
    assert!(pages.concat().contains("The newest 20 files;") && pages.concat().contains("cannot tell"));
}

#[test]
fn without_data_it_says_what_to_run_and_leaves_the_old_reports() {
    let workspace = Workspace::with_data();
    let error = workspace.fail("reporting", &[]);
    assert!(error.contains("nothing is deployed"), "{error}");
    workspace.deploy();
    workspace.run("reporting", &[]);
    let before = workspace.snapshot(&["practicemodels"]);
    std::fs::remove_file(workspace.path("ingesteddata/finaldata.csv")).unwrap();
    let error = workspace.fail("reporting", &[]);
    assert!(error.contains("finaldata.csv") && error.contains("run ingestion first"), "{error}");
    assert!(workspace.snapshot(&["practicemodels"]) == before);
}

#[test]
fn every_count_has_its_own_cell() {
    let picture = |confusion| Picture::decode(&draw(&outcome(confusion, &["testdata.csv"])));
    // Clients predicted to leave are on the right, and clients that left are at the bottom: the shade next to the upper
    // left corner of each cell shows which cell is full.
    let full = |picture: &Picture| {
        let at = |left: usize, top: usize| (picture.width * left / 100, picture.height * top / 100);
        let dark = |(x, y)| picture.pixel(x, y).iter().map(|part| u32::from(*part)).sum::<u32>() < 600;
        [dark(at(14, 24)), dark(at(57, 24)), dark(at(14, 53)), dark(at(57, 53))]
    };
    for (what, confusion, expected) in [
        ("stayed as predicted", confusion(0, 0, 0, 9), [true, false, false, false]),
        ("stayed against the prediction", confusion(0, 9, 0, 0), [false, true, false, false]),
        ("left unforeseen", confusion(0, 0, 9, 0), [false, false, true, false]),
        ("left as predicted", confusion(9, 0, 0, 0), [false, false, false, true]),
        ("all right", confusion(9, 0, 0, 9), [true, false, false, true]),
    ] {
        assert_eq!(full(&picture(confusion)), expected, "{what}");
    }
}

#[test]
fn degenerate_counts_are_drawn() {
    let huge = 10_000_000;
    let (long, many) = (format!("{}.csv", "größe ".repeat(40)), vec!["testdata.csv"; 50]);
    for (name, confusion, data) in [
        ("nothing", confusion(0, 0, 0, 0), &["testdata.csv"][..]),
        ("one-client", confusion(0, 0, 0, 1), &["testdata.csv"]),
        ("five-clients", confusion(1, 1, 1, 2), &["testdata.csv"]),
        ("nobody-left", confusion(0, 3, 0, 4), &["testdata.csv"]),
        ("everybody-left", confusion(3, 0, 4, 0), &["testdata.csv"]),
        ("none-predicted", confusion(0, 0, 3, 4), &["testdata.csv"]),
        ("huge", confusion(huge, huge + 1, huge + 2, huge + 3), &["testdata.csv"]),
        ("a-hundred-million", confusion(100_000_000, 90_000_000, 80_000_000, 70_000_000), &["testdata.csv"]),
        ("no-file", confusion(1, 1, 1, 2), &[]),
        ("long-name", confusion(1, 1, 1, 2), &[long.as_str()]),
        ("many-files", confusion(1, 1, 1, 2), &many),
        ("odd-name", confusion(1, 1, 1, 2), &["\u{1F600}\n\t漢字\u{202e}.csv"]),
    ] {
        let file = draw(&outcome(confusion, data));
        keep(&format!("{name}.png"), &file);
        Picture::decode(&file).check_drawn(name);
    }
}

#[test]
fn few_rows_and_one_class_are_drawn_from_their_file() {
    let workspace = Workspace::with_data();
    workspace.deploy();
    for (name, rows) in [
        ("file-of-five", "a,5,40,60,1\nb,800,4000,3,0\nc,5,40,60,0\nd,800,4000,3,1\ne,5,40,60,1\n"),
        ("file-of-one", "a,,,,1\n"),
        ("file-of-those-who-stayed", "a,5,40,60,0\nb,800,4000,3,0\n"),
        ("file-of-those-who-left", "a,5,40,60,1\nb,800,4000,3,1\n"),
    ] {
        workspace.csv("testdata/testdata.csv", rows);
        let file = report(&workspace);
        keep(&format!("{name}.png"), &file);
        Picture::decode(&file).check_drawn(name);
    }
}

#[test]
fn the_shipped_data_are_drawn() {
    let mut workspace = Workspace::new();
    for (key, folder) in [("input_folder_path", "sourcedata"), ("test_data_path", "testdata")] {
        workspace.set(key, serde_json::json!(testkit::project().join(folder)));
    }
    workspace.deploy();
    let file = report(&workspace);
    keep("shipped.png", &file);
    Picture::decode(&file).check_drawn("the shipped data");
}

#[test]
fn what_cannot_be_drawn_fails_and_leaves_the_old_picture() {
    let workspace = Workspace::with_data();
    let check_refused = |what: &str, parts: &[&str]| {
        workspace.write(PICTURE, "an old picture");
        let error = workspace.fail("reporting", &[]);
        for part in parts {
            assert!(error.contains(part), "{what}: {part} is not in {error}");
        }
        assert_eq!(workspace.text(PICTURE), "an old picture", "{what}");
    };
    check_refused("nothing is deployed", &["nothing is deployed", "run fullprocess"]);
    workspace.deploy();
    for (what, rows) in [("nothing is labelled", "a,1,2,3,\nb,1,2,3,NA\n"), ("an empty table", "")] {
        workspace.csv("testdata/testdata.csv", rows);
        check_refused(what, &["testdata", "no labelled row"]);
    }
    workspace.write("testdata/testdata.csv", "name,wage\na,1\n");
    check_refused("no client table", &["testdata.csv", "name"]);
    std::fs::remove_file(workspace.path("testdata/testdata.csv")).unwrap();
    check_refused("no test data", &["testdata", "no CSV file"]);
}
