//! Proof that a recording is what was recorded: a chain of digests beside the file while it grows, a signed manifest once
//! it is whole, and the check of both, which needs neither the gateway nor its database.

pub use manifest::{Manifest, ManifestError, manifest_path};
pub use site_key::PublicKey;
pub use verify::{Fault, Report, verify};

pub(super) use chain::{Chain, Mended, mend};
pub(super) use manifest::certify;
pub(super) use site_key::SiteKey;

mod chain;
mod manifest;
mod site_key;
mod verify;
