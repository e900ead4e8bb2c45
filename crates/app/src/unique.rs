//! Names that occur only once: ids of requests and keys of forms. They are unique, not secret.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Returns a key that no other call returns, in this process or in another one: letters, digits and a hyphen.
pub fn key() -> String {
    static PROCESS: LazyLock<String> = LazyLock::new(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        format!("{:x}{:x}", now.as_micros(), std::process::id())
    });
    static CALLS: AtomicU64 = AtomicU64::new(0);
    format!("{}-{:x}", *PROCESS, CALLS.fetch_add(1, Ordering::Relaxed))
}
