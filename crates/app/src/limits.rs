//! All limits of the service, and who waits for what. The README of this crate lists the limits for clients.
//!
//! Requests that need only the live model and at most [`SMALL_BODY`] bytes are answered on the event loop. All other
//! work runs on other threads, and waits like this:
//!
//! | field of `State` | for what | at once | waiting | otherwise the client gets |
//! |---|---|---|---|---|
//! | `scoring_queue` | scores, diagnoses, column statistics | 1 | 32 | 503 with `Retry-After` |
//! | `page_queue` | pages and the call list | 1 | 2,000 | the same |
//! | `history_queue` | database queries for `/history` | 1 | 32 | the same |
//! | `contact_queue` | recording contacts, for at most 10 s | 1 | 200, for at most 10 s | the same |
//! | `file_queue` | predictions from a file on the server | 1 | 32 | the same |
//! | `inference_queue` | inference requests (`/v2`) | 1 | 200 | the same |
//! | `large_bodies` | receiving a body of more than 64 KiB | 16 | 0 | the same |
//! | `computing` | processing what was received of large bodies and files | 1 | those 17 | (waits) |
//! | `scores`, `diagnoses` | an answer younger than `answer_max_age`, else one made in `scoring_queue` | | | the stored answer |
//! | `views` | data of pages, made again when a file, the release or the history changes | 1 | those of the queues | (waits) |
//! | `live` | loading a new release | 1 | | the answer of the previous release, or waits if there is none |
//! | `last_known` | database queries for `/metrics`, for at most 2 s | 1 | any | what was known before |
//! | `circuit_breaker` | opening the database, for at most 1 s; pauses for 5 s after a slow failure | | | pages without the model's state, `/history` and `/contacts` with 503 |
//!
//! [`Queue`](crate::queue::Queue) and [`LargeBodies`](crate::queue::LargeBodies) are the queues and the semaphore,
//! [`cache`](crate::cache) contains the caches. Connections wait for their peers in `http`: a connection whose peer is
//! too slow is closed, and so are those that have waited longest if there are too many or if their answers hold too
//! much memory or disk space.

use std::time::Duration;

/// Maximum size of a JSON body in bytes; the body is held in memory.
pub const LARGEST_JSON: u64 = 16 << 20;

/// Maximum number of rows of a JSON body or of an inference request: a row `{},` takes three bytes to send but a hundred bytes of memory.
pub const MOST_SENT_ROWS: usize = 100_000;

/// Maximum size of a CSV body in bytes; the body is read as it arrives and never held in memory.
pub const LARGEST_CSV: u64 = 4 << 30;

/// Maximum number of rows of a JSON answer, whose columns are held in memory. A CSV answer may have any number of rows.
pub const MOST_JSON_ROWS: usize = 1_000_000;

/// Maximum size in bytes of a body that is read and answered on the event loop, which takes less than a millisecond.
pub const SMALL_BODY: u64 = 64 << 10;

/// Number of larger bodies that may be received at the same time.
pub const LARGE_BODIES: usize = 16;

/// How long a peer may take for its next step in a body or an answer. It is also the time for which a body or an answer
/// may be slow before its rate counts.
pub const GRACE: Duration = Duration::from_secs(10);

/// Minimum average rate of a body or an answer after that, in bytes per second.
pub const MINIMUM_RATE: f64 = 64.0 * 1024.0;

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

/// Number of requests that may wait in a queue for work that can take long.
pub const LONGEST_QUEUE: usize = 32;

/// Number of requests that may wait for a page or the call list, which take milliseconds unless their data have changed.
pub const LONGEST_PAGE_QUEUE: usize = 2000;

/// Number of requests that may wait to record contacts.
pub const LONGEST_CONTACT_QUEUE: usize = 200;

/// Number of inference requests that may wait. Their bodies are held in memory; large ones are limited by [`LARGE_BODIES`].
pub const LONGEST_INFERENCE_QUEUE: usize = 200;

/// Maximum size in bytes of a body with contacts.
pub const LARGEST_CONTACTS: u64 = 1 << 20;

/// Maximum number of contacts in one request.
pub const MOST_CONTACTS: usize = 10_000;

/// How long a request may wait to record contacts, and how long recording them may then take. It is longer than
/// [`DATABASE_LIMIT`], because an ingestion that is writing its clients keeps SQLite locked.
pub const CONTACT_LIMIT: Duration = Duration::from_secs(10);

/// Value of `Retry-After` in seconds when a queue is full or too much is being sent.
pub const RETRY_AFTER: u64 = 5;

/// How long the database may take to answer a query.
pub const DATABASE_LIMIT: Duration = Duration::from_secs(1);

/// How long `/metrics` waits for the database, over all its queries. Prometheus gives up after 10 s by default.
pub const SCRAPE_LIMIT: Duration = Duration::from_secs(2);

/// A failure to open the database that takes longer than this counts as slow.
pub const SLOW_FAILURE: Duration = Duration::from_millis(500);

/// Pause after a slow failure in which the database is not opened.
pub const CIRCUIT_OPEN: Duration = Duration::from_secs(5);

/// Maximum number of characters in the detail of a problem document. A detail repeats parts of the request, which may
/// be megabytes long.
pub const LONGEST_DETAIL: usize = 600;

/// Maximum number of history rows in one answer.
pub const LONGEST_HISTORY: u32 = 10_000;

/// Maximum number of clients in one answer.
pub const LONGEST_CALL_LIST: usize = 100_000;

/// Maximum number of simultaneous connections, over all workers.
pub const MOST_CONNECTIONS: usize = 25_000;

/// Number of connections that may wait to be accepted.
pub const BACKLOG: u32 = 1024;

/// How long running requests have to finish after SIGTERM.
pub const SHUTDOWN_LIMIT: Duration = Duration::from_secs(30);
