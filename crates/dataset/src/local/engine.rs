//! The engine of this process: CSV files on this machine and tables in memory.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::basis::Basis;
use crate::design::Design;
use crate::likelihood::Sums;
use crate::{
    Client, ClientRow, Clients, Counts, Description, Engine, MalformedRows, Newest, PREDICTION_COLUMNS, Reading,
    Sample, TrainingRows, TrainingSummary,
};
use anyhow::{Context, Result};
use common::cli::Progress;
use common::config::Threshold;
use common::files::atomic::AtomicFile;
use common::files::checksum::Checksum;
use common::files::ingested::Ingested;
use common::files::{DataFile, FINAL_DATA, INGESTED_FILES, INGESTION_RECORD, QUARANTINE, csv_files};
use common::model::Model;
use common::model::schema::{COLUMNS, PREDICTORS, Predictors, TARGET};
use fs_err::File;
use rayon::prelude::*;
use statistics::distribution::Distribution;
use statistics::sketch::Sketch;

use crate::local::Table;
use crate::local::compile::compile;
use crate::local::describe;
use crate::local::likelihood::Rows;

/// The engine of this process.
pub struct Local;

impl Engine for Local {
    fn files(&self, folder: &Path) -> Result<Vec<DataFile>> {
        csv_files(folder)
    }

    fn checksums(&self, files: &[DataFile]) -> Result<Vec<Checksum>> {
        files.iter().map(|file| Checksum::of_file(&file.path)).collect()
    }

    fn compile(&self, files: &[DataFile], _: &Path, stage: &Path) -> Result<Ingested> {
        let create = |name| Ok::<_, io::Error>(BufWriter::with_capacity(256 * 1024, File::create(stage.join(name))?));
        let (mut dataset, mut quarantine) = (create(FINAL_DATA)?, create(QUARANTINE)?);
        let progress = Progress::new("rows read");
        let ingested = compile(files, &mut dataset, &mut quarantine, &mut |rows| progress.show(rows))?;
        drop(progress);
        for mut file in [dataset, quarantine] {
            file.flush()?;
        }
        Ok(ingested)
    }

    fn compiled_files(&self) -> &'static [&'static str] {
        &[FINAL_DATA, INGESTED_FILES, QUARANTINE, INGESTION_RECORD]
    }

    fn compiled(&self, output: &Path) -> Result<Box<dyn Clients>> {
        let path = output.join(FINAL_DATA);
        let file = File::open(&path).with_context(|| format!("opening {}; run ingestion first", path.display()))?;
        let table = Table::from_csv(file, MalformedRows::Refuse)
            .with_context(|| format!("reading {}; run ingestion again", path.display()))?;
        Ok(Box::new(table))
    }

    fn read(&self, files: &[DataFile], reading: Reading) -> Result<Box<dyn Clients>> {
        Ok(Box::new(Table::read_all(files, reading)?))
    }

    fn retire(&self, _: &Ingested) {} // all of it is in the output folder
}

impl Clients for Table {
    fn malformed(&self) -> u64 {
        Table::malformed(self)
    }

    fn describe(&self) -> Result<Description> {
        Ok(Description { summary: describe::summary(self)?, missing: describe::missing(self)? })
    }

    fn training_rows(&self) -> Result<Box<dyn TrainingRows + '_>> {
        let sketches = PREDICTORS
            .into_par_iter()
            .map(|predictor| Ok(Sketch::of(self.column(predictor)?)))
            .collect::<Result<Vec<_>>>()?;
        let complete = self.complete()?;
        let summary = TrainingSummary {
            dataset_sha256: self.checksum().clone(),
            rows: complete.height() as u64,
            exited: complete.values(TARGET)?.iter().sum::<f64>() as u64,
            left_out: (self.height() - complete.height()) as u64,
            medians: describe::medians(&complete)?,
            sketches: sketches.into_iter().collect::<Option<Vec<_>>>().and_then(|sketches| sketches.try_into().ok()),
        };
        Ok(Box::new(CompleteRows { table: complete, design: Design::new(PREDICTORS.len(), Vec::new()), summary }))
    }

    fn score(&self, model: &Model, threshold: Threshold) -> Result<Counts> {
        let mut counts = Counts::default();
        for row in self.rows()? {
            let Some(exited) = row.exited else {
                counts.unlabelled += 1;
                continue;
            };
            counts.imputed += u64::from(row.predictors.contains(&None));
            counts.confusion.add(model.probability(&row.predictors) >= threshold.value(), exited);
        }
        Ok(counts)
    }

    fn distributions(&self) -> Result<[Distribution; 3]> {
        let [lastmonth, lastyear, employees] = PREDICTORS.map(|predictor| self.column(predictor).map(Distribution::of));
        Ok([lastmonth?, lastyear?, employees?])
    }

    fn newest(&self, model: &Model, _: usize) -> Result<Newest> {
        /// The state of a corporation while the rows are read.
        #[derive(Default)]
        struct Seen<'a> {
            corporation: &'a str,
            newest: Option<Predictors>,
            previous: Option<Predictors>,
            exited: Option<bool>,
        }
        let mut without_name = 0;
        let mut indices: HashMap<&str, usize> = HashMap::with_capacity(self.height());
        // In the order of the first rows, because the sum of the risks must not depend on the order of a hash table.
        let mut all: Vec<Seen> = Vec::new();
        for row in self.rows()? {
            let Some(corporation) = row.corporation else {
                without_name += 1;
                continue;
            };
            let index = *indices.entry(corporation).or_insert(all.len());
            if index == all.len() {
                all.push(Seen { corporation, ..Seen::default() });
            }
            let seen = &mut all[index];
            seen.previous = seen.newest.replace(row.predictors);
            seen.exited = row.exited;
        }
        let clients: Vec<Client> = all
            .into_iter()
            .filter(|seen| seen.exited != Some(true))
            .filter_map(|Seen { corporation, newest, previous, .. }| {
                Some(Client { corporation: corporation.to_owned(), predictors: newest?, previous })
            })
            .collect();
        let risk = clients.iter().map(|client| model.probability(&client.predictors)).sum();
        Ok(Newest { total: clients.len() as u64, risk, clients, without_name })
    }

    fn rows_of(&self, corporation: &str) -> Result<Vec<ClientRow>> {
        let rows = self.rows()?.filter(|row| row.corporation == Some(corporation));
        Ok(rows.map(|row| ClientRow { predictors: row.predictors, exited: row.exited }).collect())
    }

    fn search(&self, part: &str, most: usize) -> Result<(Vec<String>, usize)> {
        let part = part.to_lowercase();
        let names = self.rows()?.filter_map(|row| row.corporation);
        let found: BTreeSet<&str> = names.filter(|name| name.to_lowercase().contains(&part)).collect();
        Ok((found.iter().take(most).map(|name| (*name).to_owned()).collect(), found.len()))
    }

    fn each(&self, visit: &mut dyn FnMut(Option<&str>, &ClientRow)) -> Result<()> {
        for row in self.rows()? {
            visit(row.corporation, &ClientRow { predictors: row.predictors, exited: row.exited });
        }
        Ok(())
    }

    fn write_predictions(&self, model: &Model, threshold: Threshold, path: &Path) -> Result<u64> {
        let mut file = AtomicFile::create(path)?;
        let mut write = || -> Result<()> {
            writeln!(file, "{},{}", COLUMNS.join(","), PREDICTION_COLUMNS.join(","))?;
            let mut line = Vec::new();
            for row in self.rows()? {
                line.clear();
                row.write_canonical(&mut line);
                line.pop();
                let probability = model.probability(&row.predictors);
                writeln!(line, ",{probability},{}", u8::from(probability >= threshold.value()))?;
                file.write_all(&line)?;
            }
            Ok(())
        };
        write().with_context(|| format!("writing {}", path.display()))?;
        file.commit()?;
        Ok(self.height() as u64)
    }
}

/// The rows of a table without missing values, in contiguous columns.
struct CompleteRows {
    table: Table,
    design: Design,
    summary: TrainingSummary,
}

impl CompleteRows {
    fn rows(&self) -> Result<Rows<'_>> {
        let [lastmonth, lastyear, employees] = PREDICTORS.map(|column| self.table.values(column));
        let numbers = vec![lastmonth?, lastyear?, employees?];
        Ok(Rows { design: &self.design, numbers, levels: Vec::new(), target: self.table.values(TARGET)? })
    }
}

impl TrainingRows for CompleteRows {
    fn design(&self) -> &Design {
        &self.design
    }

    fn summary(&self) -> &TrainingSummary {
        &self.summary
    }

    fn sample(&self, most: usize) -> Result<Sample> {
        Ok(self.rows()?.sample(most))
    }

    fn sums(&self, basis: &Basis, parameters: &[f64]) -> Result<Sums> {
        Ok(self.rows()?.sums(basis, parameters))
    }
}
