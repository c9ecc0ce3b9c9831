//! Tandem
pub mod bus;
pub mod call { pub mod record; }
pub mod console;
pub mod control;
pub mod media;
pub mod metrics;
pub mod model;
pub mod policy;
pub mod shard;
pub mod signalling;
pub mod store;
pub mod switchboard;
