//! Formats values and names so that both engines read them alike.

use std::path::Path;

use anyhow::{Context, Result, bail};
use common::model::Model;
use common::model::effect::{CategoryEffect, Effect};
use common::schema::Transform;
use statistics::calibration::{Calibration, MOST_LOG_ODDS, TERMS};

use crate::spark::names;
use crate::spark::row::{Row, Value};

/// Formats a number with an exponent, which makes it a DOUBLE: Spark reads a plain `0.5` as DECIMAL.
pub fn number(value: f64) -> String {
    match value.is_infinite() {
        true => format!("CAST('{}Infinity' AS DOUBLE)", if value < 0.0 { "-" } else { "" }),
        false => format!("{value:e}D"),
    }
}

/// Formats a text as a string literal.
pub fn text(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', "\\n").replace('\r', "\\r");
    let escaped = escaped.replace("${", "$\\{"); // otherwise Spark inserts the value of a variable
    format!("'{escaped}'")
}

/// Formats a list of texts.
pub fn texts<'a>(all: impl IntoIterator<Item = &'a str>) -> String {
    format!("({})", all.into_iter().map(text).collect::<Vec<_>>().join(", "))
}

/// Returns a query of the rows of all queries. The nesting depth of the text is the logarithm of their number, because
/// an engine parses a plain chain of UNION ALL recursively and several hundred of them exhaust its stack.
pub fn union_all(queries: &[String]) -> String {
    match queries {
        [] => String::new(),
        [query] => query.clone(),
        _ => {
            let (left, right) = queries.split_at(queries.len() / 2);
            format!("({}) UNION ALL ({})", union_all(left), union_all(right))
        }
    }
}

/// Returns the files at an address as a table expression.
pub fn files(format: &str, address: &str) -> String {
    format!("{format}.`{}`", folder(address).replace('`', "``"))
}

/// Returns the addresses of the Parquet files that a statement reads by [`files`].
pub fn parquet_addresses(sql: &str) -> impl Iterator<Item = &str> {
    sql.split("parquet.`").skip(1).filter_map(|rest| Some(rest.split_once('`')?.0))
}

/// Returns an address as an engine reads a folder: the address of a bucket ends with a slash.
pub fn folder(address: &str) -> String {
    match address.split_once("://") {
        Some((_, bucket)) if !bucket.contains('/') => format!("{address}/"),
        _ => address.to_owned(),
    }
}

/// Converts a path to an address that the cluster can reach. A local path must be on a file system that the cluster
/// shares with this machine.
///
/// # Errors
/// Fails if the path contains a character that has a special meaning for an engine.
pub fn address(path: &Path) -> Result<String> {
    let shown = path.display();
    let text = path.to_str().with_context(|| format!("{shown} is not UTF-8; rename it"))?;
    if let Some(letter) = text.chars().find(|letter| "*?[]{}\\^%#".contains(*letter) || letter.is_control()) {
        bail!("{shown} contains {letter:?}, which has a special meaning for an engine; rename it");
    }
    match text.split_once("://") {
        Some((scheme, rest)) => Ok(format!("{scheme}://{}", rest.trim_end_matches('/'))),
        None => Ok(format!("file://{}", std::path::absolute(path)?.display().to_string().trim_end_matches('/'))),
    }
}

/// Returns an expression for a transformed number. `x` must be a column or a literal, because it is repeated.
pub fn transformed(x: &str, transform: Transform) -> String {
    match transform {
        Transform::None => x.to_owned(),
        // Sail computes log1p(x) as ln(1 + x), which loses the digits of a small x. This formula keeps them (Goldberg,
        // ACM Computing Surveys 23, 1991, theorem 4).
        Transform::Log1p => {
            format!("(CASE WHEN 1D + {x} = 1D THEN {x} ELSE {x} * ln(1D + {x}) / ((1D + {x}) - 1D) END)")
        }
    }
}

/// Returns an expression for a model's log-odds of a row; a missing predictor is imputed.
pub fn log_odds(model: &Model) -> String {
    let effects = model.effects.iter().zip(model.schema.predictors()).enumerate();
    let terms: Vec<String> = effects
        .map(|(j, (effect, predictor))| {
            let x = names::predictor(j);
            match effect {
                Effect::Number(effect) => {
                    let imputed = number(predictor.transform.apply(effect.median));
                    let transformed = transformed(&x, predictor.transform);
                    format!("{} * coalesce({transformed}, {imputed})", number(effect.coefficient))
                }
                Effect::Category(effect) => contribution(effect, &x),
            }
        })
        .collect();
    format!("({} + {})", terms.join(" + "), number(model.intercept))
}

/// Returns an expression for the contribution of a category's level to the log-odds.
fn contribution(effect: &CategoryEffect, column: &str) -> String {
    let levels: String = effect
        .levels
        .iter()
        .map(|level| format!("WHEN {column} = {} THEN {} ", text(&level.name), number(level.coefficient)))
        .collect();
    format!("(CASE WHEN {column} IS NULL THEN {} {levels}ELSE 0D END)", number(effect.imputed().coefficient))
}

/// Returns the condition that a row has a level that no training row had; `None` if the model has no category.
pub fn is_unseen(model: &Model) -> Option<String> {
    let unseen = model.effects.iter().enumerate().filter_map(|(j, effect)| match effect {
        Effect::Number(_) => None,
        Effect::Category(category) => {
            let levels = texts(category.levels.iter().map(|level| level.name.as_str()));
            Some(format!("coalesce({} NOT IN {levels}, false)", names::predictor(j)))
        }
    });
    let unseen: Vec<String> = unseen.collect();
    (!unseen.is_empty()).then(|| format!("({})", unseen.join(" OR ")))
}

/// Returns an expression for a model's probability of leaving, for a row.
pub fn probability(model: &Model) -> String {
    format!("(1D / (1D + exp(-{})))", log_odds(model))
}

/// Returns a query that adds to the column `log_odds` of the query `scored` whether the row is predicted to leave
/// (`positive`), what [`terms`] reads, and the calibrated probability `q`.
pub fn calibrated(calibration: &Calibration, threshold: f64, scored: &str) -> String {
    let limit = number(MOST_LOG_ODDS);
    let limited = format!(
        "SELECT readable, (1D / (1D + exp(-log_odds))) >= {} AS positive, \
         least(greatest(log_odds, -{limit}), {limit}) AS l FROM ({scored})",
        number(threshold)
    );
    let (centre, scale) = (number(calibration.centre), number(calibration.scale));
    let standardised = format!("SELECT readable, positive, l, (l - {centre}) / {scale} AS z FROM ({limited})");
    let coefficients = calibration.coefficients.iter().zip(terms(calibration));
    let change: Vec<String> =
        coefficients.map(|(coefficient, term)| format!("{} * {term}", number(*coefficient))).collect();
    format!("SELECT readable, positive, z, (1D / (1D + exp(-(l + {})))) AS q FROM ({standardised})", change.join(" + "))
}

/// Returns an expression for each term of a calibration.
pub fn terms(calibration: &Calibration) -> [String; TERMS] {
    let hinge = |knot: &f64| format!("greatest(z - {}, 0D)", number(*knot));
    let [constant, slope] = ["1D", "z"].map(str::to_owned);
    let [first, second, third, fourth] = calibration.knots.each_ref().map(hinge);
    [constant, slope, first, second, third, fourth]
}

/// Reads the columns of an answer from left to right.
pub struct Cells<'a>(std::slice::Iter<'a, Value>);

impl<'a> Cells<'a> {
    /// Creates a reader of one row.
    pub fn of(row: &'a Row) -> Self {
        Self(row.iter())
    }

    fn next(&mut self) -> Option<&'a Value> {
        self.0.next()
    }

    /// Reads a number; `None` if it is NULL.
    pub fn number(&mut self) -> Option<f64> {
        match self.next()? {
            Value::Number(number) => Some(*number),
            Value::Whole(whole) => Some(*whole as f64),
            _ => None,
        }
    }

    /// Reads a sum; 0 if it is NULL, which is the sum of no rows.
    pub fn sum(&mut self) -> f64 {
        self.number().unwrap_or(0.0)
    }

    /// Reads a count; 0 if it is NULL, which may be the count of no rows.
    pub fn count(&mut self) -> u64 {
        match self.next() {
            Some(Value::Whole(whole)) => *whole as u64,
            _ => 0,
        }
    }

    /// Reads a text; `None` if it is NULL. The beginning of a byte string is text in Sail and bytes in Spark.
    pub fn text(&mut self) -> Option<String> {
        match self.next()? {
            Value::Text(text) => Some(text.clone()),
            Value::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back_to_the_last_bit() {
        assert_eq!((number(0.659), number(0.0), number(-12.5)), ("6.59e-1D".into(), "0e0D".into(), "-1.25e1D".into()));
        for value in [0.1, 1.0 / 3.0, 5e-324, f64::MAX, 9007199254740993.0] {
            assert_eq!(number(value).trim_end_matches('D').parse(), Ok(value));
        }
    }

    #[test]
    fn a_text_cannot_end_itself() {
        assert_eq!(text("o'neil\\"), "'o\\'neil\\\\'");
        assert_eq!(text("${y}"), "'$\\{y}'");
        assert_eq!(texts(["a", "b"]), "('a', 'b')");
        assert_eq!(files("parquet", "file:///a`b"), "parquet.`file:///a``b`");
        let query = format!("SELECT * FROM {} JOIN {}", files("parquet", "s3a://b/c"), files("parquet", "s3a://d"));
        assert_eq!(parquet_addresses(&query).collect::<Vec<_>>(), ["s3a://b/c", "s3a://d/"]);
    }

    #[test]
    fn a_union_of_many_is_not_deep() {
        let queries = |n: usize| (0..n).map(|i| i.to_string()).collect::<Vec<_>>();
        assert_eq!(union_all(&queries(3)), "(0) UNION ALL ((1) UNION ALL (2))");
        let text = union_all(&queries(1000));
        let depths = text.chars().scan(0, |depth: &mut i32, letter| {
            *depth += i32::from(letter == '(') - i32::from(letter == ')');
            Some(*depth)
        });
        assert_eq!(depths.max(), Some(10));
    }

    #[test]
    fn paths_with_a_special_meaning_are_refused() {
        let of = |path: &str| address(Path::new(path)).map_err(|error| error.to_string());
        assert_eq!(of("/data/in put/"), Ok("file:///data/in put".to_owned()));
        assert_eq!(of("s3a://bucket/in"), Ok("s3a://bucket/in".to_owned()));
        for root in ["s3a://bucket", "s3a://bucket/"] {
            assert_eq!(of(root), Ok("s3a://bucket".to_owned()));
        }
        assert!(of("/data/50%.csv").unwrap_err().contains("rename it"));
        assert!(of("data").unwrap().starts_with("file:///") && of("data").unwrap().ends_with("/data"));
    }
}
