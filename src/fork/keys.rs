//! What recordings are signed and sealed with, as far as others may know it. A worker's recordings become its gateway's own,
//! so both must use the same keys: otherwise they would lie open where they are to be sealed, or prove nothing.

use serde::{Deserialize, Serialize};

/// Which keys, never the keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    /// The public half of the one that signs; `None`: recordings are not signed.
    pub signing: Option<String>,
    /// The id of the one that seals; `None`: recordings are not sealed.
    pub sealing: Option<String>,
}

impl Keys {
    /// Why a worker with the keys `theirs` cannot make recordings of a gateway with these, and what to do.
    pub fn differ(&self, theirs: &Self) -> Option<String> {
        let key = |differs: bool, what: &str, setting: &str| {
            differs.then(|| {
                format!("gateway and worker do not {what} recordings with the same key: give both the same recording.{setting}")
            })
        };
        let reasons = [
            key(
                self.signing != theirs.signing,
                "sign",
                "signing_key_file (the gateway's is site.key in its data.dir unless it is set)",
            ),
            key(self.sealing != theirs.sealing, "seal", "encryption_key_file"),
        ];
        reasons.into_iter().flatten().reduce(|one, other| format!("{one}; {other}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_differ_are_named_by_the_settings_that_mend_it() {
        #[track_caller]
        fn check(ours: [Option<&str>; 2], theirs: [Option<&str>; 2], settings: &[&str]) {
            let keys = |[signing, sealing]: [Option<&str>; 2]| Keys {
                signing: signing.map(str::to_owned),
                sealing: sealing.map(str::to_owned),
            };
            let told = keys(ours).differ(&keys(theirs)).unwrap_or_default();
            for setting in ["signing_key_file", "encryption_key_file"] {
                assert_eq!(told.contains(setting), settings.contains(&setting), "{told}");
            }
        }
        check([None, None], [None, None], &[]);
        check([Some("a"), Some("1")], [Some("a"), Some("1")], &[]);
        check([Some("a"), None], [Some("b"), None], &["signing_key_file"]);
        check([Some("a"), None], [None, None], &["signing_key_file"]);
        check([None, Some("1")], [None, None], &["encryption_key_file"]);
        check([None, None], [None, Some("1")], &["encryption_key_file"]);
        check([Some("a"), Some("1")], [Some("b"), Some("2")], &["signing_key_file", "encryption_key_file"]);
    }
}
