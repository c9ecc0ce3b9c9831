//! The keys of recordings: the one that signs them, the one that seals them, and those that sealed older ones.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::proof::{PublicKey, SiteKey};
use super::seal::{self, Master};
use super::{Config, KeyError, keyfile};

const SIGNING: &str = "recording.signing_key_file";
const SEALING: &str = "recording.encryption_key_file";
const FORMER: &str = "recording.former_encryption_key_files";

/// What recordings are signed and sealed with, and opened again. Empty by default: neither.
#[derive(Clone, Default)]
pub struct Vault(Arc<Keys>);

#[derive(Default)]
struct Keys {
    site: Option<SiteKey>,
    seals: bool,
    /// The first one seals, if any does; all of them open.
    masters: Vec<Master>,
}

impl Vault {
    /// The keys of a gateway. The signing key is made in `data_dir` at the first start.
    ///
    /// # Errors
    /// [`KeyError`] when a key that is configured cannot be had: recordings are then not made, rather than without it.
    pub fn open(config: &Config, data_dir: &Path) -> Result<Self, KeyError> {
        let site = match (config.signed, config.signing_key_file.as_os_str().is_empty()) {
            (false, _) => None,
            (true, true) => Some(keyfile::read_or_make(SIGNING, &data_dir.join("site.key"))?),
            (true, false) => Some(keyfile::read(SIGNING, &config.signing_key_file)?),
        };
        let masters = Self::read_masters(config)?;
        let seals = !config.encryption_key_file.as_os_str().is_empty();
        Ok(Self(Arc::new(Keys { site: site.as_ref().map(SiteKey::new), seals, masters })))
    }

    /// The keys that open recordings, and what they were signed with if that lies here: nothing is made.
    ///
    /// # Errors
    /// [`KeyError`] when a key that is configured cannot be read.
    pub fn for_reading(config: &Config, data_dir: &Path) -> Result<Self, KeyError> {
        let own = data_dir.join("site.key");
        let site = match config.signing_key_file.as_os_str().is_empty() {
            true if own.exists() => Some(keyfile::read(SIGNING, &own)?),
            true => None,
            false => Some(keyfile::read(SIGNING, &config.signing_key_file)?),
        };
        let masters = Self::read_masters(config)?;
        Ok(Self(Arc::new(Keys { site: site.as_ref().map(SiteKey::new), seals: false, masters })))
    }

    /// What others check this gateway's signatures with.
    pub fn public_key(&self) -> Option<PublicKey> {
        self.0.site.as_ref().map(SiteKey::public_key)
    }

    /// Which key seals new recordings, if any does.
    pub fn sealing_key_id(&self) -> Option<String> {
        self.sealing().map(|master| master.id().to_string())
    }

    /// Whether a file of sound that begins like this is as recordings lie here: sealed, if they are to be.
    pub fn fits(&self, start: &[u8]) -> bool {
        self.sealing().is_none() || seal::is_sealed(start)
    }

    pub(super) fn signs(&self) -> bool {
        self.0.site.is_some()
    }

    pub(super) fn site(&self) -> Option<&SiteKey> {
        self.0.site.as_ref()
    }

    /// What new recordings are sealed with.
    pub(super) fn sealing(&self) -> Option<&Master> {
        self.0.masters.first().filter(|_| self.0.seals)
    }

    pub(super) fn masters(&self) -> &[Master] {
        &self.0.masters
    }

    fn read_masters(config: &Config) -> Result<Vec<Master>, KeyError> {
        let first = Some(&config.encryption_key_file).filter(|file| !file.as_os_str().is_empty());
        let first = first.map(|file| (SEALING, file));
        let former = config.former_encryption_key_files.iter().map(|file| (FORMER, file));
        first.into_iter().chain(former).map(|(setting, file)| Ok(Master::new(&keyfile::read(setting, file)?))).collect()
    }
}

/// Which keys, never the keys.
impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let masters: Vec<String> = self.0.masters.iter().map(|master| master.id().to_string()).collect();
        let public_key = self.public_key().map(|key| key.to_string());
        f.debug_struct("Vault").field("public_key", &public_key).field("masters", &masters).finish()
    }
}
