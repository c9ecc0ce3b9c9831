//! Tandem
pub mod call;
pub mod media;
pub mod model;
pub mod policy;
pub mod shard;
pub mod store;
pub mod switchboard;
