//! The table `dependencies`: the program's dependencies and their newest versions.

use anyhow::Result;

use crate::columns::columns;
use crate::store::History;

columns! {
    /// A dependency of the program.
    DependencyVersions in "dependencies" {
        /// The name of the crate.
        name: String,
        /// The version in this program.
        current: String => "current_version",
        /// The newest version, if the registry returned one.
        latest: Option<String> => "latest_version",
    }
}

impl History {
    /// Returns the newest version of dependency `name` that the registry has ever returned, and when it was recorded.
    pub fn latest_known(&mut self, name: &str) -> Result<Option<(String, String)>> {
        let query = "SELECT dependencies.latest_version, runs.started FROM dependencies JOIN runs ON runs.id = run_id
            WHERE name = ? AND latest_version IS NOT NULL ORDER BY run_id DESC LIMIT 1";
        Ok(self.fetch(query, &[name.into()])?.pop())
    }

    /// Returns when the registry was last asked for the newest versions, whether or not it answered; `None` if it never
    /// was.
    pub fn dependencies_asked(&mut self) -> Result<Option<String>> {
        let query = "SELECT runs.started FROM dependencies JOIN runs ON runs.id = run_id ORDER BY run_id DESC LIMIT 1";
        let asked: Option<(String,)> = self.fetch(query, &[])?.pop();
        Ok(asked.map(|(time,)| time))
    }
}
