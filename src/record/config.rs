//! The `[recording]` section.

use std::path::PathBuf;

use super::Format;
use super::announcement::{AnnouncementConfig, AnnouncementError};

/// A hundred years.
const DAYS_MAX: u32 = 36_500;

/// How recordings are kept.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether calls are recorded where neither the number nor whoever places the call says otherwise.
    pub enabled: bool,
    /// What new recordings are.
    pub format: Format,
    /// Where finished recordings go: `s3://BUCKET/PREFIX`, or `file:///FOLDER` of a mounted share. Empty: they stay in
    /// `data.dir`, where nothing else must be running.
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
    /// Days the local files of a recording stay that the store is proven to have; 0 = not at all.
    pub local_days: u32,
    /// What recordings leave free on their disk, in MB; 0 = nothing.
    pub reserve_mb: u32,
    /// Days a recording is kept anywhere, unless its number says otherwise; 0 = for ever.
    pub keep_days: u32,
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
            // People listen to what was said this week.
            local_days: 7,
            // The database's log of the busiest day, and an hour to notice.
            reserve_mb: 256,
            // What is deleted does not come back: only on purpose.
            keep_days: 0,
        }
    }
}

/// A setting that cannot be obeyed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("recording.{key}: {days} days are out of range: write 0 to {DAYS_MAX}")]
    Days { key: &'static str, days: u32 },
    #[error(transparent)]
    Announcement(AnnouncementError),
}

impl Config {
    /// Everything that is wrong with it.
    pub fn errors(&self) -> Vec<ConfigError> {
        let days = [("local_days", self.local_days), ("keep_days", self.keep_days)];
        let days = days.into_iter().filter(|(_, days)| *days > DAYS_MAX);
        let announcements = self.announcement.iter().flat_map(AnnouncementConfig::errors);
        days.map(|(key, days)| ConfigError::Days { key, days })
            .chain(announcements.map(ConfigError::Announcement))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_said_at_start() {
        #[track_caller]
        fn check(text: &str, errors: &[ConfigError]) {
            assert_eq!(toml::from_str::<Config>(text).unwrap().errors(), errors, "{text}");
        }
        check("", &[]);
        check("format = 'wav'", &[]);
        check("format = 'opus'", &[]);
        check("local_days = 0\nkeep_days = 36500", &[]);
        check("keep_days = 36501", &[ConfigError::Days { key: "keep_days", days: 36_501 }]);
        assert!(toml::from_str::<Config>("colour = 'red'").is_err());
        let error = toml::from_str::<Config>("format = 'mp3'").unwrap_err().to_string();
        assert!(error.contains("`wav`") && error.contains("`opus`"), "{error}");
    }
}
