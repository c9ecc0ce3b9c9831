//! Which recogniser it is, where, and how patient we are with it.

use std::time::Duration;

use secrecy::SecretString;

use super::deepgram::{self, Deepgram};
use super::dialect::Dialect;
use super::openai::OpenAi;
use super::socket::Address;
use super::vosk::Vosk;
use super::wyoming::Wyoming;
use crate::asr::{Config, ConfigError, Leg};

/// The recognisers whose protocols are spoken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Vosk,
    Deepgram,
    OpenAi,
    Wyoming,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Vosk, Self::Deepgram, Self::OpenAi, Self::Wyoming];

    /// As `asr.engine` and transcripts name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vosk => "vosk",
            Self::Deepgram => "deepgram",
            Self::OpenAi => "openai",
            Self::Wyoming => "wyoming",
        }
    }

    /// Where its maker runs it; `None` = wherever the operator does.
    pub(in crate::asr) fn home(self) -> Option<&'static str> {
        match self {
            Self::Vosk | Self::Wyoming => None,
            Self::Deepgram => Some("wss://api.deepgram.com/v1/listen"),
            Self::OpenAi => Some("wss://api.openai.com/v1/realtime?intent=transcription"),
        }
    }

    /// An address of one, as an example, and the schemes such an address may have.
    pub(in crate::asr) fn example(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Vosk => ("ws://127.0.0.1:2700", &["ws", "wss"]),
            Self::Deepgram => ("wss://api.deepgram.com/v1/listen", &["ws", "wss"]),
            Self::OpenAi => ("ws://127.0.0.1:8000/v1/realtime", &["ws", "wss"]),
            Self::Wyoming => ("tcp://127.0.0.1:10300", &["tcp"]),
        }
    }

    /// Whether it is sent stretches of speech, and not everything.
    pub(super) fn wants_stretches(self) -> bool {
        matches!(self, Self::OpenAi | Self::Wyoming)
    }

    fn model(self) -> &'static str {
        match self {
            Self::Deepgram => "nova-3",
            Self::OpenAi => "gpt-4o-transcribe",
            // The server was started with one.
            Self::Vosk | Self::Wyoming => "",
        }
    }
}

/// How long we wait for what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) connect: Duration,
    /// For anything new, while an answer is owed: a large model on a CPU takes its time with 15 s of speech.
    pub(super) reply: Duration,
    /// For the last answers, after the leg has ended. What is later is made up for from the recording.
    pub(super) finish: Duration,
    /// Without sound, before the server is told that we are still there.
    pub(super) idle: Duration,
    /// Before the second attempt; doubled up to the longest.
    pub(super) pause_min: Duration,
    pub(super) pause_max: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            reply: Duration::from_secs(30),
            finish: Duration::from_secs(20),
            idle: Duration::from_secs(4),
            pause_min: Duration::from_millis(250),
            pause_max: Duration::from_secs(10),
        }
    }
}

/// A recogniser somewhere else.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) engine: Kind,
    pub(super) address: Address,
    pub(super) patience: Patience,
    pub(super) with_partials: bool,
    model: String,
    language: Option<String>,
}

impl Server {
    /// # Errors
    /// An address that cannot be one.
    pub(super) fn new(engine: Kind, config: &Config, key: Option<SecretString>) -> Result<Self, ConfigError> {
        let mut url = config.address(engine)?;
        let named = |name: &str| if name.is_empty() { engine.model() } else { name }.to_owned();
        let (model, language) = (named(&config.remote_model), config.language().map(str::to_owned));
        if engine == Kind::Deepgram {
            // What the operator wrote into the address stays.
            let written: Vec<String> = url.query_pairs().map(|(name, _)| name.into_owned()).collect();
            let wanted = deepgram::query(&model, language.as_deref(), config.partials);
            for (name, value) in wanted.iter().filter(|(name, _)| !written.iter().any(|other| other == name)) {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        let scheme = if engine == Kind::Deepgram { "Token" } else { "Bearer" };
        let address = Address { url, key: key.map(|key| (scheme, key)) };
        let (patience, with_partials) = (Patience::default(), config.partials);
        Ok(Self { engine, address, patience, with_partials, model, language })
    }

    /// For one connection.
    pub(super) fn dialect(&self, leg: &Leg) -> Box<dyn Dialect> {
        let language = leg.language.clone().or_else(|| self.language.clone());
        match self.engine {
            Kind::Vosk => Box::new(Vosk::default()),
            Kind::Deepgram => Box::new(Deepgram::default()),
            Kind::OpenAi => Box::new(OpenAi::new(self.model.clone(), language)),
            Kind::Wyoming => Box::new(Wyoming::new(language)),
        }
    }
}
