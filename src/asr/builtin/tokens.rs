//! What a Whisper's numbers mean: `tokenizer.json` for the words, `config.json` for what it had better not say.
//!
//! The words are byte-level BPE as in GPT-2: each character of a vocabulary entry stands for one byte of the text.

use std::collections::HashMap;

use serde::Deserialize;

/// A model with this many tokens or more knows other languages than English.
const MULTILINGUAL: usize = 51_865;

/// A model's vocabulary.
#[derive(Debug)]
pub(super) struct Tokens {
    /// The bytes of every token that stands for text, by number.
    text: Vec<Vec<u8>>,
    special: HashMap<String, u32>,
    pub(super) start: u32,
    /// The end of the text; everything beyond it is a sign, not a word.
    pub(super) end: u32,
    pub(super) no_timestamps: u32,
    pub(super) transcribe: u32,
    /// A lone space: never the beginning of a text.
    pub(super) space: Option<u32>,
    /// Signs, brackets and notes that nobody says.
    pub(super) suppressed: Vec<u32>,
    /// Language tokens with their ISO 639-1 codes; empty for a model that knows English alone.
    pub(super) languages: Vec<(u32, String)>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum TokensError {
    #[error("it is not what it should be: {0}")]
    Json(#[from] serde_json::Error),
    #[error("it has no {0}")]
    Missing(&'static str),
}

#[derive(Deserialize)]
struct Tokenizer {
    added_tokens: Vec<Added>,
    model: Vocabulary,
}

#[derive(Deserialize)]
struct Added {
    id: u32,
    content: String,
}

#[derive(Deserialize)]
struct Vocabulary {
    vocab: HashMap<String, u32>,
}

#[derive(Deserialize)]
struct Settings {
    #[serde(default)]
    suppress_ids: Vec<i64>,
}

impl Tokens {
    /// Reads the two files of a model that has `size` tokens.
    pub(super) fn read(tokenizer: &[u8], settings: &[u8], size: usize) -> Result<Self, TokensError> {
        let tokenizer: Tokenizer = serde_json::from_slice(tokenizer)?;
        let settings: Settings = serde_json::from_slice(settings)?;
        let special: HashMap<String, u32> =
            tokenizer.added_tokens.into_iter().map(|added| (added.content, added.id)).collect();
        let sign = |name: &'static str| special.get(name).copied().ok_or(TokensError::Missing(name));
        let (start, end) = (sign("<|startoftranscript|>")?, sign("<|endoftext|>")?);
        if end as usize >= size {
            return Err(TokensError::Missing("vocabulary of the model's size"));
        }
        let bytes = byte_of();
        let mut text = vec![Vec::new(); end as usize];
        for (word, id) in tokenizer.model.vocab {
            if let Some(place) = text.get_mut(id as usize) {
                *place = word.chars().filter_map(|c| bytes.get(&c).copied()).collect();
            }
        }
        let languages = if size >= MULTILINGUAL { languages(&special) } else { Vec::new() };
        let suppressed = settings.suppress_ids.iter().filter_map(|id| u32::try_from(*id).ok());
        Ok(Self {
            space: text.iter().position(|bytes| bytes == b" ").and_then(|id| u32::try_from(id).ok()),
            suppressed: suppressed.filter(|id| *id < end).collect(),
            no_timestamps: sign("<|notimestamps|>")?,
            transcribe: sign("<|transcribe|>")?,
            text,
            special,
            start,
            end,
            languages,
        })
    }

    /// The token of a language by its ISO 639-1 code, where the model has a choice of languages.
    pub(super) fn language(&self, code: &str) -> Option<u32> {
        if self.languages.is_empty() { None } else { self.special.get(&format!("<|{code}|>")).copied() }
    }

    /// The text of tokens, without the spaces around it.
    pub(super) fn text(&self, tokens: &[u32]) -> String {
        let bytes: Vec<u8> =
            tokens.iter().filter_map(|token| self.text.get(*token as usize)).flatten().copied().collect();
        String::from_utf8_lossy(&bytes).trim().to_owned()
    }
}

/// `<|en|>`, `<|es|>` …: two or three letters. The other signs are longer.
fn languages(special: &HashMap<String, u32>) -> Vec<(u32, String)> {
    let mut languages: Vec<_> = special
        .iter()
        .filter_map(|(sign, id)| {
            let code = sign.strip_prefix("<|")?.strip_suffix("|>")?;
            let is_language = (2..=3).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_lowercase());
            is_language.then(|| (*id, code.to_owned()))
        })
        .collect();
    languages.sort_unstable();
    languages
}

/// GPT-2's alphabet: printable bytes stand for themselves, the others follow from U+0100 on, in order.
fn byte_of() -> HashMap<char, u8> {
    let is_printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let others = (0..=255).filter(|byte| !is_printable(*byte));
    let shifted = others.zip('\u{100}'..).map(|(byte, c)| (c, byte));
    (0..=255).filter(|byte| is_printable(*byte)).map(|byte| (char::from(byte), byte)).chain(shifted).collect()
}
