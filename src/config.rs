//! The whole configuration: a TOML file, then the environment over it. Every error is reported at once, with its key.
//!
//! Each part owns its section; this file adds them up. The environment overrides a key as `TANDEM_<SECTION>__<KEY>`.

use std::fmt;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::billing::{self, RateCard};
use crate::policy::pack::{self, Pack};
use crate::store::{IMPORTED, Terms};
use crate::{archive, asr, call, control, fork, record, shard, signalling, store, summary, switchboard, webpush};

/// `[data]`: what must survive.
#[derive(Clone, Serialize, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Data {
    /// Database, recordings and keys. Relative to the working directory.
    pub dir: PathBuf,
    /// Empty: SQLite in `dir`. Else `sqlite:PATH` or `postgres://USER:PASSWORD@HOST:PORT/DATABASE`: a secret.
    pub url: String,
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = if self.url.is_empty() { "" } else { "[redacted]" };
        f.debug_struct("Data").field("dir", &self.dir).field("url", &url).finish()
    }
}

impl Default for Data {
    fn default() -> Self {
        Self { dir: PathBuf::from("data"), url: String::new() }
    }
}

/// `[policy]`: the rules and the prices, as files of their own.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Limits, windows, countries, roles. Empty: the built-in pack.
    pub pack: PathBuf,
    /// Prices, until a card is imported through the API. Empty: the built-in example.
    pub rate_card: PathBuf,
}

/// Everything that can be set.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Config {
    pub http: control::Config,
    pub media: shard::Config,
    pub data: Data,
    pub whatsapp: signalling::whatsapp::Config,
    pub policy: Policy,
    pub recording: record::Config,
    pub archive: archive::Config,
    pub asr: asr::Config,
    pub summary: summary::Config,
    pub fork: fork::Config,
    pub worker: fork::WorkerConfig,
    pub calls: call::Patience,
    pub agents: switchboard::Config,
    pub push: webpush::Config,
    #[serde(skip)]
    pub secrets: Secrets,
}

/// Secrets given by the environment instead of a file.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    pub app_secret: Option<SecretString>,
    pub verify_token: Option<SecretString>,
    pub summary_api_key: Option<SecretString>,
    pub archive_secret: Option<SecretString>,
    pub asr_api_key: Option<SecretString>,
}

/// Everything that is wrong, one line each.
#[derive(Debug)]
pub struct Errors(pub Vec<String>);

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Errors {}

/// Where the configuration lies when `--config` does not say.
pub const DEFAULT_FILE: &str = "tandem.toml";
const PREFIX: &str = "TANDEM_";

impl Config {
    /// Reads `file` (or [`DEFAULT_FILE`] if it exists; defaults otherwise), then `environment` over it.
    ///
    /// # Errors
    /// [`Errors`], all of them, each with file, line and key.
    pub fn read(file: Option<&Path>, environment: impl Iterator<Item = (String, String)>) -> Result<Self, Errors> {
        let (text, name) = match file {
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    Errors(vec![format!("cannot read the configuration {}: {error}", path.display())])
                })?;
                (text, path.display().to_string())
            }
            None => match std::fs::read_to_string(DEFAULT_FILE) {
                Ok(text) => (text, DEFAULT_FILE.to_owned()),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => (String::new(), DEFAULT_FILE.to_owned()),
                Err(error) => return Err(Errors(vec![format!("cannot read {DEFAULT_FILE} in this folder: {error}")])),
            },
        };
        Self::parse(&text, &name, environment)
    }

    fn parse(text: &str, name: &str, environment: impl Iterator<Item = (String, String)>) -> Result<Self, Errors> {
        let mut table: Table = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
            Errors(vec![format!("{name}:{line}: {}", error.message())])
        })?;
        let mut reader = Reader { text, name, from_environment: Vec::new(), errors: Vec::new() };
        let secrets = reader.overlay(&mut table, environment);
        let config = Self {
            http: reader.section(&mut table, "http"),
            media: reader.section(&mut table, "media"),
            data: reader.section(&mut table, "data"),
            whatsapp: reader.section(&mut table, "whatsapp"),
            policy: reader.section(&mut table, "policy"),
            recording: reader.section(&mut table, "recording"),
            archive: reader.section(&mut table, "archive"),
            asr: reader.section(&mut table, "asr"),
            summary: reader.section(&mut table, "summary"),
            fork: reader.section(&mut table, "fork"),
            worker: reader.section(&mut table, "worker"),
            calls: reader.section(&mut table, "calls"),
            agents: reader.section(&mut table, "agents"),
            push: reader.section(&mut table, "push"),
            secrets,
        };
        for (section, _) in &table {
            let place = reader.place(section, None);
            reader.errors.push(format!(
                "{place}: unknown section `[{section}]`: there are http, media, data, whatsapp, policy, recording, archive, asr, summary, fork, worker, calls, agents, push"
            ));
        }
        reader.errors.extend(config.contradictions());
        if reader.errors.is_empty() { Ok(config) } else { Err(Errors(reader.errors)) }
    }

    /// Errors of what the configuration points at: secrets and certificates that cannot be read.
    pub fn unreadable(&self) -> Vec<String> {
        let mut errors = Vec::new();
        let whatsapp = &self.whatsapp;
        for (key, file, given) in [
            ("whatsapp.app_secret_file", &whatsapp.app_secret_file, &self.secrets.app_secret),
            ("whatsapp.verify_token_file", &whatsapp.verify_token_file, &self.secrets.verify_token),
            ("archive.secret_access_key_file", &self.archive.secret_access_key_file, &self.secrets.archive_secret),
            ("summary.api_key_file", &self.summary.api_key_file, &self.secrets.summary_api_key),
            ("asr.api_key_file", &self.asr.api_key_file, &self.secrets.asr_api_key),
        ] {
            if given.is_none()
                && !file.as_os_str().is_empty()
                && let Err(error) = signalling::whatsapp::read_secret_file(key, file)
            {
                errors.push(error.to_string());
            }
        }
        if let Err(error) = record::Vault::for_reading(&self.recording, &self.data.dir) {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            errors.push(format!("{error}{cause}"));
        }
        if self.http.is_tls()
            && let Err(error) = control::Tls::load(&self.http.tls_cert_file, &self.http.tls_key_file)
        {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            errors.push(format!("{error}{cause}"));
        }
        errors.extend(self.policy.terms(None).err().unwrap_or_default());
        errors
    }

    /// What each key alone is fine with and all together are not.
    fn contradictions(&self) -> Vec<String> {
        let mut errors: Vec<String> = self.http.errors().iter().map(ToString::to_string).collect();
        errors.extend(self.media.errors());
        errors.extend(self.calls.errors());
        errors.extend(self.recording.errors().iter().map(ToString::to_string));
        errors.extend(self.archive.errors(&self.recording.store).iter().map(ToString::to_string));
        errors.extend(self.asr.errors().iter().map(ToString::to_string));
        if self.secrets.asr_api_key.is_none() && self.asr.api_key_file.as_os_str().is_empty() {
            errors.extend(self.asr.missing_key().map(|error| error.to_string()));
        }
        errors.extend(self.summary.errors());
        errors.extend(self.fork.errors());
        errors.extend(self.worker.errors());
        errors.extend(self.push.errors());
        errors.extend(self.whatsapp.validate().into_iter().map(|(key, why)| format!("{key}: {why}")));
        errors.extend(store::check_url(&self.data.url).err().map(|error| error.to_string()));
        errors
    }
}

impl Policy {
    /// Reads the pack, and the rate card unless one was imported (its CSV).
    ///
    /// # Errors
    /// Everything that is wrong with the two files, one line each, with file, key and reason.
    pub fn terms(&self, imported: Option<&str>) -> Result<Terms, Vec<String>> {
        let mut errors = Vec::new();
        let mut read = |key: &str, path: &Path, built_in: &str| {
            if path.as_os_str().is_empty() {
                return built_in.to_owned();
            }
            std::fs::read_to_string(path).unwrap_or_else(|error| {
                errors.push(format!("{key}: cannot read {}: {error}", path.display()));
                built_in.to_owned()
            })
        };
        let pack = read("policy.pack", &self.pack, pack::BUILT_IN);
        let card = read("policy.rate_card", &self.rate_card, billing::BUILT_IN);
        let name = |path: &Path, built_in: &str| match path.as_os_str().is_empty() {
            true => built_in.to_owned(),
            false => path.display().to_string(),
        };
        let (card_name, card) = match imported {
            Some(csv) => (IMPORTED.to_owned(), csv.to_owned()),
            None => (name(&self.rate_card, "config/policy/rates.csv"), card),
        };
        let parsed =
            (Pack::parse(&name(&self.pack, "config/policy/default.toml"), &pack), RateCard::parse(&card_name, &card));
        match parsed {
            (Ok(parsed), Ok(card)) if errors.is_empty() => Ok(Terms::new(parsed, pack, card)),
            (pack, card) => {
                errors.extend(pack.err().map(|errors| errors.0).unwrap_or_default());
                errors.extend(card.err().map(|errors| errors.0).unwrap_or_default());
                Err(errors)
            }
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    name: &'a str,
    from_environment: Vec<(String, String)>,
    errors: Vec<String>,
}

impl Reader<'_> {
    /// Takes a section out of the table. Each key is tried alone, so that one bad value does not hide the others.
    fn section<T: DeserializeOwned + Default>(&mut self, table: &mut Table, section: &str) -> T {
        let keys = match table.remove(section) {
            None => return T::default(),
            Some(Value::Table(keys)) => keys,
            Some(_) => {
                let place = self.place(section, None);
                self.errors.push(format!("{place}: `{section}` must be a section: write `[{section}]`"));
                return T::default();
            }
        };
        let mut fine = Table::new();
        for (key, value) in keys {
            let alone = Table::from_iter([(key.clone(), value.clone())]);
            match alone.try_into::<T>() {
                Ok(_) => {
                    fine.insert(key, value);
                }
                Err(error) => {
                    let place = self.place(section, Some(&key));
                    let why = error.message().trim_end().to_owned();
                    self.errors.push(format!("{place}: {section}.{key}: {why}"));
                }
            }
        }
        fine.try_into().unwrap_or_else(|error| {
            let place = self.place(section, None);
            self.errors.push(format!("{place}: [{section}]: {}", error.message().trim_end()));
            T::default()
        })
    }

    /// Lays the environment over the file's keys.
    fn overlay(&mut self, table: &mut Table, environment: impl Iterator<Item = (String, String)>) -> Secrets {
        let mut secrets = Secrets::default();
        for (name, value) in environment {
            let Some((section, key)) = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once("__")) else {
                continue;
            };
            let (section, key) = (section.to_lowercase(), key.to_lowercase());
            match (section.as_str(), key.as_str()) {
                ("whatsapp", "app_secret") => secrets.app_secret = Some(value.into()),
                ("whatsapp", "verify_token") => secrets.verify_token = Some(value.into()),
                ("archive", "secret_access_key") => secrets.archive_secret = Some(value.into()),
                ("summary", "api_key") => secrets.summary_api_key = Some(value.into()),
                ("asr", "api_key") => secrets.asr_api_key = Some(value.into()),
                _ => {
                    self.from_environment.push((format!("{section}.{key}"), name));
                    let keys = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
                    if let Value::Table(keys) = keys {
                        keys.insert(key, spelled(value));
                    }
                }
            }
        }
        secrets
    }

    /// File and line of a key, or the environment variable that set it.
    fn place(&self, section: &str, key: Option<&str>) -> String {
        let full = key.map_or_else(|| section.to_owned(), |key| format!("{section}.{key}"));
        if let Some((_, variable)) = self.from_environment.iter().find(|(known, _)| *known == full) {
            return format!("environment {variable}");
        }
        let mut inside = false;
        for (number, line) in self.text.lines().enumerate() {
            let line = line.trim();
            if line.starts_with('[') {
                inside = line.trim_start_matches('[').split(']').next().map(str::trim) == Some(section);
                if inside && key.is_none() {
                    return format!("{}:{}", self.name, number + 1);
                }
            } else if inside && key.is_some_and(|key| line.split('=').next().map(str::trim) == Some(key)) {
                return format!("{}:{}", self.name, number + 1);
            }
        }
        self.name.to_owned()
    }
}

/// An environment value as TOML would spell it: `true`, `3`, `["a"]`, else text.
fn spelled(value: String) -> Value {
    let parsed = toml::from_str::<Table>(&format!("v = {value}")).ok().and_then(|mut table| table.remove("v"));
    parsed.unwrap_or(Value::String(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, environment: &[(&str, &str)]) -> Result<Config, Vec<String>> {
        let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        Config::parse(text, "tandem.toml", environment).map_err(|errors| errors.0)
    }

    #[test]
    fn every_error_is_reported_at_once_with_line_and_key() {
        let errors = read(
            "[http]\nlisten = 7\nlisten_on = \"x\"\n[media]\nshards = -1\n[database]\nurl = \"x\"\n[calls]\nring_timeout_ms = \"long\"\non_reject = \"later\"",
            &[],
        )
        .unwrap_err();
        for start in [
            "tandem.toml:2: http.listen: ",
            "tandem.toml:3: http.listen_on: unknown field `listen_on`",
            "tandem.toml:5: media.shards: ",
            "tandem.toml:6: unknown section `[database]`",
            "tandem.toml:9: calls.ring_timeout_ms: ",
            "tandem.toml:10: calls.on_reject: unknown variant `later`, expected `next` or `end`",
        ] {
            assert!(errors.iter().any(|e| e.starts_with(start)), "{start} in {errors:#?}");
        }
        assert_eq!(errors.len(), 6, "{errors:#?}");
    }

    #[test]
    fn broken_toml_names_its_line() {
        for (text, line) in [("[http]\nlisten = \n", 2), ("[http]\nlisten = \"a:1\"\nlisten = \"a:2\"\n", 3)] {
            let errors = read(text, &[]).unwrap_err();
            assert!(errors[0].starts_with(&format!("tandem.toml:{line}: ")), "{errors:?}");
        }
    }

    #[test]
    fn waiting_times_must_make_sense_together() {
        for text in ["ring_timeout_ms = 0", "ring_total_ms = 9223372036854775807", "ring_timeout_ms = 50000"] {
            let errors = read(&format!("[calls]\n{text}"), &[]).unwrap_err();
            assert!(errors[0].starts_with("calls."), "{errors:?}");
        }
    }

    #[test]
    fn the_environment_lies_over_the_file_and_secrets_come_by_it() {
        let config = read(
            "[http]\nlisten = \"127.0.0.1:1\"",
            &[
                ("TANDEM_HTTP__LISTEN", "127.0.0.1:2"),
                ("TANDEM_MEDIA__SHARDS", "3"),
                ("TANDEM_WHATSAPP__APP_SECRET", "s3cret"),
                ("TANDEM_SUMMARY__API_KEY", "s3cret too"),
                ("HOME", "/root"),
            ],
        )
        .unwrap();
        assert_eq!(config.http.listen.port(), 2);
        assert_eq!(config.media.shards, 3);
        assert!(config.secrets.summary_api_key.is_some());
        assert!(config.secrets.app_secret.is_some() && !format!("{config:?}").contains("s3cret"));
        let errors = read("", &[("TANDEM_MEDIA__SHARDS", "many")]).unwrap_err();
        assert!(errors[0].starts_with("environment TANDEM_MEDIA__SHARDS: media.shards: "), "{errors:?}");
    }

    #[test]
    fn a_language_model_needs_its_address_and_a_key_that_can_be_read() {
        let errors = read("[summary]\nengine = \"openai\"", &[]).unwrap_err();
        assert!(errors[0].starts_with("summary.url: ") && errors[1].starts_with("summary.model: "), "{errors:?}");
        let text = "[summary]\nengine = \"openai\"\nurl = \"http://127.0.0.1:1/v1\"\nmodel = \"m\"\napi_key_file = \"/absent/key\"";
        let unreadable = read(text, &[]).unwrap().unreadable();
        assert!(unreadable[0].starts_with("summary.api_key_file: cannot read `/absent/key`"), "{unreadable:?}");
        let given = read(text, &[("TANDEM_SUMMARY__API_KEY", "k")]).unwrap();
        assert_eq!(given.unreadable(), Vec::<String>::new());
        let errors = read("[summary]\nengine = \"chatgpt\"", &[]).unwrap_err();
        assert!(errors[0].contains("summary.engine: unknown variant `chatgpt`, expected one of"), "{errors:?}");
    }

    #[test]
    fn a_recogniser_elsewhere_needs_its_address_and_its_maker_s_a_key() {
        let errors = read("[asr]\nengine = \"vosk\"", &[]).unwrap_err();
        assert!(errors[0].starts_with("asr.url: engine = \"vosk\" needs") && errors.len() == 1, "{errors:?}");
        let deepgram = "[asr]\nengine = \"deepgram\"";
        let errors = read(deepgram, &[]).unwrap_err();
        assert!(errors[0].starts_with("asr.api_key_file: engine = \"deepgram\" needs a key at"), "{errors:?}");
        let given = read(deepgram, &[("TANDEM_ASR__API_KEY", "s3cret")]).unwrap();
        assert!(given.unreadable().is_empty() && !format!("{given:?}").contains("s3cret"));
        let unreadable = read(&format!("{deepgram}\napi_key_file = \"/absent/key\""), &[]).unwrap().unreadable();
        assert!(unreadable[0].starts_with("asr.api_key_file: cannot read `/absent/key`"), "{unreadable:?}");
    }

    #[test]
    fn a_database_url_is_checked_and_its_password_is_shown_nowhere() {
        for (url, want) in [
            ("mysql://tandem:hunter2@db/tandem", "data.url: it must be empty"),
            ("tandem:hunter2@db/tandem", "data.url: it must be empty"),
            ("postgres://tandem:hunter2#@db/tandem", "data.url: it cannot be read"),
            ("postgres://tandem:hunter2@db", "data.url: it names no database"),
        ] {
            let from_file = read(&format!("[data]\nurl = {url:?}"), &[]).unwrap_err();
            let from_environment = read("", &[("TANDEM_DATA__URL", url)]).unwrap_err();
            for errors in [from_file, from_environment] {
                assert!(errors[0].starts_with(want) && errors.len() == 1, "{errors:?}");
                assert!(!errors[0].contains("hunter2"), "{errors:?}");
            }
        }
        for scheme in ["postgres", "postgresql"] {
            let url = format!("{scheme}://tandem:hunter2@db/tandem");
            let config = read("", &[("TANDEM_DATA__URL", &url)]).unwrap();
            assert!(config.data.url == url && !format!("{config:?}").contains("hunter2"));
        }
    }

    #[test]
    fn the_example_file_lists_every_key_with_its_default() {
        let text = include_str!("../config/tandem.example.toml");
        let example: Table = toml::from_str(text).unwrap();
        let defaults = Table::try_from(Config::default()).unwrap();
        assert_eq!(example, defaults);
        assert!(read(text, &[]).is_ok());
    }
}
