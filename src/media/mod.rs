//! One call's media without sockets or clocks: legs, what is joined to what, and the one continuous line each peer hears.
//!
//! A [`Leg`] is built at the desk ([`Leg::answer_customer`], [`OutgoingLeg::offer_customer`], [`Leg::answer_agent`]), moved into a
//! [`Bridge`] for good, and driven there: one mutation, then [`Bridge::poll_output`] until [`Output::Timeout`].

pub use bridge::{Bridge, Output};
#[cfg(debug_assertions)]
#[doc(hidden)]
pub use leg::Fault;
pub use leg::{Leg, LegKey};
pub use negotiation::{Identity, OutgoingLeg};
pub use prompt::Prompt;

mod bridge;
mod dtmf;
mod gate;
mod leg;
mod line;
mod negotiation;
mod preroll;
mod prompt;
mod quality;
pub mod sdp;
mod splice;
mod watchdog;

use std::net::SocketAddr;

use crate::model::id::LegId;
use crate::model::quality::Quality;
use crate::model::reason::{LegKind, MediaAlarm};

/// What a bridge tells the desk. Rare: nothing here happens per packet.
#[derive(Clone, Debug)]
pub enum MediaEvent {
    /// ICE and DTLS are done; media may flow.
    Connected { leg: LegId },
    /// The leg's peer was heard for the first time: its first RTP packet came in.
    Heard { leg: LegId },
    /// The leg is dead: ICE or DTLS gave up, the peer closed it, or its code panicked. It takes no more input.
    Lost { leg: LegId, reason: String },
    /// A key was pressed, reported once per press (RFC 4733).
    Digit { leg: LegId, digit: char },
    /// Both parties were played the announcement to its end.
    Announced,
    /// The customer pressed the key that forbids recording: the tap is closed and stays so.
    OptedOut,
    /// The watchdog noticed something wrong, or that it is over.
    Alarm { leg: LegId, alarm: MediaAlarm, raised: bool },
    /// First audio of the joined agent was sent to the customer after the gate opened.
    FirstAudio { leg: LegId },
    /// How the leg sounded so far: each 10 s, and once at its end (`last`).
    Quality { leg: LegId, kind: LegKind, quality: Quality, last: bool },
}

/// A datagram to send on the leg's socket.
#[derive(Debug)]
pub struct Transmit {
    pub leg: LegKey,
    pub destination: SocketAddr,
    pub contents: Vec<u8>,
}

/// Counters of what was refused before any parser saw it, and of what was forwarded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets of one leg sent on another, both directions.
    pub forwarded: u64,
    /// Packets of our own to the customer: silence, hold music, keys.
    pub filler: u64,
    /// Datagrams the gate stopped: from sources ICE has not validated for this leg, or above its packet cap.
    pub strangers: u64,
    /// RTP of an SSRC no media claimed at first sight.
    pub unknown_ssrc: u64,
    /// Legs that ended because the media stack panicked.
    pub panics: u64,
}
