//! What goes down to a shard and what comes up.

use std::net::UdpSocket;

use crate::media::{Leg, MediaEvent, Prompt};
use crate::model::id::{CallId, LegId};
use crate::model::rtp::TapKey;

/// Commands, in the order they take effect. A command for a call the shard does not have is dropped and counted.
pub enum Command {
    /// A call begins: the customer's leg and its own socket move in for good.
    Open {
        call: CallId,
        customer: Box<Leg>,
        socket: UdpSocket,
    },
    /// An agent's leg that hears itself, to prove a browser's way to us and back. Ended by `Close`.
    Echo {
        call: CallId,
        leg: Box<Leg>,
    },
    /// An agent's leg moves in, not joined yet (it is set up while it still rings).
    Attach {
        call: CallId,
        leg: Box<Leg>,
    },
    /// The customer and this agent hear each other; a formerly joined leg is left alone.
    Join {
        call: CallId,
        leg: LegId,
    },
    /// WhatsApp accepted: the agent's audio may flow to the customer.
    OpenGate {
        call: CallId,
    },
    Hold {
        call: CallId,
        held: bool,
    },
    /// The leg is said goodbye to (RTCP BYE, DTLS close) and forgotten.
    Detach {
        call: CallId,
        leg: LegId,
    },
    /// Keys to press towards the customer (RFC 4733): `0-9 * # A-D`.
    Digits {
        call: CallId,
        digits: String,
    },
    /// Both parties hear this before anything else; from then on the customer may press `opt_out` against being recorded.
    Announce {
        call: CallId,
        announcement: Prompt,
        opt_out: Option<char>,
    },
    StartTap {
        call: CallId,
        tap: TapKey,
    },
    StopTap {
        call: CallId,
    },
    /// Everything is said goodbye to; `ShardEvent::Closed` follows once the final figures are out.
    Close {
        call: CallId,
    },
}

impl Command {
    /// The call it is for.
    pub fn call(&self) -> &CallId {
        match self {
            Self::Open { call, .. }
            | Self::Echo { call, .. }
            | Self::Attach { call, .. }
            | Self::Join { call, .. }
            | Self::OpenGate { call }
            | Self::Hold { call, .. }
            | Self::Detach { call, .. }
            | Self::Digits { call, .. }
            | Self::Announce { call, .. }
            | Self::StartTap { call, .. }
            | Self::StopTap { call }
            | Self::Close { call } => call,
        }
    }

    /// Whether it brings a new leg, which costs far more than anything else.
    pub(super) fn is_setup(&self) -> bool {
        matches!(self, Self::Open { .. } | Self::Echo { .. } | Self::Attach { .. })
    }
}

/// What a shard tells the desk.
#[derive(Clone, Debug)]
pub enum ShardEvent {
    Media {
        call: CallId,
        event: MediaEvent,
    },
    /// The call's legs are gone and its port is free again.
    Closed {
        call: CallId,
    },
}
