//! One piece of sound to text: OpenAI's Whisper, greedily decoded.
//!
//! The network is candle-transformers'; its tensors are filled from a CTranslate2 folder ([`super::ct2`]), its sizes
//! come from the tensors. Whisper was trained on windows of 30 s and costs the same for every one of them, so a shorter
//! window is cheaper and a little worse, and prone to loops: [`super::guard`] ends those.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::whisper::{Config, model};

use super::ModelError;
use super::ct2::{ReadError, Tensors};
use super::guard;
use super::mel::{HOP, Mel};
use super::tokens::Tokens;
use crate::audio::RATE_HZ;

/// The longest sound in one piece.
pub(super) const SOUND_MAX: usize = 30 * RATE_HZ as usize;

/// Every head of every Whisper is this wide.
const HEAD: usize = 64;

/// The encoder gives one position for two columns.
const COLUMNS_PER_POSITION: usize = 2;

/// Nobody says more: what goes on beyond so many tokens a second (and a few) has been made up.
const TOKENS_PER_SECOND: usize = 8;
const TOKENS_SPARE: usize = 10;

/// How much of the 30 s the network looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Window {
    /// The sound and a second: for text that is about to be replaced.
    Short,
    /// The sound and five seconds: for text that stays, when there is no time for more.
    Medium,
    /// All of it: as the network was trained.
    Full,
}

/// What was heard in one piece of sound.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Decoded {
    pub(super) text: String,
    /// Mean over the tokens, natural logarithm.
    pub(super) log_prob: f32,
    /// It began to repeat itself, or did not end, and was cut.
    pub(super) is_cut: bool,
    /// ISO 639-1.
    pub(super) language: String,
}

/// A network, ready to decode one piece at a time. A clone shares the weights.
#[derive(Clone, Debug)]
pub(super) struct Whisper {
    network: model::Whisper,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    mel: Mel,
    tokens: Tokens,
    /// To be added to the logits of text tokens and the end: −∞ for what must not be said. The first is for a text's
    /// beginning, which must not be its end either.
    begin: Tensor,
    go_on: Tensor,
    positions_max: usize,
    text_max: usize,
}

impl Whisper {
    /// Reads a folder with `model.bin`, `tokenizer.json` and `config.json`.
    pub(super) fn load(folder: &Path) -> Result<Self, ModelError> {
        let read = |name: &'static str| {
            std::fs::read(folder.join(name)).map_err(|source| match source.kind() {
                std::io::ErrorKind::NotFound => ModelError::Absent { folder: folder.to_owned(), name },
                _ => ModelError::Unreadable { folder: folder.to_owned(), name, source },
            })
        };
        let damaged = |name: &'static str, why: String| ModelError::Unfit { folder: folder.to_owned(), name, why };
        let (tokenizer, settings) = (read("tokenizer.json")?, read("config.json")?);
        let network = network(&read("model.bin")?).map_err(|error| damaged("model.bin", error.to_string()))?;
        let tokens = Tokens::read(&tokenizer, &settings, network.config.vocab_size)
            .map_err(|error| damaged("tokenizer.json", error.to_string()))?;
        let shared = Shared::new(&network.config, tokens).map_err(|error| damaged("model.bin", error.to_string()))?;
        Ok(Self { network, shared: Arc::new(shared) })
    }

    /// Whether it can be asked for this language.
    pub(super) fn knows(&self, language: &str) -> bool {
        language == "en" || self.shared.tokens.language(language).is_some()
    }

    /// Decodes at most [`SOUND_MAX`] of 16 kHz sound. `language`: ISO 639-1; `None` = the network finds out, if it knows
    /// more than English.
    pub(super) fn decode(
        &mut self,
        pcm: &[i16],
        window: Window,
        language: Option<&str>,
    ) -> candle_core::Result<Decoded> {
        let pcm = &pcm[..pcm.len().min(SOUND_MAX)];
        let shared = Arc::clone(&self.shared);
        let columns = shared.mel.columns(pcm, window.columns(pcm.len(), shared.positions_max))?;
        let sound = self.network.encoder.forward(&columns, true)?;
        let (prompt, language) = self.prompt(&sound, language)?;
        let cap = (pcm.len() * TOKENS_PER_SECOND / RATE_HZ as usize + TOKENS_SPARE).min(shared.text_max - prompt.len());

        let mut tokens = prompt.clone();
        let mut log_probs = 0.0;
        let mut is_cut = true;
        while tokens.len() - prompt.len() < cap {
            let is_first = tokens.len() == prompt.len();
            let refused = if is_first { &shared.begin } else { &shared.go_on };
            let logits = (self.logits(&tokens, &sound, is_first)?.narrow(0, 0, refused.elem_count())? + refused)?;
            let token: u32 = logits.argmax(0)?.to_scalar()?;
            let chosen: f32 = logits.get(token as usize)?.to_scalar()?;
            log_probs += chosen - logits.log_sum_exp(0)?.to_scalar::<f32>()?;
            if token == shared.tokens.end {
                is_cut = false;
                break;
            }
            tokens.push(token);
            if let Some(keep) = guard::looped(&tokens[prompt.len()..]) {
                tokens.truncate(prompt.len() + keep);
                break;
            }
        }
        let said = &tokens[prompt.len()..];
        let log_prob = log_probs / (said.len() + 1) as f32;
        Ok(Decoded { text: shared.tokens.text(said), log_prob, is_cut, language })
    }

    /// How the text is asked for, and in which language it comes.
    fn prompt(&mut self, sound: &Tensor, language: Option<&str>) -> candle_core::Result<(Vec<u32>, String)> {
        let shared = Arc::clone(&self.shared);
        let tokens = &shared.tokens;
        if tokens.languages.is_empty() {
            return Ok((vec![tokens.start, tokens.no_timestamps], "en".to_owned()));
        }
        let asked = language.and_then(|code| Some((tokens.language(code)?, code.to_owned())));
        let (token, code) = match asked {
            Some(asked) => asked,
            None => {
                let logits: Vec<f32> = self.logits(&[tokens.start], sound, true)?.to_vec1()?;
                let likely = |(token, _): &&(u32, String)| logits.get(*token as usize).copied().unwrap_or(f32::MIN);
                let best = tokens.languages.iter().max_by(|a, b| likely(a).total_cmp(&likely(b)));
                best.cloned().expect("a network that is not English alone has languages")
            }
        };
        Ok((vec![tokens.start, token, tokens.transcribe, tokens.no_timestamps], code))
    }

    /// What the network thinks comes next.
    fn logits(&mut self, tokens: &[u32], sound: &Tensor, is_first: bool) -> candle_core::Result<Tensor> {
        let input = Tensor::new(tokens, &Device::Cpu)?.unsqueeze(0)?;
        let states = self.network.decoder.forward(&input, sound, is_first)?;
        let last = states.narrow(1, tokens.len() - 1, 1)?;
        self.network.decoder.final_linear(&last)?.flatten_all()
    }
}

impl Window {
    fn columns(self, samples: usize, positions_max: usize) -> usize {
        let max = positions_max * COLUMNS_PER_POSITION;
        let second = RATE_HZ as usize / HOP;
        let columns = match self {
            Self::Short => samples.div_ceil(HOP) + second,
            Self::Medium => samples.div_ceil(HOP) + 5 * second,
            Self::Full => max,
        };
        columns.next_multiple_of(COLUMNS_PER_POSITION).min(max)
    }
}

impl Shared {
    fn new(config: &Config, tokens: Tokens) -> candle_core::Result<Self> {
        let mut refused = vec![0.0; tokens.end as usize + 1];
        for token in &tokens.suppressed {
            refused[*token as usize] = f32::NEG_INFINITY;
        }
        let go_on = Tensor::new(refused.as_slice(), &Device::Cpu)?;
        for token in tokens.space.into_iter().chain([tokens.end]) {
            refused[token as usize] = f32::NEG_INFINITY;
        }
        Ok(Self {
            mel: Mel::new(config.num_mel_bins)?,
            begin: Tensor::new(refused.as_slice(), &Device::Cpu)?,
            go_on,
            positions_max: config.max_source_positions,
            text_max: config.max_target_positions,
            tokens,
        })
    }
}

/// The network of a `model.bin`.
fn network(bytes: &[u8]) -> Result<model::Whisper, ReadError> {
    let tensors = Tensors::read(bytes)?;
    let [width, bands, _] = tensors.sizes("encoder/conv1/weight")?;
    let [positions, _] = tensors.sizes("encoder/position_encodings/encodings")?;
    let [vocabulary, _] = tensors.sizes("decoder/embeddings/weight")?;
    let [text, _] = tensors.sizes("decoder/position_encodings/encodings")?;
    let config = Config {
        num_mel_bins: bands,
        max_source_positions: positions,
        d_model: width,
        encoder_attention_heads: width / HEAD,
        encoder_layers: tensors.layers("encoder"),
        vocab_size: vocabulary,
        max_target_positions: text,
        decoder_attention_heads: width / HEAD,
        decoder_layers: tensors.layers("decoder"),
        suppress_tokens: Vec::new(),
    };
    let named = named(&tensors, &config)?;
    Ok(model::Whisper::load(&VarBuilder::from_tensors(named, DType::F32, &Device::Cpu), config)?)
}

/// The tensors by the names candle-transformers asks for, which are Hugging Face's; joined projections taken apart.
fn named(tensors: &Tensors, config: &Config) -> Result<HashMap<String, Tensor>, ReadError> {
    let mut names = Names { tensors, named: HashMap::new(), width: config.d_model };
    for conv in ["conv1", "conv2"] {
        names.pair(&format!("encoder/{conv}"), &format!("encoder.{conv}"))?;
    }
    for (side, layers) in [("encoder", config.encoder_layers), ("decoder", config.decoder_layers)] {
        for i in 0..layers {
            let (from, to) = (format!("{side}/layer_{i}"), format!("{side}.layers.{i}"));
            let attention = format!("{from}/self_attention");
            names.parts(
                &format!("{attention}/linear_0"),
                &format!("{to}.self_attn"),
                &["q_proj", "k_proj", "v_proj"],
            )?;
            names.pair(&format!("{attention}/linear_1"), &format!("{to}.self_attn.out_proj"))?;
            names.norm(&format!("{attention}/layer_norm"), &format!("{to}.self_attn_layer_norm"))?;
            if side == "decoder" {
                let attention = format!("{from}/attention");
                names.pair(&format!("{attention}/linear_0"), &format!("{to}.encoder_attn.q_proj"))?;
                names.parts(&format!("{attention}/linear_1"), &format!("{to}.encoder_attn"), &["k_proj", "v_proj"])?;
                names.pair(&format!("{attention}/linear_2"), &format!("{to}.encoder_attn.out_proj"))?;
                names.norm(&format!("{attention}/layer_norm"), &format!("{to}.encoder_attn_layer_norm"))?;
            }
            names.pair(&format!("{from}/ffn/linear_0"), &format!("{to}.fc1"))?;
            names.pair(&format!("{from}/ffn/linear_1"), &format!("{to}.fc2"))?;
            names.norm(&format!("{from}/ffn/layer_norm"), &format!("{to}.final_layer_norm"))?;
        }
        names.norm(&format!("{side}/layer_norm"), &format!("{side}.layer_norm"))?;
    }
    names.one("decoder/embeddings/weight", "decoder.embed_tokens.weight")?;
    names.one("decoder/position_encodings/encodings", "decoder.embed_positions.weight")?;
    Ok(names.named)
}

struct Names<'a> {
    tensors: &'a Tensors,
    named: HashMap<String, Tensor>,
    width: usize,
}

impl Names<'_> {
    fn one(&mut self, from: &str, to: &str) -> Result<(), ReadError> {
        let tensor = self.tensors.named(from)?.clone();
        self.named.insert(format!("model.{to}"), tensor);
        Ok(())
    }

    fn pair(&mut self, from: &str, to: &str) -> Result<(), ReadError> {
        self.one(&format!("{from}/weight"), &format!("{to}.weight"))?;
        self.one(&format!("{from}/bias"), &format!("{to}.bias"))
    }

    fn norm(&mut self, from: &str, to: &str) -> Result<(), ReadError> {
        self.one(&format!("{from}/gamma"), &format!("{to}.weight"))?;
        self.one(&format!("{from}/beta"), &format!("{to}.bias"))
    }

    /// A projection that was joined of several, each as wide as the network. Keys have no bias (theirs is zero).
    fn parts(&mut self, from: &str, to: &str, parts: &[&str]) -> Result<(), ReadError> {
        for kind in ["weight", "bias"] {
            let joined = self.tensors.named(&format!("{from}/{kind}"))?;
            for (i, part) in parts.iter().enumerate() {
                // A copy, so that the joined one can go.
                let own = joined.narrow(0, i * self.width, self.width)?.force_contiguous()?;
                self.named.insert(format!("model.{to}.{part}.{kind}"), own);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod size_tests {
    use super::*;

    #[test]
    fn a_window_is_never_longer_than_what_the_network_was_trained_on() {
        #[track_caller]
        fn check(window: Window, seconds: usize, columns: usize) {
            assert_eq!(window.columns(seconds * RATE_HZ as usize, 1500), columns, "{window:?} of {seconds} s");
        }
        check(Window::Short, 3, 400);
        check(Window::Medium, 3, 800);
        check(Window::Full, 3, 3000);
        check(Window::Short, 29, 3000);
        check(Window::Medium, 29, 3000);
        assert_eq!(Window::Short.columns(161, 1500), 102, "an even number: two columns make a position");
    }
}
