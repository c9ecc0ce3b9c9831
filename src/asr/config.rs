//! The `[asr]` section.

use std::path::PathBuf;

/// How speech is written down.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `builtin`, in this process; `off`.
    pub engine: String,
    /// A folder with a Whisper in CTranslate2's format, 16- or 32-bit: what `make model` brings, or another one.
    pub model: PathBuf,
    /// ISO 639-1, or `auto`: the model finds out for each stretch of speech.
    pub language: String,
    /// Decode threads; 0 = one per core less one, which stays with the media.
    pub threads: usize,
    /// Text while somebody speaks, and not only after: two thirds of all the work.
    pub partials: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            engine: "builtin".to_owned(),
            model: PathBuf::from("models/whisper-tiny.en"),
            language: "en".to_owned(),
            threads: 0,
            partials: true,
        }
    }
}

/// A setting this build cannot obey.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("asr.engine = \"{0}\" is not available in this version: use \"builtin\" or \"off\"")]
    Engine(String),
    #[error("asr.language = \"{0}\": write a language's two letters, e.g. \"en\", or \"auto\"")]
    Language(String),
    #[error("asr.threads = {0}: that many threads would only wait for each other; use at most {THREADS_MAX}, or 0")]
    Threads(usize),
}

/// Each thread needs some 80 MB besides the weights.
const THREADS_MAX: usize = 64;

impl Config {
    /// Everything that is wrong with it. Whether there is a model is not asked here: without one, calls go on.
    pub fn errors(&self) -> Vec<ConfigError> {
        let mut errors = Vec::new();
        if !["builtin", "off"].contains(&self.engine.as_str()) {
            errors.push(ConfigError::Engine(self.engine.clone()));
        }
        let is_code = (2..=3).contains(&self.language.len()) && self.language.bytes().all(|b| b.is_ascii_lowercase());
        if !is_code && self.language != "auto" {
            errors.push(ConfigError::Language(self.language.clone()));
        }
        if self.threads > THREADS_MAX {
            errors.push(ConfigError::Threads(self.threads));
        }
        errors
    }

    /// The language; `None` = to be found out.
    pub fn language(&self) -> Option<&str> {
        Some(self.language.as_str()).filter(|language| *language != "auto")
    }

    /// How many threads to run, at least one.
    pub fn threads(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        if self.threads > 0 { self.threads } else { cores().saturating_sub(1).clamp(1, THREADS_MAX) }
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
        check("engine = 'off'\nlanguage = 'auto'\nthreads = 2", &[]);
        check("engine = 'vosk'", &[ConfigError::Engine("vosk".into())]);
        check(
            "engine = ''\nlanguage = 'English'",
            &[ConfigError::Engine(String::new()), ConfigError::Language("English".into())],
        );
        check("threads = 100", &[ConfigError::Threads(100)]);
        assert!(toml::from_str::<Config>("colour = 'red'").is_err());
    }
}
