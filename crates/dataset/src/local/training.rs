//! The rows of a table that training uses: those without a missing value, as columns of the regression.

use anyhow::{Result, bail};
use common::schema::{Predictor, Transform};
use polars::prelude::ChunkQuantile;
use rayon::prelude::*;
use statistics::levels::{LevelCounts, LevelSummary};
use statistics::sketch::Sketch;

use crate::basis::Basis;
use crate::design::Design;
use crate::likelihood::Sums;
use crate::local::describe::level_counts;
use crate::local::likelihood::Rows;
use crate::local::table::{Table, Values};
use crate::terms::{check_levels, check_terms};
use crate::{PredictorSummary, Sample, TrainingRows, TrainingSummary};

/// The complete rows of a table.
pub struct CompleteRows {
    table: Table,
    /// How each predictor of `table` enters the regression.
    columns: Vec<Column>,
    summary: TrainingSummary,
    design: Design,
}

/// A predictor as it enters the regression.
enum Column {
    /// A number enters as it is in the table.
    Number,
    /// A number after its transform.
    Transformed(Vec<f64>),
    /// Index of each row's level in the sorted levels of the training rows.
    Levels(Vec<u32>),
}

impl CompleteRows {
    /// Selects the rows of `all` without a missing predictor or target.
    ///
    /// # Errors
    /// Fails if there are too many levels or terms; the error names the column.
    pub fn of(all: &Table) -> Result<Self> {
        // Before the complete rows are copied, because sorting the values needs memory too.
        let in_all: Vec<InAll> = all.predictors()?.into_par_iter().map(InAll::of).collect();
        let table = all.complete()?;
        let values = table.predictors()?.into_iter().zip(in_all);
        let predictors: Vec<(&Predictor, (Values, InAll))> = all.schema().predictors().iter().zip(values).collect();
        let prepare = |(predictor, (values, in_all)): (&Predictor, (Values, InAll))| prepare(predictor, values, in_all);
        let prepared = predictors.into_par_iter().map(prepare).collect::<Result<Vec<_>>>()?;
        let (columns, predictors): (Vec<_>, Vec<_>) = prepared.into_iter().unzip();
        check_terms(all.schema(), &predictors)?;
        let summary = TrainingSummary {
            dataset_sha256: all.checksum().clone(),
            rows: table.height() as u64,
            exited: table.target()?.cont_slice()?.iter().sum::<f64>() as u64,
            left_out: (all.height() - table.height()) as u64,
            predictors,
        };
        Ok(Self { design: summary.design(), table, columns, summary })
    }

    fn rows(&self) -> Result<Rows<'_>> {
        let (mut numbers, mut levels) = (Vec::new(), Vec::new());
        for (column, values) in self.columns.iter().zip(self.table.predictors()?) {
            match (column, values) {
                (Column::Number, Values::Numbers(values)) => numbers.push(values.cont_slice()?),
                (Column::Transformed(values), _) => numbers.push(values),
                (Column::Levels(indices), _) => levels.push(indices.as_slice()),
                (Column::Number, Values::Levels(..)) => bail!("a category is used as a number"),
            }
        }
        Ok(Rows { design: &self.design, numbers, levels, target: self.table.target()?.cont_slice()? })
    }
}

/// What the summary of a predictor says about all rows, complete or not.
enum InAll {
    Number(Option<Sketch>),
    Category(LevelCounts),
}

impl InAll {
    fn of(values: Values) -> Self {
        match values {
            Values::Numbers(numbers) => Self::Number(Sketch::of(numbers.iter())),
            Values::Levels(indices, names) => Self::Category(level_counts(indices, names)),
        }
    }
}

/// Returns the column of the regression and the summary of a predictor, from its values in the complete rows and what is
/// known about all rows.
fn prepare(predictor: &Predictor, complete: Values, in_all: InAll) -> Result<(Column, PredictorSummary)> {
    match (complete, in_all) {
        (Values::Levels(complete, names), InAll::Category(in_all)) => {
            let in_complete = level_counts(complete, names);
            check_levels(&predictor.name, in_complete.counts.len())?;
            let levels: Vec<String> = in_complete.counts.keys().cloned().collect();
            // The index of a level that no complete row has is never used.
            let index = |name: &String| levels.binary_search(name).unwrap_or_default() as u32;
            let indices: Vec<u32> = names.iter().map(index).collect();
            let column = complete.iter().flatten().map(|level| indices[level as usize]).collect();
            let summary = PredictorSummary::Category {
                counts: in_complete.counts.into_values().collect(),
                summary: LevelSummary::of(&levels, &in_all),
                levels,
            };
            Ok((Column::Levels(column), summary))
        }
        (Values::Numbers(complete), InAll::Number(sketch)) => {
            let column = match predictor.transform {
                Transform::None => Column::Number,
                transform => {
                    Column::Transformed(complete.iter().flatten().map(|number| transform.apply(number)).collect())
                }
            };
            Ok((column, PredictorSummary::Number { median: ChunkQuantile::median(complete), sketch }))
        }
        _ => bail!("column {} is both a number and a category", predictor.name),
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
