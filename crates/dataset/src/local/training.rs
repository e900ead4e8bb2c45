//! The rows of a table that training uses: those without a missing value, as columns of the regression.

use anyhow::Result;
use common::schema::{Predictor, Transform};
use rayon::ThreadPool;
use statistics::levels::LevelSummary;

use crate::basis::Basis;
use crate::design::Design;
use crate::likelihood::Sums;
use crate::local::counting::{NumberColumn, Numbers};
use crate::local::describe::level_counts;
use crate::local::likelihood::{Levels, Rows};
use crate::local::table::{Table, Values};
use crate::terms::{check_levels, check_terms};
use crate::{PredictorSummary, Sample, TrainingRows, TrainingSummary};

/// The complete rows of a table. They are not copied: a bitmap says which rows they are.
pub struct CompleteRows<'t> {
    table: &'t Table,
    /// Bit i % 8 of byte i / 8 is 1 if row i is complete; `None` if all are.
    complete: Option<Vec<u8>>,
    /// How each predictor of `table` enters the regression.
    columns: Vec<Column>,
    summary: TrainingSummary,
    design: Design,
    pool: ThreadPool,
}

/// A predictor as it enters the regression.
enum Column {
    /// A number enters as it is in the table.
    Number,
    /// A number after its transform.
    Transformed(Vec<f64>),
    /// For each level of the table, its index in the sorted levels of the training rows.
    Levels(Vec<u32>),
}

impl<'t> CompleteRows<'t> {
    /// Selects the rows of `table` without a missing predictor or target.
    ///
    /// # Errors
    /// Fails if there are too many levels or terms; the error names the column.
    pub fn of(table: &'t Table) -> Result<Self> {
        let (predictors, target, pool) = (table.predictors()?, table.target()?, table.pool()?);
        let complete = complete(predictors.iter().map(|values| values.column()).chain([target]));
        let within = complete.as_deref();
        let prepared = pool.install(|| {
            // One column after the other, because each is worked on by all threads and needs memory.
            let columns = table.schema().predictors().iter().zip(predictors);
            columns.map(|(predictor, values)| prepare(predictor, values, within)).collect::<Result<Vec<_>>>()
        })?;
        let (columns, predictors): (Vec<_>, Vec<_>) = prepared.into_iter().unzip();
        check_terms(table.schema(), &predictors)?;
        let exits = pool.install(|| target.within(within).distribution());
        let rows = exits.n();
        let summary = TrainingSummary {
            dataset_sha256: table.checksum().clone(),
            rows,
            exited: exits.values.iter().filter(|(exited, _)| *exited == 1.0).map(|(_, count)| count).sum(),
            left_out: table.height() as u64 - rows,
            predictors,
        };
        Ok(Self { design: summary.design(), table, complete, columns, summary, pool })
    }

    fn rows(&self) -> Result<Rows<'_>> {
        let (mut numbers, mut levels) = (Vec::new(), Vec::new());
        for (column, values) in self.columns.iter().zip(self.table.predictors()?) {
            match column {
                Column::Number => numbers.push(values.column().numbers),
                Column::Transformed(values) => numbers.push(Numbers::F64(values)),
                Column::Levels(of_table) => levels.push(Levels { indices: values.column().numbers, of_table }),
            }
        }
        let target = self.table.target()?.numbers;
        Ok(Rows { design: &self.design, numbers, levels, target, complete: self.complete.as_deref() })
    }
}

/// Returns the bitmap of the rows in which all of `columns` are known; `None` if all are.
fn complete<'a>(columns: impl Iterator<Item = NumberColumn<'a>>) -> Option<Vec<u8>> {
    columns.filter_map(|column| column.known).fold(None, |complete, known| {
        let mut complete = complete.unwrap_or_else(|| vec![u8::MAX; known.len()]);
        complete.iter_mut().zip(known).for_each(|(complete, known)| *complete &= known);
        Some(complete)
    })
}

/// Returns how a predictor enters the regression and its summary. The median, the levels and their counts are those of
/// the rows `complete`.
fn prepare(predictor: &Predictor, values: Values, complete: Option<&[u8]>) -> Result<(Column, PredictorSummary)> {
    match values {
        Values::Levels(indices, names) => {
            let in_complete = level_counts(indices.within(complete), names);
            check_levels(&predictor.name, in_complete.counts.len())?;
            let levels: Vec<String> = in_complete.counts.keys().cloned().collect();
            // The index of a level that no complete row has is never used.
            let index = |name: &String| levels.binary_search(name).unwrap_or_default() as u32;
            // An unknown level has the index 0 in the table, even if the table has no level.
            let of_table = names.iter().map(index).chain(names.is_empty().then_some(0)).collect();
            let summary = PredictorSummary::Category {
                counts: in_complete.counts.into_values().collect(),
                summary: LevelSummary::of(&levels, &level_counts(indices, names)),
                levels,
            };
            Ok((Column::Levels(of_table), summary))
        }
        Values::Numbers(numbers) => {
            let column = match predictor.transform {
                Transform::None => Column::Number,
                transform => Column::Transformed(numbers.numbers.map(|number| transform.apply(number))),
            };
            let median = numbers.within(complete).median();
            Ok((column, PredictorSummary::Number { median, sketch: numbers.sketch() }))
        }
    }
}

impl TrainingRows for CompleteRows<'_> {
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
        let rows = self.rows()?;
        Ok(self.pool.install(|| rows.sums(basis, parameters)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MalformedRows;
    use common::config::schema_of_json;
    use common::schema::MOST_LEVELS;
    use std::fmt::Write;

    fn table(predictors: &str, rows: &str) -> Table {
        let schema =
            schema_of_json(&format!(r#"{{"id": "key", "target": "left", "predictors": {predictors}}}"#)).unwrap();
        let text = format!("{}\n{rows}", schema.header());
        Table::from_csv(&schema, text.as_bytes(), MalformedRows::Refuse).unwrap()
    }

    const MIXED: &str = r#"[{"name": "plan", "kind": "category"}, {"name": "amount", "transform": "log1p"}, "age"]"#;

    #[test]
    fn levels_are_sorted_and_those_of_incomplete_rows_are_unseen() {
        let all = table(MIXED, "a,year,0,3,0\nb,month,1.5,4,1\nc,month,3,5,0\nd,never,,6,1\ne,,2,7,0\n");
        let rows = CompleteRows::of(&all).unwrap();
        let summary = rows.summary();
        assert_eq!((summary.rows, summary.exited, summary.left_out), (3, 1, 2));
        let plan = PredictorSummary::Category {
            levels: vec!["month".to_owned(), "year".to_owned()],
            counts: vec![2, 1],
            summary: LevelSummary { counts: vec![2, 1], unseen: 1, missing: 1 },
        };
        assert_eq!(summary.predictors[0], plan);
        let PredictorSummary::Number { median, sketch } = &summary.predictors[1] else { panic!("not a number") };
        assert_eq!((*median, sketch.as_ref().map(|sketch| sketch.n)), (Some(1.5), Some(4)));
        // The columns are the numbers, then the indicator of every level but the most frequent one.
        let sample = rows.sample(10).unwrap();
        let expected = [[0.0, 3.0, 1.0], [1.5f64.ln_1p(), 4.0, 0.0], [3.0f64.ln_1p(), 5.0, 0.0]];
        assert_eq!(sample.columns, expected.map(Vec::from));
        assert_eq!(sample.exited, [false, true, false]);
        let sums = rows.sums(&Basis::centred(rows.design(), &[0.0, 0.0]), &[0.0; 4]).unwrap();
        assert!((sums.log_likelihood - 3.0 * 0.5f64.ln()).abs() < 1e-12);
        assert!((sums.gradient[2] - 0.5).abs() < 1e-12, "{sums:?}");
    }

    #[test]
    fn too_many_levels_and_terms_are_errors_that_name_the_column() {
        let category = r#"[{"name": "plan", "kind": "category"}, {"name": "post code", "kind": "category"}]"#;
        let rows = |n: usize| {
            (0..n).fold(String::new(), |mut rows, i| {
                writeln!(rows, "c{i},a,code {i},{}", i % 2).unwrap();
                rows
            })
        };
        assert!(CompleteRows::of(&table(category, &rows(MOST_LEVELS))).is_ok());
        let error = CompleteRows::of(&table(category, &rows(MOST_LEVELS + 1))).err().unwrap().to_string();
        assert!(error.contains("column post code has 101 levels") && error.contains("\"ignored\""), "{error}");

        let names: Vec<String> = (0..6).map(|j| format!(r#"{{"name": "c{j}", "kind": "category"}}"#)).collect();
        let rows = |levels: usize| {
            (0..levels).fold(String::new(), |mut rows, i| {
                writeln!(rows, "k{i},{i},{i},{i},{i},{i},{i},{}", i % 2).unwrap();
                rows
            })
        };
        let six = format!("[{}]", names.join(", "));
        assert!(CompleteRows::of(&table(&six, &rows(83))).is_ok());
        let error = CompleteRows::of(&table(&six, &rows(84))).err().unwrap().to_string();
        assert!(error.contains("504 terms") && error.contains("at most 500"), "{error}");
    }
}
