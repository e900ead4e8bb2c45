//! The data of the model, and the development over time.

use anyhow::Result;

use crate::pdf::{Column, Document, Table};
use charts;
use insight::evidence::Evidence;
use insight::trends;
use insight::words::{grouped, number};

/// Adds the files of the compiled dataset and its columns.
pub fn files_and_columns(document: &mut Document, evidence: &Evidence) -> Result<()> {
    const SHOWN: usize = 40;
    let ingested = &evidence.ingested;
    document.heading("The data");
    let since = match evidence.has_newer_data() {
        true => "It is newer than the live model's training data.",
        false => "The live model was trained on it.",
    };
    document.paragraph(&format!(
        "The compiled dataset has {} distinct rows from {} files. {since} {} corporations stand in it both as having left \
         and as having stayed.",
        grouped(ingested.rows),
        grouped(ingested.files.len() as u64),
        grouped(ingested.contradictory_corporations)
    ));
    let trained = &evidence.release.manifest.ingested;
    let newest_first = ingested.files.iter().rev().take(SHOWN);
    let rows = newest_first.map(|file| {
        let known = trained.iter().any(|known| known.name == file.name && known.sha256 == file.sha256);
        vec![
            file.name.clone(),
            grouped(file.rows),
            grouped(file.duplicates),
            grouped(file.quarantined),
            grouped(file.missing.values().sum()),
            if known { "yes" } else { "no, newer" }.to_owned(),
            file.sha256.short().to_owned(),
        ]
    });
    document.table(&Table {
        columns: vec![
            Column::left("file", 0.26),
            Column::right("rows", 0.10),
            Column::right("duplicates", 0.12),
            Column::right("quarantined", 0.13),
            Column::right("missing", 0.10),
            Column::left("trained on", 0.12),
            Column::left("SHA-256", 0.17),
        ],
        rows: rows.collect(),
        ..Table::default()
    });
    if ingested.files.len() > SHOWN {
        document.note(&format!("The newest {SHOWN}; ingestion.json holds all of them."));
    }
    let rows = evidence.missing.iter().map(|missing| {
        let statistics = evidence.summary.iter().find(|column| column.column == missing.column);
        let numbers = statistics.map_or([None; 4], |s| [s.mean, s.median, s.std, s.mode]);
        let numbers = numbers.map(|value| value.map_or_else(|| "–".to_owned(), number));
        [missing.column.to_owned()].into_iter().chain(numbers).chain([format!("{:.2} %", missing.percent)]).collect()
    });
    document.table(&Table {
        columns: vec![
            Column::left("column", 0.23),
            Column::right("mean", 0.14),
            Column::right("median", 0.14),
            Column::right("standard deviation", 0.19),
            Column::right("mode", 0.15),
            Column::right("missing", 0.15),
        ],
        rows: rows.collect(),
        ..Table::default()
    });
    Ok(())
}

/// Adds the charts of scores, missing values and durations over time.
pub fn trends(document: &mut Document, evidence: &Evidence) -> Result<()> {
    let trends = trends::of(&evidence.past);
    document.heading("Over time");
    for figure in [
        charts::wide(|area| charts::f1_over_time(area, &trends))?,
        charts::wide(|area| charts::missing_over_time(area, &trends))?,
        charts::wide(|area| charts::seconds_over_time(area, &trends))?,
    ] {
        document.figures(&[&figure])?;
    }
    Ok(())
}

/// Adds the versions of the program's dependencies.
pub fn dependencies(document: &mut Document, evidence: &Evidence) -> Result<()> {
    document.heading("What the program is made of");
    let rows = evidence.dependencies.iter().map(|dependency| {
        let known = dependency.last_known.as_ref();
        let newest = known.map_or_else(|| "unknown".to_owned(), |known| known.version.clone());
        let seen = known.map_or_else(String::new, |known| known.seen.get(..10).unwrap_or_default().to_owned());
        vec![dependency.name.clone(), dependency.current.clone(), newest, seen]
    });
    document.table(&Table {
        columns: vec![
            Column::left("dependency", 0.34),
            Column::right("in this program", 0.22),
            Column::right("newest known", 0.22),
            Column::right("seen", 0.22),
        ],
        rows: rows.collect(),
        small: true,
    });
    Ok(())
}
