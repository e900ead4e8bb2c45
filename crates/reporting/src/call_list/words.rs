//! Reasons and changes in plain words.

use std::fmt;

use super::{Change, Help, Reason};
use crate::words::grouped;

/// A factor of the odds between 1/1.05 and 1.05 is not worth a word.
const HARDLY: f64 = 1.05;

/// A larger factor than this says no more.
const LARGEST: f64 = 1000.0;

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (value, average) = (count(self.value), count(self.average));
        match (self.filled, self.predictor) {
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

/// A text that a spreadsheet takes as a text: what begins like a formula gets an apostrophe before it.
///
/// Spreadsheets drop white space, control characters and invisible characters before they look for a formula, and some
/// take the full-width signs for the plain ones, so all of these are looked through; a tab or a line end at the beginning
/// also moves the text into another cell (OWASP, CSV injection).
pub fn neutralised(text: &str) -> String {
    let first = text.trim_start_matches(is_invisible).chars().next();
    let is_formula = first.is_some_and(|first| "=+-@\u{ff1d}\u{ff0b}\u{ff0d}\u{ff20}".contains(first));
    match is_formula || text.starts_with(char::is_control) {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
}

/// White space, control characters, and what has no width: soft hyphens, joiners, marks of direction and of byte order.
fn is_invisible(character: char) -> bool {
    let no_width = matches!(
        character,
        '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    );
    no_width || character.is_whitespace() || character.is_control()
}

/// A predictor as people call it.
fn name(predictor: &str) -> &str {
    match predictor {
        "lastmonth_activity" => "last month's activity",
        "lastyear_activity" => "last year's activity",
        "number_of_employees" => "number of employees",
        other => other,
    }
}

/// A count, to the nearest whole one where it is not small.
fn count(value: f64) -> String {
    match value {
        value if value.fract() == 0.0 || value >= 10.0 => grouped(value.round() as u64),
        value => format!("{value:.1}"),
    }
}
