//! The service as its clients see it: the real binary on a free port, tested over HTTP.

#![expect(clippy::unwrap_used, reason = "a test that cannot ask its question has failed")]

mod alerts;
mod batch;
mod browser;
mod call_list;
mod columns;
mod connections;
mod contact_faults;
mod contacts;
mod contract;
mod flood;
mod fuzzing;
mod helpers;
mod host_names;
mod inference;
mod look;
mod monitoring;
mod operations;
mod other_user;
mod pages;
mod prediction;
mod process;
mod prometheus;
mod protection;
mod raw_sockets;
mod refusals;
mod releases;
mod reports;
