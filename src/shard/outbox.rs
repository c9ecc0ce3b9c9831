//! Events on their way up. The desk may be slow; the shard may not wait for it, and the end of a call may not be lost.

use std::collections::VecDeque;

use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use super::ShardEvent;
use crate::media::MediaEvent;

/// The shard's end of the event channel.
pub(super) struct Outbox {
    events: Sender<ShardEvent>,
    /// What could not be sent and must be. Bounded by the legs of the shard, because each of these events comes at most
    /// once in the life of a leg or call.
    waiting: VecDeque<ShardEvent>,
    dropped: u64,
}

impl Outbox {
    pub(super) fn new(events: Sender<ShardEvent>) -> Self {
        Self { events, waiting: VecDeque::new(), dropped: 0 }
    }

    /// Sends now, or later if the event must not be lost and the channel is full, or drops and counts.
    pub(super) fn push(&mut self, event: ShardEvent) {
        self.flush();
        let refused = if self.waiting.is_empty() { self.try_send(event).err() } else { Some(event) };
        match refused {
            Some(event) if comes_once(&event) => self.waiting.push_back(event),
            Some(_) => self.dropped += 1,
            None => {}
        }
    }

    /// Tries again what is waiting; once a turn.
    pub(super) fn flush(&mut self) {
        while let Some(event) = self.waiting.pop_front() {
            if let Err(event) = self.try_send(event) {
                self.waiting.push_front(event);
                return;
            }
        }
    }

    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Events given up because the channel was full, since the start.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The event comes back when the channel is full. When nobody listens any more there is nothing to keep.
    #[allow(clippy::result_large_err, reason = "the event is what comes back")]
    fn try_send(&mut self, event: ShardEvent) -> Result<(), ShardEvent> {
        match self.events.try_send(event) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(event)) => Err(event),
            Err(TrySendError::Closed(_)) => {
                self.waiting.clear();
                self.dropped += 1;
                Ok(())
            }
        }
    }
}

/// Begin and end of a leg or a call: rare, and nothing else tells the desk. Keys, alarms and running figures can repeat
/// without end, so keeping those would let a peer fill our memory.
fn comes_once(event: &ShardEvent) -> bool {
    let ShardEvent::Media { event, .. } = event else { return true };
    !matches!(event, MediaEvent::Digit { .. } | MediaEvent::Alarm { .. } | MediaEvent::Quality { last: false, .. })
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::channel;

    use super::*;
    use crate::model::id::{CallId, LegId};

    #[test]
    fn a_slow_desk_loses_keys_but_never_an_end() {
        let (sender, mut desk) = channel(2);
        let mut outbox = Outbox::new(sender);
        let (call, leg) = (CallId::parse("call_a").unwrap(), LegId::parse("leg_a").unwrap());
        let digit =
            |digit| ShardEvent::Media { call: call.clone(), event: MediaEvent::Digit { leg: leg.clone(), digit } };
        for key in ['1', '2', '3'] {
            outbox.push(digit(key));
        }
        let lost = MediaEvent::Lost { leg: leg.clone(), reason: "gone".to_owned() };
        outbox.push(ShardEvent::Media { call: call.clone(), event: lost });
        outbox.push(digit('4'));
        outbox.push(ShardEvent::Closed { call: call.clone() });
        assert!(outbox.is_waiting() && outbox.dropped() == 2);

        let mut heard = Vec::new();
        for _ in 0..3 {
            while let Ok(event) = desk.try_recv() {
                heard.push(match event {
                    ShardEvent::Media { event: MediaEvent::Digit { digit, .. }, .. } => digit.to_string(),
                    ShardEvent::Media { event: MediaEvent::Lost { .. }, .. } => "lost".to_owned(),
                    ShardEvent::Closed { .. } => "closed".to_owned(),
                    ShardEvent::Media { .. } => "?".to_owned(),
                });
            }
            outbox.flush();
        }
        assert_eq!(heard, ["1", "2", "lost", "closed"]);
        assert!(!outbox.is_waiting());
    }
}
