//! What the customer does in a call, and the clocks that end it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::watch;

use super::super::config::Answer;
use super::super::faults::Kind;
use super::super::payload::{self, Direction};
use super::{By, Call, What};
use crate::peer::Violation;

/// How often the clocks of a call are looked at when nothing happens.
const LOOK: Duration = Duration::from_millis(100);
const MEDIA_RECEIVE_TIMEOUT: u32 = 138_021;

impl Call {
    pub(super) async fn play_customer(self: Arc<Self>, connect: Option<Value>) {
        let mut changed = self.changed.subscribe();
        let rings_at = self.created + self.script.ringing.unwrap_or(Duration::ZERO);
        if let Some(connect) = connect {
            tokio::time::sleep(self.options.connect_delay).await;
            self.tell(Kind::Connect, connect);
        }
        if self.script.ringing.is_some() {
            if !self.alive_until(rings_at, &mut changed).await {
                return;
            }
            self.tell(Kind::Ringing, payload::status(&self.facts(), "RINGING", &self.faults()));
            self.note(What::Ringing, Instant::now());
        }
        match self.script.answer {
            Answer::Ignore => {}
            Answer::Decline(after) => {
                if self.alive_until(Instant::now() + after, &mut changed).await {
                    self.tell(Kind::Rejected, payload::status(&self.facts(), "REJECTED", &self.faults()));
                    self.end(By::Customer, None);
                }
            }
            Answer::After(after) => {
                if self.alive_until(Instant::now() + after, &mut changed).await {
                    self.pick_up().await;
                }
            }
        }
    }

    async fn pick_up(self: &Arc<Self>) {
        let now = Instant::now();
        {
            let mut state = self.lock();
            if state.ended.is_some() {
                return;
            }
            state.picked_up = Some((now, self.exchange.clock.now()));
            if let Some(peer) = &state.peer {
                peer.open_microphone();
            }
        }
        if let Some(phone) = &self.options.external {
            phone.accepted();
        }
        self.note_connected();
        self.note(What::PickedUp, now);
        if !self.options.accepted_delay.is_zero() {
            tokio::time::sleep(self.options.accepted_delay).await;
        }
        self.tell(Kind::Accepted, payload::status(&self.facts(), "ACCEPTED", &self.faults()));
    }

    /// Waits; `false` when the call ended meanwhile.
    async fn alive_until(&self, moment: Instant, changed: &mut watch::Receiver<u64>) -> bool {
        loop {
            if self.ended().is_some() {
                return false;
            }
            tokio::select! {
                () = tokio::time::sleep_until(moment.into()) => return self.ended().is_none(),
                _ = changed.changed() => {}
            }
        }
    }

    pub(super) async fn watch_clocks(self: Arc<Self>) {
        let mut changed = self.changed.subscribe();
        loop {
            let now = Instant::now();
            if self.ended().is_some() {
                return;
            }
            self.note_media();
            let deadlines = self.deadlines();
            if let Some((_, by, error)) = deadlines.iter().find(|(at, ..)| *at <= now) {
                self.end(*by, *error);
                return;
            }
            let next = deadlines.iter().map(|(at, ..)| *at).min().map_or(now + LOOK, |at| at.min(now + LOOK));
            tokio::select! {
                () = tokio::time::sleep_until(next.into()) => {}
                _ = changed.changed() => {}
            }
        }
    }

    fn deadlines(&self) -> Vec<(Instant, By, Option<u32>)> {
        let config = &self.exchange.config;
        let (picked_up, peer) = {
            let state = self.lock();
            (state.picked_up.map(|(at, _)| at), state.peer.clone())
        };
        let Some(picked_up) = picked_up else {
            let default = match self.direction {
                Direction::UserInitiated => config.ring_timeout,
                Direction::BusinessInitiated => config.outbound_ring_timeout,
            };
            let mut deadlines =
                vec![(self.created + self.options.ring_timeout.unwrap_or(default), By::RingTimeOut, None)];
            if let (Direction::UserInitiated, Some(after)) = (self.direction, self.script.hang_up_ringing) {
                deadlines.push((self.created + after, By::Customer, None));
            }
            return deadlines;
        };
        let mut deadlines = Vec::new();
        if let Some(after) = self.script.hang_up_after {
            deadlines.push((picked_up + after, By::Customer, None));
        }
        let Some(peer) = peer else { return deadlines };
        if peer.wants_to_hang_up() {
            deadlines.push((picked_up, By::Customer, None));
        }
        let stats = peer.stats();
        let silence = match stats.last_life_at.filter(|at| *at > picked_up) {
            None => picked_up + config.silence_at_start,
            Some(at) => at + config.silence_later,
        };
        deadlines.push((silence, By::Silence, Some(MEDIA_RECEIVE_TIMEOUT)));
        deadlines
    }

    pub(super) fn note_media(&self) {
        let Some(peer) = self.peer() else { return };
        let stats = peer.stats();
        if let Some(at) = stats.connected_at {
            self.note_once(What::MediaUp, at);
        }
        if let Some(at) = stats.first_packet_at {
            self.note_once(What::FirstPacketHeard, at);
        }
        if peer.violations().contains(&Violation::MediaBeforeAccept) {
            self.note_once(What::AnsweredEarly, stats.first_packet_at.unwrap_or(self.created));
        }
    }
}
