//! Chooses id, target and predictors.

use anyhow::Result;
use common::schema::{Kind, MOST_LEVELS, MOST_PREDICTORS, MOST_TERMS};

use super::evidence::{duplicates, relation, suits_log1p};
use super::names::{LEAVING, id_hint, positive, target_hint};
use super::profile::{Column, Profile};
use super::{Columns, Finding, Ignored, Predictor, Suggestion, Target};

/// Share of the values above which a column counts as unique, or as consisting of numbers or dates.
const NEARLY_ALL: f64 = 0.95;
/// Area under the ROC curve above which one column alone predicts the target suspiciously well.
const SUSPICIOUS: f64 = 0.98;

/// What a column is used for.
enum Role {
    Predictor(Kind, String),
    Ignored(String),
}

/// Assigns a role to every column.
///
/// # Errors
/// Fails if no column is left as a predictor.
pub(super) fn assign(profile: Profile, files: usize) -> Result<Suggestion> {
    let Profile { columns, unusable, rows, malformed, sample } = &profile;
    let mut warnings = Vec::new();
    let mut undecided = Vec::new();
    if *malformed > 0 {
        warnings.push(format!("{malformed} rows have more or fewer fields than the header and would be quarantined"));
    }
    let id = choose_id(columns, &mut warnings, &mut undecided);
    let target = choose_target(columns, id, &mut warnings, &mut undecided);
    let earlier = duplicates(sample, columns.len());

    let mut found = Vec::new();
    let mut predictors: Vec<(Predictor, usize)> = Vec::new();
    let mut ignored: Vec<String> = Vec::new();
    for (j, column) in columns.iter().enumerate() {
        let name = column.name.clone();
        let role = match &target {
            _ if id == Some(j) => {
                found.push(Finding { column: name, reason: format!("id, {}", known(column)) });
                continue;
            }
            Some((t, labels)) if *t == j => {
                let reason = format!(
                    "target; \"{}\" means that the client left, \"{}\" that it stayed{}",
                    labels.positive,
                    labels.negative,
                    missing(column)
                );
                found.push(Finding { column: name, reason });
                continue;
            }
            // As a predictor it would be a leak as soon as the user writes another column into "target".
            None if target_hint(&name) >= LEAVING => {
                Role::Ignored("its name is that of a target, but it has not exactly two different values".to_owned())
            }
            _ => role(column, rows, &mut warnings),
        };
        let of_target = target.as_ref().map(|(t, labels)| (*t, labels.positive.as_str()));
        let role = match (role, earlier[j], of_target) {
            (Role::Predictor(..), Some(other), of_target) if of_target.is_none_or(|(t, _)| t != other) => {
                Role::Ignored(format!("it holds the same information as \"{}\"", columns[other].name))
            }
            (Role::Predictor(kind, reason), _, Some((t, label))) => {
                let relation = relation(sample, j, t, label, kind != Kind::Category);
                match relation {
                    Some(relation) if relation.auc > SUSPICIOUS => {
                        warnings.push(format!(
                            "column \"{name}\" alone predicts the target nearly without error (area under the ROC curve \
                             {:.3}). It is probably known only after a client has left, so it is ignored; move it to \
                             \"predictors\" if it is known before",
                            relation.auc
                        ));
                        Role::Ignored("it predicts the target suspiciously well".to_owned())
                    }
                    Some(relation) => {
                        if let Some((level, count)) = relation.decisive {
                            warnings.push(format!(
                                "all {count} clients of the sample with \"{name}\" = \"{level}\" left; ignore the column \
                                 if this value is set only after a client has left"
                            ));
                        }
                        Role::Predictor(kind, reason)
                    }
                    None => Role::Predictor(kind, reason),
                }
            }
            (role, ..) => role,
        };
        match role {
            Role::Ignored(reason) => {
                found.push(Finding { column: name.clone(), reason: format!("ignored: {reason}") });
                ignored.push(name);
            }
            Role::Predictor(kind, mut reason) => {
                if kind != Kind::Category && suits_log1p(sample, j) {
                    reason.push_str("; strongly skewed: consider \"transform\": \"log1p\"");
                }
                found.push(Finding { column: name.clone(), reason });
                let terms = if kind == Kind::Category { column.levels.len() } else { 1 };
                predictors.push((Predictor { name, kind }, terms));
            }
        }
    }
    for (name, reason) in unusable {
        found.push(Finding { column: name.clone(), reason: format!("ignored: {reason}") });
    }
    limit(&mut predictors, &mut ignored, &mut warnings);
    if predictors.is_empty() {
        undecided.push("no column is suitable as a predictor".to_owned());
    }
    let is_alone = |name: &str| {
        let same = |other: &str| other.to_lowercase() == name.to_lowercase();
        unusable.iter().filter(|(other, _)| same(other)).count() == 1
            && columns.iter().all(|column| !same(&column.name))
    };
    let all_can_be_listed = unusable.iter().all(|(name, _)| super::profile::unusable(name).is_none() && is_alone(name));
    ignored.extend(unusable.iter().map(|(name, _)| name.clone()));
    Ok(Suggestion {
        columns: Columns {
            id: id.map_or_else(|| "<the column that identifies a client>".to_owned(), |j| columns[j].name.clone()),
            target: target.map_or_else(unknown_target, |(_, target)| target),
            predictors: predictors.into_iter().map(|(predictor, _)| predictor).collect(),
            ignored: if all_can_be_listed { Ignored::Listed(ignored) } else { Ignored::All("*") },
        },
        files,
        rows: *rows,
        found,
        warnings,
        undecided,
    })
}

fn unknown_target() -> Target {
    Target {
        name: "<the column that states whether a client left>".to_owned(),
        positive: "1".to_owned(),
        negative: "0".to_owned(),
    }
}

fn missing(column: &Column) -> String {
    let share = 100.0 * column.missing as f64 / (column.missing + column.known).max(1) as f64;
    if column.missing == 0 { String::new() } else { format!(", {share:.1} % missing") }
}

fn known(column: &Column) -> String {
    let kind = if column.numbers == column.known { "numbers" } else { "texts" };
    format!("{kind}, {:.0} % different{}", 100.0 * column.uniqueness(), missing(column))
}

fn share(part: u64, column: &Column) -> f64 {
    part as f64 / column.known.max(1) as f64
}

/// Returns the role of a column that is neither id nor target, judged by itself.
fn role(column: &Column, rows: &u64, warnings: &mut Vec<String>) -> Role {
    let Column { name, known, numbers, levels, texts, .. } = column;
    let missing = missing(column);
    let unique = column.uniqueness() >= NEARLY_ALL && *rows >= 20;
    let is_whole = column.counts == *known;
    match levels.len() {
        0 => return Role::Ignored("it has no value".to_owned()),
        1 => return Role::Ignored("it has the same value in every row".to_owned()),
        _ => {}
    }
    if share(column.dates, column) >= NEARLY_ALL {
        return Role::Ignored("it holds dates; a number such as the days since then could be a predictor".to_owned());
    }
    let is_running = is_whole && column.largest - column.least + 1.0 == *known as f64;
    if unique && is_whole && (id_hint(name) >= 2 || is_running) {
        return Role::Ignored("it identifies the row".to_owned());
    }
    if share(*numbers, column) >= NEARLY_ALL {
        if numbers < known {
            warnings.push(format!(
                "{} values of \"{name}\" are no numbers, such as {}; their rows would be quarantined",
                known - numbers,
                examples(texts)
            ));
        }
        let kind = if column.counts == *numbers { Kind::Count } else { Kind::Number };
        return Role::Predictor(kind, format!("{kind} from {} to {}{missing}", column.least, column.largest));
    }
    if levels.len() > MOST_LEVELS || (levels.len() as u64 * 2 > *known && *known >= 10) {
        let count =
            if levels.len() > MOST_LEVELS { format!("more than {MOST_LEVELS}") } else { levels.len().to_string() };
        let text = if column.words > known * 3 { ", it looks like free text" } else { "" };
        let mixed = match *numbers {
            0 => String::new(),
            count => format!(", {count} values are numbers and {} texts, such as {}", known - count, examples(texts)),
        };
        return Role::Ignored(format!("it has {count} different texts{text}{mixed}"));
    }
    let refused = column.refused;
    if share(refused, column) > 1.0 - NEARLY_ALL {
        return Role::Ignored(format!("{refused} of its texts hold control characters, such as line breaks"));
    }
    if refused > 0 {
        warnings.push(format!(
            "{refused} texts of \"{name}\" hold control characters, such as line breaks; their rows would be quarantined"
        ));
    }
    if *numbers > 0 && levels.len() > 20 {
        warnings.push(format!(
            "column \"{name}\" mixes {numbers} numbers with {} texts, such as {}; it is proposed as a category",
            known - numbers,
            examples(texts)
        ));
    }
    Role::Predictor(Kind::Category, format!("category with {} levels{missing}", levels.len()))
}

fn examples(texts: &[String]) -> String {
    texts.iter().map(|text| format!("{text:?}")).collect::<Vec<_>>().join(", ")
}

fn choose_id(columns: &[Column], warnings: &mut Vec<String>, undecided: &mut Vec<String>) -> Option<usize> {
    let is_key = |column: &Column| {
        let fits = column.numbers < column.known || column.counts == column.known;
        let is_accepted = share(column.refused, column) <= 1.0 - NEARLY_ALL;
        fits && is_accepted && column.dates == 0 && column.known > 0 && share(column.missing, column) < 0.05
    };
    let is_text = |column: &Column| column.numbers * 2 < column.known;
    let score = |j: usize| {
        let column = &columns[j];
        4 * id_hint(&column.name) + 2 * u32::from(is_text(column)) + u32::from(j == 0)
    };
    let mut candidates: Vec<usize> = (0..columns.len())
        .filter(|j| is_key(&columns[*j]) && columns[*j].uniqueness() >= NEARLY_ALL && score(*j) > 0)
        .filter(|j| columns[*j].words <= 3 * columns[*j].known)
        .collect();
    if candidates.is_empty() {
        // A client may have several rows.
        candidates = (0..columns.len())
            .filter(|j| is_key(&columns[*j]) && id_hint(&columns[*j].name) >= 2 && columns[*j].uniqueness() > 0.1)
            .collect();
        if let Some(name) = candidates.iter().max_by_key(|j| score(**j)).map(|j| &columns[*j].name) {
            warnings.push(format!("\"{name}\" is taken as the id because of its name, although its values repeat"));
        }
    }
    candidates.sort_by_key(|j| std::cmp::Reverse(score(*j)));
    match candidates.as_slice() {
        [] => {
            undecided.push(
                "no column identifies a client (texts or whole numbers that are nearly all different); write its name \
                 into \"id\", or add such a column to the files"
                    .to_owned(),
            );
        }
        [first, second, ..] if score(*first) == score(*second) => {
            let name = |j: &usize| columns[*j].name.as_str();
            warnings.push(format!("\"{}\" is taken as the id, but \"{}\" could be it too", name(first), name(second)));
        }
        _ => {}
    }
    candidates.first().copied()
}

/// The labels of a column: its known values, in which spellings of one number count once. `None` if there are not two.
fn labels(column: &Column) -> Option<[(String, u64); 2]> {
    let mut labels: Vec<(String, u64)> = Vec::new();
    for (level, count) in &column.levels {
        let level = level.trim_ascii();
        let is_same =
            |other: &str| other == level || level.parse::<f64>().is_ok_and(|number| other.parse() == Ok(number));
        match labels.iter_mut().find(|(other, _)| is_same(other)) {
            Some((_, sum)) => *sum += count,
            None => labels.push((level.to_owned(), *count)),
        }
    }
    labels.try_into().ok()
}

fn choose_target(
    columns: &[Column],
    id: Option<usize>,
    warnings: &mut Vec<String>,
    undecided: &mut Vec<String>,
) -> Option<(usize, Target)> {
    let all = columns.iter().enumerate().filter(|(j, _)| Some(*j) != id);
    let mut candidates: Vec<(usize, [(String, u64); 2])> =
        all.filter_map(|(j, column)| Some((j, labels(column)?))).collect();
    let hint = |j: usize| target_hint(&columns[j].name);
    // The target is often the last column.
    candidates.sort_by_key(|(j, _)| std::cmp::Reverse((hint(*j), *j)));
    let best = candidates.first().map_or(0, |(j, _)| hint(*j));
    let equal: Vec<String> =
        candidates.iter().filter(|(j, _)| hint(*j) == best).map(|(j, _)| format!("\"{}\"", columns[*j].name)).collect();
    let Some((j, [(a, of_a), (b, of_b)])) = candidates.into_iter().next() else {
        undecided.push(
            "no column has exactly two different values, so none can state whether a client left; write its name and \
             both labels into \"target\", or add such a column to the files"
                .to_owned(),
        );
        return None;
    };
    let name = &columns[j].name;
    if equal.len() > 1 {
        warnings
            .push(format!("\"{name}\" is taken as the target, but these have two values too: {}", equal.join(", ")));
    } else if best == 0 {
        warnings.push(format!("\"{name}\" is taken as the target because no other column has two values; check it"));
    }
    let index = positive([&a, &b], name).unwrap_or_else(|| {
        let index = usize::from(of_b < of_a);
        warnings.push(format!(
            "\"{}\" of \"{name}\" is taken as the label of a client that left because it is rarer; exchange \"positive\" \
             and \"negative\" if it means the opposite",
            [&a, &b][index]
        ));
        index
    });
    let (positive, negative) = if index == 0 { (a, b) } else { (b, a) };
    Some((j, Target { name: name.clone(), positive, negative }))
}

/// Moves predictors to the ignored columns until the limits of a model are kept: the categories with most levels
/// first, then the last columns.
fn limit(predictors: &mut Vec<(Predictor, usize)>, ignored: &mut Vec<String>, warnings: &mut Vec<String>) {
    let mut left_out = Vec::new();
    while predictors.iter().map(|(_, terms)| terms).sum::<usize>() > MOST_TERMS {
        let Some(largest) = (0..predictors.len()).max_by_key(|j| predictors[*j].1) else { break };
        left_out.push(predictors.remove(largest).0.name);
    }
    left_out.extend(predictors.drain(MOST_PREDICTORS.min(predictors.len())..).map(|(predictor, _)| predictor.name));
    if !left_out.is_empty() {
        let names: Vec<String> = left_out.iter().map(|name| format!("\"{name}\"")).collect();
        warnings.push(format!(
            "a model has at most {MOST_PREDICTORS} predictors and {MOST_TERMS} terms, so these columns are ignored: {}",
            names.join(", ")
        ));
    }
    ignored.extend(left_out);
}
