//! The data of the model, their development over time, and the program's dependencies.

use dataset::LevelShare;

use crate::evidence::Evidence;
use crate::figures::Figures;
use crate::section::{Part, Section, Table};
use crate::wording::{grouped, number_if_known, percent};

/// Maximum number of files that are listed.
const FILES_SHOWN: usize = 20;

/// The scores, missing values and durations over time; a sentence takes the place of figures with a single point.
pub fn trends(figures: &Figures) -> Section {
    let mut section = Section::new("trends", "Over time");
    let drawn = figures.trends.iter().filter_map(|(trend, figure)| {
        let svg = figure.clone()?;
        Some(Part::Figure { label: trend.title(), svg, share: 1.0 })
    });
    section.parts.extend(drawn);
    let others = figures.trends.iter().filter(|(_, figure)| figure.is_none()).map(|(trend, _)| trend.title());
    let others: Vec<&str> = others.collect();
    if !others.is_empty() {
        section.parts.push(Part::Text(format!(
            "A chart appears here as soon as there are two values to show: {}.",
            others.join("; ").to_lowercase().replace("f1", "F1")
        )));
    }
    section
}

/// The files of the compiled dataset and its columns.
pub fn data(evidence: &Evidence) -> Section {
    let mut section = Section::new("data", "The data");
    let ingested = &evidence.ingested;
    section.parts.push(Part::Text(format!(
        "The compiled dataset has {} distinct rows from {}. {}",
        grouped(ingested.rows),
        match ingested.files.len() {
            1 => "one file".to_owned(),
            files => format!("{} files", grouped(files as u64)),
        },
        match evidence.has_newer_data() {
            true => "It is newer than the training data of the live model.",
            false => "The live model was trained on it.",
        }
    )));
    let contradictory = match ingested.contradictory_corporations {
        0 => None,
        1 => Some("One client is listed both as left and as active.".to_owned()),
        clients => Some(format!("{} clients are listed both as left and as active.", grouped(clients))),
    };
    section.parts.extend(contradictory.map(Part::Text));
    let trained = &evidence.release.manifest.ingested;
    let files = ingested.files.iter().rev().take(FILES_SHOWN).map(|file| {
        let known = trained.iter().any(|known| known.name == file.name && known.sha256 == file.sha256);
        let counts = [file.rows, file.duplicates, file.quarantined, file.missing.values().sum()].map(grouped);
        let trained = if known { "yes" } else { "no" };
        let last = [trained.to_owned(), file.sha256.short().to_owned()];
        [file.name.clone()].into_iter().chain(counts).chain(last).collect()
    });
    let columns = ["File", "#Rows", "#Duplicates", "#Quarantined", "#Missing values", "Trained on", "SHA-256"];
    let table = Table::of_texts("Files of the data", &columns, files);
    section.parts.push(Part::Table(match ingested.files.len() > FILES_SHOWN {
        true => table.with_caption(format!("The newest {FILES_SHOWN} files; ingestion.json lists all.")),
        false => table,
    }));
    let rows = evidence.missing.iter().map(|missing| {
        let statistics = evidence.summary.iter().find(|column| column.column == missing.column);
        let numbers = statistics.map_or([None; 4], |s| [s.mean, s.median, s.std, s.mode]);
        let mut numbers = numbers.map(number_if_known);
        let category = evidence.categories.iter().find(|category| category.column == missing.column);
        if let Some(mode) = category.and_then(|category| category.mode.as_ref()) {
            numbers[3].clone_from(mode);
        }
        [missing.column.clone()].into_iter().chain(numbers).chain([format!("{:.2} %", missing.percent)]).collect()
    });
    let columns = ["Column", "#Mean", "#Median", "#Standard deviation", "#Mode", "#Missing"];
    section.parts.push(Part::Table(Table::of_texts("Columns of the data", &columns, rows)));
    if !evidence.categories.is_empty() {
        let levels = evidence.categories.iter().flat_map(|category| {
            let row = |level: &LevelShare| {
                vec![category.column.clone(), level.level.clone(), grouped(level.count), percent(level.share)]
            };
            category.levels.iter().map(row)
        });
        let columns = ["Column", "Level", "#Rows", "#Share"];
        section.parts.push(Part::Table(Table::of_texts("Levels of the categories", &columns, levels)));
    }
    section
}

/// The versions of the program's dependencies; a sentence if no newest version is known.
pub fn dependencies(evidence: &Evidence) -> Section {
    let mut section = Section::new("dependencies", "Dependencies");
    if evidence.dependencies.iter().all(|dependency| dependency.last_known.is_none()) {
        section.parts.push(Part::Text(
            "The newest versions of the program's dependencies are unknown. fullprocess asks cargo for them once a day, \
             which must be installed and reach the package registry; diagnostics lists the versions in use."
                .to_owned(),
        ));
        return section;
    }
    let rows = evidence.dependencies.iter().map(|dependency| {
        let newest = dependency.last_known.as_ref();
        let version = newest.map_or("unknown", |known| &known.version);
        let date = newest.and_then(|known| known.seen.get(..10)).unwrap_or_default();
        vec![dependency.name.clone(), dependency.current.clone(), version.to_owned(), date.to_owned()]
    });
    let columns = ["Dependency", "Version in use", "Newest known version", "Last seen"];
    section.parts.push(Part::Table(Table::of_texts("Dependencies of the program", &columns, rows)));
    section
}
