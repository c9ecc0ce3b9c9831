//! The `[asr]` section.

use std::path::PathBuf;

use reqwest::Url;

use super::remote::Kind;
use crate::model::private_url::PrivateUrl;

/// How speech is written down.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `builtin`, in this process; a [`Kind`] by its name, on another machine; `off`.
    pub engine: String,
    /// A folder with a Whisper in CTranslate2's format, 16- or 32-bit: what `make model` brings, or another one.
    pub model: PathBuf,
    /// Where another machine's recogniser is. Empty: where its maker runs it.
    pub url: PrivateUrl,
    /// Whether voices and the key may go to another machine unencrypted.
    pub allow_plain: bool,
    /// Holds the recogniser's key. Empty: the environment gives it, or the recogniser wants none.
    pub api_key_file: PathBuf,
    /// As the recogniser calls it. Empty: the usual one.
    pub remote_model: String,
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
            url: PrivateUrl::default(),
            // Whoever is on the way could listen.
            allow_plain: false,
            api_key_file: PathBuf::new(),
            remote_model: String::new(),
            language: "en".to_owned(),
            threads: 0,
            partials: true,
        }
    }
}

/// A setting this build cannot obey.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error(
        "asr.engine = \"{0}\": there are \"builtin\", \"vosk\", \"deepgram\", \"openai\" and \"wyoming\", and \"off\""
    )]
    Engine(String),
    // The address may hold a secret.
    #[error("asr.url: engine = \"{engine}\" needs the recogniser's address: write e.g. \"{example}\"")]
    Url { engine: &'static str, example: &'static str },
    #[error(
        "asr.url: whoever is on the way to {0} could listen to the calls: write wss://, or set asr.allow_plain = true on a \
         network you trust"
    )]
    Plain(String),
    #[error(
        "asr.api_key_file: engine = \"{engine}\" needs a key at {host}: name a file that holds it, or give it as \
         TANDEM_ASR__API_KEY"
    )]
    Key { engine: &'static str, host: String },
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
        match self.remote() {
            Some(kind) => match self.address(kind) {
                Err(error) => errors.push(error),
                Ok(_) if self.url.is_exposed() && !self.allow_plain => {
                    errors.push(ConfigError::Plain(self.url.place()));
                }
                Ok(_) => {}
            },
            None if ["builtin", "off"].contains(&self.engine.as_str()) => {}
            None => errors.push(ConfigError::Engine(self.engine.clone())),
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

    /// The recogniser on another machine, if that is who listens.
    pub fn remote(&self) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == self.engine)
    }

    /// What is wrong if there is no key: makers serve nobody without one.
    pub fn missing_key(&self) -> Option<ConfigError> {
        let kind = self.remote()?;
        let host = Url::parse(kind.home()?).ok()?.host_str()?.to_owned();
        let address = self.address(kind).ok()?;
        let at_home = address.host_str() == Some(host.as_str());
        at_home.then(|| ConfigError::Key { engine: kind.name(), host })
    }

    /// Where the recogniser is.
    ///
    /// # Errors
    /// What to write.
    pub(super) fn address(&self, kind: Kind) -> Result<Url, ConfigError> {
        let (example, schemes) = kind.example();
        let written = if self.url.is_empty() { kind.home().unwrap_or_default() } else { &self.url };
        let url = Url::parse(written).ok().filter(|url| schemes.contains(&url.scheme()) && url.has_host());
        // Only WebSockets have a usual port.
        let url = url.filter(|url| url.scheme() != "tcp" || url.port().is_some());
        url.ok_or_else(|| ConfigError::Url { engine: kind.name(), example })
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
        check("engine = 'siri'", &[ConfigError::Engine("siri".into())]);
        let url = |engine, example| ConfigError::Url { engine, example };
        let (vosk, wyoming) = (url("vosk", "ws://127.0.0.1:2700"), url("wyoming", "tcp://127.0.0.1:10300"));
        check("engine = 'vosk'", std::slice::from_ref(&vosk));
        check("engine = 'vosk'\nurl = 'http://127.0.0.1:2700'", std::slice::from_ref(&vosk));
        check("engine = 'vosk'\nurl = 'ws://'", &[vosk]);
        check("engine = 'vosk'\nurl = 'ws://127.0.0.1:2700'", &[]);
        check("engine = 'wyoming'\nurl = 'tcp://127.0.0.1'", std::slice::from_ref(&wyoming));
        check("engine = 'wyoming'\nurl = 'ws://127.0.0.1:10300'", &[wyoming]);
        check("engine = 'wyoming'\nurl = 'tcp://10.0.0.7:10300'\nallow_plain = true", &[]);
        let plain = |place: &str| [ConfigError::Plain(place.to_owned())];
        check("engine = 'wyoming'\nurl = 'tcp://10.0.0.7:10300'", &plain("tcp://10.0.0.7:10300"));
        check("engine = 'openai'\nurl = 'ws://me:secret@vllm/v1?key=secret'", &plain("ws://vllm"));
        check("engine = 'openai'\nurl = 'wss://vllm/v1'", &[]);
        check("engine = 'deepgram'", &[]);
        check("engine = 'openai'\nurl = 'ws://127.0.0.1:8000/v1/realtime'", &[]);
        check(
            "engine = ''\nlanguage = 'English'",
            &[ConfigError::Engine(String::new()), ConfigError::Language("English".into())],
        );
        check("threads = 100", &[ConfigError::Threads(100)]);
        assert!(toml::from_str::<Config>("colour = 'red'").is_err());
    }

    #[test]
    fn what_an_address_may_hold_is_shown_nowhere() {
        let text = "engine = 'openai'\nurl = 'wss://tandem:hunter2@vllm/v1?key=hunter2'";
        let shown = format!("{:?}", toml::from_str::<Config>(text).unwrap());
        assert!(shown.contains("wss://vllm") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn makers_want_a_key_and_machines_of_ones_own_do_not() {
        #[track_caller]
        fn check(text: &str, host: Option<&str>) {
            let missing = toml::from_str::<Config>(text).unwrap().missing_key();
            let found = missing.map(|error| match error {
                ConfigError::Key { host, .. } => host,
                other => panic!("{other}"),
            });
            assert_eq!(found.as_deref(), host, "{text}");
        }
        check("", None);
        check("engine = 'vosk'\nurl = 'ws://127.0.0.1:2700'", None);
        check("engine = 'deepgram'", Some("api.deepgram.com"));
        check("engine = 'deepgram'\nurl = 'wss://api.deepgram.com/v1/listen?keyterm=Tandem'", Some("api.deepgram.com"));
        check("engine = 'openai'", Some("api.openai.com"));
        check("engine = 'openai'\nurl = 'ws://127.0.0.1:8000/v1/realtime'", None);
    }
}
