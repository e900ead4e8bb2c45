//! The sentences of a client's story. Each can be said to a colleague on the telephone.

use common::schema::{Predictor, Schema};
use common::values::Value;

use super::{capitalised, changes_visibly, exact, risk, value, whole, whole_percent};
use crate::call_list::story::{Reason, Unusual};

/// Largest number of missing values that are named.
const MOST_MISSING: usize = 3;
/// Largest number of predictors that are named as taken into account.
const MOST_GIVEN: usize = 2;
/// Difference of risks, in whole percent, up to which two clients count as equally risky.
const SIMILAR: u8 = 5;

/// Describes a reason: what is unusual, and what the risk would be otherwise. Every reason but the `first` is added to those
/// before.
pub(crate) fn reason(schema: &Schema, reason: &Reason, first: bool, threshold: f64) -> String {
    let named = reason.named.iter().map(|unusual| (&schema.predictors()[unusual.predictor], unusual));
    let named: Vec<(&Predictor, &Unusual)> = named.collect();
    let facts = named.iter().map(|(predictor, unusual)| is(predictor, &value(predictor, &unusual.now)));
    let facts = capitalised(&listed(&facts.collect::<Vec<_>>()));
    let usual = named.iter().map(|(predictor, unusual)| value(predictor, &unusual.usual));
    let mut parts: Vec<String> = usual.collect();
    let usual = listed(&parts);
    if reason.has_companions {
        parts.push(format!("what usually goes with {}", if parts.len() == 1 { "it" } else { "them" }));
    }
    let parts = listed(&parts);

    let as_well = if first { "" } else { " as well" };
    let still = if changes_visibly(reason.risk, reason.otherwise) { "" } else { "still " };
    let otherwise = format!(
        "with {parts}{as_well} the risk would {still}be {}{}",
        risk(reason.otherwise),
        enough(reason, &named, threshold)
    );
    if named.iter().any(|(predictor, _)| predictor.is_category()) {
        return format!("{facts}; {otherwise}.");
    }
    let given: Vec<&str> = reason.given.iter().map(|j| schema.predictors()[*j].label.as_str()).collect();
    let clients = match given.len() {
        0 => "clients".to_owned(),
        1..=MOST_GIVEN => {
            format!(
                "clients with the same {}",
                listed(&given.iter().map(|label| (*label).to_owned()).collect::<Vec<_>>())
            )
        }
        _ => "similar clients".to_owned(),
    };
    format!("{facts}; {clients} usually have about {usual}. {}.", capitalised(&otherwise))
}

/// The end of a sentence: at which value of a single number the risk is below the threshold.
fn enough(reason: &Reason, named: &[(&Predictor, &Unusual)], threshold: f64) -> String {
    let (Some(enough), [(predictor, unusual)]) = (reason.enough, named) else { return String::new() };
    let to = Value::Number(enough);
    let is_less = unusual.now.number().is_some_and(|now| enough < now);
    let at = format!("at {} or {}", exact(predictor, &to), if is_less { "less" } else { "more" });
    let threshold_text = whole_percent(threshold);
    match reason.otherwise < threshold {
        true if to == unusual.usual => String::new(),
        true => format!(", and {at} below {threshold_text}"),
        false => format!("; {at} it would be below {threshold_text}"),
    }
}

/// Says which values are missing and what is assumed for them; `None` if none is.
pub(crate) fn missing(schema: &Schema, missing: &[(usize, &Value)]) -> Option<String> {
    let predictor = |j: usize| &schema.predictors()[j];
    let text = match missing {
        [] => return None,
        [(j, assumed)] => {
            let (predictor, assumed) = (predictor(*j), value(predictor(*j), assumed));
            format!("{} (we assumed {assumed})", is(predictor, "missing"))
        }
        _ => {
            let named = missing.iter().take(MOST_MISSING);
            let mut parts: Vec<String> = named
                .map(|(j, assumed)| format!("{} (we assumed {})", predictor(*j).label, value(predictor(*j), assumed)))
                .collect();
            match missing.len().saturating_sub(MOST_MISSING) {
                0 => {}
                1 => parts.push("1 other value".to_owned()),
                others => parts.push(format!("{others} other values")),
            }
            format!("{} are missing", listed(&parts))
        }
    };
    Some(format!("{}: check the data before calling.", capitalised(&text)))
}

/// Says what the risk would be if a missing value were the `usual` one next to the client's other values.
pub(crate) fn completed(schema: &Schema, j: usize, usual: &Value, otherwise: f64) -> Option<String> {
    let predictor = schema.predictors().get(j)?;
    Some(format!(
        "Similar clients usually have about {}; then the risk would be {}.",
        value(predictor, usual),
        risk(otherwise)
    ))
}

/// Says that a level is unknown to the model.
pub(crate) fn unseen(schema: &Schema, j: usize, level: &Value) -> String {
    let predictor = &schema.predictors()[j];
    let fact = capitalised(&is(predictor, &value(predictor, level)));
    format!("{fact}, which the model does not know, so it does not count: check the data before calling.")
}

/// Says that no single value explains the risk, which is `average` for the average client.
pub(crate) fn nothing_unusual(own: f64, average: f64) -> String {
    match whole(own).abs_diff(whole(average)) <= SIMILAR {
        true => format!("No value is unusual: the average client has a risk of {} too.", risk(average)),
        false => format!(
            "No single value explains the risk: many small differences from the average client, whose risk is {}, add up.",
            risk(average)
        ),
    }
}

/// Says which change would lower the risk below the threshold.
pub(crate) fn remedy(schema: &Schema, name: &str, from: &Value, to: &Value, threshold: f64) -> Option<String> {
    let predictor = schema.predictor(name)?;
    let threshold = whole_percent(threshold);
    Some(match (from.number(), to.number()) {
        (Some(from), Some(number)) => {
            let direction = if number < from { "less" } else { "more" };
            let subject = capitalised(&predictor.label);
            format!(
                "{subject} of {} or {direction} alone would lower the risk below {threshold}.",
                exact(predictor, to)
            )
        }
        _ => format!(
            "{} instead of {} would lower the risk below {threshold}.",
            value(predictor, to),
            value(predictor, from)
        ),
    })
}

/// Says that no single change is enough.
pub(crate) fn no_remedy(threshold: f64) -> String {
    format!("No single change would lower the risk below {}.", whole_percent(threshold))
}

/// "last month's activity is 41", "monthly charges are 94 $".
fn is(predictor: &Predictor, what: &str) -> String {
    let verb = if is_plural(&predictor.label) { "are" } else { "is" };
    format!("{} {verb} {what}", predictor.label)
}

/// Whether a label names several things: its main noun, which is followed by "of" or ends it, has an s that is no part of a
/// singular (status, analysis, business).
fn is_plural(label: &str) -> bool {
    let phrase = label.split(" of ").next().unwrap_or(label);
    let phrase = phrase.trim_end_matches(|c: char| !c.is_alphanumeric());
    phrase.ends_with('s') && !["ss", "us", "is"].iter().any(|end| phrase.ends_with(end))
}

/// "a", "a and b", "a, b and c".
fn listed(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Schema {
        let text = r#"{"id": "i", "target": "t", "predictors": [
            {"name": "month", "kind": "count", "label": "last month's activity"},
            {"name": "year", "kind": "count", "label": "last year's activity"},
            {"name": "charges", "label": "monthly charges", "unit": "$"},
            {"name": "contract", "kind": "category", "label": "contract"}]}"#;
        common::config::schema_of_json(text).unwrap()
    }

    fn unusual(predictor: usize, now: impl Into<Value>, usual: impl Into<Value>) -> Unusual {
        Unusual { predictor, now: now.into(), usual: usual.into() }
    }

    fn of(named: Vec<Unusual>, risk: f64, otherwise: f64) -> Reason {
        Reason { named, has_companions: false, given: Vec::new(), risk, otherwise, enough: None }
    }

    #[test]
    fn a_number_is_compared_with_clients_of_the_same_other_values() {
        let mut given = of(vec![unusual(0, 41.0, 90.0)], 0.81, 0.31);
        let words = |given: &Reason, first| reason(&schema(), given, first, 0.5);
        assert_eq!(
            words(&given, true),
            "Last month's activity is 41; clients usually have about 90. With 90 the risk would be 31 %."
        );
        given.given = vec![1];
        given.enough = Some(72.0);
        assert_eq!(
            words(&given, true),
            "Last month's activity is 41; clients with the same last year's activity usually have about 90. With 90 the \
             risk would be 31 %, and at 72 or more below 50 %."
        );
        (given.otherwise, given.enough, given.given) = (0.81, Some(140.0), vec![1, 2]);
        assert_eq!(
            words(&given, true),
            "Last month's activity is 41; clients with the same last year's activity and monthly charges usually have about \
             90. With 90 the risk would still be 81 %; at 140 or more it would be below 50 %."
        );
        (given.otherwise, given.enough, given.given) = (0.999, None, vec![1, 2, 3]);
        assert_eq!(
            words(&given, false),
            "Last month's activity is 41; similar clients usually have about 90. With 90 as well the risk would be over 99 %."
        );
        let less = Reason { enough: Some(60.5), ..of(vec![unusual(2, 94.4, 65.0)], 0.81, 0.6) };
        assert!(
            words(&less, true).ends_with("With 65 $ the risk would be 60 %; at 60.5 $ or less it would be below 50 %.")
        );
    }

    #[test]
    fn levels_and_values_that_go_together() {
        let words = |given: &Reason, first| reason(&schema(), given, first, 0.5);
        let contract = unusual(3, "Month-to-month", "One year");
        assert_eq!(
            words(&of(vec![contract.clone()], 0.45, 0.12), true),
            "Contract is Month-to-month; with One year the risk would be 12 %."
        );
        let together = of(vec![unusual(2, 94.4, 65.0), contract], 0.45, 0.12);
        assert_eq!(
            words(&Reason { has_companions: true, ..together }, false),
            "Monthly charges are 94.4 $ and contract is Month-to-month; with 65 $, One year and what usually goes with them as \
             well the risk would be 12 %."
        );
        let both = of(vec![unusual(1, 3902.0, 590.0), unusual(0, 320.0, 47.0)], 0.45, 0.004);
        assert_eq!(
            words(&both, true),
            "Last year's activity is 3,902 and last month's activity is 320; clients usually have about 590 and 47. With \
             590 and 47 the risk would be under 1 %."
        );
    }

    #[test]
    fn values_that_are_missing_or_unknown() {
        let schema = schema();
        let (sixty, level) = (Value::Number(60.0), Value::from("One year"));
        assert_eq!(missing(&schema, &[]), None);
        assert_eq!(
            missing(&schema, &[(1, &sixty)]).unwrap(),
            "Last year's activity is missing (we assumed 60): check the data before calling."
        );
        assert_eq!(
            missing(&schema, &[(0, &sixty), (1, &sixty), (2, &sixty), (3, &level)]).unwrap(),
            "Last month's activity (we assumed 60), last year's activity (we assumed 60), monthly charges (we assumed 60 $) \
             and 1 other value are missing: check the data before calling."
        );
        assert_eq!(
            unseen(&schema, 3, &"Weekly".into()),
            "Contract is Weekly, which the model does not know, so it does not count: check the data before calling."
        );
    }

    #[test]
    fn nothing_unusual_and_other_changes() {
        assert_eq!(nothing_unusual(0.2, 0.17), "No value is unusual: the average client has a risk of 17 % too.");
        assert!(nothing_unusual(0.6, 0.17).starts_with("No single value explains the risk: many small differences"));
        let words = |name: &str, from: Value, to: Value| remedy(&schema(), name, &from, &to, 0.5);
        assert_eq!(
            words("year", 900.0.into(), 612.0.into()).unwrap(),
            "Last year's activity of 612 or less alone would lower the risk below 50 %."
        );
        assert_eq!(
            words("contract", "Month-to-month".into(), "Two year".into()).unwrap(),
            "Two year instead of Month-to-month would lower the risk below 50 %."
        );
        assert_eq!(words("other", 1.0.into(), 2.0.into()), None);
    }

    #[test]
    fn labels_that_name_several_things() {
        for plural in ["monthly charges", "net sales (in 1,000s)", "days since the last orders"] {
            assert!(is_plural(plural), "{plural}");
        }
        for singular in ["last month's activity", "number of employees", "status", "rate", "business", "Contract", ""] {
            assert!(!is_plural(singular), "{singular}");
        }
    }
}
