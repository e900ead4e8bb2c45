//! What is known about the live model and its clients, as data and sentences.

pub mod call_list;
pub mod evidence;
pub mod trends;
pub mod words;
