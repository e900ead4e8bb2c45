//! The sections for engineers: the model, its quality, why it is live, and whether it is still good.

use common::model::Model;
use common::model::effect::{Effect, LevelEffect, NumberEffect};
use common::production::promotion::{Comparison, FEW_ROWS};
use common::schema::{Kind, Predictor, Transform};
use history::CheckRow;
use statistics::confusion::Confusion;
use statistics::odds::{OddsRatio, odds_ratio, sensible_unit};

use crate::evidence::Evidence;
use crate::figures::Figures;
use crate::section::{Part, Section, Table};
use crate::wording::{self, capitalised, decision, grouped, minutes, number, percent, points};

/// What the model is and what it was trained on.
pub fn model(evidence: &Evidence) -> Section {
    let mut section = Section::new("model", "The model");
    let (model, manifest) = (&evidence.model, &evidence.release.manifest);
    let training = &model.training;
    section.parts.push(Part::Text(format!(
        "Release {} was deployed {} UTC by program version {}. It is a logistic regression with an L2 penalty (C = {}), trained \
         on {} rows of clients, of which {} left ({}). {} rows with missing values were skipped.{}",
        evidence.release.id,
        manifest.created.strftime("%Y-%m-%d %H:%M:%S"),
        manifest.program,
        model.fit.regularization,
        grouped(training.rows),
        grouped(training.exited),
        percent(training.exited as f64 / training.rows.max(1) as f64),
        grouped(training.left_out),
        if evidence.has_newer_data() { " The compiled data are newer than its training data." } else { "" }
    )));
    let [intercept, error] = [model.intercept, model.intercept_error].map(number);
    let intercept = [vec!["intercept".to_owned(), intercept, error], vec![String::new(); 4]].concat();
    let columns =
        ["Predictor", "#Coefficient", "#Standard error", "#Average", "#Increase", "#Odds ratio", "#95 % interval"];
    let rows = terms(model).into_iter().chain([intercept]);
    let table = Table::of_texts("Coefficients of the model", &columns, rows);
    section.parts.push(Part::Table(table.with_caption(explanation(model))));
    section.parts.push(Part::Note(format!(
        "Model {}. Training data {}. Log-likelihood {:.6} after {} Newton steps, {:.1e} standard errors from the optimum.",
        manifest.score.model_sha256.as_str(),
        evidence.training_data().as_str(),
        model.fit.log_likelihood,
        model.fit.newton_steps,
        model.fit.newton_decrement
    )));
    section
}

/// The rows of the table of coefficients: one for each term.
fn terms(model: &Model) -> Vec<Vec<String>> {
    let predictors = model.effects.iter().zip(model.schema.predictors());
    let rows = predictors.flat_map(|(effect, predictor)| match effect {
        Effect::Number(effect) => vec![number_term(predictor, effect)],
        Effect::Category(effect) => {
            let known: u64 = effect.summary.counts.iter().sum();
            let row = |(level, count): (&LevelEffect, &u64)| {
                let ratio = odds_ratio(level.coefficient, level.standard_error, 1.0);
                let name = format!("{} = {}", predictor.name, level.name);
                let share = percent(*count as f64 / known.max(1) as f64);
                term(name, level.coefficient, level.standard_error, share, "this level".to_owned(), &ratio)
            };
            effect.levels.iter().zip(&effect.summary.counts).map(row).collect()
        }
    });
    rows.collect()
}

fn number_term(predictor: &Predictor, effect: &NumberEffect) -> Vec<String> {
    let NumberEffect { coefficient, standard_error, .. } = *effect;
    let average = effect.average().number().map_or_else(String::new, number);
    if predictor.transform == Transform::Log1p {
        let ratio = odds_ratio(coefficient, standard_error, std::f64::consts::LN_2);
        let name = format!("log1p({})", predictor.name);
        return term(name, coefficient, standard_error, average, "1 + x doubled".to_owned(), &ratio);
    }
    let deviation = effect.sketch.as_ref().map_or(0.0, |sketch| sketch.standard_deviation);
    let exponents = if predictor.kind == Kind::Count { 0..=3 } else { -9..=12 };
    let unit = sensible_unit(deviation, exponents);
    let ratio = odds_ratio(coefficient, standard_error, unit);
    term(predictor.name.clone(), coefficient, standard_error, average, format!("{unit} more"), &ratio)
}

fn term(name: String, b: f64, error: f64, average: String, increase: String, odds: &OddsRatio) -> Vec<String> {
    let interval = format!("{} to {}", number(odds.interval.low), number(odds.interval.high));
    vec![name, number(b), number(error), average, increase, number(odds.ratio), interval]
}

/// Explains the table of coefficients.
fn explanation(model: &Model) -> String {
    let mut text =
        "The odds ratio is the factor by which the odds of leaving change if the predictor increases by the given \
                    amount and the other predictors stay the same."
            .to_owned();
    if model.schema.has_categories() {
        text += " For a level it compares with the average over the levels of its column, and the average is the share of \
                 the clients with this level.";
    }
    text
}

/// The model's results on the test data.
pub fn quality(evidence: &Evidence, figures: &Figures) -> Section {
    let mut section = Section::new("quality", "Quality on the test data");
    let (score, recorded) = (&evidence.score, &evidence.release.manifest.score);
    let comparison = Comparison { challenger: score.confusion, champion: None };
    let files = match score.data.len() {
        0..=3 => score.data.join(", "),
        files => format!("{files} files"),
    };
    section.parts.push(Part::Text(format!(
        "On {} rows of {files} the model reaches F1 {:.4} ({}), precision {:.4} and recall {:.4}. The baseline \"everyone \
         exits\" reaches F1 {:.4} on the same rows.",
        grouped(score.n),
        score.f1,
        wording::interval(statistics::interval::f1(&score.confusion)),
        score.precision,
        score.recall,
        comparison.everyone_exits().f1()
    )));
    if score.f1 != recorded.f1 || score.n != recorded.n {
        section.parts.push(Part::Warning(format!(
            "The test data have changed since the deployment, which recorded F1 {:.4} on {} rows.",
            recorded.f1,
            grouped(recorded.n)
        )));
    }
    for warning in comparison.warnings() {
        section.parts.push(Part::Warning(capitalised(&warning.replace("the new model", "the model")) + "."));
    }
    section.parts.push(Part::Note(format!("The exact score is F1 {}.", score.f1)));
    const FIGURES: [&str; 6] = [
        "Confusion matrix",
        "Share of the leavers reached by calling clients in the order of their risk",
        "ROC curve",
        "Precision and recall",
        "Calibration",
        "Distribution of the predicted risks",
    ];
    let figures = FIGURES.into_iter().zip(&figures.quality);
    section.parts.extend(figures.map(|(label, svg)| Part::Figure { label, svg: svg.clone(), share: 0.5 }));
    section
}

/// The comparison of champion and challenger.
pub fn promotion(evidence: &Evidence) -> Section {
    let mut section = Section::new("promotion", "Why this model is live");
    let comparison = evidence.comparison();
    let Some(first) = comparison.first() else {
        section
            .parts
            .push(Part::Text("The release was deployed by hand, or before comparisons were recorded.".to_owned()));
        return section;
    };
    if let Some(check) = evidence.check_that_led_here() {
        section.parts.push(Part::Text(format!("The previous release had drifted. {}", wording::check(check))));
        shifts(&mut section, evidence, check);
    }
    section.parts.push(Part::Text(format!(
        "The new model was compared on {} test rows{} and promoted by the rule \"{}\".",
        grouped(first.compared.confusion.n()),
        first.promotion.champion.as_ref().map(|champion| format!(" with release {champion}")).unwrap_or_default(),
        first.promotion.rule.as_str()
    )));
    let rows = comparison.iter().map(|row| {
        let Confusion { true_positives, false_positives, false_negatives, true_negatives } = row.compared.confusion;
        let counts = [true_positives, false_positives, false_negatives, true_negatives].map(grouped);
        let f1 = format!("{:.4}", row.compared.confusion.f1());
        [row.compared.model.to_string(), f1].into_iter().chain(counts).collect()
    });
    let columns = ["Model", "#F1", "#True positives", "#False positives", "#False negatives", "#True negatives"];
    section.parts.push(Part::Table(Table::of_texts("Comparison on the test data", &columns, rows).with_caption(
        "False positives stayed but were predicted to leave. False negatives left but were predicted to stay.",
    )));
    for warning in &first.promotion.warnings {
        section.parts.push(Part::Warning(capitalised(warning) + "."));
    }
    if first.compared.confusion.n() < FEW_ROWS {
        section.parts.push(Part::Note(
            "More labelled rows in the test data folder would make the comparison more reliable.".to_owned(),
        ));
    }
    section
}

/// The results of the live release on rows that arrived after its deployment.
pub fn drift(evidence: &Evidence) -> Section {
    const SHOWN: usize = 8;
    let mut section = Section::new("drift", "Is it still good?");
    let checks = evidence.checks_of_live();
    let Some(newest) = checks.last() else {
        section.parts.push(Part::Text(format!("The model was {}.", wording::NOT_CHECKED)));
        return section;
    };
    let words = format!("Newest drift check, {} UTC: {}", minutes(&newest.started), wording::check(newest));
    section.parts.push(if newest.drifted { Part::Warning(words) } else { Part::Text(words) });
    shifts(&mut section, evidence, newest);
    let rows = checks.iter().rev().take(SHOWN).map(|check| {
        vec![
            minutes(&check.started),
            grouped(check.confusion.n()),
            statistic(wording::f1_of(check)),
            wording::interval(wording::interval_of(check)),
            check.verdict.to_string(),
            check.test.as_str().to_owned(),
            decision(check).to_owned(),
        ]
    });
    let columns = ["Checked (UTC)", "#Rows", "#F1", "#Interval", "Verdict", "Test", "Decision"];
    section.parts.push(Part::Table(Table::of_texts("Drift checks of the live release", &columns, rows)));
    section
}

/// Adds the shifts of the predictors in a check's rows.
fn shifts(section: &mut Section, evidence: &Evidence, check: &CheckRow) {
    let shifts = evidence.shifts_of(check);
    if shifts.is_empty() {
        return;
    }
    let has_categories = shifts.iter().any(|shift| shift.chi_square.is_some());
    let rows = shifts.iter().map(|shift| {
        let mut row = vec![
            shift.predictor.clone(),
            format!("{:.4}", shift.stability_index),
            format!("{:.4}", shift.stability_cutoff),
            statistic(shift.ks_statistic),
        ];
        row.extend(has_categories.then(|| statistic(shift.chi_square)));
        row.extend([
            if shift.p_value < 0.001 { "< 0.001".to_owned() } else { format!("{:.3}", shift.p_value) },
            points(shift.risk_change),
            shift.verdict.as_str().to_owned(),
        ]);
        row
    });
    let mut columns = vec!["Predictor", "#PSI", "#PSI cutoff", "#KS statistic"];
    columns.extend(has_categories.then_some("#Chi-square"));
    columns.extend(["#p (Holm)", "#Change of risk", "Verdict"]);
    section.parts.push(Part::Table(Table::of_texts("Shift of the predictors", &columns, rows).with_caption(
        "New rows compared with the training data. Change of risk: percentage points for a client with average values \
         otherwise.",
    )));
}

fn statistic(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.4}"))
}
