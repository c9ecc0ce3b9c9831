//! An address whose user part or query may hold a secret, and to which voices are sent.

use std::fmt;
use std::net::IpAddr;
use std::ops::Deref;

use serde::{Deserialize, Serialize};
use url::Url;

/// Prints itself without what may be secret.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PrivateUrl(String);

impl PrivateUrl {
    /// What is sent there can be read on the way: nothing encrypts it, and it leaves this machine.
    pub fn is_exposed(&self) -> bool {
        let Ok(url) = Url::parse(&self.0) else { return false };
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let is_here = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        ["ws", "http", "tcp"].contains(&url.scheme()) && !is_here
    }

    /// Scheme, host and port: what may be shown.
    pub fn place(&self) -> String {
        let Ok(url) = Url::parse(&self.0) else { return "an address that cannot be read".to_owned() };
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
    }
}

impl Deref for PrivateUrl {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<&str> for PrivateUrl {
    fn from(url: &str) -> Self {
        Self(url.to_owned())
    }
}

impl fmt::Debug for PrivateUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&if self.is_empty() { String::new() } else { self.place() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_shows_where_it_leads_and_no_secret_and_knows_who_can_read_along() {
        #[track_caller]
        fn check(url: &str, shown: &str, exposed: bool) {
            let url = PrivateUrl::from(url);
            assert_eq!((format!("{url:?}").as_str(), url.is_exposed()), (shown, exposed), "{}", &*url);
        }
        check("", "", false);
        check("ws://tandem:hunter2@asr.example:2700/in?key=hunter2", "ws://asr.example:2700", true);
        check("wss://asr.example/in?key=hunter2", "wss://asr.example", false);
        check("tcp://10.0.0.7:10300", "tcp://10.0.0.7:10300", true);
        check("tcp://127.0.0.1:10300", "tcp://127.0.0.1:10300", false);
        check("ws://[::1]:8000/v1", "ws://[::1]:8000", false);
        check("ws://localhost:8000", "ws://localhost:8000", false);
        check("ws://127.0.0.1.example.com", "ws://127.0.0.1.example.com", true);
        check("hunter2", "an address that cannot be read", false);
    }
}
