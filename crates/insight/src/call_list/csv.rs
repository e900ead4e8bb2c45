//! calllist.csv: all listed clients with every number behind their risk.

use anyhow::{Context, Result};
use common::schema::free_name;
use common::values::Value;

use super::CallList;

/// The list as CSV: one row per client, highest risk first. Numbers have full precision; missing ones are empty.
pub fn csv(list: &CallList) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let free = |name| free_name(name, |name| list.schema().predictor(name).is_some()).into_owned();
    let first = ["rank", "corporation", "call", "risk", "previous_risk", "change"].map(free);
    let names = || list.schema().predictors().iter().map(|predictor| predictor.name.clone());
    let shares = names().map(|predictor| format!("{predictor}_log_odds"));
    let header = first.into_iter().chain(names()).chain(shares);
    writer.write_record(header.chain(["reasons", "what_would_help"].map(free)))?;
    let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    for call in &list.calls {
        let reasons: Vec<String> = list.reasons_in_words(call).collect();
        let record = [
            call.rank.to_string(),
            neutralised(&call.id),
            u8::from(call.today).to_string(),
            call.risk.to_string(),
            number(call.previous_risk),
            number(call.change()),
        ];
        let values = call.predictors.iter().map(|value| match value {
            Some(Value::Level(level)) => neutralised(level),
            value => number(value.as_ref().and_then(Value::number)),
        });
        let shares = list.shares(call).into_iter().map(|share| share.log_odds.to_string());
        let record = record.into_iter().chain(values).chain(shares);
        writer.write_record(record.chain([reasons.join(" "), list.remedy_in_words(call)]))?;
    }
    writer.into_inner().context("writing the call list")
}

/// Makes a text safe for spreadsheets: a text that a spreadsheet could interpret as a formula gets a leading
/// apostrophe.
///
/// Spreadsheets ignore leading white space, control characters and invisible characters when they look for a formula,
/// and some accept full-width signs, so these are all considered here. A leading tab or line end would also move the
/// text into another cell (OWASP, CSV injection).
pub fn neutralised(text: &str) -> String {
    let first = text.trim_start_matches(is_invisible).chars().next();
    let is_formula = first.is_some_and(|first| "=+-@\u{ff1d}\u{ff0b}\u{ff0d}\u{ff20}".contains(first));
    match is_formula || text.starts_with(char::is_control) {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
}

/// Whether a character is white space, a control character, or has no width: soft hyphens, joiners, direction marks and
/// byte order marks.
fn is_invisible(character: char) -> bool {
    let no_width = matches!(
        character,
        '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    );
    no_width || character.is_whitespace() || character.is_control()
}
