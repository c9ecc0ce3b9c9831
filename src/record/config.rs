//! The `[recording]` section.

use std::path::PathBuf;

use super::Format;
use super::announcement::{AnnouncementConfig, AnnouncementError};

/// How recordings are kept.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether calls are recorded where neither the number nor whoever places the call says otherwise.
    pub enabled: bool,
    /// What new recordings are.
    pub format: Format,
    /// Empty: beside the database, where nothing else must be running.
    pub store: String,
    /// What both parties are told before a call is recorded; the first that fits.
    pub announcement: Vec<AnnouncementConfig>,
    /// Whether recordings get a chain of digests and a signed manifest.
    pub signed: bool,
    /// What signs them. Empty: `site.key` in the data folder, made at the first start.
    pub signing_key_file: PathBuf,
    /// What seals them. Empty: they are not sealed.
    pub encryption_key_file: PathBuf,
    /// What sealed older ones.
    pub former_encryption_key_files: Vec<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true, // Any player and any speech recogniser takes it.
            format: Format::Wav,
            store: String::new(),
            announcement: Vec::new(),
            // It costs a digest of what is written.
            signed: true,
            signing_key_file: PathBuf::new(),
            encryption_key_file: PathBuf::new(),
            former_encryption_key_files: Vec::new(),
        }
    }
}

/// A setting this build cannot obey.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error(
        "recording.store = \"{0}\" is not available in this version: leave it empty, recordings are then kept in data.dir"
    )]
    Store(String),
    #[error(transparent)]
    Announcement(AnnouncementError),
}

impl Config {
    /// Everything that is wrong with it.
    pub fn errors(&self) -> Vec<ConfigError> {
        let mut errors = Vec::new();
        if !self.store.is_empty() {
            errors.push(ConfigError::Store(self.store.clone()));
        }
        errors.extend(self.announcement.iter().flat_map(AnnouncementConfig::errors).map(ConfigError::Announcement));
        errors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_build_cannot_do_is_said_at_start() {
        #[track_caller]
        fn check(text: &str, errors: &[ConfigError]) {
            assert_eq!(toml::from_str::<Config>(text).unwrap().errors(), errors, "{text}");
        }
        check("", &[]);
        check("format = 'wav'", &[]);
        check("format = 'opus'", &[]);
        check("format = 'wav'\nstore = 's3://b/p'", &[ConfigError::Store("s3://b/p".into())]);
        assert!(toml::from_str::<Config>("colour = 'red'").is_err());
        let error = toml::from_str::<Config>("format = 'mp3'").unwrap_err().to_string();
        assert!(error.contains("`wav`") && error.contains("`opus`"), "{error}");
    }
}
