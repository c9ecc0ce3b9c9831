//! How a leg comes to be: descriptions are exchanged here, the connection itself begins in the bridge.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::config::DtlsCert;
use str0m::format::{Codec, FormatParams};
use str0m::media::{Direction, Frequency, MediaKind, Mid};
use str0m::rtp::Extension;
use str0m::{Candidate, Rtc, RtcConfig, RtcError};

use super::leg::{Leg, LegKey, Names};
use super::prompt;
use super::sdp::{self, Description, SdpError};
use crate::model::id::LegId;
use crate::model::reason::LegKind;

/// Payload types we offer; an answer of ours takes those of the offer.
const OPUS: u8 = 111;
const EVENT_8000: u8 = 126;
const EVENT_48000: u8 = 110;

/// A dead peer is noticed after 9.5 s: checks at 0.5, 1 and then each 2 s, six of them unanswered.
const STUN_RTO_MAX: Duration = Duration::from_secs(2);
const STUN_RETRANSMITS_MAX: usize = 6;

/// Round trips and reports; each costs two dozen allocations, so as seldom as RFC 3550 section 6.2 wants them.
const STATS_EVERY: Duration = Duration::from_secs(5);
const REPORTS_EVERY: Duration = Duration::from_secs(5);

/// What all legs of the process share: the DTLS certificate. Make it once, before serving.
#[derive(Clone)]
pub struct Identity {
    certificate: DtlsCert,
}

impl Identity {
    /// Takes about half a second: it makes a key pair (ECDSA P-256) and encodes what the gateway itself says.
    pub fn generate() -> Self {
        prompt::warm_up();
        let provider = str0m::crypto::from_feature_flags();
        let certificate =
            provider.dtls_provider.generate_certificate().expect("the provider in this build makes certificates");
        Self { certificate }
    }
}

impl Leg {
    /// Answers WhatsApp's offer. `local` is the address WhatsApp sends to (the advertised one). Returns the leg and the answer's SDP.
    ///
    /// # Errors
    /// [`SdpError`] when the offer cannot be used; the sentence says what to mend.
    pub fn answer_customer(
        key: LegKey,
        id: LegId,
        identity: &Identity,
        offer: &str,
        local: SocketAddr,
        now: Instant,
    ) -> Result<(Self, String), SdpError> {
        let theirs = Description::parse(offer)?.for_customer(local)?;
        let rtc = customer_config(identity).build(now);
        Self::answer(Names { key, id, kind: LegKind::WhatsApp, is_outgoing: false }, rtc, &theirs, &[local], now)
    }

    /// Answers an agent's browser as ICE-lite. `local`: every address of the shard's agent port that the browser may use.
    ///
    /// # Errors
    /// [`SdpError`] when the offer cannot be used; the sentence says what to mend.
    pub fn answer_agent(
        key: LegKey,
        id: LegId,
        identity: &Identity,
        offer: &str,
        local: &[SocketAddr],
        now: Instant,
    ) -> Result<(Self, String), SdpError> {
        let theirs = Description::parse(offer)?.for_agent();
        let rtc = agent_config(identity, &theirs).build(now);
        Self::answer(Names { key, id, kind: LegKind::Agent, is_outgoing: false }, rtc, &theirs, local, now)
    }

    fn answer(
        names: Names,
        mut rtc: Rtc,
        theirs: &Description,
        locals: &[SocketAddr],
        now: Instant,
    ) -> Result<(Self, String), SdpError> {
        add_locals(&mut rtc, locals)?;
        let offer = SdpOffer::from_sdp_string(&theirs.text()).map_err(refused)?;
        let answer = guarded(|| rtc.sdp_api().accept_offer(offer))?;
        let text = theirs.finish_answer(&answer.to_sdp_string());
        let leg = Self::new(names, rtc, Mid::from(theirs.mid()), theirs, locals, now)?;
        Ok((leg, text))
    }
}

/// An outbound customer's leg whose offer is not answered yet.
pub struct OutgoingLeg {
    key: LegKey,
    id: LegId,
    rtc: Rtc,
    pending: SdpPendingOffer,
    mid: Mid,
    local: SocketAddr,
    usable: Result<(), SdpError>,
}

impl OutgoingLeg {
    /// The leg and the offer to send to WhatsApp. An unusable `local` is told by [`Self::accept`].
    pub fn offer_customer(
        key: LegKey,
        id: LegId,
        identity: &Identity,
        local: SocketAddr,
        now: Instant,
    ) -> (Self, String) {
        let mut rtc = customer_config(identity).build(now);
        let usable = add_locals(&mut rtc, &[local]);
        let mut changes = rtc.sdp_api();
        let mid = changes.add_media(MediaKind::Audio, Direction::SendRecv, None, None, None);
        let (offer, pending) = changes.apply().expect("an added media always makes an offer");
        (Self { key, id, rtc, pending, mid, local, usable }, sdp::finish(&offer.to_sdp_string()))
    }

    /// Takes WhatsApp's answer.
    ///
    /// # Errors
    /// [`SdpError`] when the answer cannot be used; the sentence says what to mend.
    pub fn accept(self, answer: &str, now: Instant) -> Result<Leg, SdpError> {
        let Self { key, id, mut rtc, pending, mid, local, usable } = self;
        usable?;
        let theirs = Description::parse(answer)?.for_customer(local)?;
        if Mid::from(theirs.mid()) != mid {
            return Err(SdpError::Refused);
        }
        let answer = SdpAnswer::from_sdp_string(&theirs.text()).map_err(refused)?;
        guarded(|| rtc.sdp_api().accept_answer(pending, answer))?;
        // An ICE-lite peer never controls (RFC 8445 section 6.1.1), and WhatsApp says nothing of itself in some answers.
        rtc.direct_api().set_ice_controlling(true);
        let names = Names { key, id, kind: LegKind::WhatsApp, is_outgoing: true };
        Leg::new(names, rtc, mid, &theirs, &[local], now)
    }
}

/// What both kinds of leg have in common.
fn config(identity: &Identity) -> RtcConfig {
    Rtc::builder()
        .set_rtp_mode(true)
        .clear_codecs()
        // Transport-wide feedback would cost two more allocations per packet and a report each third one.
        .clear_extension_map()
        .enable_bwe(None)
        .set_dtls_cert(identity.certificate.clone())
        .set_stats_interval(Some(STATS_EVERY))
        .set_rtcp_report_interval_audio(REPORTS_EVERY)
}

fn customer_config(identity: &Identity) -> RtcConfig {
    let mut config = config(identity).set_ice_lite(false);
    config.set_max_stun_rto(STUN_RTO_MAX);
    config.set_max_stun_retransmits(STUN_RETRANSMITS_MAX);
    add_codecs(&mut config, &[(EVENT_8000, Frequency::EIGHT_KHZ)]);
    config
}

fn agent_config(identity: &Identity, theirs: &Description) -> RtcConfig {
    let mut config = config(identity).set_ice_lite(true);
    if let Some(id) = theirs.audio_level() {
        config = config.set_extension(id, Extension::AudioLevel);
    }
    add_codecs(&mut config, &[(EVENT_48000, Frequency::FORTY_EIGHT_KHZ), (EVENT_8000, Frequency::EIGHT_KHZ)]);
    config
}

fn add_codecs(config: &mut RtcConfig, events: &[(u8, Frequency)]) {
    let codecs = config.codec_config();
    let format = FormatParams::parse_line(sdp::OPUS_FORMAT);
    codecs.add_config(OPUS.into(), None, Codec::Opus, Frequency::FORTY_EIGHT_KHZ, Some(2), format);
    for (pt, clock) in events {
        codecs.add_config((*pt).into(), None, Codec::Tele, *clock, None, FormatParams::default());
    }
}

fn add_locals(rtc: &mut Rtc, locals: &[SocketAddr]) -> Result<(), SdpError> {
    let unspecified = SocketAddr::from(([0, 0, 0, 0], 0));
    let first = locals.first().copied().ok_or(SdpError::BadLocalAddress(unspecified))?;
    for local in locals {
        let candidate = Candidate::host(*local, "udp").map_err(|_| SdpError::BadLocalAddress(*local))?;
        rtc.add_local_candidate(candidate).ok_or(SdpError::BadLocalAddress(first))?;
    }
    Ok(())
}

/// Applies a description under the panic boundary: it was written by us, but from what a peer said.
fn guarded<T>(apply: impl FnOnce() -> Result<T, RtcError>) -> Result<T, SdpError> {
    match catch_unwind(AssertUnwindSafe(apply)) {
        Ok(applied) => applied.map_err(refused),
        Err(_) => Err(SdpError::Refused),
    }
}

fn refused(error: impl std::fmt::Display) -> SdpError {
    tracing::debug!(%error, "description refused");
    SdpError::Refused
}
