//! The receiving side's flows: RoQ packets in, tap records out. `now` is an argument.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::control::Open;
use super::early::{EARLY_FOR, Early};
use super::roq::{self, Malformed, Packet};
use crate::model::rtp::{Side, TapKey, TapMedia, TapPayload, TapRecord, Unwrapper};

/// The flows of one gateway.
#[derive(Debug, Default)]
pub(super) struct Flows {
    open: BTreeMap<u64, Flow>,
    early: Early,
    pub(super) stats: FlowStats,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FlowStats {
    pub(super) packets: u64,
    pub(super) bytes: u64,
    pub(super) malformed: u64,
    pub(super) strays: u64,
    /// Packets that were sent and did not come before their call was over.
    pub(super) lost: u64,
}

#[derive(Debug)]
struct Flow {
    tap: TapKey,
    ssrc: [u32; 2],
    opened: Instant,
    last_arrival: Instant,
    /// Per side.
    seq: [Unwrapper; 2],
    packets: u64,
}

impl Flow {
    /// The moment that the gateway means: its beginning of the call may be a little before ours, but it does not know what
    /// is to come.
    fn when(&self, after: Duration, now: Instant) -> Instant {
        self.opened + after.min(now.saturating_duration_since(self.opened) + EARLY_FOR)
    }
}

impl Flows {
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// The payload of a DATAGRAM frame.
    pub(super) fn datagram(&mut self, bytes: &[u8], now: Instant, out: &mut dyn FnMut(TapRecord)) {
        match roq::read_datagram(bytes) {
            Ok((flow, packet)) => self.packet(flow.get(), packet, now, out),
            Err(error) => self.malformed(error),
        }
    }

    /// A packet of either carrier.
    pub(super) fn packet(&mut self, id: u64, packet: Packet<'_>, now: Instant, out: &mut dyn FnMut(TapRecord)) {
        // Reports of the sender: the tap's own clock is better than what they tell.
        let Packet::Rtp(rtp) = packet else { return };
        let Some(flow) = self.open.get_mut(&id) else { return self.keep_early(id, rtp, now) };
        let side = match rtp.ssrc {
            ssrc if ssrc == flow.ssrc[0] => Side::Customer,
            ssrc if ssrc == flow.ssrc[1] => Side::Agent,
            _ => return self.malformed(Malformed::Header),
        };
        if rtp.payload_type != roq::OPUS {
            return self.malformed(Malformed::Header);
        }
        self.stats.packets += 1;
        self.stats.bytes += rtp.payload.len() as u64;
        flow.packets += 1;
        flow.last_arrival = now;
        let seq = flow.seq[side as usize].seq(rtp.seq);
        let payload = TapPayload::copied(rtp.payload);
        out(TapRecord::Media(TapMedia { tap: flow.tap, side, seq, rtp_time: rtp.time, arrival: now, payload }));
    }

    /// Whether such a flow can be opened: there is none of its number, and its sides can be told apart.
    pub(super) fn takes(&self, open: &Open) -> bool {
        !self.open.contains_key(&open.flow) && open.ssrc[0] != open.ssrc[1]
    }

    /// One that [`Flows::takes`] was asked about.
    pub(super) fn open(&mut self, open: &Open, tap: TapKey, now: Instant, out: &mut dyn FnMut(TapRecord)) {
        let mine = self.early.take(open.flow);
        // The call's sound began no later than its first packet came.
        let opened = mine.front().map_or(now, |early| early.arrival.min(now));
        let flow = Flow { tap, ssrc: open.ssrc, opened, last_arrival: opened, seq: Default::default(), packets: 0 };
        self.open.insert(open.flow, flow);
        out(TapRecord::Open { tap, at: opened });
        for early in mine {
            self.datagram(&early.bytes, early.arrival, out);
        }
    }

    pub(super) fn gap(&mut self, id: u64, side: Side, count: u32, now: Instant, out: &mut dyn FnMut(TapRecord)) {
        if let Some(flow) = self.open.get(&id) {
            out(TapRecord::Gap { tap: flow.tap, side, count, at: now });
        }
    }

    pub(super) fn switch(&mut self, id: u64, side: Side, now: Instant, out: &mut dyn FnMut(TapRecord)) {
        if let Some(flow) = self.open.get(&id) {
            out(TapRecord::Switch { tap: flow.tap, side, at: now });
        }
    }

    /// From `at` after the call's beginning on nobody may hear it.
    pub(super) fn pause(&mut self, id: u64, at: Duration, now: Instant, out: &mut dyn FnMut(TapRecord)) {
        if let Some(flow) = self.open.get(&id) {
            out(TapRecord::Pause { tap: flow.tap, at: flow.when(at, now) });
        }
    }

    pub(super) fn resume(&mut self, id: u64, at: Duration, now: Instant, out: &mut dyn FnMut(TapRecord)) {
        if let Some(flow) = self.open.get(&id) {
            out(TapRecord::Resume { tap: flow.tap, at: flow.when(at, now) });
        }
    }

    /// The call's sound ended `length` after its beginning; so many packets of it were sent.
    pub(super) fn close(
        &mut self,
        id: u64,
        (length, packets): (Duration, u64),
        now: Instant,
        out: &mut dyn FnMut(TapRecord),
    ) {
        if let Some(flow) = self.open.remove(&id) {
            self.stats.lost += packets.saturating_sub(flow.packets);
            out(TapRecord::Close { tap: flow.tap, at: flow.when(length, now) });
        }
    }

    /// The gateway is gone: every call ends where it was last heard. How many.
    pub(super) fn cut(&mut self, out: &mut dyn FnMut(TapRecord)) -> usize {
        let open = std::mem::take(&mut self.open);
        for flow in open.values() {
            out(TapRecord::Close { tap: flow.tap, at: flow.last_arrival });
        }
        self.stats.strays += self.early.clear();
        open.len()
    }

    fn keep_early(&mut self, id: u64, rtp: roq::Rtp<'_>, now: Instant) {
        let Some(flow) = roq::FlowId::new(id) else {
            self.stats.strays += 1;
            return;
        };
        self.stats.strays += self.early.keep(id, roq::write_datagram(flow, rtp), now);
    }

    fn malformed(&mut self, error: Malformed) {
        self.stats.malformed += 1;
        tracing::trace!(%error, "not of a flow");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fork::early::EARLY_MAX;
    use crate::fork::roq::{FlowId, OPUS, Rtp, write_datagram};
    use crate::model::id::{CallId, RecordingId};
    use crate::model::recording::Format;
    use crate::model::time::{Clock, Timestamp};

    const TAP: TapKey = TapKey(9);

    struct Bench {
        flows: Flows,
        start: Instant,
        heard: Vec<String>,
    }

    impl Bench {
        fn new() -> Self {
            Self { flows: Flows::default(), start: Clock.instant(), heard: Vec::new() }
        }

        fn act(&mut self, ms: u64, act: impl FnOnce(&mut Flows, Instant, &mut dyn FnMut(TapRecord))) {
            let (heard, start) = (&mut self.heard, self.start);
            let ms_of = |at: Instant| at.saturating_duration_since(start).as_millis();
            act(&mut self.flows, start + Duration::from_millis(ms), &mut |record| {
                assert_eq!(record.tap(), TAP);
                heard.push(match record {
                    TapRecord::Open { at, .. } => format!("open@{}", ms_of(at)),
                    TapRecord::Media(m) => format!("{}{}@{}", m.side, m.seq - (1 << 16), ms_of(m.arrival)),
                    TapRecord::Gap { side, count, .. } => format!("gap-{side}{count}"),
                    TapRecord::Switch { side, .. } => format!("switch-{side}"),
                    TapRecord::Pause { at, .. } => format!("pause@{}", ms_of(at)),
                    TapRecord::Resume { at, .. } => format!("resume@{}", ms_of(at)),
                    TapRecord::Close { at, .. } => format!("close@{}", ms_of(at)),
                });
            });
        }

        fn open(&mut self, ms: u64) -> bool {
            let open = Open {
                flow: 3,
                ssrc: [6, 7],
                call: CallId::generate(),
                recording: RecordingId::generate(),
                started: Timestamp::from_millis(0),
                format: Format::Wav,
                listen: false,
                consent: None,
            };
            let fine = self.flows.takes(&open);
            if fine {
                self.act(ms, |flows, now, out| flows.open(&open, TAP, now, out));
            }
            fine
        }

        fn datagram(&mut self, ms: u64, flow: u64, ssrc: u32, seq: u16) {
            let rtp = Rtp { payload_type: OPUS, marker: false, seq, time: 0, ssrc, payload: &[1, 2] };
            let bytes = write_datagram(FlowId::new(flow).unwrap(), rtp);
            self.act(ms, |flows, now, out| flows.datagram(&bytes, now, out));
        }
    }

    #[test]
    fn a_flow_becomes_a_tap_and_media_that_came_before_its_opening_is_not_lost() {
        let mut bench = Bench::new();
        bench.datagram(1, 3, 6, 1);
        bench.datagram(2, 4, 8, 1);
        assert!(bench.open(5));
        bench.datagram(20, 3, 7, 65_535);
        bench.datagram(40, 3, 7, 0);
        bench.act(50, |flows, now, out| flows.gap(3, Side::Agent, 2, now, out));
        bench.act(50, |flows, now, out| flows.switch(3, Side::Agent, now, out));
        bench.act(60, |flows, now, out| flows.pause(3, Duration::from_millis(54), now, out));
        bench.act(70, |flows, now, out| flows.resume(3, Duration::from_millis(64), now, out));
        bench.act(99, |flows, now, out| flows.close(3, (Duration::from_millis(90), 5), now, out));
        bench.datagram(100, 3, 7, 1);
        assert_eq!(
            bench.heard.join(" "),
            "open@1 customer1@1 agent65535@20 agent65536@40 gap-agent2 switch-agent pause@55 resume@65 close@91"
        );
        assert_eq!(bench.flows.len(), 0);
        // What belongs to nobody is counted once it cannot belong to anybody any more.
        bench.datagram(2_000, 5, 1, 1);
        assert_eq!(bench.flows.stats, FlowStats { packets: 3, bytes: 6, malformed: 0, strays: 2, lost: 2 });
    }

    #[test]
    fn a_gateway_that_went_leaves_recordings_that_end_where_it_was_last_heard() {
        let mut bench = Bench::new();
        assert!(bench.open(0));
        assert!(!bench.open(1), "one flow, one call");
        bench.datagram(700, 3, 6, 1);
        bench.act(5_000, |flows, _, out| assert_eq!(flows.cut(out), 1));
        assert_eq!(bench.heard.join(" "), "open@0 customer1@700 close@700");
    }

    #[test]
    fn no_gateway_knows_when_a_call_will_end() {
        let mut bench = Bench::new();
        assert!(bench.open(0));
        bench.act(100, |flows, now, out| flows.pause(3, Duration::MAX, now, out));
        bench.act(200, |flows, now, out| flows.resume(3, Duration::from_secs(1 << 40), now, out));
        bench.act(300, |flows, now, out| flows.close(3, (Duration::from_micros(u64::MAX), 0), now, out));
        assert_eq!(bench.heard.join(" "), "open@0 pause@1100 resume@1200 close@1300");
    }

    #[test]
    fn hostile_datagrams_are_counted_and_bounded_and_reach_no_tap() {
        let mut bench = Bench::new();
        bench.open(0);
        for bytes in [&b""[..], &[3], &[3, 0x80], &[0xff; 40], &[3, 0x80, 111, 0, 1]] {
            bench.act(1, |flows, now, out| flows.datagram(bytes, now, out));
        }
        // A flow of ours with an SSRC of nobody's.
        bench.datagram(1, 3, 66, 1);
        assert_eq!(bench.flows.stats.malformed, 6);
        for flow in 0..2 * EARLY_MAX as u64 {
            bench.datagram(2, 1_000 + flow, 1, 1);
        }
        assert_eq!(bench.flows.stats.strays, EARLY_MAX as u64);
        assert_eq!(bench.heard, ["open@0"]);
    }
}
