//! The pages for engineers: the model, its quality, and why it is live.

use anyhow::Result;
use common::model::schema::PREDICTORS;
use common::production::promotion::{Comparison, FEW_ROWS};
use history::CheckRow;
use statistics::confusion::Confusion;
use statistics::interval;
use statistics::odds::{odds_ratio, sensible_unit};

use crate::charts::{self, Quality};
use crate::confusion_matrix;
use crate::evidence::Evidence;
use crate::pdf::{Column, Document, Table};
use crate::words::{check_in_words, grouped, interval_of, minutes, number, percent, points};

/// Adds what the model is and what it was trained on.
pub fn card(document: &mut Document, evidence: &Evidence) -> Result<()> {
    let (model, manifest) = (&evidence.model, &evidence.release.manifest);
    let training = &model.training;
    document.title("The model");
    document.paragraph(&format!(
        "Logistic regression with an L2 penalty (C = {}), trained on {} rows of which {} left ({}); {} rows with a missing \
         value were left out. Deployed {} UTC by program {}.",
        model.fit.regularization,
        grouped(training.rows),
        grouped(training.exited),
        percent(training.exited as f64 / training.rows.max(1) as f64),
        grouped(training.left_out),
        manifest.created.strftime("%Y-%m-%d %H:%M:%S"),
        manifest.program
    ));
    let deviations = model.deviations();
    let rows = (0..PREDICTORS.len()).map(|j| {
        let unit = sensible_unit(deviations[j]);
        let odds = odds_ratio(model.coefficients[j], model.standard_errors[j], unit);
        vec![
            PREDICTORS[j].to_owned(),
            number(model.coefficients[j]),
            number(model.standard_errors[j]),
            number(model.averages()[j]),
            format!("{unit} more"),
            number(odds.ratio),
            format!("{} to {}", number(odds.interval.low), number(odds.interval.high)),
        ]
    });
    let intercept = vec!["intercept".to_owned(), number(model.intercept), number(model.standard_errors[3])];
    let intercept = intercept.into_iter().chain(["", "", "", ""].map(str::to_owned)).collect();
    document.table(&Table {
        columns: vec![
            Column::left("", 0.20),
            Column::right("coefficient", 0.12),
            Column::right("standard error", 0.15),
            Column::right("average", 0.11),
            Column::right("for", 0.11),
            Column::right("odds ratio", 0.11),
            Column::right("95 %", 0.20),
        ],
        rows: rows.chain([intercept]).collect(),
        ..Table::default()
    });
    document.note(
        "An odds ratio of 1.1 for 10 more: ten more of it raise the odds of leaving by a tenth, the other predictors staying.",
    );
    document.note(&format!(
        "Model {}. Training data {}. Log-likelihood {:.6} after {} Newton steps, {:.1e} standard errors from the optimum.",
        manifest.score.model_sha256.as_str(),
        evidence.training_data().as_str(),
        model.fit.log_likelihood,
        model.fit.newton_steps,
        model.fit.newton_decrement
    ));
    Ok(())
}

/// Adds the model's results on the test data.
pub fn performance(document: &mut Document, evidence: &Evidence) -> Result<()> {
    let (score, recorded) = (&evidence.score, &evidence.release.manifest.score);
    let comparison = Comparison { challenger: score.confusion, champion: None };
    document.heading("What it is worth on the test data");
    document.paragraph(&format!(
        "F1 {}{} on {} rows of {}; precision {:.4}, recall {:.4}. \"Everyone exits\" has {:.4} on the same rows.",
        score.f1,
        interval::f1(&score.confusion)
            .map(|interval| format!(" (95 %: {:.4} to {:.4})", interval.low, interval.high))
            .unwrap_or_default(),
        grouped(score.n),
        match score.data.as_slice() {
            [_, _, _, _, ..] => format!("{} files", score.data.len()),
            few => few.join(", "),
        },
        score.precision,
        score.recall,
        comparison.everyone_exits().f1()
    ));
    if score.f1 != recorded.f1 || score.n != recorded.n {
        document.warning(&format!(
            "The test data are not those of the deployment: recorded was F1 {} on {} rows.",
            recorded.f1,
            grouped(recorded.n)
        ));
    }
    for warning in comparison.warnings() {
        document.warning(&warning.replace("the new model", "the model"));
    }
    let quality = Quality::new(&evidence.pairs, score.threshold.value());
    let matrix = crate::canvas::svg(confusion_matrix::SIZE, |area| confusion_matrix::draw(area, score))?;
    document.figures(&[&charts::wide(|area| charts::risk_distribution(area, &quality))?])?;
    document.figure(&matrix, 0.66)?;
    document.figures(&[
        &charts::half(|area| charts::roc(area, &quality))?,
        &charts::half(|area| charts::precision_recall(area, &quality))?,
    ])?;
    document.figure(&charts::half(|area| charts::calibration(area, &quality))?, 0.5)
}

/// Adds the comparison of champion and challenger.
pub fn promotion(document: &mut Document, evidence: &Evidence) -> Result<()> {
    document.heading("Why this model is live");
    let comparison = evidence.comparison();
    let Some(first) = comparison.first() else {
        document.paragraph("It was deployed by hand or before there was a record of what it was held against.");
        return Ok(());
    };
    if let Some(check) = evidence.check_that_led_here() {
        document.paragraph(&format!("The release before it had drifted: {}.", check_in_words(check)));
        shifts(document, evidence, check);
    }
    document.paragraph(&format!(
        "All on the same {} test rows; promotion by the rule \"{}\"{}.",
        grouped(first.compared.confusion.n()),
        first.promotion.rule.as_str(),
        first.promotion.champion.as_ref().map(|champion| format!(", against release {champion}")).unwrap_or_default()
    ));
    let rows = comparison.iter().map(|row| {
        let Confusion { true_positives, false_positives, false_negatives, true_negatives } = row.compared.confusion;
        let counts = [true_positives, false_positives, false_negatives, true_negatives].map(grouped);
        let f1 = format!("{:.4}", row.compared.confusion.f1());
        [row.compared.model.to_string(), f1].into_iter().chain(counts).collect()
    });
    document.table(&Table {
        columns: vec![
            Column::left("", 0.20),
            Column::right("F1", 0.10),
            Column::right("left, foreseen", 0.17),
            Column::right("stayed, warned of", 0.18),
            Column::right("left unforeseen", 0.17),
            Column::right("stayed, foreseen", 0.18),
        ],
        rows: rows.collect(),
        ..Table::default()
    });
    for warning in &first.promotion.warnings {
        document.warning(warning);
    }
    if first.compared.confusion.n() < FEW_ROWS {
        document.note("More labelled rows in the test data folder would make the choice a safer one.");
    }
    Ok(())
}

/// Adds the results of the live release on rows that arrived after its deployment.
pub fn drift(document: &mut Document, evidence: &Evidence) -> Result<()> {
    const SHOWN: usize = 8;
    document.heading("Is it still good?");
    let checks = evidence.checks_of_live();
    let Some(newest) = checks.last() else {
        document.paragraph("No new rows have come since it is live.");
        return Ok(());
    };
    document.paragraph(&format!("The newest check: {}.", check_in_words(newest)));
    shifts(document, evidence, newest);
    let rows = checks.iter().rev().take(SHOWN).map(|check| {
        vec![
            minutes(&check.started),
            grouped(check.confusion.n()),
            format!("{:.4}", check.confusion.f1()),
            interval_of(check),
            check.verdict.to_string(),
            check.test.as_str().to_owned(),
            if check.drifted { "drift" } else { "no drift" }.to_owned(),
        ]
    });
    document.table(&Table {
        columns: vec![
            Column::left("checked (UTC)", 0.22),
            Column::right("rows", 0.12),
            Column::right("F1", 0.10),
            Column::right("95 %", 0.18),
            Column::left("verdict", 0.16),
            Column::left("test", 0.10),
            Column::left("decided", 0.12),
        ],
        rows: rows.collect(),
        ..Table::default()
    });
    Ok(())
}

/// Adds the shifts of the predictors in a check's rows.
fn shifts(document: &mut Document, evidence: &Evidence, check: &CheckRow) {
    let shifts = evidence.shifts_of(check);
    if shifts.is_empty() {
        return;
    }
    let rows = shifts.iter().map(|shift| {
        vec![
            shift.predictor.clone(),
            format!("{:.4}", shift.stability_index),
            format!("{:.4}", shift.stability_cutoff),
            shift.ks_statistic.map_or_else(|| "–".to_owned(), |statistic| format!("{statistic:.4}")),
            if shift.p_value < 0.001 { "< 0.001".to_owned() } else { format!("{:.3}", shift.p_value) },
            points(shift.risk_change),
            shift.verdict.as_str().to_owned(),
        ]
    });
    document.table(&Table {
        columns: vec![
            Column::left("new rows against the training data", 0.28),
            Column::right("stability index", 0.13),
            Column::right("cut-off", 0.10),
            Column::right("KS statistic", 0.12),
            Column::right("p (Holm)", 0.11),
            Column::right("moves the risk", 0.13),
            Column::left("verdict", 0.13),
        ],
        rows: rows.collect(),
        ..Table::default()
    });
}
