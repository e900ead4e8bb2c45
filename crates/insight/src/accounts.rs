//! Accounts: who looks after a client, and what the client is worth. They come from a file of the customer management
//! system, are joined to the call list and are never predictors.

use std::collections::HashMap;

/// The accounts of a file.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    /// Names of the further columns, in the order of the file.
    pub columns: Vec<String>,
    /// The accounts by the client's id.
    pub by_client: HashMap<String, Account>,
}

/// The account of one client.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Account {
    /// Who looks after the client.
    pub owner: Option<String>,
    /// What the client is worth, at least 0.
    pub value: Option<f64>,
    /// The values of the further columns, such as a segment or a telephone number; empty if missing.
    pub further: Vec<String>,
}
