//! Writes a model as a Python pickle that loads as a fitted scikit-learn model.
//!
//! If all predictors are numbers without a transform, it is a `LogisticRegression`. Otherwise it is a `Pipeline` that
//! takes a DataFrame as `pandas.read_csv` reads a table. Other columns and their order do not matter. Missing values
//! are imputed as [`Model`] imputes them, and a level that no training row had counts as none.
//!
//! `pandas.read_csv` keeps no text of a column whose values all look like numbers or truth values: it reads the levels
//! `7`, `07` and `7.0` as the same number. The pipeline recognises such a number as the level from which it was read. If a
//! category has several of these spellings as levels, or a table has a spelling that is no level, the table must be
//! read with `dtype` set to `str` for this column. A number that cannot be read counts as missing, and so does a level
//! of one space. A level of several spaces counts as unseen, while this program reads it as missing.
//!
//! `classes_` contains the labels in the order and type in which scikit-learn finds them in a table that pandas has
//! read. So the positive label may be the first.
//!
//! The pickle calls only public constructors and functions (such as `numpy.array`, `LogisticRegression` and `setattr`).
//! The pipeline's preparation is fitted by scikit-learn itself, while the pickle is loaded, on one row of imputed
//! values. So any version of numpy, pandas and scikit-learn (from 1.2) can load it, and none compares its own version
//! with the one that wrote it. Nothing in this project ever reads a pickle, because reading one executes the code that
//! it names.

mod opcodes;

use crate::model::Model;
use crate::model::effect::{CategoryEffect, Effect};
use crate::model::pickle::opcodes::{Pickler, Write};
use crate::model::spellings::{Inferred, inferred, spellings};
use crate::schema::{Target, Transform};

/// Returns the content of trainedmodel.pkl. The same model always gives the same bytes.
pub fn pickle(model: &Model) -> Vec<u8> {
    let mut out = Pickler::new();
    let groups = groups(model);
    let all_plain = groups.iter().all(|group| group.kind == GroupKind::Number);
    if all_plain {
        let names: Vec<&str> = model.schema.predictors().iter().map(|predictor| predictor.name.as_str()).collect();
        let coefficients: Vec<f64> = model.terms().map(|term| term.coefficient).collect();
        regression(&mut out, model, &coefficients, Some(&names));
        return out.finish();
    }
    let coefficients: Vec<f64> = groups.iter().flat_map(Group::coefficients).collect();
    let preparation: Write = &|out| preparation(out, model, &groups);
    let steps: [(&str, Write); 2] =
        [("columns", preparation), ("model", &|out| regression(out, model, &coefficients, None))];
    pipeline(&mut out, &steps);
    out.finish()
}

/// Predictors that are prepared in the same way.
struct Group<'a> {
    kind: GroupKind,
    columns: Vec<(&'a str, &'a Effect)>,
}

#[derive(Clone, Copy, PartialEq)]
enum GroupKind {
    Number,
    Log1p,
    Category,
}

/// Returns the groups that have a predictor.
fn groups(model: &Model) -> Vec<Group<'_>> {
    let groups = [GroupKind::Number, GroupKind::Log1p, GroupKind::Category].map(|kind| {
        let columns = model.schema.predictors().iter().zip(&model.effects).filter(|(predictor, _)| {
            let own = match (predictor.is_category(), predictor.transform) {
                (true, _) => GroupKind::Category,
                (false, Transform::None) => GroupKind::Number,
                (false, Transform::Log1p) => GroupKind::Log1p,
            };
            own == kind
        });
        Group { kind, columns: columns.map(|(predictor, effect)| (predictor.name.as_str(), effect)).collect() }
    });
    groups.into_iter().filter(|group| !group.columns.is_empty()).collect()
}

impl<'a> Group<'a> {
    fn names(&self) -> Vec<&'a str> {
        self.columns.iter().map(|(name, _)| *name).collect()
    }

    /// The coefficients in the order of the columns that the prepared group has.
    fn coefficients(&self) -> Vec<f64> {
        let of_effect = |effect: &Effect| match effect {
            Effect::Number(number) => vec![number.coefficient],
            Effect::Category(category) => category.levels.iter().map(|level| level.coefficient).collect(),
        };
        self.columns.iter().flat_map(|(_, effect)| of_effect(effect)).collect()
    }

    fn categories(&self) -> Vec<(&'a str, &'a CategoryEffect)> {
        let category = |(name, effect): &(&'a str, &'a Effect)| match effect {
            Effect::Category(category) => Some((*name, category)),
            Effect::Number(_) => None,
        };
        self.columns.iter().filter_map(category).collect()
    }

    fn write(&self, out: &mut Pickler) {
        let numbers: [(&str, Write); 3] = [("number", &to_number), ("impute", &impute), ("transform", &log1p)];
        match self.kind {
            GroupKind::Number => pipeline(out, &numbers[..2]),
            GroupKind::Log1p => pipeline(out, &numbers),
            GroupKind::Category => {
                let categories = self.categories();
                pipeline(
                    out,
                    &[
                        ("text", &|out| function(out, &|out| method_caller(out, "astype", &[&|out| out.text("str")]))),
                        ("spelling", &|out| spelling(out, &categories)),
                        ("impute", &|out| impute_levels(out, &categories)),
                        ("levels", &|out| one_hot(out, &categories)),
                    ],
                );
            }
        }
    }
}

/// Writes a fitted `ColumnTransformer`, which is fitted on one row of imputed values.
fn preparation(out: &mut Pickler, model: &Model, groups: &[Group]) {
    let transformer: Write = &|out| {
        out.call(
            "sklearn.compose",
            "ColumnTransformer",
            [&|out| {
                out.list(groups, |out, group| {
                    let name = match group.kind {
                        GroupKind::Number => "number",
                        GroupKind::Log1p => "log1p",
                        GroupKind::Category => "category",
                    };
                    out.tuple(&[&|out| out.text(name), &|out| group.write(out), &|out| out.texts(&group.names())]);
                });
            }],
        );
    };
    let row: Write = &|out| {
        out.list(&model.effects, |out, effect| match effect {
            Effect::Number(number) => out.float(number.median),
            Effect::Category(category) => out.text(&category.imputed().name),
        });
    };
    let names: Vec<&str> = model.schema.predictors().iter().map(|predictor| predictor.name.as_str()).collect();
    let table: Write = &|out| {
        let rows: Write = &|out| out.list(&[row], |out, row| row(out));
        out.call("pandas", "DataFrame", [rows, &Pickler::none, &|out| out.texts(&names)]);
    };
    out.method(transformer, "fit", table);
}

/// Writes a `Pipeline` of named steps.
fn pipeline(out: &mut Pickler, steps: &[(&str, Write)]) {
    out.call(
        "sklearn.pipeline",
        "Pipeline",
        [&|out| {
            out.list(steps, |out, (name, step)| out.tuple(&[&|out| out.text(name), step]));
        }],
    );
}

/// Writes a `FunctionTransformer` whose function keeps the columns.
fn function(out: &mut Pickler, function: Write) {
    let transformer = out.estimator("sklearn.preprocessing", "FunctionTransformer", [function]);
    out.attribute(transformer, "feature_names_out", &|out| out.text("one-to-one"));
}

/// Writes a function that calls a method of its argument.
fn method_caller(out: &mut Pickler, name: &str, arguments: &[Write]) {
    let name: Write = &|out| out.text(name);
    let all: Vec<Write> = [name].into_iter().chain(arguments.iter().copied()).collect();
    out.call_with("operator", "methodcaller", &all);
}

/// Writes the conversion of numbers. A text that is no number, such as one space, becomes a missing value.
fn to_number(out: &mut Pickler) {
    let to_numeric: Write = &|out| out.global("pandas", "to_numeric");
    let axis: Write = &|out| out.int(0);
    let errors: Write = &|out| out.tuple(&[&|out| out.text("coerce")]);
    function(out, &|out| {
        method_caller(out, "apply", &[to_numeric, axis, &|out| out.boolean(false), &Pickler::none, errors]);
    });
}

fn impute(out: &mut Pickler) {
    let imputer = out.estimator("sklearn.impute", "SimpleImputer", []);
    out.attribute(imputer, "strategy", &|out| out.text("median"));
}

fn log1p(out: &mut Pickler) {
    function(out, &|out| out.global("numpy", "log1p"));
}

/// Writes the replacement of pandas' spellings by levels.
fn spelling(out: &mut Pickler, categories: &[(&str, &CategoryEffect)]) {
    let columns: Vec<(&str, Vec<(String, &str)>)> =
        categories.iter().map(|(name, category)| (*name, spellings(category))).collect();
    let columns: Write = &|out| {
        out.dict(&columns, |out, spellings| {
            let spellings: Vec<(&str, &str)> = spellings.iter().map(|(form, level)| (form.as_str(), *level)).collect();
            out.dict(&spellings, |out, level| out.text(level));
        });
    };
    function(out, &|out| method_caller(out, "replace", &[columns]));
}

fn impute_levels(out: &mut Pickler, categories: &[(&str, &CategoryEffect)]) {
    let imputed: Vec<(&str, &str)> =
        categories.iter().map(|(name, category)| (*name, category.imputed().name.as_str())).collect();
    let imputed: Write = &|out| out.dict(&imputed, |out, level| out.text(level));
    function(out, &|out| method_caller(out, "fillna", &[imputed]));
}

fn one_hot(out: &mut Pickler, categories: &[(&str, &CategoryEffect)]) {
    let encoder = out.estimator("sklearn.preprocessing", "OneHotEncoder", []);
    out.attribute(encoder, "categories", &|out| {
        out.list(categories, |out, (_, category)| {
            let levels: Vec<&str> = category.levels.iter().map(|level| level.name.as_str()).collect();
            out.array("object", &|out| out.texts(&levels));
        });
    });
    out.attribute(encoder, "handle_unknown", &|out| out.text("ignore"));
    out.attribute(encoder, "sparse_output", &|out| out.boolean(false));
}

/// Writes a fitted `LogisticRegression`. `names` are those of its features; in a pipeline they have none.
fn regression(out: &mut Pickler, model: &Model, coefficients: &[f64], names: Option<&[&str]>) {
    let labels = Labels::of(model.schema.target());
    let sign = |b: f64| if labels.positive_first { -b } else { b };
    let coefficients: Vec<f64> = coefficients.iter().map(|b| sign(*b)).collect();
    let estimator = out.estimator("sklearn.linear_model", "LogisticRegression", []);
    out.attribute(estimator, "C", &|out| out.float(model.fit.regularization));
    out.attribute(estimator, "classes_", &|out| labels.write(out));
    out.attribute(estimator, "coef_", &|out| {
        out.array("float64", &|out| {
            out.list(&[&coefficients], |out, row| out.list(row, |out, b| out.float(*b)));
        });
    });
    out.attribute(estimator, "intercept_", &|out| {
        out.array("float64", &|out| out.list(&[sign(model.intercept)], |out, b| out.float(*b)));
    });
    out.attribute(estimator, "n_features_in_", &|out| out.int(coefficients.len() as i64));
    if let Some(names) = names {
        out.attribute(estimator, "feature_names_in_", &|out| out.array("object", &|out| out.texts(names)));
    }
    out.attribute(estimator, "n_iter_", &|out| {
        let steps = i32::try_from(model.fit.newton_steps).unwrap_or(i32::MAX);
        out.array("int32", &|out| out.list(&[i64::from(steps)], |out, steps| out.int(*steps)));
    });
}

/// The labels in the order of scikit-learn.
struct Labels<'a> {
    sorted: [&'a str; 2],
    positive_first: bool,
}

impl<'a> Labels<'a> {
    fn of(target: &'a Target) -> Self {
        let (negative, positive) = (target.negative.as_str(), target.positive.as_str());
        let positive_first = match (inferred(negative), inferred(positive)) {
            (Inferred::Boolean(negative), Inferred::Boolean(positive)) => negative && !positive,
            (Inferred::Integer(negative), Inferred::Integer(positive)) => positive < negative,
            (negative, positive) => match (float(negative), float(positive)) {
                (Some(negative), Some(positive)) => positive < negative,
                _ => target.positive < target.negative,
            },
        };
        let sorted = if positive_first { [positive, negative] } else { [negative, positive] };
        Self { sorted, positive_first }
    }

    fn write(&self, out: &mut Pickler) {
        let [first, second] = self.sorted;
        match (inferred(first), inferred(second)) {
            (Inferred::Integer(first), Inferred::Integer(second)) => {
                out.array("int64", &|out| out.list(&[first, second], |out, label| out.int(*label)));
            }
            (Inferred::Boolean(first), Inferred::Boolean(second)) => {
                out.array("bool", &|out| out.list(&[first, second], |out, label| out.boolean(*label)));
            }
            (a, b) => match (float(a), float(b)) {
                (Some(first), Some(second)) => {
                    out.array("float64", &|out| out.list(&[first, second], |out, label| out.float(*label)));
                }
                _ => out.array("object", &|out| out.texts(&self.sorted)),
            },
        }
    }
}

/// Returns the number that pandas reads in a column of decimal numbers.
fn float(label: Inferred) -> Option<f64> {
    match label {
        Inferred::Integer(integer) => Some(integer as f64),
        Inferred::Float(float) => Some(float),
        Inferred::Boolean(_) | Inferred::Text(_) => None,
    }
}
