//! Every limit of the service, in one place. README lists them.

use std::time::Duration;

/// The largest JSON body, in bytes; it is held in memory.
pub const LARGEST_JSON: u64 = 16 << 20;

/// The most rows of a JSON body: `{},` is three bytes to send and a hundred to hold.
pub const MOST_SENT_ROWS: usize = 100_000;

/// The largest CSV body, in bytes; it is read as it comes and never held.
pub const LARGEST_CSV: u64 = 4 << 30;

/// The most rows of an answer in JSON, whose columns are held in memory. As CSV there may be any number.
pub const MOST_JSON_ROWS: usize = 1_000_000;

/// The largest body that is read and answered on the event loop; that takes less than a millisecond.
pub const LIGHT_BODY: u64 = 64 << 10;

/// How many larger bodies are taken in at once.
pub const LARGE_BODIES: usize = 16;

/// How long a body may take before its pace counts.
pub const BODY_GRACE: Duration = Duration::from_secs(10);

/// The slowest pace of a body after that, in bytes a second, on average.
pub const SLOWEST_BODY: f64 = 64.0 * 1024.0;

/// How long a client may take to send the head of a request.
pub const HEAD_LIMIT: Duration = Duration::from_secs(5);

/// How many requests may wait for a turn at work that is done one at a time.
pub const LONGEST_QUEUE: usize = 32;

/// What a client is told to wait for, in seconds, where that queue is full.
pub const RETRY_AFTER: u64 = 5;

/// The most rows of the history in one answer.
pub const LONGEST_HISTORY: u32 = 10_000;

/// The most clients in one answer.
pub const LONGEST_CALL_LIST: usize = 100_000;

/// The most connections at once, over all workers.
pub const MOST_CONNECTIONS: usize = 25_000;

/// How long running requests have to finish after SIGTERM, in seconds.
pub const SHUTDOWN_SECONDS: u64 = 30;
