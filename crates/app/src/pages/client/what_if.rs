//! The "what if" form of a client's page: other values of the predictors, and the risk that they give.

use common::config::Threshold;
use common::model::effect::{CategoryEffect, Effect};
use common::schema::{Kind, Predictor, Schema, Transform};
use common::values::{Predictors, Value, ValueRef, borrowed};
use dataset::row::parse_value;
use insight::Call;
use insight::wording::{label_with_unit, points, risk_in_table};
use maud::{Markup, html};

use crate::live::LiveModel;
use crate::prediction::unknown_field;
use crate::problem::Problem;

/// A form with more fields is laid out as a grid.
const MOST_LINES: usize = 6;

/// The "what if" values for a client, as given in the query of the page's URL: the text for each predictor, `None` if the
/// query omits it.
#[derive(Debug)]
pub struct WhatIf(Vec<Option<String>>);

/// What the page says about the values in the query: the predictors, or why they are invalid.
pub type Asked = Result<Predictors, String>;

impl WhatIf {
    /// Reads the parameters of a query, whose names are those of the predictors.
    ///
    /// # Errors
    /// [`Problem::BadRequest`] if a parameter is unknown or given twice.
    pub fn of(schema: &Schema, parameters: Vec<(String, String)>) -> Result<Self, Problem> {
        let wrong =
            |why: String| Problem::BadRequest(format!("the query cannot be read: Query deserialize error: {why}"));
        let predictors = schema.predictors();
        let mut texts = vec![None; predictors.len()];
        for (name, text) in parameters {
            let Some(j) = predictors.iter().position(|predictor| predictor.name == name) else {
                let known = predictors.iter().map(|predictor| predictor.name.as_str());
                return Err(wrong(unknown_field(&name, known)));
            };
            if texts[j].replace(text).is_some() {
                return Err(wrong(format!("duplicate field `{name}`")));
            }
        }
        Ok(Self(texts))
    }

    /// Returns the requested values, or an error that says which one is invalid; `None` if nothing is requested. An empty
    /// text means unknown; predictors that the query omits keep their current value `now`.
    pub fn asked(&self, schema: &Schema, now: &[Option<Value>]) -> Option<Asked> {
        let value = |((text, now), predictor): ((&Option<String>, &Option<Value>), &Predictor)| match text {
            None => Ok(now.clone()),
            Some(text) => parse(predictor, text),
        };
        let is_asked = self.0.iter().any(Option::is_some);
        is_asked.then(|| self.0.iter().zip(now).zip(schema.predictors()).map(value).collect())
    }
}

/// Reads the value of a field; an empty one is unknown.
fn parse(predictor: &Predictor, text: &str) -> Result<Option<Value>, String> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let hint = match (predictor.kind, predictor.transform) {
        (Kind::Count, _) => "enter counts, 0 or larger",
        (Kind::Number, Transform::None) => "enter a number",
        (Kind::Number, Transform::Log1p) => "enter a number above \u{2212}1",
        (Kind::Category, _) => "choose a value from the list",
    };
    let text = if predictor.is_category() { text } else { text.trim() };
    match parse_value(predictor, text.as_bytes()) {
        Ok(None) if !predictor.is_category() => Err(format!("{} is not a number; {hint}", predictor.name)),
        Ok(value) => Ok(value.map(ValueRef::to_owned)),
        Err(wrong) => Err(format!("{wrong}; {hint}")),
    }
}

/// The form for other values, and the risk that they give.
pub fn form(live: &LiveModel, call: &Call, asked: Option<Asked>) -> Markup {
    let (schema, effects) = (&live.model.schema, &live.model.effects);
    let shown = match &asked {
        Some(Ok(predictors)) => predictors,
        _ => &call.predictors,
    };
    let many = (shown.len() > MOST_LINES).then_some("many");
    let what = if schema.has_categories() { "value" } else { "number" };
    html! {
        section aria-labelledby="what-if-title" id="what-if" {
            h2 id="what-if-title" { "What if" }
            form class={ "what-if" @if let Some(many) = many { " " (many) } } method="get" action="#what-if" {
                @for (j, ((predictor, effect), value)) in schema.predictors().iter().zip(effects).zip(shown).enumerate() {
                    @if many.is_some() { div { (field(j, predictor, effect, value.as_ref())) } }
                    @else { (field(j, predictor, effect, value.as_ref())) }
                }
                button { "Show the risk" }
            }
            @match &asked {
                None => p { "Change a " (what) " to see what the risk would be. The data are not changed." }
                Some(Err(wrong)) => p.warning role="alert" { (wrong) "." }
                Some(Ok(predictors)) => {
                    (answer(what, call, live.model.probability(predictors), live.threshold))
                    @if live.model.has_unseen_level(borrowed(predictors)) {
                        p { "A value that no client had in the training data has no effect on the risk." }
                    }
                }
            }
        }
    }
}

/// The label and the input of a predictor. Its name may contain any character, so it is no id.
fn field(j: usize, predictor: &Predictor, effect: &Effect, value: Option<&Value>) -> Markup {
    let id = format!("predictor-{j}");
    let minimum = (predictor.kind == Kind::Count).then_some("0");
    html! {
        label for=(id) { (label_with_unit(predictor)) }
        @match effect {
            Effect::Category(category) => (levels(&id, predictor, category, value.and_then(Value::level))),
            Effect::Number(_) => input type="number" min=[minimum] step="any" id=(id) name=(predictor.name)
                value=[value.and_then(Value::number)] placeholder="unknown";,
        }
    }
}

/// The list of a category's levels.
fn levels(id: &str, predictor: &Predictor, category: &CategoryEffect, now: Option<&str>) -> Markup {
    let unseen = now.filter(|level| category.level(level).is_none());
    html! {
        select id=(id) name=(predictor.name) {
            option value="" selected[now.is_none()] { "unknown" }
            @for level in &category.levels {
                option value=(level.name) selected[now == Some(level.name.as_str())] { (level.name) }
            }
            @if let Some(level) = unseen { option value=(level) selected { (level) " (not in the training data)" } }
        }
    }
}

fn answer(what: &str, call: &Call, then: f64, threshold: Threshold) -> Markup {
    let leaves = |risk: f64| risk >= threshold.value();
    html! {
        p role="status" id="answer" {
            "With these " (what) "s the risk would be " strong { (risk_in_table(then)) } " instead of " (risk_in_table(call.risk)) " ("
            (points(then - call.risk)) " percentage points)"
            @match (leaves(call.risk), leaves(then)) {
                (true, false) => "; the client would no longer be predicted to leave."
                (false, true) => "; the client would be predicted to leave."
                _ => "."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Schema {
        let text = r#"{"id": "key", "target": "gone", "predictors": ["a [b]", {"name": "größe", "kind": "count"},
            {"name": "q", "kind": "category"}, {"name": "l", "transform": "log1p"}]}"#;
        common::config::schema_of_json(text).unwrap()
    }

    fn asked(parameters: &[(&str, &str)]) -> Option<Asked> {
        let parameters = parameters.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let now = [Some(Value::from(1.0)), None, Some(Value::from("x")), None];
        WhatIf::of(&schema(), parameters).unwrap().asked(&schema(), &now)
    }

    #[test]
    fn fields_that_are_not_asked_keep_their_value() {
        assert_eq!(asked(&[]), None);
        let found = asked(&[("größe", " 7 "), ("q", ""), ("l", "-0.5")]).unwrap().unwrap();
        assert_eq!(found, [Some(1.0.into()), Some(7.0.into()), None, Some(Value::from(-0.5))]);
        assert_eq!(asked(&[("q", " y")]).unwrap().unwrap()[2], Some(Value::from(" y")));
    }

    #[test]
    fn what_is_invalid_says_what_to_enter() {
        for (name, text, wrong) in [
            ("a [b]", "NaN", "a [b] is not a number; enter a number"),
            ("a [b]", "x", "a [b] is not a number; enter a number"),
            ("größe", "-1", "größe is negative; enter counts, 0 or larger"),
            ("l", "-1", "l is not above -1, which its transform log1p needs; enter a number above \u{2212}1"),
        ] {
            assert_eq!(asked(&[(name, text)]), Some(Err(wrong.to_owned())));
        }
        let unknown = WhatIf::of(&schema(), vec![("b".to_owned(), String::new())]).unwrap_err().to_string();
        assert!(unknown.contains("unknown field `b`, expected one of `a [b]`, `größe`, `q`, `l`"), "{unknown}");
    }
}
