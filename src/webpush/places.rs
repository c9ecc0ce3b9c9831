//! Where pushes may go. An agent names the address, so it must not lead into the network of the gateway.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// Longer than any push service's.
const URL_LEN_MAX: usize = 1024;

/// What is wrong with an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadEndpoint {
    #[error("must be an https:// address of up to {URL_LEN_MAX} characters, as the browser gives it")]
    NotHttps,
    #[error("leads into a private network; a push service of your own is allowed with push.allow_private")]
    Private,
}

/// Whether a message may be posted there, as far as the address itself tells; a name is looked at again when it is resolved.
pub(super) fn check(endpoint: &str, allow_private: bool) -> Result<Url, BadEndpoint> {
    let url = Url::parse(endpoint).map_err(|_| BadEndpoint::NotHttps)?;
    let scheme = url.scheme() == "https" || (allow_private && url.scheme() == "http");
    let plain = url.username().is_empty() && url.password().is_none();
    if !scheme || !plain || endpoint.len() > URL_LEN_MAX {
        return Err(BadEndpoint::NotHttps);
    }
    let private = match url.host() {
        Some(Host::Ipv4(ip)) => !is_public(ip.into()),
        Some(Host::Ipv6(ip)) => !is_public(ip.into()),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost") || !name.contains('.'),
        None => return Err(BadEndpoint::NotHttps),
    };
    if private && !allow_private { Err(BadEndpoint::Private) } else { Ok(url) }
}

/// Resolves names to public addresses alone: a name may lead anywhere.
#[derive(Clone, Copy, Debug)]
pub(super) struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err(Box::<dyn Error + Send + Sync>::from("the name leads to no public address"));
            }
            let addresses: Addrs = Box::new(public.into_iter());
            Ok(addresses)
        })
    }
}

/// Not ours, not a neighbour's, not reserved (IANA's registries of special-purpose addresses).
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => is_public_v4(ip),
            None => is_public_v6(ip),
        },
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let protocols = a == 192 && b == 0 && c == 0;
    let benchmarks = a == 198 && (18..20).contains(&b);
    let refused = a == 0 || a >= 240 || shared || protocols || benchmarks;
    !(refused
        || ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_documentation())
}

/// Global unicast is 2000::/3; of it, what carries an IPv4 address or an example is not taken.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, ..] = ip.segments();
    let tunnels = a == 0x2002 || (a == 0x2001 && b < 0x200);
    let examples = a == 0x2001 && b == 0xdb8;
    a & 0xe000 == 0x2000 && !tunnels && !examples
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_leads_out_and_nowhere_else() {
        use BadEndpoint::{NotHttps, Private};
        let long = format!("https://push.example.com/{}", "x".repeat(1024));
        for (endpoint, want) in [
            ("https://fcm.googleapis.com/fcm/send/abc", None),
            ("https://[2a00:1450::1]/x", None),
            ("https://8.8.8.8/x", None),
            ("http://fcm.googleapis.com/x", Some(NotHttps)),
            ("https://user:secret@push.example.com/x", Some(NotHttps)),
            ("file:///etc/passwd", Some(NotHttps)),
            ("push.example.com", Some(NotHttps)),
            ("", Some(NotHttps)),
            (&long, Some(NotHttps)),
            ("https://localhost/x", Some(Private)),
            ("https://a.localhost/x", Some(Private)),
            ("https://intranet/x", Some(Private)),
            ("https://127.0.0.1:9464/metrics", Some(Private)),
            ("https://0x7f.1/x", Some(Private)),
            ("https://10.1.2.3/x", Some(Private)),
            ("https://172.31.0.1/x", Some(Private)),
            ("https://192.168.1.1/x", Some(Private)),
            ("https://169.254.169.254/latest/meta-data", Some(Private)),
            ("https://100.64.0.1/x", Some(Private)),
            ("https://0.0.0.0/x", Some(Private)),
            ("https://224.0.0.1/x", Some(Private)),
            ("https://255.255.255.255/x", Some(Private)),
            ("https://[::1]/x", Some(Private)),
            ("https://[::ffff:10.0.0.1]/x", Some(Private)),
            ("https://[fd00::1]/x", Some(Private)),
            ("https://[fe80::1]/x", Some(Private)),
            ("https://[64:ff9b::a00:1]/x", Some(Private)),
            ("https://[2002:a00:1::]/x", Some(Private)),
        ] {
            assert_eq!(check(endpoint, false).err(), want, "{endpoint}");
        }
        for endpoint in ["http://127.0.0.1:8080/x", "https://10.1.2.3/x"] {
            assert!(check(endpoint, true).is_ok(), "{endpoint}: a push service of one's own");
        }
        assert_eq!(check("ftp://127.0.0.1/x", true).err(), Some(NotHttps));
    }

    #[tokio::test]
    async fn a_name_that_leads_home_is_not_followed() {
        let found = PublicOnly.resolve("localhost".parse().unwrap()).await;
        assert!(found.is_err());
    }
}
