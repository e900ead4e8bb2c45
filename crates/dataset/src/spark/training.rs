//! The rows of a table on the cluster that training uses: those without a missing value, as columns of the regression.

use std::cell::Cell;

use anyhow::{Context, Result, bail};
use common::schema::MOST_LEVELS;
use statistics::distribution::Distribution;
use statistics::levels::LevelSummary;
use statistics::sketch::Sketch;

use crate::basis::Basis;
use crate::design::Design;
use crate::likelihood::Sums;
use crate::spark::distribution::{Column, Moments, count, every, moments, sum_where};
use crate::spark::names::{self, TARGET};
use crate::spark::sql::{self, Cells};
use crate::spark::step::Step;
use crate::spark::table::ClusterTable;
use crate::terms::{check_levels, check_terms};
use crate::{PredictorSummary, Sample, TrainingRows, TrainingSummary};

/// The rows of a table without missing values.
pub struct ClusterRows<'a> {
    table: &'a ClusterTable,
    summary: TrainingSummary,
    design: Design,
    /// Number of calls of [`TrainingRows::sums`].
    steps: Cell<u32>,
}

/// The levels of a category.
#[derive(Default)]
struct Levels {
    /// Number of levels in the complete rows, of which at most [`MOST_LEVELS`] are listed.
    total: usize,
    /// Each level in the complete rows with its numbers of complete rows and of all rows.
    counts: Vec<(String, u64, u64)>,
}

impl<'a> ClusterRows<'a> {
    /// Reads the summary of the complete rows of `table`.
    ///
    /// # Errors
    /// Fails if there are too many levels or terms; the error names the column. Fails if the table is not the compiled
    /// dataset.
    pub fn of(table: &'a ClusterTable) -> Result<Self> {
        let what = "preparing the training";
        let complete = complete(table);
        let (numbers, categories) = (table.columns_of(false), table.columns_of(true));
        let mut others = vec![sum_where(&complete, "1"), sum_where(&complete, TARGET)];
        others.extend(categories.iter().map(|column| format!("count({column})")));
        let Moments { rows, columns, others } = moments(&table.connection, what, &table.relation, &numbers, &others)?;
        table.check_whole(rows)?;
        let Some((dataset_sha256, _)) = &table.ingested else {
            bail!("only the compiled dataset can be trained on");
        };
        let in_complete = |column: &String| Column { condition: complete.clone(), ..every(column) };
        let asked: Vec<Column> =
            numbers.iter().map(|column| every(column)).chain(numbers.iter().map(in_complete)).collect();
        let mut of_all = count(&table.connection, what, &table.relation, &asked)?;
        let of_complete = of_all.split_off(numbers.len());
        let mut of_numbers = of_all.into_iter().zip(of_complete).zip(columns);
        let mut of_categories = levels(table, what, &complete, &categories)?.into_iter().zip(&others[2..]);
        let mut predictors = Vec::new();
        for predictor in table.schema.predictors() {
            predictors.push(match predictor.is_category() {
                false => {
                    let ((all, complete), (known, mean, std)) = of_numbers.next().context("a column is missing")?;
                    let all = Distribution { missing: rows - known, ..all.distribution };
                    PredictorSummary::Number {
                        median: complete.distribution.median(),
                        sketch: mean.and_then(|mean| Sketch::of_distribution(&all, mean, std.unwrap_or(0.0))),
                    }
                }
                true => {
                    let (levels, known) = of_categories.next().context("a column is missing")?;
                    check_levels(&predictor.name, levels.total)?;
                    levels.summary(rows, *known as u64)
                }
            });
        }
        check_terms(&table.schema, &predictors)?;
        let complete_rows = others[0] as u64;
        let summary = TrainingSummary {
            dataset_sha256: dataset_sha256.clone(),
            rows: complete_rows,
            exited: others[1] as u64,
            left_out: rows - complete_rows,
            predictors,
        };
        Ok(Self { table, design: summary.design(), summary, steps: Cell::new(0) })
    }

    /// Returns the levels of each category, in the order of the schema.
    fn levels(&self) -> impl Iterator<Item = &[String]> {
        self.summary.predictors.iter().filter_map(|summary| match summary {
            PredictorSummary::Number { .. } => None,
            PredictorSummary::Category { levels, .. } => Some(levels.as_slice()),
        })
    }
}

impl Levels {
    fn summary(mut self, rows: u64, known: u64) -> PredictorSummary {
        self.counts.sort_unstable();
        let of_all: Vec<u64> = self.counts.iter().map(|(.., all)| *all).collect();
        PredictorSummary::Category {
            counts: self.counts.iter().map(|(_, complete, _)| *complete).collect(),
            summary: LevelSummary { unseen: known - of_all.iter().sum::<u64>(), counts: of_all, missing: rows - known },
            levels: self.counts.into_iter().map(|(level, ..)| level).collect(),
        }
    }
}

/// Returns the condition that training uses a row.
fn complete(table: &ClusterTable) -> String {
    let columns = names::columns(&table.schema);
    let known: Vec<String> = columns.iter().skip(1).map(|column| format!("{column} IS NOT NULL")).collect();
    known.join(" AND ")
}

/// Counts the levels of the categories among the complete rows in one query.
fn levels(table: &ClusterTable, what: &str, complete: &str, columns: &[String]) -> Result<Vec<Levels>> {
    let mut found: Vec<Levels> = columns.iter().map(|_| Levels::default()).collect();
    if columns.is_empty() {
        return Ok(found);
    }
    let groups = columns.iter().enumerate().map(|(i, column)| {
        format!(
            "SELECT {i} AS i, {column} AS level, count(CASE WHEN {complete} THEN 1 END) AS n, count(*) AS everywhere \
             FROM {} WHERE {column} IS NOT NULL GROUP BY {column}",
            table.relation
        )
    });
    // A column of free text may have very many levels, of which none is needed if there are too many.
    let query = format!(
        "SELECT i, level, n, everywhere, total FROM (SELECT *, count(*) OVER (PARTITION BY i) AS total, row_number() \
         OVER (PARTITION BY i ORDER BY level) AS r FROM ({}) WHERE n > 0) WHERE r <= {MOST_LEVELS}",
        sql::union_all(&groups.collect::<Vec<_>>())
    );
    table.connection.each(what, query, |row| {
        let mut cells = Cells::of(&row);
        let (i, level) = (cells.count() as usize, cells.text().context("a level without a name")?);
        let levels = found.get_mut(i).context("a level of no column")?;
        levels.counts.push((level, cells.count(), cells.count()));
        levels.total = cells.count() as usize;
        Ok(())
    })?;
    Ok(found)
}

impl TrainingRows for ClusterRows<'_> {
    fn design(&self) -> &Design {
        &self.design
    }

    fn summary(&self) -> &TrainingSummary {
        &self.summary
    }

    fn sample(&self, most: usize) -> Result<Sample> {
        // Selected by a hash of the row: any sample would do, and this one is reproducible.
        let schema = &self.table.schema;
        let values: Vec<String> = (schema.predictors().iter().enumerate())
            .map(|(j, predictor)| sql::transformed(&names::predictor(j), predictor.transform))
            .collect();
        let columns = names::columns(schema);
        let query = format!(
            "SELECT {}, {TARGET} FROM (SELECT {}, xxhash64({}) AS h FROM {} WHERE {}) ORDER BY h LIMIT {most}",
            values.join(", "),
            columns[1..].join(", "),
            columns.join(", "),
            self.table.relation,
            complete(self.table)
        );
        let mut sample = Sample::default();
        for row in &self.table.connection.rows("taking a sample", query)? {
            let mut cells = Cells::of(row);
            let mut columns = vec![0.0; self.design.constant()];
            let (mut number, mut category, mut levels) = (0, 0, self.levels());
            for predictor in schema.predictors() {
                if predictor.is_category() {
                    let level = cells.text().context("taking a sample: a level is missing")?;
                    let known = levels.next().and_then(|levels| levels.binary_search(&level).ok());
                    let level = known.with_context(|| format!("taking a sample: the level {level:?} is new"))?;
                    if let Some(indicator) = self.design.indicator(category, level) {
                        columns[indicator] = 1.0;
                    }
                    category += 1;
                } else {
                    columns[number] = cells.sum();
                    number += 1;
                }
            }
            sample.columns.push(columns);
            sample.exited.push(cells.sum() == 1.0);
        }
        Ok(sample)
    }

    fn sums(&self, basis: &Basis, parameters: &[f64]) -> Result<Sums> {
        self.steps.set(self.steps.get() + 1);
        let levels: Vec<&[String]> = self.levels().collect();
        let step = Step {
            schema: &self.table.schema,
            relation: &self.table.relation,
            complete: &complete(self.table),
            levels: &levels,
            rows: self.summary.rows,
            basis,
            parameters,
        };
        let what = format!("step {} of the training", self.steps.get());
        let (rows, sums) = step.sums(&self.table.connection, &what)?;
        if rows != self.summary.rows {
            // A concurrent ingestion has emptied the folder that this training reads.
            bail!("the compiled dataset changed while it was trained on; run again");
        }
        Ok(sums)
    }
}
