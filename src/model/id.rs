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
    /// An API key's public part.
    KeyId "key_",
    /// One entry of the wallet's statement.
    EntryId "ent_",
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
