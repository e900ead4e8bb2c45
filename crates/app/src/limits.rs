//! Every limit of the service, in one place. The README of this crate lists them.

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

/// How long a peer may take for its next step in a body or an answer, and for all of it before its pace counts.
pub const GRACE: Duration = Duration::from_secs(10);

/// The slowest pace of a body or an answer after that, in bytes a second, on average.
pub const SLOWEST_PACE: f64 = 64.0 * 1024.0;

/// How long a connection may stay without a request.
pub const IDLE_LIMIT: Duration = Duration::from_secs(5);

/// How long a client may take to send the head of a request, from its first byte on.
pub const HEAD_LIMIT: Duration = Duration::from_secs(5);

/// How long a connection that ends before the whole body has come takes what still comes, so that the answer is not lost.
pub const LINGER_LIMIT: Duration = Duration::from_secs(2);

/// The most memory that may wait for peers, in bytes, over all connections; one answer, the largest, may come on top of it.
pub const MOST_HELD: u64 = 64 << 20;

/// What a request takes of it while its body comes, in bytes, beside the body: its head, and the work that waits.
pub const HELD_BY_REQUEST: u64 = 16 << 10;

/// The most bytes of temporary files that may wait for peers; again, the largest answer may come on top.
pub const MOST_STORED: u64 = 4 << 30;

/// How often deadlines are looked after.
pub const SWEEP: Duration = Duration::from_millis(50);

/// How many requests may wait for a turn at work that is done one at a time.
pub const LONGEST_QUEUE: usize = 32;

/// What a client is told to wait for, in seconds, where that queue is full.
pub const RETRY_AFTER: u64 = 5;

/// How long the database may take to answer a question.
pub const DATABASE_LIMIT: Duration = Duration::from_secs(1);

/// The most rows of the history in one answer.
pub const LONGEST_HISTORY: u32 = 10_000;

/// The most clients in one answer.
pub const LONGEST_CALL_LIST: usize = 100_000;

/// The most connections at once, over all workers.
pub const MOST_CONNECTIONS: usize = 25_000;

/// How long running requests have to finish after SIGTERM.
pub const SHUTDOWN_LIMIT: Duration = Duration::from_secs(30);
