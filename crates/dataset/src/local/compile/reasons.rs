//! Why rows of one file are malformed, in bounded memory.

use std::collections::BTreeMap;

use crate::local::check::{MOST_LINES, MOST_REASONS, RowFault};
use crate::rules::Malformed;

/// The reasons by their text.
#[derive(Default)]
pub struct Reasons(BTreeMap<String, RowFault>);

impl Reasons {
    /// Adds the malformed row on line `line`, with the text of its reason.
    pub fn add(&mut self, line: u64, malformed: &Malformed, text: String) {
        if let Some(known) = self.0.get_mut(&text) {
            known.rows += 1;
            if known.lines.len() < MOST_LINES {
                known.lines.push(line);
            }
        } else if self.0.len() < MOST_REASONS {
            let column = malformed.column().map(str::to_owned);
            self.0.insert(text.clone(), RowFault { column, reason: text, rows: 1, lines: vec![line] });
        }
    }

    /// Returns the reasons, ordered by their first lines.
    pub fn in_order_of_lines(self) -> Vec<RowFault> {
        let mut faults: Vec<RowFault> = self.0.into_values().collect();
        faults.sort_by(|a, b| a.lines.cmp(&b.lines));
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted_and_neither_lines_nor_reasons_grow_without_a_limit() {
        let mut reasons = Reasons::default();
        let mut add = |line: u64, malformed: Malformed| reasons.add(line, &malformed, malformed.to_string());
        for line in 2..1_002 {
            add(line, Malformed::FieldCount(line as usize, 5));
        }
        for line in 2_000..12_000 {
            add(line, Malformed::FieldCount(3, 5));
        }
        let faults = reasons.in_order_of_lines();
        assert_eq!(faults.len(), MOST_REASONS);
        assert_eq!(faults[0].lines, [2]);
        assert_eq!((faults[1].rows, faults[1].lines.len(), faults[1].lines[1]), (10_001, MOST_LINES, 2_000));
        assert_eq!((faults[1].column.as_deref(), &*faults[1].reason), (None, "3 fields where the header has 5"));
    }
}
