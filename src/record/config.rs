//! The `[recording]` section.

/// How recordings are kept.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether calls are recorded where neither the number nor whoever places the call says otherwise.
    pub enabled: bool,
    /// `wav`: both voices decoded, 16 kHz stereo; any player and any speech recogniser takes it.
    pub format: String,
    /// Empty: beside the database, where nothing else must be running.
    pub store: String,
}

impl Default for Config {
    fn default() -> Self {
        Self { enabled: true, format: "wav".to_owned(), store: String::new() }
    }
}

/// A setting this build cannot obey.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("recording.format = \"{0}\" is not available in this version: use \"wav\"")]
    Format(String),
    #[error(
        "recording.store = \"{0}\" is not available in this version: leave it empty, recordings are then kept in data.dir"
    )]
    Store(String),
}

impl Config {
    /// Everything that is wrong with it.
    pub fn errors(&self) -> Vec<ConfigError> {
        let mut errors = Vec::new();
        if self.format != "wav" {
            errors.push(ConfigError::Format(self.format.clone()));
        }
        if !self.store.is_empty() {
            errors.push(ConfigError::Store(self.store.clone()));
        }
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
        check("format = 'opus'", &[ConfigError::Format("opus".into())]);
        check(
            "format = 'mp3'\nstore = 's3://b/p'",
            &[ConfigError::Format("mp3".into()), ConfigError::Store("s3://b/p".into())],
        );
        assert!(toml::from_str::<Config>("colour = 'red'").is_err());
    }
}
