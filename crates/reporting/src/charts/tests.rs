use super::plot::{label_step, round_ticks};
use super::trends::ScorePoint;
use super::*;
use history::{MissingRow, Operation, Recorded, StepTiming};
use statistics::interval::Interval;

/// Data of `runs` runs; every seventh run is a deployment.
fn trends(runs: usize) -> Trends {
    let time = |i: usize| format!("2026-{:02}-{:02}T06:{:02}:00.000000Z", 1 + i / 50, 1 + i % 28, i % 60);
    let wave = |i: usize| (i as f64 / 9.0).sin();
    Trends {
        scores: (0..runs)
            .map(|i| ScorePoint {
                time: time(i),
                f1: 0.7 + 0.1 * wave(i),
                interval: Some(Interval { low: 0.6 + 0.1 * wave(i), high: 0.78 + 0.1 * wave(i) }),
                constant: Some(0.55),
                deployed: i % 7 == 0,
            })
            .collect(),
        missing: (0..runs)
            .map(|i| MissingRow {
                run: i as i64,
                started: time(i),
                corporation: Some(0.0),
                lastmonth_activity: Some(1.0 + wave(i)),
                lastyear_activity: Some(1.5 + 0.3 * wave(i)),
                number_of_employees: Some(2.5),
                exited: None,
            })
            .collect(),
        timings: (0..2 * runs)
            .map(|i| Recorded {
                run: i as i64,
                started: time(i / 2),
                record: StepTiming {
                    operation: [Operation::Ingestion, Operation::Training][i % 2],
                    seconds: 0.03 + 0.01 * wave(i) + 0.02 * (i % 2) as f64,
                },
            })
            .collect(),
    }
}

fn quality(rows: usize) -> Quality {
    let pairs: Vec<_> = (0..rows)
        .map(|i| {
            let risk = (i * 7919 % 1000) as f64 / 1000.0;
            (risk, (i * 104_729 % 1000) as f64 / 1000.0 < risk)
        })
        .collect();
    Quality::new(&pairs, 0.5)
}

/// Saves the pictures for visual inspection: `RISK_PICTURES=folder cargo nextest run …`.
fn keep(name: &str, file: &[u8]) {
    if let Some(folder) = std::env::var_os("RISK_PICTURES") {
        std::fs::write(std::path::Path::new(&folder).join(name), file).unwrap();
    }
}

#[test]
fn any_number_of_runs_is_drawn_and_the_bytes_repeat() {
    for runs in [0, 1, 2, 12, 500] {
        let sheet = || canvas::png(TIME_TRENDS_SIZE, |area| time_trends(area, &trends(runs))).unwrap();
        let file = sheet();
        keep(&format!("trends-{runs}.png"), &file);
        assert!(file == sheet(), "{runs}");
    }
    let svg = wide(|area| f1_over_time(area, &trends(2))).unwrap();
    assert!(svg.contains("everyone exits") && svg.contains("01-01 06:00") && svg.contains("DejaVu Sans"), "{svg}");
    assert!(wide(|area| missing_over_time(area, &trends(0))).unwrap().contains("no run is recorded yet"));
}

#[test]
fn any_number_of_test_rows_is_drawn() {
    for rows in [1, 5, 2000] {
        let file = canvas::png(MODEL_QUALITY_SIZE, |area| model_quality(area, &quality(rows))).unwrap();
        keep(&format!("quality-{rows}.png"), &file);
    }
    let many = quality(2000);
    let svg = half(|area| roc(area, &many)).unwrap();
    assert!(svg.contains(&format!("AUC {:.4}", many.auc().unwrap())), "{svg}");
    let one_class = Quality::new(&[(0.2, false), (0.9, false)], 0.5);
    assert!(half(|area| roc(area, &one_class)).unwrap().contains("only one outcome"));
    assert!(half(|area| risk_distribution(area, &one_class)).unwrap().contains("50.0 % of 2 test rows"));
}

#[test]
fn labels_do_not_touch() {
    for (count, room, width) in
        [(1, 90.0, 800.0), (2, 90.0, 800.0), (12, 90.0, 800.0), (500, 90.0, 800.0), (9, 900.0, 800.0)]
    {
        let step = label_step(count, room, width);
        let shown = count.div_ceil(step);
        assert!(shown >= 1 && (shown as f64 * room <= width || shown == 1), "{count}: every {step}");
    }
}

#[test]
fn ticks_are_round_and_lie_within() {
    assert_eq!(round_ticks((0.0, 1.0), 5).len(), 6);
    for (low, high) in [(0.0, 3.7), (0.0, 1e-3), (0.0, 12345.0), (-2.0, 2.0)] {
        let ticks = round_ticks((low, high), 5);
        assert!((2..=7).contains(&ticks.len()) && ticks.iter().all(|tick| (low..=high).contains(tick)), "{ticks:?}");
    }
}
