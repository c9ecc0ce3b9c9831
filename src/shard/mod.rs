//! Shards: one thread each, one agent port each, every leg of a call on one of them.

pub use command::{Command, ShardEvent};

mod command;
