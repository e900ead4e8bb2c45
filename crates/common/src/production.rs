//! Production: the deployed releases, the reports that belong to one, the rule that replaces the live one, the hold that
//! prevents this, and the last run of the process that applies the rule.

pub mod drift;
pub mod hold;
pub mod last_run;
pub mod promotion;
pub mod release;
pub mod reports;

use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result};
use fs_err as fs;
use serde::de::DeserializeOwned;

/// Reads a file of JSON; `None` if there is none.
fn json_if_any<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        text => serde_json::from_slice(&text?).map(Some).with_context(|| path.display().to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use fs_err as fs;

    use crate::config::Config;

    /// Writes a valid config into `folder` and loads it.
    pub fn valid_config(folder: &Path) -> Config {
        for name in ["in", "test"] {
            fs::create_dir(folder.join(name)).unwrap();
        }
        let text = r#"{"input_folder_path": "in", "output_folder_path": "out", "test_data_path": "test",
            "output_model_path": "models", "prod_deployment_path": "production"}"#;
        fs::write(folder.join("config.json"), text).unwrap();
        Config::load(Some(&folder.join("config.json"))).unwrap()
    }
}
