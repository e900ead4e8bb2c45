//! All limits of the service. The README of this crate lists them.

use std::time::Duration;

/// Maximum size of a JSON body in bytes; the body is held in memory.
pub const LARGEST_JSON: u64 = 16 << 20;

/// Maximum number of rows of a JSON body: a row `{},` takes three bytes to send but a hundred bytes of memory.
pub const MOST_SENT_ROWS: usize = 100_000;

/// Maximum size of a CSV body in bytes; the body is read as it arrives and never held in memory.
pub const LARGEST_CSV: u64 = 4 << 30;

/// Maximum number of rows of a JSON answer, whose columns are held in memory. A CSV answer may have any number of rows.
pub const MOST_JSON_ROWS: usize = 1_000_000;

/// Maximum size in bytes of a body that is read and answered on the event loop, which takes less than a millisecond.
pub const LIGHT_BODY: u64 = 64 << 10;

/// Number of larger bodies that may be received at the same time.
pub const LARGE_BODIES: usize = 16;

/// How long a peer may take for its next step in a body or an answer. It is also the time for which a body or an answer
/// may be slow before its pace counts.
pub const GRACE: Duration = Duration::from_secs(10);

/// Minimum average pace of a body or an answer after that, in bytes per second.
pub const SLOWEST_PACE: f64 = 64.0 * 1024.0;

/// How long a connection may stay open without a request.
pub const IDLE_LIMIT: Duration = Duration::from_secs(5);

/// How long a client may take to send the head of a request, counted from its first byte.
pub const HEAD_LIMIT: Duration = Duration::from_secs(5);

/// How long a connection that ends before its request's body has arrived keeps reading the rest, so that the peer does
/// not lose the answer.
pub const LINGER_LIMIT: Duration = Duration::from_secs(2);

/// Maximum memory in bytes that may be held for peers, over all connections. The largest single answer is not counted.
pub const MOST_HELD: u64 = 64 << 20;

/// Bytes that a request counts towards [`MOST_HELD`] while its body arrives, in addition to the body: its head and its
/// suspended task.
pub const HELD_BY_REQUEST: u64 = 16 << 10;

/// Maximum bytes of temporary files that may be held for peers. Again, the largest single answer is not counted.
pub const MOST_STORED: u64 = 4 << 30;

/// Interval at which the deadlines of all connections are checked.
pub const SWEEP: Duration = Duration::from_millis(50);

/// Number of requests that may wait for each kind of work that is done one at a time.
pub const LONGEST_QUEUE: usize = 32;

/// Value of `Retry-After` in seconds when a queue is full.
pub const RETRY_AFTER: u64 = 5;

/// How long the database may take to answer a query.
pub const DATABASE_LIMIT: Duration = Duration::from_secs(1);

/// Maximum number of history rows in one answer.
pub const LONGEST_HISTORY: u32 = 10_000;

/// Maximum number of clients in one answer.
pub const LONGEST_CALL_LIST: usize = 100_000;

/// Maximum number of simultaneous connections, over all workers.
pub const MOST_CONNECTIONS: usize = 25_000;

/// How long running requests have to finish after SIGTERM.
pub const SHUTDOWN_LIMIT: Duration = Duration::from_secs(30);
