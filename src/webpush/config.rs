//! `[push]`

use serde::{Deserialize, Serialize};

/// How agents whose consoles are closed are rung.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether agents may have their browsers rung through the push services of the browsers' makers.
    pub enabled: bool,
    /// Whom a push service writes to if something is amiss (RFC 8292 section 2.1); Apple's insists on it. Empty:
    /// `http.public_url`.
    pub subject: String,
    /// How soon a browser without an open console has to show an offer.
    pub shown_ms: u64,
    /// Push services of one's own, without TLS or on a private address.
    pub allow_private: bool,
}

impl Default for Config {
    fn default() -> Self {
        // A push is at a phone that is awake after some 300 ms and at one that dozes after one to three seconds. Longer,
        // and a caller who could have been put through to somebody else hangs up.
        Self { enabled: true, subject: String::new(), shown_ms: 5_000, allow_private: false }
    }
}

impl Config {
    /// Everything that is wrong with it, each naming its key.
    pub fn errors(&self) -> Vec<String> {
        let mut errors = Vec::new();
        if !(500..=60_000).contains(&self.shown_ms) {
            errors.push(format!("push.shown_ms = {}: write 500 ms to 60000 ms (1 minute)", self.shown_ms));
        }
        if !self.subject.is_empty() && !["mailto:", "https://"].iter().any(|start| self.subject.starts_with(start)) {
            errors.push(format!(
                "push.subject = {:?}: write an address that push services can reach you at, e.g. \"mailto:calls@example.com\"",
                self.subject
            ));
        }
        errors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_out_of_bounds_and_an_address_nobody_can_write_to_are_refused() {
        assert_eq!(Config::default().errors(), Vec::<String>::new());
        for (shown_ms, subject, key) in [
            (499, "", "push.shown_ms"),
            (60_001, "", "push.shown_ms"),
            (5_000, "calls@example.com", "push.subject"),
            (5_000, "http://example.com", "push.subject"),
        ] {
            let config = Config { shown_ms, subject: subject.to_owned(), ..Config::default() };
            let errors = config.errors();
            assert!(matches!(&errors[..], [one] if one.starts_with(key)), "{errors:?}");
        }
        let fine = Config { subject: "mailto:calls@example.com".to_owned(), ..Config::default() };
        assert!(fine.errors().is_empty());
    }
}
