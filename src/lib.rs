//! Tandem
pub mod call { pub mod record; }
pub mod media;
pub mod model;
pub mod policy;
pub mod shard;
pub mod signalling;
pub mod store;
pub mod switchboard;
