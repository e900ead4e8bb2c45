//! Figures of any amount of data: drawn completely, the same every time.

#![expect(clippy::unwrap_used, reason = "a test that cannot ask its question has failed")]

use charts::{ScorePoint, TimeSeries, Trends, model_quality, png, time_trends};
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

#[test]
fn any_number_of_runs_is_drawn_and_the_bytes_repeat() {
    for runs in [0, 1, 2, 12, 500] {
        let svg = time_trends(&trends(runs)).unwrap();
        keep(&format!("trends-{runs}.png"), &svg);
        assert!(png(&svg).unwrap() == png(&time_trends(&trends(runs)).unwrap()).unwrap(), "{runs}");
        assert_eq!(svg.matches("no run is recorded yet").count(), if runs == 0 { 3 } else { 0 });
        assert!(svg.len() < 400_000, "{runs}: {} bytes", svg.len());
    }
    let svg = time_trends(&trends(2)).unwrap();
    assert!(svg.contains("everyone exits") && svg.contains("01-01 06:00") && svg.contains("DejaVu Sans"), "{svg}");
}

#[test]
fn any_number_of_test_rows_is_drawn() {
    for rows in [1, 5, 2000] {
        keep(&format!("quality-{rows}.png"), &model_quality(&pairs(rows), 0.5).unwrap());
    }
    let svg = model_quality(&pairs(2000), 0.5).unwrap();
    let auc = Ranking::new(&pairs(2000)).unwrap().auc();
    assert!(svg.contains(&format!("AUC {auc:.4}")) && svg.contains("true positive rate"), "{svg}");
    assert!(model_quality(&pairs(200_000), 0.5).unwrap().len() < 300_000, "points of the same pixel are drawn once");
    let one_class = model_quality(&[(0.2, false), (0.9, false)], 0.5).unwrap();
    assert!(one_class.contains("the same outcome") && one_class.contains("reached by 50.0 % of the rows"));
}

#[test]
fn any_number_of_rows_of_a_client_is_drawn() {
    for rows in [0, 1, 200] {
        let risks: Vec<f64> = (0..rows).map(|i| f64::from(i % 10) / 10.0).collect();
        let svg = charts::client_risks(&risks, 0.5).unwrap();
        keep(&format!("client-{rows}.png"), &svg);
        assert_eq!(svg.contains("there is no row"), rows == 0);
    }
}
