//! The engine of this process: CSV files on this machine and tables in memory.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::Write;
use std::num::NonZero;
use std::path::Path;
use std::thread::available_parallelism;

use anyhow::{Context, Result};
use common::cli::Progress;
use common::config::Threshold;
use common::files::atomic::AtomicFile;
use common::files::checksum::Checksum;
use common::files::ingested::Ingested;
use common::files::{DataFile, FINAL_DATA, INGESTED_FILES, INGESTION_RECORD, QUARANTINE, csv_files};
use common::model::leaks::Overlap;
use common::model::{Model, probability};
use common::schema::Schema;
use common::values::{ColumnDistribution, ValueRef};
use fs_err::File;
use rayon::iter::ParallelIterator;
use rayon::slice::ParallelSlice;
use statistics::calibration::Calibration;
use statistics::expected::ExpectedCounts;

use crate::local::compile::compile;
use crate::local::describe::{self, level_counts};
use crate::local::early_sync::with_early_sync;
use crate::local::overlap::overlap;
use crate::local::parallel::WatchedFile;
use crate::local::table::{Table, Values, owned_row, row_of};
use crate::local::training::CompleteRows;
use crate::row::write_canonical;
use crate::{
    Client, ClientRow, Clients, Counts, Description, Engine, Ids, Newest, PREDICTION_COLUMNS, Reading, TrainingRows,
    VisitRow,
};

/// Number of rows whose sums are computed together. The same for every number of threads, so that the sums are too.
const ROWS_PER_SUM: usize = 1 << 16;

/// The engine of this process.
pub struct Local {
    schema: Schema,
    threads: usize,
}

impl Local {
    /// Creates an engine for tables with the columns of `schema` that works with as many threads as there are
    /// processors. For tests.
    pub fn new(schema: &Schema) -> Self {
        Self::with_threads(schema, available_parallelism().map_or(1, NonZero::get))
    }

    /// Creates an engine that works with so many threads.
    pub fn with_threads(schema: &Schema, threads: usize) -> Self {
        Self { schema: schema.clone(), threads }
    }
}

impl Engine for Local {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn files(&self, folder: &Path) -> Result<Vec<DataFile>> {
        csv_files(folder)
    }

    fn checksums(&self, files: &[DataFile]) -> Result<Vec<Checksum>> {
        files.iter().map(|file| Checksum::of_file(&file.path)).collect()
    }

    fn compile(&self, files: &[DataFile], _: &Path, stage: &Path) -> Result<Ingested> {
        let create = |name| File::create(stage.join(name));
        let (dataset, mut quarantine) = (create(FINAL_DATA)?, create(QUARANTINE)?); // written in large parts
        let progress = Progress::new("rows read");
        let mut show = move |rows| progress.show(rows);
        with_early_sync(&dataset, |dataset| {
            compile(&self.schema, files, self.threads, dataset, &mut quarantine, &mut show)
        })
    }

    fn compiled_files(&self) -> &'static [&'static str] {
        &[FINAL_DATA, INGESTED_FILES, QUARANTINE, INGESTION_RECORD]
    }

    fn compiled(&self, output: &Path, ids: Ids) -> Result<Box<dyn Clients>> {
        let path = output.join(FINAL_DATA);
        let file =
            WatchedFile::open(&path).with_context(|| format!("opening {}; run ingestion first", path.display()))?;
        let table = Table::from_stream(&self.schema, file, Reading { ids, ..Reading::WHOLE }, self.threads)
            .with_context(|| format!("reading {}; run ingestion again", path.display()))?;
        Ok(Box::new(table))
    }

    fn read(&self, files: &[DataFile], reading: Reading) -> Result<Box<dyn Clients>> {
        Ok(Box::new(Table::read_all(&self.schema, files, reading, self.threads)?))
    }

    fn overlap(&self, output: &Path, files: &[DataFile]) -> Result<Overlap> {
        overlap(&self.schema, &output.join(FINAL_DATA), files, self.threads)
    }

    fn retire(&self, _: &Ingested) {} // all of it is in the output folder
}

impl Clients for Table {
    fn malformed(&self) -> u64 {
        Table::malformed(self)
    }

    fn describe(&self) -> Result<Description> {
        self.pool()?.install(|| {
            Ok(Description {
                summary: describe::numbers(self)?,
                categories: describe::categories(self)?,
                missing: describe::missing(self)?,
            })
        })
    }

    fn training_rows(&self) -> Result<Box<dyn TrainingRows + '_>> {
        Ok(Box::new(CompleteRows::of(self)?))
    }

    fn score(&self, model: &Model, threshold: Threshold) -> Result<Counts> {
        model.check_columns(Table::schema(self), "the table")?;
        let scored = ScoredRows::of(self, model)?;
        let mut counts = Counts::default();
        for (row, exited) in self.target()?.iter().enumerate() {
            let Some(exited) = exited else {
                counts.unlabelled += 1;
                continue;
            };
            counts.imputed += u64::from(scored.imputed[row]);
            counts.unseen += u64::from(scored.unseen[row]);
            counts.confusion.add(probability(scored.log_odds[row]) >= threshold.value(), exited == 1.0);
        }
        Ok(counts)
    }

    fn expected_counts(
        &self,
        model: &Model,
        threshold: Threshold,
        calibration: &Calibration,
    ) -> Result<ExpectedCounts> {
        model.check_columns(Table::schema(self), "the table")?;
        let scored = ScoredRows::of(self, model)?;
        let sums = |rows: &[f64]| {
            let mut counts = ExpectedCounts::default();
            rows.iter().for_each(|l| counts.add(calibration, *l, probability(*l) >= threshold.value()));
            counts
        };
        let parts: Vec<_> = self.pool()?.install(|| scored.log_odds.par_chunks(ROWS_PER_SUM).map(sums).collect());
        let mut counts = ExpectedCounts::default();
        parts.iter().for_each(|part| counts.merge(part));
        Ok(counts)
    }

    fn distributions(&self) -> Result<Vec<ColumnDistribution>> {
        let predictors = self.predictors()?;
        let distribution = |values: &Values| match *values {
            Values::Numbers(numbers) => ColumnDistribution::Numbers(numbers.distribution()),
            Values::Levels(indices, levels) => ColumnDistribution::Levels(level_counts(indices, levels)),
        };
        Ok(self.pool()?.install(|| predictors.iter().map(distribution).collect()))
    }

    fn newest(&self, model: &Model, _: usize) -> Result<Newest> {
        /// The rows of a client that has been found.
        struct Seen<'a> {
            id: &'a str,
            newest: usize,
            previous: Option<usize>,
        }
        model.check_columns(Table::schema(self), "the table")?;
        let mut without_name = 0;
        let mut indices: HashMap<&str, usize> = HashMap::with_capacity(self.height());
        // In the order of the first rows, because the sum of the risks must not depend on the order of a hash table.
        let mut all: Vec<Seen> = Vec::new();
        for (row, id) in self.ids()?.iter().enumerate() {
            let Some(id) = id else {
                without_name += 1;
                continue;
            };
            match indices.entry(id) {
                Entry::Occupied(entry) => {
                    let seen = &mut all[*entry.get()];
                    seen.previous = Some(seen.newest);
                    seen.newest = row;
                }
                Entry::Vacant(entry) => {
                    entry.insert(all.len());
                    all.push(Seen { id, newest: row, previous: None });
                }
            }
        }
        let (predictors, target) = (self.predictors()?, self.target()?);
        let clients: Vec<Client> = all
            .into_iter()
            .filter(|seen| target.get(seen.newest) != Some(1.0))
            .map(|seen| Client {
                id: seen.id.to_owned(),
                predictors: owned_row(&predictors, seen.newest),
                previous: seen.previous.map(|row| owned_row(&predictors, row)),
            })
            .collect();
        let risk = clients.iter().map(|client| model.probability(&client.predictors)).sum();
        Ok(Newest { total: clients.len() as u64, risk, clients, without_name })
    }

    fn rows_of(&self, id: &str) -> Result<Vec<ClientRow>> {
        let (predictors, target) = (self.predictors()?, self.target()?);
        let rows = self.ids()?.iter().enumerate().filter(|(_, found)| *found == Some(id));
        let rows = rows.map(|(row, _)| ClientRow {
            predictors: owned_row(&predictors, row),
            exited: target.get(row).map(|exited| exited == 1.0),
        });
        Ok(rows.collect())
    }

    fn positions_of(&self, id: &str) -> Result<Option<Vec<u64>>> {
        let rows = self.ids()?.iter().enumerate().filter(|(_, found)| *found == Some(id));
        Ok(Some(rows.map(|(row, _)| row as u64).collect()))
    }

    fn search(&self, part: &str, most: usize) -> Result<(Vec<String>, usize)> {
        let part = part.to_lowercase();
        let ids = self.ids()?.iter().flatten();
        let found: BTreeSet<&str> = ids.filter(|id| id.to_lowercase().contains(&part)).collect();
        Ok((found.iter().take(most).map(|id| (*id).to_owned()).collect(), found.len()))
    }

    fn known(&self, ids: &HashSet<&str>) -> Result<HashSet<String>> {
        let known: HashSet<&str> = self.ids()?.iter().flatten().filter(|id| ids.contains(id)).collect();
        Ok(known.into_iter().map(str::to_owned).collect())
    }

    fn each(&self, visit: &mut VisitRow) -> Result<()> {
        let (predictors, target) = (self.predictors()?, self.target()?);
        let mut values = Vec::with_capacity(predictors.len());
        let mut ids = self.ids_if_read().map(|ids| ids.iter());
        for (row, exited) in target.iter().enumerate() {
            values.clear();
            values.extend(row_of(&predictors, row));
            let id = ids.as_mut().and_then(Iterator::next).flatten();
            visit(id, &values, exited.map(|exited| exited == 1.0));
        }
        Ok(())
    }

    fn write_predictions(&self, model: &Model, threshold: Threshold, path: &Path) -> Result<u64> {
        model.check_columns(Table::schema(self), "the table")?;
        let schema = Table::schema(self);
        let mut file = AtomicFile::create(path)?;
        let mut write = || -> Result<()> {
            let [probability_column, prediction_column] = PREDICTION_COLUMNS.map(|name| schema.free_name(name));
            writeln!(file, "{},{probability_column},{prediction_column}", schema.header())?;
            let mut line = Vec::new();
            let mut result = Ok(());
            self.each(&mut |id, predictors, exited| {
                line.clear();
                write_canonical(&mut line, schema, id, predictors.iter().copied(), exited);
                line.pop();
                let probability = probability(model.log_odds(predictors.iter().copied()));
                let prediction = u8::from(probability >= threshold.value());
                if result.is_ok() {
                    result = writeln!(line, ",{probability},{prediction}").and_then(|()| file.write_all(&line));
                }
            })?;
            Ok(result?)
        };
        write().with_context(|| format!("writing {}", path.display()))?;
        file.commit()?;
        Ok(self.height() as u64)
    }
}

/// The rows of a table as a model scores them.
pub(super) struct ScoredRows {
    pub(super) log_odds: Vec<f64>,
    /// Whether a predictor is missing.
    imputed: Vec<bool>,
    /// Whether a predictor has a level that no training row had.
    unseen: Vec<bool>,
}

impl ScoredRows {
    /// Computes the rows column by column, so that each level of a category is looked up once.
    pub(super) fn of(table: &Table, model: &Model) -> Result<Self> {
        let height = table.height();
        let mut rows = Self { log_odds: vec![0.0; height], imputed: vec![false; height], unseen: vec![false; height] };
        for (j, values) in table.predictors()?.into_iter().enumerate() {
            let of_missing = model.contribution(j, None);
            match values {
                Values::Numbers(numbers) => {
                    for (row, number) in numbers.iter().enumerate() {
                        rows.log_odds[row] += match number {
                            Some(number) => model.contribution(j, Some(ValueRef::Number(number))),
                            None => of_missing,
                        };
                        rows.imputed[row] |= number.is_none();
                    }
                }
                Values::Levels(indices, levels) => {
                    let of_level = |level: &String| {
                        let value = Some(ValueRef::Level(level));
                        (model.contribution(j, value), model.effects[j].is_unseen(value))
                    };
                    let of_levels: Vec<(f64, bool)> = levels.iter().map(of_level).collect();
                    for (row, index) in indices.iter().enumerate() {
                        let (contribution, unseen) =
                            index.map_or((of_missing, false), |index| of_levels[index as usize]);
                        rows.log_odds[row] += contribution;
                        rows.imputed[row] |= index.is_none();
                        rows.unseen[row] |= unseen;
                    }
                }
            }
        }
        rows.log_odds.iter_mut().for_each(|log_odds| *log_odds += model.intercept);
        Ok(rows)
    }
}
