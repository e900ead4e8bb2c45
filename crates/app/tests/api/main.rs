//! The service as its clients meet it: the real binary on a free port, asked over HTTP.

#![expect(clippy::unwrap_used, reason = "a test that cannot ask its question has failed")]

mod fuzzing;
mod helpers;
mod prediction;
mod process;
mod raw_sockets;
mod refusals;
mod releases;
mod reports;
