//! The source gate: which datagrams may reach a leg's `Rtc` at all.
//!
//! str0m asks nobody where a datagram came from; its safety lies in `Rtc::accepts`, which lets only valid connectivity checks in
//! from everywhere, and the rest only from addresses ICE has validated. Without this question a stranger could finish the DTLS
//! handshake first (CVE-2023-49786 and its kin), make us answer to addresses of others, or feed packets into a call.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use str0m::net::{Protocol, Receive};
use str0m::{Input, Rtc};

/// Audio is 50 packets a second, 100 with 10 ms frames; four times that leaves room for reports, checks and bursts.
const PEER_PACKETS_PER_SECOND: u32 = 400;

/// Checks from unknown addresses cost a keyed hash each. A browser tries a few dozen pairs.
const STRANGER_CHECKS_PER_SECOND: u32 = 100;

/// str0m itself remembers this many addresses of a peer.
const VALIDATED_MAX: usize = 20;

/// A check is remembered so long; by then a few seconds have passed and ICE itself has lost interest in it.
const CHECKS_REMEMBERED: usize = 64;

/// What a datagram that passed is, by its first bytes (RFC 7983 section 7, RFC 5761 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passed {
    Stun,
    Dtls,
    Rtcp,
    Rtp { ssrc: u32 },
}

#[derive(Debug)]
pub(super) struct Gate {
    peer: Bucket,
    strangers: Bucket,
    validated: Vec<SocketAddr>,
    /// Transactions of the checks that passed, and who sent them: the same one from elsewhere is a copy that somebody captured,
    /// valid in every bit, and would move the call's media there.
    checks: VecDeque<([u8; 12], SocketAddr)>,
    #[cfg(debug_assertions)]
    pub(super) removed: bool,
}

impl Gate {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            peer: Bucket::new(PEER_PACKETS_PER_SECOND, now),
            strangers: Bucket::new(STRANGER_CHECKS_PER_SECOND, now),
            validated: Vec::new(),
            checks: VecDeque::with_capacity(CHECKS_REMEMBERED),
            #[cfg(debug_assertions)]
            removed: false,
        }
    }

    /// Whether the datagram may be handled, and if so parsed. `None` = a stranger's, or above the cap: drop it without a word.
    pub(super) fn pass<'a>(
        &mut self,
        rtc: &Rtc,
        source: SocketAddr,
        destination: SocketAddr,
        datagram: &'a [u8],
        now: Instant,
    ) -> Option<(Passed, Receive<'a>)> {
        let kind = classify(datagram)?;
        #[cfg(debug_assertions)]
        if self.removed {
            return Some((kind, Receive::new(Protocol::Udp, source, destination, datagram).ok()?));
        }
        let known = self.validated.contains(&source);
        // Anything but a check has no business coming from an unknown address, and a check is limited before its hash is computed.
        if !known && (kind != Passed::Stun || !self.strangers.take(now)) {
            return None;
        }
        if known && !self.peer.take(now) {
            return None;
        }
        let receive = Receive::new(Protocol::Udp, source, destination, datagram).ok()?;
        let input = Input::Receive(now, receive);
        if !rtc.accepts(&input) {
            return None;
        }
        if kind == Passed::Stun && self.is_copied(source, datagram) {
            return None;
        }
        let Input::Receive(_, receive) = input else { return None };
        Some((kind, receive))
    }

    /// Whether another address sent this check before. Only valid ones come here, so nobody can fill the memory with rubbish.
    fn is_copied(&mut self, source: SocketAddr, check: &[u8]) -> bool {
        let Some(transaction) = check.get(8..20).and_then(|id| <[u8; 12]>::try_from(id).ok()) else { return true };
        if let Some((_, sender)) = self.checks.iter().find(|(seen, _)| *seen == transaction) {
            return *sender != source;
        }
        if self.checks.len() == CHECKS_REMEMBERED {
            self.checks.pop_front();
        }
        self.checks.push_back((transaction, source));
        false
    }

    /// Asks, after a check was handled, whether ICE now holds its source for valid. `Some` once per address.
    pub(super) fn learn(
        &mut self,
        rtc: &Rtc,
        source: SocketAddr,
        destination: SocketAddr,
        now: Instant,
    ) -> Option<SocketAddr> {
        if self.validated.contains(&source) {
            return None;
        }
        // The smallest thing that is no check: str0m lets it in from validated addresses only.
        let probe = Receive::new(Protocol::Udp, source, destination, &[22]).ok()?;
        if !rtc.accepts(&Input::Receive(now, probe)) {
            return None;
        }
        if self.validated.len() == VALIDATED_MAX {
            self.validated.remove(0);
        }
        self.validated.push(source);
        Some(source)
    }
}

fn classify(datagram: &[u8]) -> Option<Passed> {
    match (*datagram.first()?, datagram.get(1)) {
        (0..=1, _) if datagram.len() >= 20 => Some(Passed::Stun),
        (20..=63, _) => Some(Passed::Dtls),
        (128..=191, Some(second)) => {
            if (64..96).contains(&(second & 0x7f)) {
                return (datagram.len() >= 8).then_some(Passed::Rtcp);
            }
            let ssrc = datagram.get(8..12)?.try_into().ok()?;
            Some(Passed::Rtp { ssrc: u32::from_be_bytes(ssrc) })
        }
        _ => None,
    }
}

/// A token bucket that holds one second's worth.
#[derive(Debug)]
struct Bucket {
    per_second: u32,
    tokens: u32,
    filled_at: Instant,
}

impl Bucket {
    fn new(per_second: u32, now: Instant) -> Self {
        Self { per_second, tokens: per_second, filled_at: now }
    }

    fn take(&mut self, now: Instant) -> bool {
        let each = Duration::from_secs(1) / self.per_second;
        let passed = now.saturating_duration_since(self.filled_at);
        if passed >= Duration::from_secs(1) {
            self.tokens = self.per_second;
            self.filled_at = now;
        } else if passed >= each {
            let fresh = (passed.as_nanos() / each.as_nanos()) as u32;
            self.tokens = (self.tokens + fresh).min(self.per_second);
            self.filled_at += each * fresh;
        }
        let granted = self.tokens > 0;
        self.tokens -= u32::from(granted);
        granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a test's clock has to start somewhere")]
    fn a_bucket_grants_its_rate_and_one_second_of_burst() {
        let base = Instant::now();
        let mut bucket = Bucket::new(100, base);
        let granted = (0..10_000_u64).filter(|n| bucket.take(base + Duration::from_micros(n * 500))).count();
        assert!((590..=601).contains(&granted), "{granted}");
    }

    #[test]
    fn a_datagram_is_what_its_first_bytes_say() {
        for (bytes, kind) in [
            (&[0_u8; 20][..], Some(Passed::Stun)),
            (&[0; 19], None),
            (&[], None),
            (&[22, 254], Some(Passed::Dtls)),
            (&[128, 200, 0, 1, 0, 0, 0, 1], Some(Passed::Rtcp)),
            (&[128, 200, 0], None),
            (&[128, 111, 0, 1, 0, 0, 0, 1, 0, 0, 1, 0], Some(Passed::Rtp { ssrc: 256 })),
            (&[128, 111, 0, 1, 0, 0, 0, 1, 0, 0, 1], None),
            (&[70, 1, 2, 3], None),
            (&[255; 40], None),
        ] {
            assert_eq!(classify(bytes), kind, "{bytes:?}");
        }
    }
}
