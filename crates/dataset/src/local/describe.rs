//! The statistics of a table, column by column, as pandas defines them.

use std::collections::BTreeMap;

use crate::{CategoryStatistics, ColumnStatistics, MissingPercent};
use anyhow::Result;
use statistics::levels::LevelCounts;

use crate::local::Table;
use crate::local::counting::NumberColumn;
use crate::local::table::Values;

/// Returns the statistics of every numeric column, in file order. The target counts as 1 and 0.
pub fn numbers(table: &Table) -> Result<Vec<ColumnStatistics>> {
    let schema = table.schema();
    let columns = schema.predictors().iter().zip(table.predictors()?);
    let numbers = columns.filter_map(|(predictor, values)| match values {
        Values::Numbers(numbers) => Some((&predictor.name, numbers)),
        Values::Levels(..) => None,
    });
    // One column after the other, because each is worked on by all threads and needs memory.
    let numbers = numbers.chain([(&schema.target().name, table.target()?)]);
    Ok(numbers.map(|(name, numbers)| numbers.statistics(name)).collect())
}

/// Returns the statistics of every category, in file order.
pub fn categories(table: &Table) -> Result<Vec<CategoryStatistics>> {
    let columns = table.schema().predictors().iter().zip(table.predictors()?);
    let categories = columns.filter_map(|(predictor, values)| match values {
        Values::Numbers(_) => None,
        Values::Levels(indices, levels) => Some((predictor, level_counts(indices, levels))),
    });
    Ok(categories.map(|(predictor, counts)| CategoryStatistics::of(&predictor.name, &counts)).collect())
}

/// Counts the levels of a category, given their indices.
pub fn level_counts(indices: NumberColumn, levels: &[String]) -> LevelCounts {
    // The indices of levels are small whole numbers, so the casts are exact.
    let counted = indices.distribution().values;
    let counts: BTreeMap<String, u64> =
        counted.into_iter().map(|(index, count)| (levels[index as usize].clone(), count)).collect();
    LevelCounts { counts, missing: indices.missing() }
}

/// Returns the percentage of missing values in every column, in file order.
pub fn missing(table: &Table) -> Result<Vec<MissingPercent>> {
    let predictors = table.predictors()?.into_iter().map(|values| values.column().missing());
    let missing = std::iter::once(table.missing_ids()).chain(predictors).chain([table.target()?.missing()]);
    let rows = table.height() as u64;
    Ok(table
        .schema()
        .columns()
        .zip(missing)
        .map(|(column, missing)| MissingPercent::of(column, missing, rows))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::table::tests::table;

    #[test]
    fn statistics_as_pandas_gives_them() {
        let table = table("a,1,10,5,0\nb,2,10,5,1\nc,4,30,5,1\nd,9,30,5,\ne,,20,5,0\n");
        let summary = numbers(&table).unwrap();
        assert_eq!(
            summary[0],
            ColumnStatistics {
                column: "lastmonth_activity".to_owned(),
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
        let nothing = ColumnStatistics { column: "exited".to_owned(), mean: None, median: None, std: None, mode: None };
        assert_eq!(numbers(&table("a,1,2,3,\n")).unwrap()[3], nothing);
        assert_eq!(numbers(&table("")).unwrap()[3], nothing);
        assert_eq!(numbers(&table("a,1,2,3,1\n")).unwrap()[3].std, None);
    }

    #[test]
    fn missing_values_are_a_percentage_not_a_fraction() {
        let percents: Vec<f64> =
            missing(&table("a,,2,3,0\n,1,2,3,1\nc,,2,3,\nd,1,2,3,1\n")).unwrap().iter().map(|c| c.percent).collect();
        assert_eq!(percents, [25.0, 50.0, 0.0, 0.0, 25.0]);
        assert!(missing(&table("")).unwrap().iter().all(|column| column.percent == 0.0));
    }

    #[test]
    fn categories_have_shares_and_negative_numbers_statistics() {
        let schema = crate::local::table::tests::schema();
        let text = format!("{}\na,-1,x,no\nb,-3,y,yes\nc,-1,y,no\nd,,,\n", schema.header());
        let table = Table::from_csv(&schema, text.as_bytes(), crate::MalformedRows::Refuse).unwrap();
        let summary = numbers(&table).unwrap();
        assert_eq!((summary[0].mean, summary[0].mode), (Some(-5.0 / 3.0), Some(-1.0)));
        assert_eq!((summary[1].column.as_str(), summary[1].mean), ("gone", Some(1.0 / 3.0)));
        let categories = categories(&table).unwrap();
        assert_eq!((categories[0].column.as_str(), categories[0].mode.as_deref()), ("SELECT", Some("y")));
        let shares: Vec<_> = categories[0].levels.iter().map(|level| (level.level.as_str(), level.count)).collect();
        assert_eq!(shares, [("x", 1), ("y", 2)]);
        assert_eq!(categories[0].levels[1].share, 2.0 / 3.0);
    }
}
