//! The `[fork]` and `[worker]` sections: the sending and the receiving side.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::websocket::Target;

/// Where calls' sound is sent beside being bridged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `host:port` of each `tandem worker`. With one or more, recording and decoding move there; empty: they stay here.
    pub workers: Vec<String>,
    /// PEM of the authority that signed the workers' certificates, which must name their hosts.
    pub ca_file: PathBuf,
    /// SHA-256 of workers' certificates in hex, as `tandem worker` prints it: instead of an authority.
    pub pins: Vec<String>,
    /// Holds the word that workers know this gateway by; the same file as theirs.
    pub token_file: PathBuf,
    /// A worker decodes some 250 calls on a core; beyond this many the next worker, or the gateway itself, takes the call.
    pub calls_per_worker: usize,
    /// Listeners that speak Twilio's media streams; each gets every recorded call, decoded.
    pub websocket: Vec<Target>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            workers: Vec::new(),
            ca_file: PathBuf::new(),
            pins: Vec::new(),
            token_file: PathBuf::new(),
            calls_per_worker: 250,
            websocket: Vec::new(),
        }
    }
}

impl Config {
    /// Everything that is wrong with it.
    pub fn errors(&self) -> Vec<String> {
        let mut errors: Vec<String> = self.websocket.iter().filter_map(Target::error).collect();
        if self.workers.is_empty() {
            return errors;
        }
        for worker in &self.workers {
            if split_address(worker).is_none() {
                errors
                    .push(format!("fork.workers: `{worker}` is no address: write host:port, such as `10.0.0.7:4433`"));
            }
        }
        if self.ca_file.as_os_str().is_empty() && self.pins.is_empty() {
            errors.push(
                "fork.workers: nothing tells a worker from an impostor: set fork.pins to the fingerprint that \
                 `tandem worker` prints, or fork.ca_file"
                    .to_owned(),
            );
        }
        for pin in &self.pins {
            if read_pin(pin).is_none() {
                errors.push(format!("fork.pins: `{pin}` is no SHA-256 in hex (64 digits)"));
            }
        }
        if self.token_file.as_os_str().is_empty() {
            errors.push("fork.token_file: must name the file with the workers' token".to_owned());
        }
        if self.calls_per_worker == 0 {
            errors.push("fork.calls_per_worker: must be 1 or more".to_owned());
        }
        errors
    }
}

/// The receiving side: `tandem worker`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerConfig {
    /// UDP. This machine only, until you decide otherwise.
    pub listen: SocketAddr,
    /// PEM chain and key. Empty: made at the first start and kept in `data.dir`; gateways pin its fingerprint.
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
    /// Gateways must know the word in this file.
    pub token_file: PathBuf,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 4433)),
            cert_file: PathBuf::new(),
            key_file: PathBuf::new(),
            token_file: PathBuf::new(),
        }
    }
}

impl WorkerConfig {
    /// Everything that is wrong with it, alone.
    pub fn errors(&self) -> Vec<String> {
        let mut errors = Vec::new();
        if self.cert_file.as_os_str().is_empty() != self.key_file.as_os_str().is_empty() {
            errors.push("worker.cert_file and worker.key_file belong together: set both or neither".to_owned());
        }
        errors
    }
}

/// Host and port of `host:port`, `[v6]:port`.
pub(super) fn split_address(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let host = host.strip_prefix('[').map_or(Some(host), |host| host.strip_suffix(']'))?;
    let port = port.parse().ok().filter(|&port| port > 0)?;
    (!host.is_empty()).then_some((host, port))
}

/// A fingerprint, with or without `sha256:` and colons.
pub(super) fn read_pin(pin: &str) -> Option<[u8; 32]> {
    let hex = pin.strip_prefix("sha256:").unwrap_or(pin).replace(':', "");
    hex::decode(hex).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_named_with_its_key() {
        #[track_caller]
        fn check(text: &str, errors: &[&str]) {
            let got = toml::from_str::<Config>(text).unwrap().errors();
            assert!(
                got.len() == errors.len() && got.iter().zip(errors).all(|(got, want)| got.contains(want)),
                "{text}: {got:?}"
            );
        }
        let pin = "ab".repeat(32);
        check("", &[]);
        check(&format!("workers = ['10.0.0.7:4433', '[::1]:4433']\npins = ['sha256:{pin}']\ntoken_file = 't'"), &[]);
        check("workers = ['w:1']\nca_file = 'ca.pem'\ntoken_file = 't'", &[]);
        check("workers = ['w']", &["`w` is no address", "impostor", "fork.token_file"]);
        check(
            "workers = ['w:0', ':1', '[::1:1']\npins = ['ab']\ntoken_file = 't'\ncalls_per_worker = 0",
            &["`w:0`", "`:1`", "`[::1:1`", "`ab` is no SHA-256", "calls_per_worker"],
        );
        check("websocket = [{url = 'wss://u:p@asr.example:8443/in', encoding = 'l16', tracks = 'inbound'}]", &[]);
        check("websocket = [{url = 'http://a/b'}, {url = 'ws://[::1]'}, {url = 'x y'}]", &["ws://host", "ws://host"]);
        check("websocket = [{url = 'ws://me:secret@a/b'}]", &["on the way to ws://a could listen"]);
        check("websocket = [{url = 'ws://a', allow_plain = true}]", &[]);
        let shown = toml::from_str::<Config>("websocket = [{url = 'wss://me:hunter2@a/b?key=hunter2'}]").unwrap();
        assert!(!format!("{shown:?}").contains("hunter2"), "{shown:?}");
        assert!(toml::from_str::<Config>("websocket = [{url = 'ws://a', encoding = 'opus'}]").is_err());
        let worker: WorkerConfig = toml::from_str("cert_file = 'c'").unwrap();
        assert!(worker.errors()[0].contains("worker.key_file"));
        assert!(toml::from_str::<WorkerConfig>("colour = 'red'").is_err());
    }
}
