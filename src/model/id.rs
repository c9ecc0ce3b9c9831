//! Identities. Ours are prefixed and sort by time of birth (UUID version 7, RFC 9562 section 5.7); those a caller
//! chooses are kept as given.

use std::fmt;
use std::sync::Arc;

/// An identity that does not have the shape its kind demands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not a valid {kind}: use 1 to 64 letters, digits, `_`, `-` or `.`")]
pub struct BadId {
    kind: &'static str,
    given: String,
}

macro_rules! ids {
    ($($(#[$meta:meta])* $name:ident $prefix:literal),+ $(,)?) => {$(
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, utoipa::ToSchema)]
        #[schema(value_type = String)]
        pub struct $name(Arc<str>);

        impl $name {
            /// A fresh identity. It reads the clock and the system's randomness, so only waiting code may ask for one.
            pub fn generate() -> Self {
                Self(format!("{}{}", $prefix, uuid::Uuid::now_v7().simple()).into())
            }

            /// Takes an identity from outside.
            ///
            /// # Errors
            /// [`BadId`] unless it is 1 to 64 characters of `[A-Za-z0-9_.-]`.
            pub fn parse(given: &str) -> Result<Self, BadId> {
                let fine = (1..=64).contains(&given.len())
                    && given.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
                if fine { Ok(Self(given.into())) } else { Err(BadId { kind: "id", given: given.to_owned() }) }
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = BadId;

            fn from_str(given: &str) -> Result<Self, BadId> {
                Self::parse(given)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
                Self::parse(&String::deserialize(de)?).map_err(serde::de::Error::custom)
            }
        }
    )+};
}

ids! {
    /// One call, from the first sign of it to its record.
    CallId "call_",
    /// One media leg of a call.
    LegId "leg_",
    /// One offer of a call to one agent.
    OfferId "off_",
    /// One recording.
    RecordingId "rec_",
    /// A customer.
    ContactId "con_",
    /// An agent; chosen by the caller.
    AgentId "agt_",
    /// A team; chosen by the caller.
    TeamId "team_",
    /// A business number: Meta's `phone_number_id`.
    NumberId "num_",
    /// A WhatsApp business account, which owns numbers: Meta's `waba_id`.
    WabaId "waba_",
    /// A request for permission to call.
    RequestId "req_",
    /// A note on a call or a customer.
    NoteId "note_",
    /// A view of the call list that an agent keeps.
    ViewId "view_",
    /// An API key's public part.
    KeyId "key_",
    /// One entry of the wallet's statement.
    EntryId "ent_",
    /// A browser that takes pushes.
    PushId "push_",
}

/// A call that moves from one machine to another leaves its recording in pieces, which are recordings of their own until
/// they are joined: `rec_x` itself, `rec_x-p1`, `rec_x-p2`. What comes when the recording is whole already is
/// `rec_x-late`. A recording's files are called after it: `rec_x.wav`, `rec_x.part2.wav`, `rec_x.json`.
impl RecordingId {
    /// Its `n`th piece.
    pub fn piece(&self, n: usize) -> Self {
        Self(format!("{self}-p{n}").into())
    }

    /// What came too late for it.
    pub fn late(&self) -> Self {
        Self(format!("{self}-late").into())
    }

    /// The recording this is a piece of, or came too late for; any other is whole by itself.
    pub fn whole(&self) -> Self {
        let mut whole = self.as_str();
        while let Some(rest) = whole.strip_suffix("-late").or_else(|| strip_piece(whole)) {
            whole = rest;
        }
        Self(whole.into())
    }

    pub fn is_piece(&self) -> bool {
        self.whole() != *self
    }

    /// Whether a file of this name is its own; its pieces' are not.
    pub fn has_file(&self, name: &str) -> bool {
        name.strip_prefix(self.as_str()).is_some_and(|rest| rest.starts_with('.')) && !name.contains('/')
    }

    /// Whether a file of this name is its own, of one of its pieces, or came too late for it: all that goes with it.
    pub fn owns_file(&self, name: &str) -> bool {
        let id = name.split_once('.').and_then(|(id, _)| Self::parse(id).ok());
        self.has_file(name) || id.is_some_and(|id| id.whole() == *self && !name.contains('/'))
    }
}

fn strip_piece(id: &str) -> Option<&str> {
    let (whole, n) = id.rsplit_once("-p")?;
    (!whole.is_empty() && !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit())).then_some(whole)
}

/// Meta's identity of a call. It holds both phone numbers (base64), so it prints itself redacted.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[schema(value_type = String)]
pub struct Wacid(Arc<str>);

impl Wacid {
    /// Meta documents no length; 255 leaves room above the 100 to 110 characters seen.
    pub const LEN_MAX: usize = 255;

    /// # Errors
    /// [`BadId`] when it is empty, longer than 255 bytes or not printable ASCII.
    pub fn parse(given: &str) -> Result<Self, BadId> {
        if (1..=Self::LEN_MAX).contains(&given.len()) && given.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(Self(given.into()))
        } else {
            Err(BadId { kind: "call id of WhatsApp", given: "…".to_owned() })
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Wacid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tail = self.0.get(self.0.len().saturating_sub(6)..).unwrap_or("");
        write!(f, "wacid…{tail}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_are_prefixed_and_sort_by_birth() {
        let (a, b) = (CallId::generate(), CallId::generate());
        assert!(a.as_str().starts_with("call_") && a.as_str().len() == 37 && a < b, "{a} {b}");
    }

    #[test]
    fn pieces_and_what_is_late_belong_to_their_recording_and_files_to_both() {
        let id = |id: &str| RecordingId::parse(id).unwrap();
        let whole = id("rec_1");
        assert_eq!((whole.piece(0), whole.piece(1).late()), (id("rec_1-p0"), id("rec_1-p1-late")));
        for (piece, of) in [
            ("rec_1", "rec_1"),
            ("rec_1-p0", "rec_1"),
            ("rec_1-late", "rec_1"),
            ("rec_1-p12-late", "rec_1"),
            ("rec-p", "rec-p"),
            ("rec-pilot", "rec-pilot"),
            ("-p1", "-p1"),
        ] {
            assert_eq!((id(piece).whole(), id(piece).is_piece()), (id(of), piece != of), "{piece}");
        }
        for (name, has, owns) in [
            ("rec_1.wav", true, true),
            ("rec_1.part2.wav", true, true),
            ("rec_1-p0.wav", false, true),
            ("rec_1-late.manifest.json", false, true),
            ("rec_12.wav", false, false),
            ("rec_1-p0", false, false),
            ("rec_1", false, false),
            ("rec_1.wav/../x", false, false),
            (".rec_1.wav.incoming", false, false),
        ] {
            assert_eq!((whole.has_file(name), whole.owns_file(name)), (has, owns), "{name}");
        }
    }

    #[test]
    fn what_could_leave_a_path_or_a_header_is_refused() {
        for bad in ["", "a/b", "..\u{202e}", "a b", "a\r\nb", &"x".repeat(65)] {
            assert!(AgentId::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_wacid_never_prints_the_numbers_inside_it() {
        let id = Wacid::parse("wacid.HBgMOTk1NTU1MDEwMjAzFQIAEhgg").unwrap();
        assert_eq!(format!("{id:?}"), "wacid…IAEhgg");
    }
}
