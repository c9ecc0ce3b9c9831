//! skeleton
use super::sdp::SdpError;
use crate::model::id::LegId;
use crate::model::reason::LegKind;
use std::net::SocketAddr;
use std::time::Instant;

/// Names a leg within its shard without touching a string. Unique in the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LegKey(pub u64);

/// What all legs of the process share: the DTLS certificate. Make it once, before serving.
#[derive(Clone)]
pub struct Identity {
    pub(super) certificate: str0m::config::DtlsCert,
}
impl Identity {
    pub fn generate() -> Self {
        todo!()
    }
}

/// One leg of a call: str0m's `Rtc` behind mutate-then-drain, the source gate and a panic boundary.
pub struct Leg {
    key: LegKey,
    id: LegId,
    kind: LegKind,
    ufrag: String,
}
impl Leg {
    /// Answers WhatsApp's offer. `local` is the address WhatsApp sends to (the advertised one). Returns the leg and the answer's SDP.
    pub fn answer_customer(
        _key: LegKey,
        _id: LegId,
        _identity: &Identity,
        _offer: &str,
        _local: SocketAddr,
        _now: Instant,
    ) -> Result<(Self, String), SdpError> {
        todo!()
    }
    /// Answers an agent's browser as ICE-lite. `local`: every address of the shard's agent port that the browser may use.
    pub fn answer_agent(
        _key: LegKey,
        _id: LegId,
        _identity: &Identity,
        _offer: &str,
        _local: &[SocketAddr],
        _now: Instant,
    ) -> Result<(Self, String), SdpError> {
        todo!()
    }
    pub fn key(&self) -> LegKey {
        self.key
    }
    pub fn id(&self) -> &LegId {
        &self.id
    }
    pub fn kind(&self) -> LegKind {
        self.kind
    }
    /// Our ICE username fragment: how the shard's demultiplexer finds the leg.
    pub fn ufrag(&self) -> &str {
        &self.ufrag
    }
}

/// An outbound customer's leg whose offer is not answered yet.
pub struct OutgoingLeg {}
impl OutgoingLeg {
    pub fn offer_customer(
        _key: LegKey,
        _id: LegId,
        _identity: &Identity,
        _local: SocketAddr,
        _now: Instant,
    ) -> (Self, String) {
        todo!()
    }
    pub fn accept(self, _answer: &str, _now: Instant) -> Result<Leg, SdpError> {
        todo!()
    }
}
