//! Figures of any amount of data: drawn completely, the same every time.

#![expect(clippy::unwrap_used, reason = "a test that cannot ask its question has failed")]

use charts::font::Weight;
use charts::{Matrix, ScorePoint, TimeSeries, Trend, Trends, model_quality, png, themed, time_trends, trend};
use statistics::confusion::Confusion;
use statistics::interval::Interval;
use statistics::ranking::{Pair, Ranking};

/// Data of `runs` runs; every seventh run is a deployment.
fn trends(runs: usize) -> Trends {
    let time = |i: usize| format!("2026-{:02}-{:02}T06:{:02}:00.000000Z", 1 + i / 50, 1 + i % 28, i % 60);
    let wave = |i: usize| (i as f64 / 9.0).sin();
    let line = |name: &str, value: &dyn Fn(usize) -> f64| (name.to_owned(), (0..runs).map(|i| (i, value(i))).collect());
    Trends {
        scores: (0..runs)
            .map(|i| ScorePoint {
                time: time(i),
                f1: 0.7 + 0.1 * wave(i),
                interval: Some(Interval { low: 0.6 + 0.1 * wave(i), high: 0.78 + 0.1 * wave(i) }),
                baseline: Some(0.55),
                deployed: i % 7 == 0,
            })
            .collect(),
        missing: TimeSeries {
            times: (0..runs).map(time).collect(),
            lines: vec![
                line("corporation", &|_| 0.0),
                line("last month's activity", &|i| 1.0 + wave(i)),
                line("last year's activity", &|i| 1.5 + 0.3 * wave(i)),
                line("employees", &|_| 2.5),
                ("exited".to_owned(), Vec::new()),
            ],
        },
        seconds: TimeSeries {
            times: (0..runs).map(time).collect(),
            lines: vec![line("ingestion", &|i| 0.03 + 0.01 * wave(i)), line("training", &|i| 0.05 + 0.01 * wave(i))],
        },
    }
}

fn pairs(rows: usize) -> Vec<Pair> {
    let pair = |i: usize| {
        let risk = (i * 7919 % 1000) as f64 / 1000.0;
        (risk, (i * 104_729 % 1000) as f64 / 1000.0 < risk)
    };
    (0..rows).map(pair).collect()
}

/// Saves the pictures for visual inspection: `RISK_PICTURES=folder cargo nextest run …`.
fn keep(name: &str, svg: &str) {
    if let Some(folder) = std::env::var_os("RISK_PICTURES") {
        std::fs::write(std::path::Path::new(&folder).join(name), png(svg).unwrap()).unwrap();
    }
}

/// The same pairs with their confusion matrix.
fn quality(pairs: &[Pair]) -> String {
    let mut confusion = Confusion::default();
    pairs.iter().for_each(|(risk, left)| confusion.add(*risk >= 0.5, *left));
    let data = ["testdata.csv".to_owned()];
    model_quality(&Matrix { confusion, release: "r1", threshold: 0.5, data: &data }, pairs).unwrap()
}

/// The horizontal texts of a figure as boxes: left, top, right and bottom in pixels, and the text.
fn texts(svg: &str) -> Vec<([f32; 4], String)> {
    let value = |tag: &str, name: &str| -> Option<String> {
        Some(tag.split_once(&format!(" {name}=\""))?.1.split_once('"')?.0.to_owned())
    };
    let number = |tag: &str, name: &str| value(tag, name).unwrap().parse::<f32>().unwrap();
    let text = |part: &str| {
        let (tag, rest) = part.split_once('>').unwrap();
        if value(tag, "transform").is_some() {
            return None;
        }
        let text = rest.split_once("</text").unwrap().0.trim().replace("&apos;", "'").replace("&quot;", "\"");
        let size = number(tag, "font-size");
        let weight = if tag.contains("bold") { Weight::Bold } else { Weight::Regular };
        let width = charts::font::width(&text, weight, size);
        let left = number(tag, "x")
            - match value(tag, "text-anchor").unwrap().as_str() {
                "start" => 0.0,
                "middle" => width / 2.0,
                _ => width,
            };
        let middle = number(tag, "y");
        Some(([left, middle - 0.4 * size, left + width, middle + 0.4 * size], text))
    };
    svg.split("<text").skip(1).filter_map(text).collect()
}

/// Checks that no text leaves the figure and that no two texts touch.
fn check_texts(svg: &str, what: &str) {
    let (width, height) = (charts::tree(svg).unwrap().size().width(), charts::tree(svg).unwrap().size().height());
    let texts = texts(svg);
    assert!(!texts.is_empty());
    for (index, (a, text)) in texts.iter().enumerate() {
        let is_inside = a[0] >= 0.0 && a[1] >= 0.0 && a[2] <= width && a[3] <= height;
        assert!(is_inside, "{what}: {text:?} at {a:?} is cut off");
        for (b, other) in &texts[..index] {
            let touch = a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];
            assert!(!touch || text.is_empty() || other.is_empty(), "{what}: {text:?} is drawn over {other:?}");
        }
    }
}

#[test]
fn any_number_of_runs_is_drawn_and_the_bytes_repeat() {
    for runs in [0, 1, 2, 3, 12, 40, 500] {
        let svg = time_trends(&trends(runs)).unwrap();
        keep(&format!("trends-{runs}.png"), &svg);
        check_texts(&svg, &format!("{runs} runs"));
        assert!(png(&svg).unwrap() == png(&time_trends(&trends(runs)).unwrap()).unwrap(), "{runs}");
        assert!(svg.len() < 400_000, "{runs}: {} bytes", svg.len());
        for part in Trend::ALL {
            let part = trend(part, &trends(runs)).unwrap();
            assert_eq!(part.is_some(), runs > 1, "a chart of {runs} points");
        }
        assert_eq!(svg.matches("fewer than two values").count(), if runs > 1 { 0 } else { 3 });
    }
    let svg = time_trends(&trends(2)).unwrap();
    assert!(svg.contains("everyone exits") && svg.contains("1 Jan") && svg.contains("DejaVu Sans"), "{svg}");
}

#[test]
fn long_names_of_columns_do_not_overlap() {
    let mut trends = trends(5);
    for (name, _) in &mut trends.missing.lines {
        *name = format!("{name} of all branches of the corporation");
    }
    let svg = trend(Trend::Missing, &trends).unwrap().unwrap();
    keep("long-names.png", &svg);
    check_texts(&svg, "long names");
}

#[test]
fn any_number_of_test_rows_is_drawn() {
    for rows in [1, 5, 2000] {
        let svg = quality(&pairs(rows));
        keep(&format!("quality-{rows}.png"), &svg);
        check_texts(&svg, &format!("{rows} test rows"));
    }
    let svg = quality(&pairs(2000));
    let auc = Ranking::new(&pairs(2000)).unwrap().auc();
    assert!(svg.contains(&format!("AUC {auc:.4}")) && svg.contains("true positive rate"), "{svg}");
    assert!(quality(&pairs(200_000)).len() < 400_000, "points of the same pixel are drawn once");
    let one_class = quality(&[(0.2, false), (0.9, false)]);
    assert!(one_class.contains("the same outcome") && one_class.contains("reached by 50.0 % of the rows"));
}

#[test]
fn any_number_of_rows_of_a_client_is_drawn() {
    for rows in [0, 1, 2, 3, 200] {
        let risks: Vec<_> = (0..rows).map(|i| (format!("dataset{i}.csv"), f64::from(i % 10) / 10.0)).collect();
        let svg = charts::client_risks(&risks, 0.5).unwrap();
        assert_eq!(svg.is_some(), rows > 1, "a chart of {rows} points");
        if let Some(svg) = svg {
            keep(&format!("client-{rows}.png"), &svg);
            check_texts(&svg, &format!("{rows} rows"));
        }
    }
}

#[test]
fn a_page_can_choose_every_colour() {
    let risks = [("old".to_owned(), 0.1), ("new".to_owned(), 0.6)];
    let client = charts::client_risks(&risks, 0.5).unwrap().unwrap();
    for svg in [time_trends(&trends(12)).unwrap(), time_trends(&trends(60)).unwrap(), quality(&pairs(200)), client] {
        let themed = themed(&svg);
        assert!(!themed.contains("\"#") && !svg.contains("var("), "{themed}");
        // With the fallbacks it is the same figure.
        let (mut plain, mut rest) = (String::new(), themed.as_str());
        while let Some((before, after)) = rest.split_once("var(--chart-") {
            let (value, after) = after.split_once(')').unwrap();
            plain += before;
            plain += value.split_once(", ").unwrap().1;
            rest = after;
        }
        assert_eq!(plain + rest, svg);
    }
}
