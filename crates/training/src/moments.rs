//! How the predictors vary together: the moments of the columns, from the sums of one pass over the rows.

use anyhow::Result;
use common::model::moments::Moments;
use common::schema::{Predictor, Schema};
use dataset::TrainingRows;
use dataset::basis::Basis;
use dataset::design::Design;

use crate::newton::Spread;

/// Returns the moments of the training rows, with the columns in the order of the schema. `None` if the numbers are too
/// large to be squared.
///
/// At parameters of 0 every probability is ½, so the Hessian is Σ q qᵀ / 4 for the centred columns q.
///
/// # Errors
/// Fails if the rows cannot be read.
pub fn of(schema: &Schema, rows: &dyn TrainingRows) -> Result<Option<Moments>> {
    let (design, summary) = (rows.design(), rows.summary());
    let centre = Spread::of(summary, schema.predictors()).centre;
    let products = rows.sums(&Basis::centred(design, &centre), &vec![0.0; design.width()])?.hessian;
    let columns = columns(design, schema.predictors());
    let product = |i: usize, j: usize| 4.0 * products[(i, j)];
    let moments = Moments::of_sums(
        columns.len(),
        summary.rows as f64,
        |i| product(columns[i], design.constant()),
        |i, j| product(columns[i], columns[j]),
    );
    let offsets: Vec<f64> = columns.iter().map(|column| centre.get(*column).copied().unwrap_or(0.0)).collect();
    Ok(moments.map(|moments| moments.shifted(&offsets)))
}

/// Returns the columns of `design` in the order of the predictors. The design has the numbers first.
fn columns(design: &Design, predictors: &[Predictor]) -> Vec<usize> {
    let (mut numbers, mut categories) = (0.., 0..);
    let of = |predictor: &Predictor| match predictor.is_category() {
        false => numbers.next().map(|number| number..number + 1),
        true => categories.next().map(|category| design.indicators(category)),
    };
    predictors.iter().filter_map(of).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dataset::design::Category;

    #[test]
    fn columns_are_in_the_order_of_the_schema() {
        let text = r#"{"id": "i", "target": "t", "predictors": [
            "a", {"name": "b", "kind": "category"}, "c", {"name": "d", "kind": "category"}]}"#;
        let schema = common::config::schema_of_json(text).unwrap();
        let category = |levels| Category { levels, reference: 0 };
        let design = Design::new(2, vec![category(3), category(2)]);
        assert_eq!(columns(&design, schema.predictors()), [0, 2, 3, 1, 4]);
    }
}
