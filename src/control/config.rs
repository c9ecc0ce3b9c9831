//! `[http]`: where the doors are.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where programs and people come in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Control API, console and Meta's webhooks. The default is this machine only: whoever opens the
    /// gateway to a network says so, and puts TLS in front or below.
    pub listen: SocketAddr,
    /// `/metrics`, `/livez`, `/readyz`. A listener of its own, so that figures never face the network
    /// by accident.
    pub metrics_listen: SocketAddr,
    /// PEM chain, leaf first. With `tls_key_file`: HTTPS, read again when a file changes. Empty: plain
    /// HTTP, for a proxy in front or for a machine alone.
    pub tls_cert_file: PathBuf,
    /// PEM private key of the leaf.
    pub tls_key_file: PathBuf,
    /// What agents' browsers and Meta see, e.g. `https://calls.example.com`; written into links. Empty:
    /// `listen` as it stands.
    pub public_url: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080),
            metrics_listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9464),
            tls_cert_file: PathBuf::new(),
            tls_key_file: PathBuf::new(),
            public_url: String::new(),
        }
    }
}

/// What is wrong with `[http]`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadConfig {
    #[error("http.tls_cert_file and http.tls_key_file go together: set both for HTTPS or neither")]
    HalfTls,
    #[error("http.listen and http.metrics_listen are the same address: give each its own port")]
    SameAddress,
    #[error("http.public_url must begin with `https://` or `http://` and end without `/`")]
    PublicUrl,
}

impl Config {
    /// Every error at once, each naming its key.
    pub fn errors(&self) -> Vec<BadConfig> {
        let mut errors = Vec::new();
        if self.tls_cert_file.as_os_str().is_empty() != self.tls_key_file.as_os_str().is_empty() {
            errors.push(BadConfig::HalfTls);
        }
        // Port 0 lets the system choose, and never the same one twice.
        if self.listen == self.metrics_listen && self.listen.port() != 0 {
            errors.push(BadConfig::SameAddress);
        }
        let url = &self.public_url;
        let web = url.starts_with("https://") || url.starts_with("http://");
        if !url.is_empty() && (!web || url.ends_with('/')) {
            errors.push(BadConfig::PublicUrl);
        }
        errors
    }

    /// Whether the main listener speaks HTTPS.
    pub fn is_tls(&self) -> bool {
        !self.tls_cert_file.as_os_str().is_empty() && !self.tls_key_file.as_os_str().is_empty()
    }

    /// The address people open: `public_url`, or what `listen` (as bound) amounts to.
    pub fn base_url(&self, bound: SocketAddr) -> String {
        if !self.public_url.is_empty() {
            return self.public_url.clone();
        }
        format!("{}://{bound}", if self.is_tls() { "https" } else { "http" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_is_reported_at_once() {
        let config = Config {
            metrics_listen: Config::default().listen,
            tls_cert_file: "cert.pem".into(),
            public_url: "calls.example.com/".to_owned(),
            ..Config::default()
        };
        assert_eq!(config.errors(), [BadConfig::HalfTls, BadConfig::SameAddress, BadConfig::PublicUrl]);
        assert!(Config::default().errors().is_empty());
    }

    #[test]
    fn an_unknown_key_is_an_error() {
        let error = toml::from_str::<Config>("listn = \"127.0.0.1:1\"").unwrap_err();
        assert!(error.to_string().contains("unknown field `listn`"), "{error}");
    }

    #[test]
    fn the_base_url_is_what_was_configured_or_what_was_bound() {
        let bound = "127.0.0.1:4711".parse().unwrap();
        assert_eq!(Config::default().base_url(bound), "http://127.0.0.1:4711");
        let public = Config { public_url: "https://calls.example.com".to_owned(), ..Config::default() };
        assert_eq!(public.base_url(bound), "https://calls.example.com");
    }
}
