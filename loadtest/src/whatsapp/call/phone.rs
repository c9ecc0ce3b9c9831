//! The customer's phone: its socket, its credentials, its endpoint.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;

use super::super::sdp::{OurSide, TheirSide};
use super::super::wire::base64;
use super::Call;
use crate::peer::{Opened, Part, Party, Peer, PeerConfig, RemoteSide};

impl Call {
    pub(super) fn open_phone(&self, opus: u8, keys: u8) -> Result<(Opened, OwnSide)> {
        let exchange = &self.exchange;
        let socket = match &exchange.relays[..] {
            [] => exchange.threads.bind(exchange.config.media_ip)?,
            relays => relays[rand::random_range(0..relays.len())].clone(),
        };
        let own = OwnSide {
            addr: socket.addr(),
            ufrag: base64(&rand::random::<[u8; 12]>()),
            pwd: base64(&rand::random::<[u8; 16]>()),
            ssrc: rand::random_range(1..=u32::MAX),
            created_ms: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis(),
        };
        let party = Party::WhatsApp { ufrag: own.ufrag.clone(), pwd: own.pwd.clone(), ssrc: own.ssrc, opus, keys };
        let opened = Peer::open(
            &socket,
            PeerConfig {
                party,
                listen: exchange.config.listen_to_media,
                may_send: false,
                waits_for_first_packet: self.options.waits_for_first_packet,
                script: self.script.steps.iter().cloned().map(Part::from).collect(),
            },
        )?;
        Ok((opened, own))
    }
}

/// What the phone's SDP says of it.
pub(super) struct OwnSide {
    addr: SocketAddr,
    ufrag: String,
    pwd: String,
    ssrc: u32,
    created_ms: u128,
}

impl OwnSide {
    pub(super) fn side<'a>(&'a self, fingerprint: &'a str, ipv6_candidate: bool) -> OurSide<'a> {
        OurSide {
            addr: self.addr,
            ufrag: &self.ufrag,
            pwd: &self.pwd,
            fingerprint,
            ssrc: self.ssrc,
            created_ms: self.created_ms,
            ipv6_candidate,
        }
    }
}

pub(super) fn remote_side(theirs: TheirSide, we_are_dtls_client: bool) -> RemoteSide {
    RemoteSide {
        ufrag: theirs.ufrag,
        pwd: theirs.pwd,
        fingerprint: theirs.fingerprint,
        ssrcs: theirs.ssrcs,
        we_are_dtls_client,
    }
}
