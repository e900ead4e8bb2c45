//! Facts about the live model and its clients, as data and sentences. All of them refer to one model: that of the live
//! release.
//!
//! [`Evidence`] gathers the data once. [`CallList`] ranks the current clients and explains their risks. [`calls`] and
//! [`sections`] turn both into [`Section`]s: the titles, sentences, tables and figures that the PDF and the web pages
//! show. Each sentence and label is written here and nowhere else; the renderers only lay them out.
//!
//! The same inputs give the same sections: there is no clock and no random number without a seed.

mod accounts;
mod agenda;
pub mod call_list;
mod changes;
mod contacts;
mod effect;
mod evidence;
mod figures;
mod headline;
mod published;
mod section;
mod sections;
mod segments;
pub mod wording;

pub use self::accounts::{Account, Accounts};
pub use self::agenda::{Agenda, CallRules, Entry, Ranking, Turn};
pub use self::call_list::{Call, CallList};
pub use self::changes::{Changes, Why, day};
pub use self::contacts::Contacts;
pub use self::effect::{Effect, Group, Verdict};
pub use self::evidence::{Compiled, Evidence, test_pairs};
pub use self::figures::{Figures, Pictures};
pub use self::headline::Headline;
pub use self::published::{ListOutcome, PastList, Published, list_to_record};
pub use self::section::{Cell, Column, Part, Section, Table};
pub use self::sections::{calls, front, other_calls, sections};
pub use self::segments::Segments;
