//! Files that queries read by a name.
//!
//! A view is not stored on the server: its definition is sent with every query that names it, so a query has the same
//! meaning in a session that replaces a lost one.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::spark::plan::Files;

type Definitions = Arc<Mutex<BTreeMap<String, Files>>>;

/// The views of a connection.
#[derive(Default)]
pub struct Views {
    definitions: Definitions,
    added: AtomicU64,
}

impl Views {
    /// Creates a name for `files`, which is valid until the view is dropped.
    pub fn add(&self, files: Files) -> View {
        // All names have the same length, so that none is part of another.
        let name = format!("files_{:012}", self.added.fetch_add(1, Ordering::Relaxed));
        self.definitions.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), files);
        View { name, definitions: self.definitions.clone() }
    }

    /// Returns the views that a query names.
    pub fn named_in(&self, sql: &str) -> Vec<(String, Files)> {
        let definitions = self.definitions.lock().unwrap_or_else(PoisonError::into_inner);
        let named = definitions.iter().filter(|(name, _)| sql.contains(name.as_str()));
        named.map(|(name, files)| (name.clone(), files.clone())).collect()
    }
}

/// A name for files; its `Display` is that name.
pub struct View {
    name: String,
    definitions: Definitions,
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.definitions.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_takes_along_the_views_that_it_names_and_no_others() {
        let views = Views::default();
        let files = |path: &str| Files {
            format: "text",
            options: Vec::new(),
            paths: vec![path.to_owned()],
            columns: vec!["value"],
        };
        let (a, b) = (views.add(files("a")), views.add(files("b")));
        assert_eq!(views.named_in(&format!("SELECT * FROM {b}")), [(b.to_string(), files("b"))]);
        assert_eq!(views.named_in(&format!("SELECT * FROM {a} JOIN {b}")).len(), 2);
        let name = a.to_string();
        drop(a);
        assert!(views.named_in(&name).is_empty());
    }
}
