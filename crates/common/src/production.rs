//! Production: the deployed releases, the reports that belong to one, and the rule that replaces the live one.

pub mod drift;
pub mod promotion;
pub mod release;
pub mod reports;
