//! Usual values: of a predictor, the value that clients have whose strongly correlated predictors are the same.
//!
//! Coefficients of strongly correlated predictors are only meaningful together: of last month's and last year's activity, one
//! may raise the log-odds by 7 and the other lower them by 7, and the client be an ordinary one. So predictors are put into
//! clusters. Within a cluster, a value is compared with what the others let expect; between clusters, the predictors are
//! compared with the average client.

use common::model::Model;
use common::model::effect::{Effect, NumberEffect};
use common::schema::{Predictor, Transform};
use common::values::Value;
use statistics::conditional::Conditional;

use super::is_whole;

/// Absolute correlation from which two predictors may belong to one cluster.
const STRONG: f64 = 0.6;

/// The usual values, prepared once for a model.
#[derive(Clone, Debug)]
pub(super) struct Usual {
    /// The columns of the regression; `first[j]..first[j + 1]` belong to predictor j.
    columns: Vec<Column>,
    first: Vec<usize>,
    clusters: Vec<Cluster>,
    average_log_odds: f64,
}

/// A column of the regression.
#[derive(Clone, Copy, Debug)]
struct Column {
    mean: f64,
    /// Standard deviation, or 1 if it is 0 or unknown.
    deviation: f64,
    /// Change of the log-odds per standard deviation.
    effect: f64,
}

/// Predictors of which every two are strongly correlated.
#[derive(Clone, Debug)]
pub(super) struct Cluster {
    /// Indices of the predictors.
    pub members: Vec<usize>,
    /// `None` for a single predictor.
    conditional: Option<Conditional>,
}

/// A client's values on the scale of the columns.
pub(super) struct Standardised {
    /// Standard deviations from the average client.
    from_average: Vec<f64>,
    /// Standard deviations from what the other predictors of the cluster let expect.
    from_expected: Vec<f64>,
}

impl Usual {
    /// Prepares what is usual in the training rows of `model`. If the model file holds no moments, every predictor is a
    /// cluster of its own and is compared with the average client.
    pub fn of(model: &Model) -> Self {
        let (mut columns, mut first) = (Vec::new(), vec![0]);
        for (effect, predictor) in model.effects.iter().zip(model.schema.predictors()) {
            columns.extend(self::columns(effect, predictor.transform));
            first.push(columns.len());
        }
        if let Some(moments) = &model.moments {
            for ((column, mean), deviation) in columns.iter_mut().zip(&moments.means).zip(&moments.standard_deviations)
            {
                let deviation = if *deviation > 0.0 { *deviation } else { 1.0 };
                *column = Column { mean: *mean, deviation, effect: column.effect * deviation };
            }
        }
        let correlation = |i: usize, j: usize| model.moments.as_ref().map_or(0.0, |moments| moments.correlation(i, j));
        let clusters = clusters(&first, &correlation).into_iter().map(|members| {
            let own = |j: &usize| first[*j]..first[j + 1];
            let within: Vec<usize> = members.iter().flat_map(own).collect();
            let sizes: Vec<usize> = members.iter().map(|j| own(j).len()).collect();
            let conditional = Conditional::new(&sizes, |i, j| correlation(within[i], within[j]));
            Cluster { conditional: conditional.filter(|_| members.len() > 1), members }
        });
        let clusters = clusters.collect();
        let at_reference = |effect: &Effect| match effect {
            Effect::Number(_) => 0.0,
            Effect::Category(category) => category.imputed().coefficient,
        };
        let average_log_odds = model.intercept
            + model.effects.iter().map(at_reference).sum::<f64>()
            + columns.iter().map(|column| column.effect * column.mean / column.deviation).sum::<f64>();
        Self { columns, first, clusters, average_log_odds }
    }

    /// The log-odds of the average client, who has the mean of every column of the regression.
    pub fn average_log_odds(&self) -> f64 {
        self.average_log_odds
    }

    /// The clusters of predictors.
    pub fn clusters(&self) -> &[Cluster] {
        &self.clusters
    }

    /// Puts a client's imputed predictors on the scale of the columns.
    pub fn standardise(&self, model: &Model, values: &[Value]) -> Standardised {
        let mut from_average = Vec::with_capacity(self.columns.len());
        for ((effect, value), predictor) in model.effects.iter().zip(values).zip(model.schema.predictors()) {
            match (effect, value) {
                (Effect::Category(category), value) => {
                    let level = value.level();
                    let others = category.levels.iter().enumerate().filter(|(l, _)| *l != category.most_frequent);
                    from_average.extend(others.map(|(_, other)| f64::from(level == Some(other.name.as_str()))));
                }
                (Effect::Number(number), value) => {
                    from_average.push(predictor.transform.apply(value.number().unwrap_or(number.median)));
                }
            }
        }
        for (value, column) in from_average.iter_mut().zip(&self.columns) {
            *value = (*value - column.mean) / column.deviation;
        }
        let mut from_expected = from_average.clone();
        for cluster in &self.clusters {
            let Some(conditional) = &cluster.conditional else { continue };
            let within = || cluster.members.iter().flat_map(|j| self.first[*j]..self.first[j + 1]);
            let z: Vec<f64> = within().map(|column| from_average[column]).collect();
            within().zip(conditional.deviations(&z)).for_each(|(column, deviation)| from_expected[column] = deviation);
        }
        Standardised { from_average, from_expected }
    }

    /// Returns what a predictor's deviation from its expected value adds to the log-odds.
    pub fn contribution(&self, client: &Standardised, j: usize) -> f64 {
        self.sum(&client.from_expected, j)
    }

    /// Returns what the deviation of a predictor from its average adds to the log-odds.
    pub fn contribution_from_average(&self, client: &Standardised, j: usize) -> f64 {
        self.sum(&client.from_average, j)
    }

    fn sum(&self, deviations: &[f64], j: usize) -> f64 {
        let columns = self.first[j]..self.first[j + 1];
        columns.map(|column| self.columns[column].effect * deviations[column]).sum()
    }

    /// Returns the value of a predictor that is expected given the other predictors of its cluster: of a number, rounded for
    /// readers; of a category, the most probable level.
    pub fn expected(&self, model: &Model, client: &Standardised, j: usize) -> Value {
        self.value(model, j, |column| client.from_average[column] - client.from_expected[column])
    }

    /// Returns the average client's value of a predictor, in the same form.
    pub fn average(&self, model: &Model, j: usize) -> Value {
        self.value(model, j, |_| 0.0)
    }

    fn value(&self, model: &Model, j: usize, z: impl Fn(usize) -> f64) -> Value {
        let column = |column: usize| self.columns[column].mean + self.columns[column].deviation * z(column);
        let columns = self.first[j]..self.first[j + 1];
        match &model.effects[j] {
            Effect::Number(effect) => {
                Value::Number(readable(column(columns.start), effect, &model.schema.predictors()[j]))
            }
            Effect::Category(category) => {
                let shares: Vec<f64> = columns.map(column).collect();
                let mut shares_of_others = shares.iter();
                let share = |level: usize| match level == category.most_frequent {
                    true => 1.0 - shares.iter().sum::<f64>(),
                    false => shares_of_others.next().copied().unwrap_or(0.0),
                };
                let shares: Vec<f64> = (0..category.levels.len()).map(share).collect();
                let most = (0..shares.len()).max_by(|a, b| shares[*a].total_cmp(&shares[*b]));
                Value::Level(category.levels[most.unwrap_or(category.most_frequent)].name.clone())
            }
        }
    }

    /// Returns the standard deviation of a number that the other predictors of its cluster leave unexplained, as a share of
    /// its own one, from 0 to 1.
    pub fn unexplained(&self, j: usize) -> f64 {
        let find = |cluster: &Cluster| {
            let part = cluster.members.iter().position(|member| *member == j)?;
            cluster.conditional.as_ref()?.unexplained(part)
        };
        self.clusters.iter().find_map(find).unwrap_or(1.0)
    }
}

/// Returns the columns of a predictor as far as its effect tells: without moments, deviations are not standardised.
fn columns(effect: &Effect, transform: Transform) -> Vec<Column> {
    match effect {
        Effect::Number(number) => {
            let mean = number.average().number().map_or(0.0, |average| transform.apply(average));
            vec![Column { mean, deviation: 1.0, effect: number.coefficient }]
        }
        Effect::Category(category) => {
            let (counts, reference) = (&category.summary.counts, category.imputed().coefficient);
            let rows = counts.iter().sum::<u64>().max(1) as f64;
            let levels = category.levels.iter().zip(counts).enumerate();
            let others = levels.filter(|(level, _)| *level != category.most_frequent);
            let column = |(_, (level, count)): (usize, (&common::model::effect::LevelEffect, &u64))| Column {
                mean: *count as f64 / rows,
                deviation: 1.0,
                effect: level.coefficient - reference,
            };
            others.map(column).collect()
        }
    }
}

/// Puts predictors into clusters of which every two are strongly correlated (complete linkage, so that no chain of
/// correlations joins predictors that have little to do with each other). The correlation of two predictors is the largest
/// one of their columns. Each cluster is in order, and the clusters are in the order of their first predictors.
fn clusters(first: &[usize], correlation: &impl Fn(usize, usize) -> f64) -> Vec<Vec<usize>> {
    let predictors = first.len() - 1;
    let largest = |a: usize, b: usize| {
        let pairs = (first[a]..first[a + 1]).flat_map(|i| (first[b]..first[b + 1]).map(move |j| (i, j)));
        pairs.map(|(i, j)| correlation(i, j).abs()).fold(0.0, f64::max)
    };
    let strong = (0..predictors).flat_map(|a| (0..a).map(move |b| (a, b))).map(|(a, b)| (largest(a, b), a, b));
    let mut strong: Vec<(f64, usize, usize)> = strong.filter(|pair| pair.0 >= STRONG).collect();
    strong.sort_by(|x, y| y.0.total_cmp(&x.0));
    let mut clusters: Vec<Vec<usize>> = (0..predictors).map(|j| vec![j]).collect();
    let mut of: Vec<usize> = (0..predictors).collect();
    for (_, a, b) in strong {
        let (to, from) = (of[a].min(of[b]), of[a].max(of[b]));
        let belong = |to: &[usize], from: &[usize]| to.iter().all(|a| from.iter().all(|b| largest(*a, *b) >= STRONG));
        if to != from && belong(&clusters[to], &clusters[from]) {
            let joined = std::mem::take(&mut clusters[from]);
            joined.iter().for_each(|j| of[*j] = to);
            clusters[to].extend(joined);
            clusters[to].sort_unstable();
        }
    }
    clusters.retain(|cluster| !cluster.is_empty());
    clusters
}

/// Returns the number that belongs to a transformed one, rounded for readers and within the range of the training data: to
/// a tenth of the standard deviation's magnitude, or to two digits if that is finer; to a whole number if there are no others.
fn readable(transformed: f64, effect: &NumberEffect, predictor: &Predictor) -> f64 {
    let number = match predictor.transform {
        Transform::None => transformed,
        Transform::Log1p => transformed.exp_m1(),
    };
    let Some(sketch) = &effect.sketch else { return number };
    let magnitude = |size: f64| size.log10().floor() - 1.0;
    let digits = -magnitude(sketch.standard_deviation).min(magnitude(number.abs()));
    let most = if is_whole(predictor.kind, sketch) { 0.0 } else { 15.0 };
    let digits = digits.clamp(-15.0, most) as i32;
    let rounded = match digits {
        ..0 => (number / 10f64.powi(-digits)).round() * 10f64.powi(-digits),
        _ => (number * 10f64.powi(digits)).round() / 10f64.powi(digits),
    };
    if rounded.is_finite() { rounded.clamp(sketch.min, sketch.max) } else { number }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::schema::Kind;
    use statistics::sketch::Sketch;

    #[test]
    fn in_a_cluster_every_two_predictors_are_strongly_correlated() {
        // Predictors 0, 1 and 3 belong together; predictor 2 has two columns, of which one goes with predictor 4, and
        // predictor 4 goes with 3, but less.
        let first = [0, 1, 2, 4, 5, 6];
        let strong = [(0, 1, 0.9), (1, 4, 0.8), (0, 4, -0.7), (3, 5, -0.8), (4, 5, 0.65)];
        let correlation = |i: usize, j: usize| {
            strong.iter().find(|pair| (pair.0, pair.1) == (i.min(j), i.max(j))).map_or(0.3, |pair| pair.2)
        };
        assert_eq!(clusters(&first, &correlation), [vec![0, 1, 3], vec![2, 4]]);
        assert_eq!(clusters(&[0], &correlation), [[0usize; 0]; 0]);
        assert_eq!(clusters(&first, &|_, _| 0.0).len(), 5);
    }

    #[test]
    fn numbers_are_rounded_for_readers() {
        let rounded = |number: f64, kind: Kind, values: [f64; 3]| {
            let sketch = Sketch::of(values.map(Some));
            let effect = NumberEffect { coefficient: 1.0, standard_error: 0.0, median: 0.0, sketch };
            let text = format!(r#"{{"id": "i", "target": "t", "predictors": [{{"name": "p", "kind": "{kind}"}}]}}"#);
            readable(number, &effect, &common::config::schema_of_json(&text).unwrap().predictors()[0])
        };
        let wide = [0.0, 500.0, 5000.0];
        let counts = [(91.3, 91.0), (1134.2, 1100.0), (3.4, 3.0), (-4.0, 0.0), (9000.0, 5000.0), (0.0, 0.0)];
        for (number, expected) in counts {
            assert_eq!(rounded(number, Kind::Count, wide), expected, "{number}");
        }
        assert_eq!(rounded(1998.3, Kind::Count, [1990.0, 2000.0, 2010.0]), 1998.0); // a year
        assert_eq!(rounded(64.83, Kind::Number, [0.0, 60.5, 120.0]), 65.0);
        assert_eq!(rounded(0.16, Kind::Number, [0.0, 0.0, 1.0]), 0.0); // an indicator
        assert_eq!(rounded(0.034_56, Kind::Number, [0.0, 0.02, 0.1]), 0.035);
        assert_eq!(rounded(7.0, Kind::Number, [7.0; 3]), 7.0);
    }
}
