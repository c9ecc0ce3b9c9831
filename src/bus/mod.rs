//! The bus inside the process: what was written to the event log is told to whoever listens.
//!
//! **Every message is a hint.** The truth is the log in the store: a listener that joins late, is slow, or misses a
//! message reads on from the last sequence it has seen. So the bus may lose anything and nobody waits for anybody:
//! a publisher never blocks, and a listener that falls more than the capacity behind is told [`RecvError::Lagged`] and
//! re-reads the log (`Store::events_after`). The safe habit for every listener: subscribe first, read the log second,
//! then drop live events whose sequence was read already.
//!
//! [`RecvError::Lagged`]: tokio::sync::broadcast::error::RecvError::Lagged

use tokio::sync::broadcast;

use crate::model::event::Event;

/// Some seconds of a busy gateway (100 calls make about 50 events a second); more would only delay the moment in which a
/// listener that hangs is found out.
pub const CAPACITY: usize = 1024;

/// Where events are told. Clones are the same bus.
#[derive(Clone, Debug)]
pub struct Bus {
    sender: broadcast::Sender<Event>,
}

impl Default for Bus {
    fn default() -> Self {
        Self::new(CAPACITY)
    }
}

impl Bus {
    /// A bus that remembers `capacity` messages (at least 1) for its slowest listener.
    pub fn new(capacity: usize) -> Self {
        Self { sender: broadcast::Sender::new(capacity.max(1)) }
    }

    /// Tells the listeners there are. To be called after the commit, in order of sequence where that matters.
    pub fn publish(&self, event: Event) {
        // An error only says that nobody listens.
        let _ = self.sender.send(event);
    }

    /// Tells several, in order.
    pub fn publish_all(&self, events: impl IntoIterator<Item = Event>) {
        events.into_iter().for_each(|event| self.publish(event));
    }

    /// Hears everything published from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.sender.subscribe()
    }

    pub fn listeners(&self) -> usize {
        self.sender.receiver_count()
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::broadcast::error::RecvError;

    use super::*;
    use crate::model::time::Timestamp;

    fn event(seq: i64) -> Event {
        Event {
            kind: "call.ended".to_owned(),
            seq,
            occurred_at: Timestamp::from_millis(0),
            call_id: None,
            agent_id: None,
            data: serde_json::Value::Null,
        }
    }

    #[tokio::test]
    async fn every_listener_hears_every_event_from_its_subscription_on() {
        let bus = Bus::default();
        bus.publish(event(1));
        let mut early = bus.subscribe();
        bus.publish_all([event(2), event(3)]);
        let mut late = bus.subscribe();
        bus.clone().publish(event(4));
        for (listener, want) in [(&mut early, vec![2, 3, 4]), (&mut late, vec![4])] {
            for seq in want {
                assert_eq!(listener.recv().await.unwrap().seq, seq);
            }
            assert!(listener.try_recv().is_err());
        }
        drop((early, late));
        assert_eq!(bus.listeners(), 0);
        bus.publish(event(5));
    }

    #[tokio::test]
    async fn a_listener_that_hangs_is_told_how_much_it_missed_and_holds_nobody_up() {
        let bus = Bus::new(8);
        let mut slow = bus.subscribe();
        bus.publish_all((1..=20).map(event));
        assert_eq!(slow.recv().await.unwrap_err(), RecvError::Lagged(12));
        assert_eq!(slow.recv().await.unwrap().seq, 13, "and goes on with what is still there");
    }
}
