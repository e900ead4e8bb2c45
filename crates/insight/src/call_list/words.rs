//! Reasons and changes in plain words.

use std::fmt;

use super::{Change, Help, Reason};
use crate::words::grouped;

/// An odds factor between 1/1.05 and 1.05 is described as hardly mattering.
const HARDLY: f64 = 1.05;

/// A larger factor is not given in full, because its exact value would say no more.
const LARGEST: f64 = 1000.0;

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (value, average) = (count(self.value), count(self.average));
        match (self.imputed, self.predictor) {
            (true, _) => write!(f, "{} unknown, taken as {value}, average {average}", name(self.predictor))?,
            (false, "number_of_employees") => write!(f, "{value} employees, average {average}")?,
            (false, _) => write!(f, "{} {value}, average {average}", name(self.predictor))?,
        }
        let (verb, factor) = match self.odds_factor {
            factor if factor >= HARDLY => ("raises", factor),
            factor if factor <= 1.0 / HARDLY => ("lowers", 1.0 / factor),
            _ => return f.write_str(": hardly matters"),
        };
        match factor {
            factor if factor > LARGEST => write!(f, ": {verb} the odds over 1,000 times"),
            factor if factor >= 10.0 => write!(f, ": {verb} the odds {factor:.0} times"),
            factor => write!(f, ": {verb} the odds {factor:.1} times"),
        }
    }
}

impl fmt::Display for Help {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::NotNeeded => f.write_str("is under it"),
            Self::Nothing => f.write_str("nothing alone"),
            Self::Change(Change { predictor, from, to }) => {
                write!(f, "{} {} instead of {}", name(predictor), count(*to), count(*from))
            }
        }
    }
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

/// The name of a predictor for readers.
fn name(predictor: &str) -> &str {
    match predictor {
        "lastmonth_activity" => "last month's activity",
        "lastyear_activity" => "last year's activity",
        "number_of_employees" => "number of employees",
        other => other,
    }
}

/// A count for readers; values from 10 on are rounded to whole numbers.
fn count(value: f64) -> String {
    match value {
        value if value.fract() == 0.0 || value >= 10.0 => grouped(value.round() as u64),
        value => format!("{value:.1}"),
    }
}
