//! The statistics of a table, column by column, as pandas defines them.

use crate::{ColumnStatistics, MissingPercent};
use anyhow::Result;
use common::model::schema::{COLUMNS, CORPORATION, PREDICTORS};
use polars::prelude::*;

use crate::local::Table;

/// Returns the statistics of every numeric column, in file order.
pub fn summary(table: &Table) -> Result<Vec<ColumnStatistics>> {
    let numeric = COLUMNS.into_iter().filter(|column| *column != CORPORATION);
    numeric
        .map(|column| {
            let values = table.frame().column(column)?.as_materialized_series();
            Ok(ColumnStatistics {
                column,
                mean: values.mean(),
                median: values.median(),
                std: values.std(1),
                mode: mode(values)?,
            })
        })
        .collect()
}

/// Returns the median of each predictor; `None` if it has no value.
pub fn medians(table: &Table) -> Result<[Option<f64>; 3]> {
    let mut medians = [None; 3];
    for (median, column) in medians.iter_mut().zip(PREDICTORS) {
        *median = table.frame().column(column)?.as_materialized_series().median();
    }
    Ok(medians)
}

/// Returns the percentage of missing values in every column, in file order.
pub fn missing(table: &Table) -> Result<Vec<MissingPercent>> {
    COLUMNS
        .into_iter()
        .map(|column| {
            let missing = table.frame().column(column)?.null_count();
            Ok(MissingPercent::of(column, missing as u64, table.height() as u64))
        })
        .collect()
}

fn mode(values: &Series) -> Result<Option<f64>> {
    let sorted = values.drop_nulls().sort(SortOptions::default())?.rechunk();
    let runs = sorted.f64()?.cont_slice()?.chunk_by(|a, b| a == b);
    // The runs are sorted by value, so a later run must be longer to replace the smallest value.
    let longest = runs.fold(None, |best: Option<&[f64]>, run| match best {
        Some(best) if best.len() >= run.len() => Some(best),
        _ => Some(run),
    });
    Ok(longest.map(|run| run[0]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::table::tests::table;

    #[test]
    fn statistics_as_pandas_gives_them() {
        let table = table("a,1,10,5,0\nb,2,10,5,1\nc,4,30,5,1\nd,9,30,5,\ne,,20,5,0\n");
        let summary = summary(&table).unwrap();
        assert_eq!(
            summary[0],
            ColumnStatistics {
                column: "lastmonth_activity",
                mean: Some(4.0),
                median: Some(3.0),
                std: Some((38.0f64 / 3.0).sqrt()),
                mode: Some(1.0),
            }
        );
        assert_eq!((summary[1].mode, summary[1].median), (Some(10.0), Some(20.0)));
        assert_eq!((summary[2].std, summary[2].mode), (Some(0.0), Some(5.0)));
        assert_eq!(summary[3].column, "exited");
    }

    #[test]
    fn too_few_values_have_no_statistics() {
        let nothing = ColumnStatistics { column: "exited", mean: None, median: None, std: None, mode: None };
        assert_eq!(summary(&table("a,1,2,3,\n")).unwrap()[3], nothing);
        assert_eq!(summary(&table("")).unwrap()[3], nothing);
        assert_eq!(summary(&table("a,1,2,3,1\n")).unwrap()[3].std, None);
    }

    #[test]
    fn missing_values_are_a_percentage_not_a_fraction() {
        let percents: Vec<f64> =
            missing(&table("a,,2,3,0\n,1,2,3,1\nc,,2,3,\nd,1,2,3,1\n")).unwrap().iter().map(|c| c.percent).collect();
        assert_eq!(percents, [25.0, 50.0, 0.0, 0.0, 25.0]);
        assert!(missing(&table("")).unwrap().iter().all(|column| column.percent == 0.0));
    }
}
