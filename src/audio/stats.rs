//! How well the copies arrived, as plain figures.

/// One side of a recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SideStats {
    /// Packets that arrived on the tap.
    pub packets: u64,
    /// Packets the network lost (sequence numbers that never came in time).
    pub lost: u64,
    /// Lost frames rebuilt from the redundancy of the next packet (in-band FEC).
    pub fec: u64,
    /// Lost frames the decoder made up (packet loss concealment).
    pub plc: u64,
    /// Packets that came after their place was taken, and were left out.
    pub late: u64,
    pub duplicates: u64,
    /// Packets no decoder understands; concealed.
    pub malformed: u64,
    /// Packets the tap could not copy because its ring was full.
    pub not_copied: u64,
    /// Holes in speech filled with exact silence: uncopied packets, or losses too long to conceal.
    pub gaps: u64,
    /// Samples of exact silence written into those holes.
    pub gap_samples: u64,
    /// Times the line was moved to later because audio came when its place had passed.
    pub shifts: u64,
    /// Corrections of at most 1 ms that follow the sender's clock.
    pub corrections: u64,
    /// Place of the first packet; `None` if none came.
    pub first_sample: Option<u64>,
    /// How much slower than ours the sender's clock runs, in millionths; `None` of a short call.
    pub clock_ppm: Option<i64>,
}

/// A whole recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub customer: SideStats,
    pub agent: SideStats,
    /// Length of the recording in samples, from its opening to its close (or to now).
    pub samples: u64,
    /// Blocks the consumer had no room for, and their samples.
    pub dropped_blocks: u64,
    pub dropped_samples: u64,
    /// The furthest a block was behind the call, in milliseconds.
    pub lag_ms_max: u64,
}

impl Stats {
    /// Holes in either voice, not counting what the consumer refused.
    pub fn gaps(&self) -> u64 {
        self.customer.gaps + self.agent.gaps
    }
}
