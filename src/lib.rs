//! Tandem
pub mod audio;
pub mod call { pub mod record; }
pub mod media;
pub mod model;
pub mod record;
pub mod shard;
pub mod tap;
