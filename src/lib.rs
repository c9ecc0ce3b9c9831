//! Tandem
pub mod call {
    pub mod record;
}
pub mod media;
pub mod model;
pub mod shard;
