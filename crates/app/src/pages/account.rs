//! The account of a client: who looks after it, what it is worth, and the further columns of the file of accounts.

use insight::wording::{capitalised, grouped};
use insight::{Account, Accounts};
use maud::{Markup, html};

/// Maximum number of further columns beside a client's name.
const MOST_COLUMNS: usize = 3;

/// The owner and the first further columns, for a list of clients.
pub fn short(accounts: &Accounts, account: &Account) -> Markup {
    html! {
        ul.account {
            @if let Some(owner) = &account.owner { li { span.unseen { "Owner: " } (owner) } }
            @for (column, text) in further(accounts, account).take(MOST_COLUMNS) {
                li { span.unseen { (column) ": " } (telephone(text)) }
            }
        }
    }
}

/// The whole account as the items of a list of descriptions.
pub fn items(accounts: &Accounts, account: &Account) -> Markup {
    html! {
        @if let Some(owner) = &account.owner { div { dt { "Owner" } dd { (owner) } } }
        @if let Some(value) = account.value { div { dt { "Value" } dd { (money(value)) } } }
        @for (column, text) in further(accounts, account) { div { dt { (capitalised(column)) } dd { (telephone(text)) } } }
    }
}

/// The names and texts of the further columns that are not empty.
fn further<'a>(accounts: &'a Accounts, account: &'a Account) -> impl Iterator<Item = (&'a str, &'a str)> {
    let columns = accounts.columns.iter().zip(&account.further);
    columns.filter(|(_, text)| !text.is_empty()).map(|(column, text)| (column.as_str(), text.as_str()))
}

/// An amount of money, in the currency of the accounts.
pub fn money(value: f64) -> String {
    grouped(value.round() as u64)
}

/// A text of an account; a telephone number becomes a link that dials it.
fn telephone(text: &str) -> Markup {
    let digits: String = text.chars().filter(|character| character.is_ascii_digit() || *character == '+').collect();
    let is_number = digits.len() > 5
        && text.starts_with(['+', '0', '('])
        && text.chars().all(|character| character.is_ascii_digit() || "+-/() ".contains(character));
    html! { @if is_number { a href={ "tel:" (digits) } { (text) } } @else { (text) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_telephone_number_becomes_a_link() {
        assert!(telephone("+49 (30) 123-456").into_string().contains("href=\"tel:+4930123456\""));
        for other in ["2026-11-30", "0.5", "SMB", "<b>", "030 12345 (Anna)"] {
            assert!(!telephone(other).into_string().contains("href"), "{other}");
        }
    }
}
