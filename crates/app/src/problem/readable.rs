//! Finds the files of the workspace that this process is not allowed to read. The service often runs as a different
//! user than the steps that write them.

use std::fs;
use std::path::{Path, PathBuf};

use common::config::Config;
use common::config::database::DatabaseUrl;
use common::config::is_address;
use common::files::{FINAL_DATA, INGESTION_RECORD};
use common::production::release::RELEASE_FILES;
use rustix::fs::{Access, access};
use rustix::io::Errno;
use rustix::process::getuid;

/// Names the files that this process is not allowed to read, and says what to do; `None` if it may read all.
///
/// Paths are relative to the config file's folder, because clients see this text.
pub fn complaint(config: &Config) -> Option<String> {
    let mut denied: Vec<PathBuf> = Vec::new();
    for (path, wanted) in needed(config) {
        // Files in a closed folder are not named in addition to the folder.
        if access(&path, wanted) == Err(Errno::ACCESS) && !denied.iter().any(|folder| path.starts_with(folder)) {
            denied.push(path);
        }
    }
    if denied.is_empty() {
        return None;
    }
    let shown = |path: &PathBuf| match path.strip_prefix(&config.folder) {
        Ok(inside) => inside.display().to_string(),
        Err(_) => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
    };
    let names: Vec<String> = denied.iter().map(shown).collect();
    Some(format!(
        "the service runs as {}, which is not allowed to read {}; grant access with chmod, chown or setfacl on the \
         server, or run the service as the user that runs the steps",
        this_user(),
        names.join(", ")
    ))
}

/// The files and folders that the service reads, with the wanted access; folders come before their contents.
fn needed(config: &Config) -> Vec<(PathBuf, Access)> {
    let mut needed = vec![(config.output_folder.clone(), Access::EXEC_OK)];
    needed.extend([FINAL_DATA, INGESTION_RECORD].map(|file| (config.output_folder.join(file), Access::READ_OK)));
    if !is_address(&config.test_data) {
        needed.push((config.test_data.clone(), Access::READ_OK | Access::EXEC_OK));
        let entries = fs::read_dir(&config.test_data).into_iter().flatten().flatten();
        needed.extend(entries.map(|entry| (entry.path(), Access::READ_OK)));
    }
    needed.push((config.production.clone(), Access::EXEC_OK));
    needed.extend(RELEASE_FILES.map(|file| (config.production.join(file), Access::READ_OK)));
    if let DatabaseUrl::Sqlite(path) = &config.database {
        needed.extend(path.parent().map(|folder| (folder.to_owned(), Access::EXEC_OK)));
        needed.extend(["", "-wal", "-shm"].map(|suffix| {
            let mut file = path.clone().into_os_string();
            file.push(suffix);
            (file.into(), Access::READ_OK)
        }));
    }
    needed
}

/// The user of this process: the name, if the system's list of users contains it, and the uid.
fn this_user() -> String {
    let number = getuid().to_string();
    let users = fs::read_to_string(Path::new("/etc/passwd")).unwrap_or_default();
    let name = users.lines().find_map(|user| {
        let mut fields = user.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == number).then_some(name)
    });
    match name {
        Some(name) => format!("the user {name} (uid {number})"),
        None => format!("the user with uid {number}"),
    }
}
