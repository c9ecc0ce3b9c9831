//! Two senders with real Opus, a network between, and an ear at the end that counts beeps.

mod packets;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::audio::both::Both;
use crate::audio::line::Line;
use crate::audio::{Block, Frames, Reel, Stats, Stereo, reel, stereo};
use crate::model::rtp::{Side, TapKey, TapMedia, TapPayload};
use crate::model::time::Clock;

const FRAME: usize = 320;
/// One beep a second: 300 ms, beginning 250 ms into it.
const BEEP_START: usize = 4_000;
const BEEP_LEN: usize = 4_800;

/// The network between one sender and the tap, and the sender's clock.
#[derive(Clone, Copy)]
struct Path {
    loss: f64,
    jitter_ms: f64,
    duplicate: f64,
    dtx: bool,
    /// How much slower than ours the sender's clock runs.
    ppm: f64,
    /// Packets of these numbers are not copied (first, count).
    uncopied: (u64, u32),
    /// From this packet on the sender's time and numbers begin anew.
    restart: Option<u64>,
    /// Between these packets everything waits, then comes at once (first, count).
    stall: (u64, u64),
}

const CALM: Path = Path {
    loss: 0.0,
    jitter_ms: 0.0,
    duplicate: 0.0,
    dtx: false,
    ppm: 0.0,
    uncopied: (0, 0),
    restart: None,
    stall: (0, 0),
};

#[allow(clippy::large_enum_variant, reason = "as in the ring: a packet is copied inline")]
#[derive(Clone)]
enum Event {
    Media(TapMedia),
    Gap(u32),
}

struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Packets of a tone that beeps each second, `None` where the encoder pauses; and the encoder's delay in samples.
fn beeps(hz: f64, seconds: usize, dtx: bool) -> (Vec<Option<Arc<[u8]>>>, i64) {
    let mut encoder = opus::Encoder::new(16_000, opus::Channels::Mono, opus::Application::Voip).unwrap();
    encoder.set_bitrate(opus::Bitrate::Bits(24_000)).unwrap();
    encoder.set_inband_fec(true).unwrap();
    encoder.set_packet_loss_perc(20).unwrap();
    encoder.set_complexity(1).unwrap();
    encoder.set_dtx(dtx).unwrap();
    let delay = i64::from(encoder.get_lookahead().unwrap());
    let packets = (0..seconds * 50)
        .map(|frame| {
            let pcm: Vec<i16> = (0..FRAME)
                .map(|i| {
                    let at = frame * FRAME + i;
                    let beeping = (BEEP_START..BEEP_START + BEEP_LEN).contains(&(at % 16_000));
                    let tone = (at as f64 / 16_000.0 * hz * std::f64::consts::TAU).sin();
                    if beeping { (tone * 9_000.0) as i16 } else { 0 }
                })
                .collect();
            let packet = encoder.encode_vec(&pcm, 400).unwrap();
            // The encoder's way of saying "nothing to send".
            (packet.len() > 2).then(|| packet.into())
        })
        .collect();
    (packets, delay)
}

/// One side's packets as the tap copies them, with their instants.
fn send(
    side: Side,
    packets: impl Iterator<Item = Option<Arc<[u8]>>>,
    path: Path,
    opened: Instant,
) -> Vec<(Instant, Event)> {
    let mut dice = Dice(if side == Side::Agent { 11 } else { 12 });
    let (mut seq, mut rtp_time) = (9_000_u64, u32::MAX - 500_000);
    let mut events = Vec::new();
    let began = opened + Duration::from_millis(START_MS);
    for (index, packet) in (0_u64..).zip(packets) {
        if path.restart == Some(index) {
            (seq, rtp_time) = (100, 77_000);
        }
        let due = began + Duration::from_secs_f64(index as f64 * 0.02 * (1.0 + path.ppm / 1e6));
        rtp_time = rtp_time.wrapping_add(960);
        let Some(packet) = packet else { continue };
        seq += 1;
        let (first, count) = path.uncopied;
        if (first..first + u64::from(count)).contains(&index) {
            if index == first {
                events.push((due + Duration::from_millis(u64::from(count) * 20), Event::Gap(count)));
            }
            continue;
        }
        if dice.roll() < path.loss {
            continue;
        }
        let copies = if dice.roll() < path.duplicate { 2 } else { 1 };
        for _ in 0..copies {
            // Mostly a little, sometimes much, as queues are.
            let jitter = path.jitter_ms * dice.roll() * dice.roll();
            let mut arrival = due + Duration::from_secs_f64(jitter / 1e3);
            let (first, count) = path.stall;
            if (first..first + count).contains(&index) {
                arrival = began + Duration::from_millis((first + count) * 20);
            }
            let payload = TapPayload::new(&packet);
            events.push((arrival, Event::Media(TapMedia { tap: TapKey(1), side, seq, rtp_time, arrival, payload })));
        }
    }
    events
}

const START_MS: u64 = 130;

/// Runs both sides through the tap's ground floor as its worker would; the end is not on any frame's border.
fn record(customer: Vec<(Instant, Event)>, agent: Vec<(Instant, Event)>, opened: Instant, length: Duration) -> Heard {
    let heard = record_with_pauses(customer, agent, opened, length, &[]);
    assert_eq!(heard.samples.len() as u64, heard.stats.samples);
    heard
}

/// As [`record`]; each pause as its beginning and end in microseconds since the opening.
fn record_with_pauses(
    customer: Vec<(Instant, Event)>,
    agent: Vec<(Instant, Event)>,
    opened: Instant,
    length: Duration,
    pauses: &[(u64, u64)],
) -> Heard {
    let line = Stereo::new(TapKey(1), opened);
    run(
        line,
        customer,
        agent,
        opened,
        length,
        pauses,
        (stereo::LAG_MAX, |stereo: &mut Stereo, now| stereo.poll_block(now)),
    )
}

/// As [`record_with_pauses`], but nothing is decoded until it lies in the file.
fn reel_with_pauses(
    customer: Vec<(Instant, Event)>,
    agent: Vec<(Instant, Event)>,
    opened: Instant,
    length: Duration,
    pauses: &[(u64, u64)],
) -> Heard {
    let mut player = Player::default();
    let line = Reel::new(TapKey(1), opened);
    let mut heard = run(
        line,
        customer,
        agent,
        opened,
        length,
        pauses,
        (reel::LAG_MAX, |reel: &mut Reel, now| reel.poll_frames(now).map(|frames| player.play(&frames))),
    );
    // The last frame reaches beyond the end by less than its length.
    let samples = heard.stats.samples as usize;
    assert!(heard.samples.len() < samples + FRAME, "{} {samples}", heard.samples.len());
    heard.samples.truncate(samples);
    assert_eq!(heard.samples.len(), samples);
    heard
}

/// What plays an Ogg file: a decoder for each side, fed with every frame.
struct Player([opus::Decoder; 2]);

impl Default for Player {
    fn default() -> Self {
        Self([0, 1].map(|_| opus::Decoder::new(16_000, opus::Channels::Mono).unwrap()))
    }
}

impl Player {
    fn play(&mut self, frames: &Frames) -> Block {
        let mut samples = vec![[0; 2]; frames.pairs.len() * FRAME];
        for (pair, out) in frames.pairs.iter().zip(samples.chunks_exact_mut(FRAME)) {
            for (side, frame) in pair.iter().enumerate() {
                let (mut packet, mut pcm) = (Vec::new(), [0; FRAME]);
                frame.write(false, &mut packet);
                assert_eq!(self.0[side].decode(&packet, &mut pcm, false).unwrap(), FRAME, "{packet:02x?}");
                out.iter_mut().zip(pcm).for_each(|(out, sample)| out[side] = sample);
            }
        }
        Block { tap: frames.tap, first_sample: frames.first_frame * FRAME as u64, samples }
    }
}

/// Runs both sides through a kind of line as the tap's worker would.
fn run<L: Line>(
    mut both: Both<L>,
    customer: Vec<(Instant, Event)>,
    agent: Vec<(Instant, Event)>,
    opened: Instant,
    length: Duration,
    pauses: &[(u64, u64)],
    (lag_max, mut poll): (Duration, impl FnMut(&mut Both<L>, Instant) -> Option<Block>),
) -> Heard {
    let mut events: Vec<_> = customer.into_iter().map(|(at, e)| (at, Side::Customer, e)).collect();
    events.extend(agent.into_iter().map(|(at, e)| (at, Side::Agent, e)));
    events.sort_by_key(|(at, ..)| *at);
    let mut heard = Heard { samples: Vec::new(), stats: Stats::default() };
    let (mut now, end) = (opened, opened + length);
    let mut events = events.into_iter().take_while(|(at, ..)| *at < end).peekable();
    let orders = pauses.iter().flat_map(|&(from, to)| [(from, true), (to, false)]);
    let mut orders = orders.map(|(at, paused)| (opened + Duration::from_micros(at), paused)).peekable();
    while now < end {
        now += Duration::from_millis(10);
        while let Some((at, paused)) = orders.next_if(|(at, _)| *at <= now) {
            if paused { both.pause(at) } else { both.resume(at) }
        }
        while let Some((_, side, event)) = events.next_if(|(at, ..)| *at <= now) {
            match event {
                Event::Media(media) => both.handle_media(media),
                Event::Gap(count) => both.handle_gap(side, count),
            }
        }
        while let Some(block) = poll(&mut both, now) {
            heard.append(block, now, opened, lag_max);
        }
    }
    both.close(end);
    while let Some(block) = poll(&mut both, end) {
        heard.append(block, now, opened, lag_max);
    }
    heard.stats = both.stats();
    heard
}

struct Heard {
    samples: Vec<[i16; 2]>,
    stats: Stats,
}

/// A beep the ear found, in samples.
#[derive(Clone, Copy, Debug)]
struct Beep {
    start: i64,
    end: i64,
}

impl Heard {
    fn append(&mut self, block: Block, now: Instant, opened: Instant, lag_max: Duration) {
        assert_eq!(block.first_sample, self.samples.len() as u64, "a block out of order");
        let age = now - opened - crate::audio::duration(block.first_sample);
        assert!(age <= lag_max + Duration::from_millis(10), "{age:?} behind");
        self.samples.extend(block.samples);
    }

    fn channel(&self, channel: usize) -> Vec<i16> {
        self.samples.iter().map(|frame| frame[channel]).collect()
    }

    /// Loud stretches of at least 100 ms, bridging holes of up to 100 ms.
    fn beeps(&self, channel: usize) -> Vec<Beep> {
        let mut beeps: Vec<Beep> = Vec::new();
        for (ms, window) in self.channel(channel).as_chunks::<16>().0.iter().enumerate() {
            let power: f64 = window.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / 16.0;
            if power < 1_800.0_f64.powi(2) {
                continue;
            }
            let (start, end) = (ms as i64 * 16, ms as i64 * 16 + 16);
            match beeps.last_mut() {
                Some(last) if start - last.end < 1_600 => last.end = end,
                _ => beeps.push(Beep { start, end }),
            }
        }
        beeps.retain(|beep| beep.end - beep.start >= 1_600);
        beeps
    }
}

/// Share of a beep's power at `hz`.
fn purity(pcm: &[i16], hz: f64) -> f64 {
    let (mut re, mut im, mut power) = (0.0, 0.0, 0.0);
    for (i, &sample) in pcm.iter().enumerate() {
        let (s, phase) = (f64::from(sample), i as f64 / 16_000.0 * hz * std::f64::consts::TAU);
        re += s * phase.cos();
        im += s * phase.sin();
        power += s * s;
    }
    2.0 * (re * re + im * im) / (power * pcm.len() as f64)
}

/// Where each beep of a side lies against where it was sent; a loss may eat one edge of a beep, so the better counts.
fn errors_ms(heard: &Heard, channel: usize, path: Path, delay: i64) -> Vec<f64> {
    heard
        .beeps(channel)
        .iter()
        .map(|beep| {
            let place = |sample: f64| sample * (1.0 + path.ppm / 1e6) + (START_MS * 16) as f64 + delay as f64;
            let second =
                ((beep.start - delay - 2_080 - BEEP_START as i64) as f64 / 16_000.0 / (1.0 + path.ppm / 1e6)).round();
            let start = place(second * 16_000.0 + BEEP_START as f64) - beep.start as f64;
            let end = place(second * 16_000.0 + (BEEP_START + BEEP_LEN) as f64) - beep.end as f64;
            (if start.abs() < end.abs() { start } else { end }) / 16.0
        })
        .collect()
}

/// Ten seconds of both sides: every beep is in its own channel, beside its time, and the length is exact.
#[track_caller]
fn check(name: &str, customer: Path, agent: Path) -> Heard {
    let opened = Clock.instant();
    let (left, delay) = beeps(440.0, 10, customer.dtx);
    let (right, _) = beeps(1_000.0, 10, agent.dtx);
    let left = send(Side::Customer, left.into_iter(), customer, opened);
    let right = send(Side::Agent, right.into_iter(), agent, opened);
    let heard = record(left, right, opened, Duration::from_micros(10_512_345));
    assert_eq!(heard.samples.len(), 168_198, "{name}: the length");
    for (channel, path, hz) in [(0, customer, 440.0), (1, agent, 1_000.0)] {
        let beeps = heard.beeps(channel);
        assert_eq!(beeps.len(), 10, "{name}: beeps in channel {channel}: {beeps:?} {:?}", heard.stats);
        let errors = errors_ms(&heard, channel, path, delay);
        assert!(errors.iter().all(|ms| ms.abs() <= 10.0), "{name}: channel {channel} is off by {errors:?} ms");
        let pcm = heard.channel(channel);
        for beep in beeps {
            let tone = purity(&pcm[beep.start as usize..beep.end as usize], hz);
            assert!(tone > 0.6, "{name}: a beep of channel {channel} is only {tone:.2} its tone");
        }
    }
    heard
}

#[test]
fn both_voices_lie_where_they_were_heard() {
    let heard = check("calm", CALM, CALM);
    for side in [heard.stats.customer, heard.stats.agent] {
        assert_eq!(
            (side.packets, side.lost, side.plc, side.fec, side.gaps, side.late, side.corrections),
            (500, 0, 0, 0, 0, 0, 0)
        );
    }
}

#[test]
fn lost_packets_are_rebuilt_or_made_up_in_place() {
    let heard = check("loss", Path { loss: 0.05, ..CALM }, CALM).stats.customer;
    assert!((10..50).contains(&heard.lost) && heard.fec > 0, "{heard:?}");
    assert!(heard.fec + heard.plc >= heard.lost, "{heard:?}");
    assert_eq!((heard.late, heard.gaps), (0, 0));
}

#[test]
fn jitter_reordering_and_duplicates_change_nothing() {
    let rough = Path { jitter_ms: 90.0, duplicate: 0.2, ..CALM };
    let heard = check("rough", rough, CALM).stats.customer;
    assert!(heard.duplicates > 50, "{heard:?}");
    assert_eq!((heard.lost, heard.plc, heard.late, heard.gaps), (0, 0, 0, 0), "{heard:?}");
    check("rough and lossy", Path { loss: 0.04, ..rough }, Path { loss: 0.02, ..CALM });
}

#[test]
fn an_encoder_that_pauses_leaves_exact_silence_and_no_gap() {
    let pausing = Path { dtx: true, ..CALM };
    let heard = check("dtx", pausing, Path { jitter_ms: 40.0, ..pausing });
    for (channel, side) in [heard.stats.customer, heard.stats.agent].into_iter().enumerate() {
        assert!(side.packets < 450, "the encoder never paused: {side:?}");
        assert_eq!((side.lost, side.plc, side.gaps), (0, 0, 0));
        let silent = heard.channel(channel).iter().filter(|&&sample| sample == 0).count();
        assert!(silent > 10 * 16 * 50, "{silent}");
    }
}

#[test]
fn what_the_tap_could_not_copy_is_exact_silence_and_counted() {
    // 600 ms in the middle of the fourth second's beep and after.
    let heard = check("uncopied", Path { uncopied: (170, 30), ..CALM }, CALM);
    let side = heard.stats.customer;
    assert_eq!((side.not_copied, side.gaps, side.gap_samples, side.lost, side.plc), (30, 1, 9_600, 0, 0), "{side:?}");
    let hole = &heard.channel(0)[2_080 + 170 * 320 + 200..2_080 + 200 * 320];
    assert!(hole.iter().all(|&sample| sample == 0));
}

#[test]
fn nothing_of_a_pause_is_handed_on_and_time_runs_on_in_it() {
    let opened = Clock.instant();
    let rough = Path { jitter_ms: 60.0, ..CALM };
    let (left, delay) = beeps(440.0, 10, false);
    let (right, _) = beeps(1_000.0, 10, false);
    let left = send(Side::Customer, left.into_iter(), rough, opened);
    let right = send(Side::Agent, right.into_iter(), CALM, opened);
    // Over the beeps of seconds 3 and 4, then in the midst of that of second 6.
    let pauses = [(3_250_000, 4_950_000), (6_500_313, 6_600_000)];
    let heard = record_with_pauses(left, right, opened, Duration::from_secs(10), &pauses);
    assert_eq!(heard.samples.len(), 160_000);
    for range in [52_000..79_200, 104_005..105_600] {
        assert!(heard.samples[range.clone()].iter().all(|&frame| frame == [0; 2]), "{range:?}");
        for edge in [range.start - 40..range.start, range.end..range.end + 40] {
            let sounds =
                range.start == 52_000 || heard.samples[edge.clone()].iter().any(|frame| frame[1].abs() > 2_000);
            assert!(sounds, "silence beyond the pause: {edge:?}");
        }
    }
    for (channel, path) in [(0, rough), (1, CALM)] {
        let starts: Vec<i64> = heard.beeps(channel).iter().map(|beep| beep.start / 16_000).collect();
        assert_eq!(starts, [0, 1, 2, 5, 6, 7, 8, 9], "channel {channel}");
        let errors = errors_ms(&heard, channel, path, delay);
        assert!(errors.iter().all(|ms| ms.abs() <= 10.0), "channel {channel}: {errors:?}");
    }
}

#[test]
fn a_loss_too_long_to_conceal_is_a_counted_gap() {
    let opened = Clock.instant();
    let (packets, _) = beeps(440.0, 6, false);
    let mut events = send(Side::Customer, packets.into_iter(), CALM, opened);
    // One second with one whole beep in it.
    events.drain(110..160);
    let heard = record(events, Vec::new(), opened, Duration::from_secs(6));
    let side = heard.stats.customer;
    assert_eq!((side.lost, side.gaps), (50, 1), "{side:?}");
    assert!(side.gap_samples >= 13_000 && side.gap_samples <= 16_000, "{side:?}");
    assert_eq!(heard.beeps(0).len(), 5);
}

#[test]
fn speech_that_a_hiccup_held_back_is_kept_and_the_line_recovers() {
    // Half a second is held back and comes at once, 200 ms too late for its place.
    let stalled = Path { stall: (112, 24), ..CALM };
    let opened = Clock.instant();
    let (left, delay) = beeps(440.0, 10, false);
    let left = send(Side::Customer, left.into_iter(), stalled, opened);
    let heard = record(left, Vec::new(), opened, Duration::from_secs(10));
    let side = heard.stats.customer;
    assert!(side.shifts > 0 && side.lost == 0, "{side:?}");
    assert_eq!(heard.beeps(0).len(), 10, "{:?} {side:?}", heard.beeps(0));
    let errors = errors_ms(&heard, 0, stalled, delay);
    assert!(errors[5..].iter().all(|ms| ms.abs() <= 10.0), "{errors:?} {side:?}");
}

#[test]
fn a_sender_whose_time_begins_anew_is_followed() {
    let opened = Clock.instant();
    let anew = Path { restart: Some(250), ..CALM };
    let (left, delay) = beeps(440.0, 10, false);
    let left = send(Side::Customer, left.into_iter(), anew, opened);
    let heard = record(left, Vec::new(), opened, Duration::from_secs(10));
    assert_eq!(heard.beeps(0).len(), 10, "{:?} {:?}", heard.beeps(0), heard.stats.customer);
    let errors = errors_ms(&heard, 0, anew, delay);
    assert!(errors.iter().all(|ms| ms.abs() <= 10.0), "{errors:?} {:?}", heard.stats.customer);
}

/// An hour with two clocks that run apart by 0.72 s, 2 % loss and jitter. The ten seconds of beeps are encoded once
/// and played in a loop; decoding is real.
#[test]
fn after_an_hour_of_two_clocks_the_voices_are_still_side_by_side() {
    let opened = Clock.instant();
    let slow = Path { ppm: 100.0, loss: 0.02, jitter_ms: 60.0, ..CALM };
    let fast = Path { ppm: -100.0, loss: 0.02, ..CALM };
    let (left, delay) = beeps(440.0, 10, false);
    let (right, _) = beeps(1_000.0, 10, false);
    let left = send(Side::Customer, left.into_iter().cycle().take(180_000), slow, opened);
    let right = send(Side::Agent, right.into_iter().cycle().take(180_000), fast, opened);
    let heard = record(left, right, opened, Duration::from_secs(3_601));
    assert_eq!(heard.samples.len(), 3_601 * 16_000);
    for (channel, path) in [(0, slow), (1, fast)] {
        let mut errors = errors_ms(&heard, channel, path, delay);
        assert_eq!(errors.len(), 3_600, "beeps of channel {channel}");
        errors.sort_by(f64::total_cmp);
        println!(
            "channel {channel}: alignment error min {:.1} median {:.1} max {:.1} ms, {:?}",
            errors[0],
            errors[1_800],
            errors[3_599],
            [heard.stats.customer, heard.stats.agent][channel]
        );
        assert!(errors.iter().all(|ms| ms.abs() < 20.0), "{:?}", [errors[0], errors[3_599]]);
    }
}

/// Whatever a phone sends: the line stays as long as the call, is handed on in time, and nothing panics.
#[test]
fn no_sender_can_break_the_line() {
    for seed in 0..40 {
        let opened = Clock.instant();
        let mut dice = Dice(seed);
        let mut number = |below: f64| (dice.roll() * below) as u64;
        let (mut seq, mut rtp_time) = (100_000_u64, 0_u32);
        let mut chaos = |side| {
            let mut events = Vec::new();
            for packet in 0..400 {
                let odd = number(20.0);
                seq = match odd {
                    0 => number(1e15),
                    1 => seq.saturating_sub(number(100.0)),
                    2 => seq + number(5_000.0),
                    _ => seq + 1,
                };
                rtp_time = match number(20.0) {
                    0 => number(4.3e9) as u32,
                    1 => rtp_time.wrapping_sub(number(1e5) as u32),
                    2 => rtp_time.wrapping_add(number(2e5) as u32),
                    _ => rtp_time.wrapping_add(960),
                };
                let payload: Vec<u8> = (0..number(60.0)).map(|_| number(256.0) as u8).collect();
                let arrival = opened + Duration::from_millis(packet * 20 + number(300.0));
                let payload = TapPayload::new(&payload.into());
                events
                    .push((arrival, Event::Media(TapMedia { tap: TapKey(1), side, seq, rtp_time, arrival, payload })));
                if odd == 3 {
                    events.push((arrival, Event::Gap(number(1e6) as u32)));
                }
            }
            events
        };
        let (customer, agent) = (chaos(Side::Customer), chaos(Side::Agent));
        let (again, too) = (customer.clone(), agent.clone());
        let heard = record(customer, agent, opened, Duration::from_secs(9));
        assert_eq!(heard.samples.len(), 144_000, "seed {seed}");
        assert!(heard.stats.customer.malformed > 0, "seed {seed}");
        let heard = reel_with_pauses(again, too, opened, Duration::from_secs(9), &[]);
        assert_eq!(heard.samples.len(), 144_000, "seed {seed}");
        assert!(heard.stats.customer.malformed > 0, "seed {seed}");
    }
}
