//! Production: the deployed releases, the reports that belong to one, the rule that replaces the live one, and the hold
//! that prevents this.

pub mod drift;
pub mod hold;
pub mod promotion;
pub mod release;
pub mod reports;
