//! The `[summary]` section.

use regex::Regex;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Who sums calls up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Rules: sentences of the call itself. Nothing leaves the process.
    #[default]
    Extractive,
    /// A language model behind any endpoint that speaks OpenAI's chat completions.
    Openai,
    Off,
}

/// Whether people's details leave the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pii {
    /// They go out as `[PHONE_1]` and come back as themselves.
    #[default]
    Mask,
    Off,
}

/// How calls are summed up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub engine: Engine,
    /// The endpoint's base, up to and with its version: `https://api.openai.com/v1`, `http://127.0.0.1:11434/v1`.
    pub url: String,
    /// As the endpoint calls it.
    pub model: String,
    /// Holds the endpoint's key. Empty: the environment gives it, or the endpoint wants none.
    pub api_key_file: PathBuf,
    /// For the language model's whole work, tries and repairs included. 50 s leave the rules time to stand in within the
    /// minute after which people expect a summary.
    pub timeout_s: u64,
    /// ISO 639-1 of the model's wording. Empty: the call's own language.
    pub language: String,
    /// A longer transcript is summed up in parts. About four letters are a token; 6,000 fit the small models people host.
    pub chunk_tokens: usize,
    pub pii: Pii,
    /// Names and other words that are masked too; case does not matter.
    pub pii_words: Vec<String>,
    /// National identity numbers and whatever else has a shape, as regular expressions.
    pub pii_patterns: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            engine: Engine::Extractive,
            url: String::new(),
            model: String::new(),
            api_key_file: PathBuf::new(),
            timeout_s: 50,
            language: String::new(),
            chunk_tokens: 6_000,
            pii: Pii::Mask,
            pii_words: Vec::new(),
            pii_patterns: Vec::new(),
        }
    }
}

impl Config {
    /// Every mistake at once: the key, what is wrong, and what to write instead.
    pub fn errors(&self) -> Vec<String> {
        let mut errors = Vec::new();
        if self.engine == Engine::Openai {
            match reqwest::Url::parse(&self.url) {
                Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none() => {}
                _ => errors.push(
                    "summary.url: engine \"openai\" needs the address of the endpoint: write e.g. \
                     \"http://127.0.0.1:11434/v1\", or set summary.engine = \"extractive\""
                        .to_owned(),
                ),
            }
            if self.model.trim().is_empty() {
                errors.push(
                    "summary.model: engine \"openai\" needs the model's name, as the endpoint calls it".to_owned(),
                );
            }
        }
        if !(5..=300).contains(&self.timeout_s) {
            errors.push(format!("summary.timeout_s: {} s is out of range: write 5 to 300", self.timeout_s));
        }
        if !(500..=200_000).contains(&self.chunk_tokens) {
            errors.push(format!("summary.chunk_tokens: {} is out of range: write 500 to 200000", self.chunk_tokens));
        }
        let is_code = self.language.len() == 2 && self.language.bytes().all(|b| b.is_ascii_lowercase());
        if !self.language.is_empty() && !is_code {
            errors
                .push(format!("summary.language: `{}` is no language: write two letters, e.g. \"en\"", self.language));
        }
        if self.pii_words.iter().any(|word| word.trim().is_empty()) {
            errors.push("summary.pii_words: an empty word would match everywhere: take it out".to_owned());
        }
        for pattern in &self.pii_patterns {
            match Regex::new(pattern) {
                Err(error) => {
                    errors.push(format!("summary.pii_patterns: `{pattern}` is no regular expression: {error}"))
                }
                Ok(regex) if regex.is_match("") => {
                    errors.push(format!("summary.pii_patterns: `{pattern}` matches nothing at all: make it longer"));
                }
                Ok(_) => {}
            }
        }
        errors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_section_sums_up_by_rules_and_masks() {
        let config: Config = toml::from_str("").unwrap();
        assert_eq!((config.engine, config.pii), (Engine::Extractive, Pii::Mask));
        assert_eq!(config.errors(), Vec::<String>::new());
    }

    #[test]
    fn every_mistake_is_named_with_its_key_and_its_remedy() {
        let check = |text: &str, wanted: &[&str]| {
            let errors = toml::from_str::<Config>(text).unwrap().errors();
            assert_eq!(errors.len(), wanted.len(), "{text}: {errors:#?}");
            for (error, start) in errors.iter().zip(wanted) {
                assert!(error.starts_with(start), "{text}: {error}");
            }
        };
        check("engine = \"openai\"", &["summary.url: engine \"openai\" needs", "summary.model: engine"]);
        check("engine = \"openai\"\nurl = \"localhost:1/v1\"\nmodel = \"m\"", &["summary.url"]);
        check("engine = \"openai\"\nurl = \"http://localhost:1/v1\"\nmodel = \"m\"", &[]);
        check("timeout_s = 0\nchunk_tokens = 1", &["summary.timeout_s: 0 s is out", "summary.chunk_tokens: 1 is out"]);
        check("language = \"English\"", &["summary.language: `English` is no language"]);
        check("pii_words = [\" \"]", &["summary.pii_words"]);
        check(
            "pii_patterns = [\"(\", \"x*\"]",
            &["summary.pii_patterns: `(`", "summary.pii_patterns: `x*` matches nothing"],
        );
    }
}
