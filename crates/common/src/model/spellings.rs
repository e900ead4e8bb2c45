//! The texts that levels and labels become when `pandas.read_csv` reads their column.
//!
//! pandas reads a column whose texts all look like numbers as int64 or float64, and one of `True` and `False` as bool.
//! Back in Python's text form, the level `007` is then `7`, or `7.0` if the column has a missing value.

use crate::model::effect::CategoryEffect;

/// A text in the form of the type that pandas gives it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Inferred<'a> {
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(&'a str),
}

/// Returns the value that pandas reads from `text` if the whole column allows it.
pub(super) fn inferred(text: &str) -> Inferred<'_> {
    let trimmed = text.trim_ascii();
    match trimmed {
        "True" | "TRUE" | "true" => return Inferred::Boolean(true),
        "False" | "FALSE" | "false" => return Inferred::Boolean(false),
        _ => {}
    }
    if let Ok(integer) = trimmed.parse() {
        return Inferred::Integer(integer);
    }
    trimmed.parse().map_or(Inferred::Text(text), Inferred::Float)
}

/// Returns each text in Python's form that means another text of the category, with that level: other forms of a level,
/// and the forms of a missing value, which is imputed. No form of a level is itself a level. Of several levels
/// with the same form, the most frequent one is meant.
pub(super) fn spellings(category: &CategoryEffect) -> Vec<(String, &str)> {
    let imputed = category.imputed().name.as_str();
    let mut found: Vec<(String, &str)> =
        ["nan", "None", "<NA>", "NaT", " "].map(|missing| (missing.to_owned(), imputed)).into();
    let mut order: Vec<usize> = (0..category.levels.len()).collect();
    order.sort_by_key(|level| std::cmp::Reverse(category.summary.counts.get(*level)));
    for level in order {
        let name = category.levels[level].name.as_str();
        let forms = match inferred(name) {
            Inferred::Boolean(value) => vec![if value { "True" } else { "False" }.to_owned()],
            Inferred::Integer(value) => vec![value.to_string(), python_float(value as f64)],
            Inferred::Float(value) => vec![python_float(value)],
            Inferred::Text(_) => Vec::new(),
        };
        found.extend(forms.into_iter().map(|form| (form, name)));
    }
    let mut seen = std::collections::HashSet::new();
    found.retain(|(form, _)| category.level(form).is_none() && seen.insert(form.clone()));
    found
}

/// Returns Python's text of a float: the shortest one that reads as the same number, with an exponent below 1e-4 and
/// from 1e16.
fn python_float(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() || size == 0.0 || (1e-4..1e16).contains(&size) {
        return match value.is_finite() {
            true => format!("{value:?}"),
            false => value.to_string(),
        };
    }
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    format!("{mantissa}e{sign}{digits:0>2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_python_writes_them() {
        for (value, text) in [
            (0.0, "0.0"),
            (7.0, "7.0"),
            (-1.5, "-1.5"),
            (1e-4, "0.0001"),
            (1.5e-5, "1.5e-05"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.25e100, "1.25e+100"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(python_float(value), text);
        }
    }
}
