//! A Whisper model as CTranslate2 keeps it: `model.bin`, plain tensors with names, no code.
//!
//! Layout of version 6, little endian: version u32, specification (text), revision u32, then a counted list of
//! variables (name, rank u8, dimensions u32, type u8, bytes u32, data) and one of aliases (text, text). A text is its
//! length u16, counting the closing NUL, and its bytes. Source: `python/ctranslate2/specs/model_spec.py` in
//! <https://github.com/OpenNMT/CTranslate2>.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};

const VERSION: u32 = 6;
const SPECIFICATION: &str = "WhisperSpec";

/// More dimensions than this no tensor of a Whisper has; a bigger number means that we read somewhere else.
const RANK_MAX: u8 = 4;

/// A model file's tensors by CTranslate2's names, 32-bit.
#[derive(Debug)]
pub(super) struct Tensors(HashMap<String, Tensor>);

/// Why bytes are not a model this engine can run.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("it ends in the middle of {0}")]
    Short(&'static str),
    #[error("it is no CTranslate2 model of version {VERSION}")]
    Version,
    #[error("it holds a {0}, not a Whisper")]
    Specification(String),
    #[error("{name} is of type {code}: only 16- and 32-bit floating point is read, no quantised model")]
    Type { name: String, code: u8 },
    #[error("{0} has sizes that do not fit its bytes")]
    Sizes(String),
    #[error("it has no {0}")]
    Missing(String),
    #[error("{name} has the sizes {found:?}, which cannot be")]
    Shape { name: String, found: Vec<usize> },
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

impl Tensors {
    /// Reads a whole `model.bin`.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, ReadError> {
        let mut cursor = Cursor(bytes);
        if cursor.u32("the version")? != VERSION {
            return Err(ReadError::Version);
        }
        let specification = cursor.text("the specification's name")?;
        if specification != SPECIFICATION {
            return Err(ReadError::Specification(specification));
        }
        let _revision = cursor.u32("the revision")?;
        let count = cursor.u32("the number of tensors")?;
        let mut tensors = HashMap::new();
        for _ in 0..count {
            if let (name, Some(tensor)) = cursor.variable()? {
                tensors.insert(name, tensor);
            }
        }
        Ok(Self(tensors))
    }

    /// The tensor of that name.
    pub(super) fn named(&self, name: &str) -> Result<&Tensor, ReadError> {
        self.0.get(name).ok_or_else(|| ReadError::Missing(name.to_owned()))
    }

    /// Its sizes, where it has exactly `RANK` of them.
    pub(super) fn sizes<const RANK: usize>(&self, name: &str) -> Result<[usize; RANK], ReadError> {
        let found = self.named(name)?.dims();
        found.try_into().map_err(|_| ReadError::Shape { name: name.to_owned(), found: found.to_vec() })
    }

    /// How many layers `side` (`encoder`, `decoder`) has.
    pub(super) fn layers(&self, side: &str) -> usize {
        (0..).take_while(|i| self.0.contains_key(&format!("{side}/layer_{i}/ffn/linear_0/weight"))).count()
    }
}

/// What is left to read.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, bytes: usize, what: &'static str) -> Result<&'a [u8], ReadError> {
        let (taken, rest) = self.0.split_at_checked(bytes).ok_or(ReadError::Short(what))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], ReadError> {
        self.take(N, what)?.try_into().map_err(|_| ReadError::Short(what))
    }

    fn u8(&mut self, what: &'static str) -> Result<u8, ReadError> {
        self.array::<1>(what).map(|[byte]| byte)
    }

    fn u32(&mut self, what: &'static str) -> Result<u32, ReadError> {
        self.array(what).map(u32::from_le_bytes)
    }

    fn text(&mut self, what: &'static str) -> Result<String, ReadError> {
        let length = u16::from_le_bytes(self.array(what)?);
        let bytes = self.take(length.into(), what)?;
        let bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    /// The next variable; `None` for the settings among them, which are single numbers.
    fn variable(&mut self) -> Result<(String, Option<Tensor>), ReadError> {
        let name = self.text("a tensor's name")?;
        let rank = self.u8("a tensor's rank")?;
        if rank > RANK_MAX {
            return Err(ReadError::Sizes(name));
        }
        let mut sizes = Vec::with_capacity(rank.into());
        for _ in 0..rank {
            sizes.push(self.u32("a tensor's sizes")? as usize);
        }
        let code = self.u8("a tensor's type")?;
        let length = self.u32("a tensor's length")? as usize;
        let data = self.take(length, "a tensor")?;
        if rank == 0 {
            return Ok((name, None));
        }
        let (dtype, width) = match code {
            0 => (DType::F32, 4),
            4 => (DType::F16, 2),
            code => return Err(ReadError::Type { name, code }),
        };
        let fits = sizes.iter().try_fold(width, |bytes: usize, size| bytes.checked_mul(*size)) == Some(length);
        if !fits {
            return Err(ReadError::Sizes(name));
        }
        let tensor = Tensor::from_raw_buffer(data, dtype, &sizes, &Device::Cpu)?.to_dtype(DType::F32)?;
        Ok((name, Some(tensor)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A model of one tensor and one setting.
    fn model(sizes: &[u32], code: u8, data: &[u8]) -> Vec<u8> {
        let text = |text: &str| [&(text.len() as u16 + 1).to_le_bytes()[..], text.as_bytes(), &[0]].concat();
        let sizes: Vec<u8> = sizes.iter().flat_map(|size| size.to_le_bytes()).collect();
        let rank = (sizes.len() / 4) as u8;
        let length = (data.len() as u32).to_le_bytes();
        [
            &6_u32.to_le_bytes()[..],
            &text("WhisperSpec"),
            &3_u32.to_le_bytes(),
            &2_u32.to_le_bytes(),
            &text("num_heads"),
            &[0, 2],
            &2_u32.to_le_bytes(),
            &[6, 0],
            &text("x"),
            &[rank],
            &sizes,
            &[code],
            &length,
            data,
        ]
        .concat()
    }

    #[test]
    fn half_and_full_floats_are_read_and_nothing_else() {
        #[track_caller]
        fn check(bytes: &[u8], read: Result<&[f32], &str>) {
            let found =
                Tensors::read(bytes).and_then(|tensors| Ok(tensors.named("x")?.flatten_all()?.to_vec1::<f32>()?));
            match (found, read) {
                (Ok(found), Ok(read)) => assert_eq!(found, read),
                (Err(error), Err(says)) => assert!(error.to_string().contains(says), "{error}"),
                (found, read) => panic!("{found:?}, not {read:?}"),
            }
        }
        let (whole, half) = ([1.5_f32.to_le_bytes(), (-2.0_f32).to_le_bytes()].concat(), [0x00, 0x3e, 0x00, 0xc0]);
        check(&model(&[2], 0, &whole), Ok(&[1.5, -2.0]));
        check(&model(&[1, 2], 4, &half), Ok(&[1.5, -2.0]));
        check(&model(&[2], 1, &[1, 2]), Err("no quantised model"));
        check(&model(&[3], 0, &whole), Err("sizes that do not fit"));
        check(&model(&[u32::MAX, u32::MAX, u32::MAX], 0, &whole), Err("sizes that do not fit"));
        check(&model(&[1, 1, 1, 1, 2], 0, &whole), Err("sizes that do not fit"));
        let cut = model(&[2], 0, &whole);
        for length in 0..cut.len() {
            assert!(Tensors::read(&cut[..length]).is_err(), "{length} bytes");
        }
    }
}
