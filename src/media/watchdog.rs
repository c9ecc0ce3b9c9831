//! Notices media that should be there and is not, and says so once, and once more when it is over.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::model::reason::MediaAlarm;

/// How often the watch looks.
pub(super) const TICK: Duration = Duration::from_secs(1);

/// Audio comes each 20 ms, with DTX each 400 ms; this much of nothing is heard as a dead line.
const NO_RTP_AFTER: Duration = Duration::from_secs(3);

/// Reports come about each 5 s; WhatsApp itself takes 20 s without them for death.
const NO_RTCP_AFTER: Duration = Duration::from_secs(20);

/// An alarm ends only when packets came in each of so many looks, so that a stuttering peer does not ring the bell each second.
const CALM_TICKS: usize = 2;

/// A side that was never heard is suspect sooner than one that may simply be listening: who is explained something at
/// length says "yes" at least once a minute.
const MUTE_NEVER_HEARD_TICKS: usize = 10;
const MUTE_HEARD_BEFORE_TICKS: usize = 60;

/// In that time the other side must have spoken this many frames (of 20 ms): nobody answers silence.
const OTHER_SPOKE_NEVER_HEARD_FRAMES_MIN: u32 = 150;
const OTHER_SPOKE_HEARD_BEFORE_FRAMES_MIN: u32 = 1_000;

/// Near-silence is marked as voice in about 2 % of its frames.
const MUTE_PERMILLE_MAX: u32 = 20;

/// What came in during one look.
#[derive(Clone, Copy, Debug, Default)]
struct Look {
    packets: u32,
    voiced: u32,
}

/// The watch over one leg's incoming media.
#[derive(Debug, Default)]
pub(super) struct Watch {
    now: Look,
    past: VecDeque<Look>,
    last_rtp: Option<Instant>,
    last_rtcp: Option<Instant>,
    rtp_due: Option<Instant>,
    rtcp_due: Option<Instant>,
    talk_ticks: usize,
    was_heard: bool,
    no_rtp: bool,
    no_rtcp: bool,
    one_way: Option<OneWay>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OneWay {
    Empty,
    Mute,
}

/// What is expected of a leg right now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expectation {
    /// ICE and DTLS are done, so reports should come.
    pub(super) connected: bool,
    /// Audio should come.
    pub(super) audio: bool,
    /// The leg is in conversation with another one; what that one did is in the second argument of [`Watch::tick`].
    pub(super) talking: bool,
}

/// What one leg did lately, for the watch over its partner.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Activity {
    /// Frames with voice over the longest and the shortest time a mute side may take.
    voiced_long: u32,
    voiced_short: u32,
    packets_now: u32,
}

impl Watch {
    /// With room for all it will ever remember, so that nothing is allocated later.
    pub(super) fn new() -> Self {
        Self { past: VecDeque::with_capacity(MUTE_HEARD_BEFORE_TICKS), ..Self::default() }
    }

    pub(super) fn note_rtp(&mut self, voiced: bool, now: Instant) {
        self.now.packets += 1;
        self.now.voiced += u32::from(voiced);
        self.last_rtp = Some(now);
    }

    pub(super) fn note_rtcp(&mut self, now: Instant) {
        self.last_rtcp = Some(now);
    }

    pub(super) fn activity(&self) -> Activity {
        Activity {
            voiced_long: self.sum(MUTE_HEARD_BEFORE_TICKS).voiced,
            voiced_short: self.sum(MUTE_NEVER_HEARD_TICKS).voiced,
            packets_now: self.sum(CALM_TICKS).packets,
        }
    }

    fn sum(&self, ticks: usize) -> Look {
        self.past
            .iter()
            .rev()
            .take(ticks)
            .fold(Look::default(), |a, b| Look { packets: a.packets + b.packets, voiced: a.voiced + b.voiced })
    }

    /// One look, each [`TICK`]; tells what was raised (`true`) or is over.
    pub(super) fn tick(
        &mut self,
        expected: Expectation,
        other: Activity,
        now: Instant,
        mut tell: impl FnMut(MediaAlarm, bool),
    ) {
        if self.past.len() == MUTE_HEARD_BEFORE_TICKS {
            self.past.pop_front();
        }
        self.past.push_back(std::mem::take(&mut self.now));
        self.look_for_rtp(expected.audio, now, &mut tell);
        self.look_for_rtcp(expected.connected, now, &mut tell);
        self.look_for_one_way(expected.talking, other, &mut tell);
    }

    fn look_for_rtp(&mut self, expected: bool, now: Instant, tell: &mut impl FnMut(MediaAlarm, bool)) {
        self.rtp_due = if expected { self.rtp_due.or(Some(now)) } else { None };
        let silent_since = self.rtp_due.map(|due| self.last_rtp.map_or(due, |last| last.max(due)));
        let silent = silent_since.is_some_and(|since| now.saturating_duration_since(since) >= NO_RTP_AFTER);
        let flows =
            self.past.len() >= CALM_TICKS && self.past.iter().rev().take(CALM_TICKS).all(|look| look.packets > 0);
        if silent && !self.no_rtp {
            self.no_rtp = true;
            tell(MediaAlarm::NoRtp, true);
        } else if self.no_rtp && (flows || !expected) {
            self.no_rtp = false;
            tell(MediaAlarm::NoRtp, false);
        }
    }

    fn look_for_rtcp(&mut self, expected: bool, now: Instant, tell: &mut impl FnMut(MediaAlarm, bool)) {
        self.rtcp_due = if expected { self.rtcp_due.or(Some(now)) } else { None };
        let silent_since = self.rtcp_due.map(|due| self.last_rtcp.map_or(due, |last| last.max(due)));
        let silent = silent_since.is_some_and(|since| now.saturating_duration_since(since) >= NO_RTCP_AFTER);
        if silent != self.no_rtcp {
            self.no_rtcp = silent;
            tell(MediaAlarm::NoRtcp, silent);
        }
    }

    fn look_for_one_way(&mut self, talking: bool, other: Activity, tell: &mut impl FnMut(MediaAlarm, bool)) {
        if !talking {
            self.talk_ticks = 0;
            self.was_heard = false;
            if self.one_way.take().is_some() {
                tell(MediaAlarm::OneWay, false);
            }
            return;
        }
        self.talk_ticks += 1;
        let speaks = self.sum(CALM_TICKS).voiced >= 5;
        self.was_heard |= speaks;

        match self.one_way {
            None => {
                let cause = if self.no_rtp && other.packets_now > 0 {
                    Some(OneWay::Empty)
                } else {
                    self.is_mute(other).then_some(OneWay::Mute)
                };
                if cause.is_some() {
                    self.one_way = cause;
                    tell(MediaAlarm::OneWay, true);
                }
            }
            Some(OneWay::Empty) if !self.no_rtp => {
                self.one_way = None;
                tell(MediaAlarm::OneWay, false);
            }
            Some(OneWay::Mute) if speaks => {
                self.one_way = None;
                tell(MediaAlarm::OneWay, false);
            }
            Some(OneWay::Empty | OneWay::Mute) => {}
        }
    }

    fn is_mute(&self, other: Activity) -> bool {
        let (ticks, other_spoke) = if self.was_heard {
            (MUTE_HEARD_BEFORE_TICKS, other.voiced_long >= OTHER_SPOKE_HEARD_BEFORE_FRAMES_MIN)
        } else {
            (MUTE_NEVER_HEARD_TICKS, other.voiced_short >= OTHER_SPOKE_NEVER_HEARD_FRAMES_MIN)
        };
        let own = self.sum(ticks);
        self.talk_ticks >= ticks
            && own.packets > 0
            && own.voiced * 1000 <= own.packets * MUTE_PERMILLE_MAX
            && other_spoke
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TALK: Expectation = Expectation { connected: true, audio: true, talking: true };

    /// One letter per second and side: `s` speaks, `q` sends quiet frames, `.` sends nothing.
    #[track_caller]
    #[allow(clippy::disallowed_methods, reason = "a test's clock has to start somewhere")]
    fn check(ours: &str, theirs: &str, expected: &[(usize, MediaAlarm, bool)]) {
        assert_eq!(ours.len(), theirs.len());
        let base = Instant::now();
        let (mut us, mut them) = (Watch::default(), Watch::default());
        let mut told = Vec::new();
        for (n, (a, b)) in ours.bytes().zip(theirs.bytes()).enumerate() {
            let at = base + TICK * n as u32;
            for (watch, does) in [(&mut us, a), (&mut them, b)] {
                for frame in 0..50 {
                    if does != b'.' {
                        watch.note_rtp(does == b's', at + Duration::from_millis(frame * 20));
                    }
                }
                watch.note_rtcp(at);
            }
            let now = at + TICK;
            them.tick(TALK, us.activity(), now, |_, _| {});
            us.tick(TALK, them.activity(), now, |alarm, raised| told.push((n, alarm, raised)));
        }
        assert_eq!(told, expected, "{ours}");
    }

    #[test]
    fn missing_and_mute_audio_is_told_once_and_its_end_too() {
        use MediaAlarm::{NoRtp, OneWay};
        check("ssssssssssssssss", "ssssssssssssssss", &[]);
        check("qqqqqqqqqqqqqqqq", "qqqqqqqqqqqqqqqq", &[]);
        check("qqqqqqqqqqqq", "ssssssssssss", &[(9, OneWay, true)]);
        check("qqqqqqqqqqqqsss", "sssssssssssssss", &[(9, OneWay, true), (12, OneWay, false)]);
        let [listens, explains] = [("q", 61), ("s", 63)].map(|(does, for_s)| does.repeat(for_s));
        check(&format!("ss{listens}"), &explains, &[(60, OneWay, true)]);
        check(&format!("ss{}ss{}", &listens[..57], &listens[..2]), &explains, &[]);
        check(&format!("ss{listens}"), &format!("{}{listens}", &explains[..2]), &[]);
        check(&format!("ss{listens}"), &format!("{}{}", &explains[..15], "q".repeat(48)), &[]);
        check("s.s.s.s.s.s.s.s.s.", "ssssssssssssssssss", &[]);
        check(
            "s.......sss",
            "sssssssssss",
            &[(3, NoRtp, true), (3, OneWay, true), (9, NoRtp, false), (9, OneWay, false)],
        );
        check("s........", "s........", &[(3, NoRtp, true)]);
        check("s.....s.......", "s.............", &[(3, NoRtp, true)]);
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a test's clock has to start somewhere")]
    fn missing_reports_are_told_after_20_s() {
        let base = Instant::now();
        let mut watch = Watch::default();
        let mut told = Vec::new();
        for n in 1..60 {
            let now = base + TICK * n;
            if n == 5 || n == 40 {
                watch.note_rtcp(now);
            }
            let expected = Expectation { connected: true, audio: false, talking: false };
            watch.tick(expected, Activity::default(), now, |alarm, raised| told.push((n, alarm, raised)));
        }
        assert_eq!(told, [(25, MediaAlarm::NoRtcp, true), (40, MediaAlarm::NoRtcp, false)]);
    }
}
