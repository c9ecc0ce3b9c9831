//! The `[recording]` section.

use super::Format;

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
    /// Days the local files of a recording stay that the store is proven to have; 0 = not at all.
    pub local_days: u32,
    /// Days a recording is kept anywhere, unless its number says otherwise; 0 = for ever.
    pub keep_days: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true, // Any player and any speech recogniser takes it.
            format: Format::Wav,
            store: String::new(),
            // People listen to what was said this week.
            local_days: 7,
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
}

impl Config {
    /// Everything that is wrong with it.
    pub fn errors(&self) -> Vec<ConfigError> {
        let days = [("local_days", self.local_days), ("keep_days", self.keep_days)];
        days.into_iter()
            .filter(|(_, days)| *days > DAYS_MAX)
            .map(|(key, days)| ConfigError::Days { key, days })
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
