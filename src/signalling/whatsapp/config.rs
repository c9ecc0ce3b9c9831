//! The `[whatsapp]` section of the configuration.

use std::path::{Path, PathBuf};

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

/// How Meta is reached and recognised.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the Graph API lives; a sandbox or a proxy may stand in for Meta.
    pub graph_url: String,
    /// Meta retires a version about two years after its birth, so it is a setting.
    pub graph_version: String,
    /// Holds the Meta app's secret, which signs webhooks; during its rotation both, one a line. Empty: the
    /// environment must give it.
    pub app_secret_file: PathBuf,
    /// Holds the word that Meta repeats when the webhook's address is set. Empty: the environment must give it.
    pub verify_token_file: PathBuf,
    /// Longest wait for a TCP and TLS connection. Meta answers in tens of milliseconds; 3 s survives one lost SYN.
    pub connect_timeout_ms: u64,
    /// Longest wait for one answer of the Graph API, except to `accept`.
    pub request_timeout_ms: u64,
    /// Longest wait for one answer to `accept`. Shorter, because an agent and a customer both wait and a second try must
    /// still fit into the ring window of about 30 s.
    pub accept_timeout_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            graph_url: "https://graph.facebook.com".to_owned(),
            graph_version: "v26.0".to_owned(),
            app_secret_file: PathBuf::new(),
            verify_token_file: PathBuf::new(),
            connect_timeout_ms: 3_000,
            request_timeout_ms: 10_000,
            accept_timeout_ms: 5_000,
        }
    }
}

impl Config {
    /// Every mistake at once: the key and what to write instead.
    pub fn validate(&self) -> Vec<(&'static str, String)> {
        let mut mistakes = Vec::new();
        match reqwest::Url::parse(&self.graph_url) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none() => {}
            _ => mistakes.push((
                "whatsapp.graph_url",
                format!("`{}` is no web address: write e.g. `https://graph.facebook.com`", self.graph_url),
            )),
        }
        let version = self.graph_version.strip_prefix('v').and_then(|v| v.split_once('.'));
        let is_number = |text: &str| (1..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        if !version.is_some_and(|(major, minor)| is_number(major) && is_number(minor)) {
            mistakes.push((
                "whatsapp.graph_version",
                format!("`{}` is no Graph API version: write e.g. `v26.0`", self.graph_version),
            ));
        }
        for (key, ms) in [
            ("whatsapp.connect_timeout_ms", self.connect_timeout_ms),
            ("whatsapp.request_timeout_ms", self.request_timeout_ms),
            ("whatsapp.accept_timeout_ms", self.accept_timeout_ms),
        ] {
            if !(100..=60_000).contains(&ms) {
                mistakes.push((key, format!("{ms} ms is out of range: write 100 to 60000")));
            }
        }
        mistakes
    }
}

/// A secret's file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    #[error("{key}: cannot read `{path}`; the file must exist and be readable by the user that runs the gateway")]
    Unreadable {
        key: &'static str,
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("{key}: `{path}` is empty; write the secret into it")]
    Empty { key: &'static str, path: String },
}

/// Reads a secret from its file; blank space around it, such as the editor's last line end, is no part of it.
///
/// # Errors
/// [`SecretFileError`], which names the configuration key and the path but never what the file holds.
pub fn read_secret_file(key: &'static str, path: &Path) -> Result<SecretString, SecretFileError> {
    let shown = || path.display().to_string();
    let text =
        std::fs::read_to_string(path).map_err(|source| SecretFileError::Unreadable { key, path: shown(), source })?;
    match text.trim() {
        "" => Err(SecretFileError::Empty { key, path: shown() }),
        secret => Ok(SecretString::from(secret)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn a_missing_section_means_meta_itself_and_an_unknown_key_is_an_error() {
        let config: Config = toml::from_str("").unwrap();
        assert_eq!((config.graph_url.as_str(), config.graph_version.as_str()), ("https://graph.facebook.com", "v26.0"));
        assert!(config.validate().is_empty());
        let error = toml::from_str::<Config>("graph_ulr = \"x\"").unwrap_err().to_string();
        assert!(error.contains("graph_ulr"), "{error}");
    }

    #[test]
    fn every_mistake_is_named_with_its_key() {
        let config = Config {
            graph_url: "graph.facebook.com".to_owned(),
            graph_version: "26".to_owned(),
            connect_timeout_ms: 0,
            ..Config::default()
        };
        let keys: Vec<_> = config.validate().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["whatsapp.graph_url", "whatsapp.graph_version", "whatsapp.connect_timeout_ms"]);
        for version in ["v26.0", "v1.10"] {
            assert!(
                Config { graph_version: version.to_owned(), ..Config::default() }.validate().is_empty(),
                "{version}"
            );
        }
        for version in ["v26", "v26.0/..", "v.0", "26.0", "v26.0?x"] {
            assert!(
                !Config { graph_version: version.to_owned(), ..Config::default() }.validate().is_empty(),
                "{version}"
            );
        }
    }

    #[test]
    fn a_secret_is_read_without_its_line_end_and_a_missing_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app-secret");
        let error = read_secret_file("whatsapp.app_secret_file", &path).unwrap_err().to_string();
        assert!(error.contains("whatsapp.app_secret_file") && error.contains("app-secret"), "{error}");
        std::fs::write(&path, " \n").unwrap();
        let error = read_secret_file("whatsapp.app_secret_file", &path).unwrap_err().to_string();
        assert!(error.contains("is empty"), "{error}");
        std::fs::write(&path, "s3cret\r\n").unwrap();
        assert_eq!(read_secret_file("whatsapp.app_secret_file", &path).unwrap().expose_secret(), "s3cret");
    }
}
