//! Why the gateway had better take no calls now.

use crate::control::Unready;
use crate::shard::Shards;
use crate::{record, tap};

/// What is looked at when somebody asks.
pub(super) struct Probe {
    pub(super) shards: Shards,
    pub(super) recorder: record::Inlet,
    pub(super) tap: Box<dyn Fn() -> tap::Stats + Send + Sync>,
}

impl Probe {
    pub(super) fn unready(&self) -> Vec<Unready> {
        let ports =
            self.shards.bind_customer().err().map(|error| Unready { check: "ports", detail: error.to_string() });
        let dead = |check, alive: bool| (!alive).then(|| Unready { check, detail: DEAD.to_owned() });
        let recorder = self.recorder.stats();
        let disk = recorder.lacks_room.then(|| Unready { check: "disk", detail: self.recorder.reserve().to_string() });
        let checks = [ports, dead("tap", (self.tap)().alive), dead("recorder", recorder.alive), disk];
        checks.into_iter().flatten().collect()
    }
}

const DEAD: &str =
    "its thread has ended by a fault: calls go on, but none is recorded; drain and restart, and report the log";
