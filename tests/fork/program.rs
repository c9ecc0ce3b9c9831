//! `tandem worker` as a process of its own, which can be killed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tandem::model::time::Clock;

const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Program {
    child: Child,
    pub(crate) address: SocketAddr,
    /// For the gateways' pins.
    pub(crate) fingerprint: String,
    /// For the monitoring.
    pub(crate) metrics: SocketAddr,
    log: PathBuf,
}

impl Program {
    /// `port` 0: any. `more`: further lines of its configuration.
    pub(crate) fn start(dir: &Path, port: u16, more: &str) -> Self {
        std::fs::create_dir_all(dir).unwrap();
        let (token, file) = (token_file(dir), dir.join("worker.toml"));
        let text = format!(
            "{more}\n[worker]\nlisten = '127.0.0.1:{port}'\ntoken_file = {token:?}\nmetrics_listen = '127.0.0.1:0'\n\
             [data]\ndir = {dir:?}\n[recording]\nsigning_key_file = {:?}\n",
            site_key(dir)
        );
        // Only those stories pay for a recogniser that are about it.
        let text = if more.contains("[asr]") { text } else { format!("{text}[asr]\nengine = 'off'\n") };
        std::fs::write(&file, text).unwrap();
        let log = dir.join("log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
        command.arg("worker").arg("--config").arg(&file).env("TANDEM_LOG_FORMAT", "json").stdout(Stdio::null());
        let child = command.stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut starting = Self { child, address: nowhere, fingerprint: String::new(), metrics: nowhere, log };
        let begun = Clock.instant();
        loop {
            let told = starting.log();
            if let Some(line) = told.lines().find(|line| line.contains("the worker is ready")) {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                starting.address = line["fields"]["address"].as_str().unwrap().parse().unwrap();
                starting.metrics = line["fields"]["metrics"].as_str().unwrap().parse().unwrap();
                starting.fingerprint = line["fields"]["pin"].as_str().unwrap().to_owned();
                return starting;
            }
            assert!(begun.elapsed() < PATIENCE, "the worker does not start: {told}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _gone_already = self.child.wait();
    }
}

pub(crate) const TOKEN: &str = "correct horse battery staple";

/// The word that workers and gateways share.
pub(crate) fn token_file(dir: &Path) -> PathBuf {
    let path = dir.join("token");
    std::fs::write(&path, TOKEN).unwrap();
    path
}

/// The key that gateways and their workers sign with.
pub(crate) fn site_key(dir: &Path) -> PathBuf {
    key_file(dir, "site.key", 7)
}

/// A key file.
pub(crate) fn key_file(dir: &Path, name: &str, byte: u8) -> PathBuf {
    std::fs::create_dir_all(dir).unwrap();
    let path = dir.join(name);
    std::fs::write(&path, hex::encode([byte; 32])).unwrap();
    path
}
