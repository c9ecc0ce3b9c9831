//! Whose datagram is it? The agent port is shared by all agents of a shard, and RTP names nobody.
//!
//! An address is a leg's only after ICE has validated it for that leg; until then nothing but a STUN binding request with
//! the leg's own username fragment gets in. Learning an address from anything less lets whoever sends first take the call
//! over. A wrong entry costs a stranger's voice in a call, a missing one costs a STUN round trip.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use super::worker::CallKey;
use crate::media::LegKey;

/// The leg a datagram goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub call: CallKey,
    pub leg: LegKey,
}

/// What to do with a datagram of the agent port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// From an address that ICE has validated for this leg.
    Known(Route),
    /// A binding request from an unknown address to a leg we have: ICE shall look at it.
    Check(Route),
    /// Of nobody we know.
    Stranger,
}

/// The agent port's tables. Keys are chosen by strangers, hence the randomly seeded hashers of std.
#[derive(Debug, Default)]
pub(super) struct Demux {
    by_address: HashMap<SocketAddr, Learned>,
    by_ufrag: HashMap<Box<str>, Route>,
}

#[derive(Debug)]
struct Learned {
    route: Route,
    /// The address of ours that the peer sends to, when we listen on several: answers must come from there.
    local: Option<IpAddr>,
}

impl Demux {
    /// Binding requests for this username fragment go to `route` from now on.
    pub(super) fn expect(&mut self, ufrag: &str, route: Route) {
        self.by_ufrag.insert(ufrag.into(), route);
    }

    /// ICE has validated `address` for this leg. A browser that comes back from the same port belongs to its newer leg.
    pub(super) fn learn(&mut self, address: SocketAddr, route: Route, local: Option<IpAddr>) {
        self.by_address.insert(address, Learned { route, local });
    }

    pub(super) fn forget_ufrag(&mut self, ufrag: &str) {
        self.by_ufrag.remove(ufrag);
    }

    /// Forgets an address unless a newer leg has it by now.
    pub(super) fn forget_address(&mut self, address: SocketAddr, leg: LegKey) {
        if self.by_address.get(&address).is_some_and(|learned| learned.route.leg == leg) {
            self.by_address.remove(&address);
        }
    }

    pub(super) fn classify(&self, source: SocketAddr, datagram: &[u8]) -> Verdict {
        if let Some(learned) = self.by_address.get(&source) {
            return Verdict::Known(learned.route);
        }
        match own_ufrag(datagram).and_then(|ufrag| self.by_ufrag.get(ufrag)) {
            Some(route) => Verdict::Check(*route),
            None => Verdict::Stranger,
        }
    }

    /// Which address of ours this peer sends to, if that was learnt.
    pub(super) fn local_of(&self, peer: SocketAddr) -> Option<IpAddr> {
        self.by_address.get(&peer)?.local
    }
}

/// RFC 8489 section 5.
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const HEADER_LEN: usize = 20;
const BINDING_REQUEST: u16 = 0x0001;
const USERNAME: u16 = 0x0006;
/// RFC 8445 section 5.3: a username fragment has at most 256 characters.
const UFRAG_LEN_MAX: usize = 256;

/// Our half of the USERNAME of a STUN binding request: in a request it reads `receiver:sender` (RFC 8445 section 7.2.2).
fn own_ufrag(datagram: &[u8]) -> Option<&str> {
    let (header, mut attributes) = datagram.split_at_checked(HEADER_LEN)?;
    let word = |bytes: &[u8], at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    if word(header, 0)? != BINDING_REQUEST
        || header[4..8] != MAGIC_COOKIE
        || usize::from(word(header, 2)?) != attributes.len()
    {
        return None;
    }
    loop {
        let (kind, len) = (word(attributes, 0)?, usize::from(word(attributes, 2)?));
        let value = attributes.get(4..4 + len)?;
        if kind == USERNAME {
            let (own, _) = std::str::from_utf8(value).ok()?.split_once(':')?;
            return (own.len() <= UFRAG_LEN_MAX).then_some(own);
        }
        // Attributes are padded to four bytes.
        attributes = attributes.get(4 + len.next_multiple_of(4)..)?;
    }
}

/// Whether it is DTLS, by its first byte (RFC 7983 section 7).
pub(super) fn is_dtls(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|first| (20..64).contains(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_binding_requests_with_a_username_name_their_leg() {
        let request = binding_request("ours:theirs");
        check(request.clone(), Some("ours"));
        check(binding_request("theirs only"), None);
        check(binding_request(":theirs"), Some(""));
        let mut response = request.clone();
        response[0] = 1;
        check(response, None);
        let mut no_cookie = request.clone();
        no_cookie[4] = 0;
        check(no_cookie, None);
        for cut in 0..request.len() {
            check(request[..cut].to_vec(), None);
        }
        let mut attribute_too_long = request;
        attribute_too_long[30] = 0xff;
        check(attribute_too_long, None);
        check(binding_request(&format!("{}:x", "u".repeat(257))), None);
        check(vec![], None);

        fn check(datagram: Vec<u8>, wanted: Option<&str>) {
            assert_eq!(own_ufrag(&datagram), wanted, "{datagram:02x?}");
        }
    }

    #[test]
    fn an_address_is_nobodys_until_ice_has_validated_it() {
        let mut demux = Demux::default();
        let route = Route { call: CallKey::default(), leg: LegKey(7) };
        let peer: SocketAddr = "127.0.0.1:5000".parse().unwrap();
        let rtp = [0x80, 0x6f, 0, 1];
        demux.expect("ours", route);

        assert_eq!(demux.classify(peer, &rtp), Verdict::Stranger);
        assert_eq!(demux.classify(peer, &binding_request("ours:theirs")), Verdict::Check(route));
        assert_eq!(demux.classify(peer, &binding_request("other:theirs")), Verdict::Stranger);
        assert_eq!(demux.classify(peer, &rtp), Verdict::Stranger, "a check alone teaches nothing");

        demux.learn(peer, route, None);
        assert_eq!(demux.classify(peer, &rtp), Verdict::Known(route));
        assert_eq!(demux.classify("127.0.0.1:5001".parse().unwrap(), &rtp), Verdict::Stranger);
    }

    #[test]
    fn an_address_taken_over_by_a_newer_leg_outlives_the_older_one() {
        let mut demux = Demux::default();
        let peer: SocketAddr = "127.0.0.1:5000".parse().unwrap();
        let (old, new) =
            (Route { call: CallKey::default(), leg: LegKey(1) }, Route { call: CallKey::default(), leg: LegKey(2) });
        demux.learn(peer, old, None);
        demux.learn(peer, new, None);
        demux.forget_address(peer, old.leg);
        assert_eq!(demux.classify(peer, &[0x80]), Verdict::Known(new));
        demux.forget_address(peer, new.leg);
        assert_eq!(demux.classify(peer, &[0x80]), Verdict::Stranger);
    }

    fn binding_request(username: &str) -> Vec<u8> {
        let mut attribute = USERNAME.to_be_bytes().to_vec();
        attribute.extend((username.len() as u16).to_be_bytes());
        attribute.extend(username.bytes());
        attribute.resize(attribute.len().next_multiple_of(4), 0);
        // An attribute before it, as browsers send them: PRIORITY.
        let mut body = vec![0x00, 0x24, 0x00, 0x04, 1, 2, 3, 4];
        body.extend(attribute);
        let mut request = BINDING_REQUEST.to_be_bytes().to_vec();
        request.extend((body.len() as u16).to_be_bytes());
        request.extend(MAGIC_COOKIE);
        request.extend([9; 12]);
        request.extend(body);
        request
    }
}
