//! Removes old releases. Nothing that the next run, a rollback or a repair could need is removed.

use std::collections::BTreeMap;
use std::fmt;
use std::io::ErrorKind;
use std::num::NonZeroUsize;
use std::path::Path;

use anyhow::{Context, Result, bail};
use common::config::Config;
use common::files::lock::Lock;
use common::outcomes::{DeploymentAction, DeploymentOutcome, KeptBecause, KeptRelease, Pruned, RemovedRelease};
use common::production::release::Production;
use fs_err as fs;

use crate::outcome;

/// Removes all releases except the newest `keep`, the live one, the one that a rollback or a repair would make live, and
/// those by which files wait to be judged; and what killed deployments left. Records the run in the history.
///
/// # Errors
/// Fails without removing anything if it is unknown which release is live or by which releases files wait to be judged.
/// If a folder cannot be removed, those of older releases are gone.
pub fn prune(config: &Config, keep: NonZeroUsize) -> Result<DeploymentOutcome> {
    history::record(config, "deployment", |run| {
        let production = Production::of(config);
        run.keep_lock(Lock::acquire(&production.lock_folder(), "deployment")?);
        run.repair = "the releases were removed: do not run this again";
        let (live, ids) = (production.current_id()?, production.ids()?);
        if !ids.is_empty() && live.as_ref().is_none_or(|live| !ids.contains(live)) {
            bail!(
                "no release was removed, because the live release in {} is lost; run fullprocess, which repairs this, and \
                 then this again",
                config.production.display()
            );
        }
        let mut needed = match &live {
            Some(live) => needed(&production, live)?,
            None => BTreeMap::new(),
        };
        for id in ids.iter().rev().filter(|id| Production::is_release(id)).take(keep.get()) {
            needed.entry(id.clone()).or_default().push(KeptBecause::Newest);
        }
        for id in &ids {
            if !Production::is_release(id) {
                needed.entry(id.clone()).or_default().push(KeptBecause::NoRelease);
            } else if !needed.contains_key(id) && !run.history().waiting_files(id)?.is_empty() {
                needed.insert(id.clone(), vec![KeptBecause::Pending]);
            }
        }
        let mut pruned = Pruned { unfinished_bytes: sweep(&production)?, ..Pruned::default() };
        pruned.bytes = pruned.unfinished_bytes;
        for id in ids {
            match needed.remove(&id) {
                Some(reasons) => pruned.kept.push(KeptRelease { id, reasons }),
                None => {
                    let removed = remove(&production, id, pruned.removed.len())?;
                    pruned.bytes += removed.bytes;
                    pruned.removed.push(removed);
                }
            }
        }
        Ok(DeploymentOutcome { pruned: Some(pruned), ..outcome(config, DeploymentAction::Pruned, live) })
    })
}

/// Returns the releases that the program itself would use: the live one, and those that could replace it.
fn needed(production: &Production, live: &str) -> Result<BTreeMap<String, Vec<KeptBecause>>> {
    let mut needed = BTreeMap::from([(live.to_owned(), vec![KeptBecause::Live])]);
    if let Some(previous) = production.before(live)? {
        let intact = production.newest_intact(Some(&previous))?.map(|release| release.id);
        if let Some(intact) = intact.filter(|intact| *intact != previous) {
            needed.insert(intact, vec![KeptBecause::Repair]);
        }
        needed.insert(previous, vec![KeptBecause::Previous]);
    }
    Ok(needed)
}

/// Removes what killed deployments left; returns its bytes.
fn sweep(production: &Production) -> Result<u64> {
    let before = bytes(&production.lock_folder())?;
    production.sweep()?;
    Ok(before.saturating_sub(bytes(&production.lock_folder())?))
}

fn remove(production: &Production, id: String, before: usize) -> Result<RemovedRelease> {
    let bytes = bytes(&production.lock_folder().join(&id))?;
    production.remove(&id).with_context(|| format!("removing release {id}; {before} older releases were removed"))?;
    Ok(RemovedRelease { id, bytes })
}

/// Returns the bytes of a file, or of all files in a folder and its subfolders. Links are not followed.
fn bytes(path: &Path) -> Result<u64> {
    let file = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
        file => file?,
    };
    if !file.is_dir() {
        return Ok(file.len());
    }
    let mut sum = 0;
    for entry in fs::read_dir(path)? {
        sum += bytes(&entry?.path())?;
    }
    Ok(sum)
}

/// Shows what was removed and kept.
pub fn show(pruned: &Pruned, f: &mut fmt::Formatter) -> fmt::Result {
    let Pruned { removed, kept, unfinished_bytes, bytes } = pruned;
    let releases = |number: usize| format!("{number} release{}", if number == 1 { "" } else { "s" });
    write!(f, "removed {} ({bytes} bytes), kept {}", releases(removed.len()), kept.len())?;
    for RemovedRelease { id, bytes } in removed {
        write!(f, "\n  {id}  removed, {bytes} bytes")?;
    }
    if *unfinished_bytes > 0 {
        write!(f, "\n  what killed deployments had left  removed, {unfinished_bytes} bytes")?;
    }
    for KeptRelease { id, reasons } in kept {
        let reasons: Vec<_> = reasons.iter().map(|reason| sentence(*reason)).collect();
        write!(f, "\n  {id}  kept: {}", reasons.join(", "))?;
    }
    Ok(())
}

fn sentence(reason: KeptBecause) -> &'static str {
    match reason {
        KeptBecause::Live => "it is live",
        KeptBecause::Previous => "deployment --rollback makes it live",
        KeptBecause::Repair => "a repair would make it live",
        KeptBecause::Newest => "it is one of the newest",
        KeptBecause::Pending => "files wait to be judged by it",
        KeptBecause::NoRelease => "it is no release",
    }
}
