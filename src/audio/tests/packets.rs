//! The same stories of packets that are never decoded.

use super::*;

/// Ten seconds of both sides without decoding them: every beep is in its own channel, at most a frame from its place, and
/// the length is exact.
#[track_caller]
fn check_reel(name: &str, customer: Path, agent: Path) -> Heard {
    let opened = Clock.instant();
    let (left, delay) = beeps(440.0, 10, customer.dtx);
    let (right, _) = beeps(1_000.0, 10, agent.dtx);
    let left = send(Side::Customer, left.into_iter(), customer, opened);
    let right = send(Side::Agent, right.into_iter(), agent, opened);
    let heard = reel_with_pauses(left, right, opened, Duration::from_micros(10_512_345), &[]);
    assert_eq!(heard.samples.len(), 168_198, "{name}: the length");
    for (channel, path, hz) in [(0, customer, 440.0), (1, agent, 1_000.0)] {
        let beeps = heard.beeps(channel);
        assert_eq!(beeps.len(), 10, "{name}: beeps in channel {channel}: {beeps:?} {:?}", heard.stats);
        let errors = errors_ms(&heard, channel, path, delay);
        assert!(errors.iter().all(|ms| ms.abs() <= 20.0), "{name}: channel {channel} is off by {errors:?} ms");
        let pcm = heard.channel(channel);
        for beep in beeps {
            let tone = purity(&pcm[beep.start as usize..beep.end as usize], hz);
            assert!(tone > 0.6, "{name}: a beep of channel {channel} is only {tone:.2} its tone");
        }
    }
    heard
}

#[test]
fn packets_that_are_never_decoded_lie_where_they_were_heard() {
    let calm = check_reel("calm", CALM, CALM).stats.customer;
    assert_eq!((calm.packets, calm.lost, calm.plc, calm.gaps, calm.late, calm.corrections), (500, 0, 0, 0, 0, 0));
    let lossy = check_reel("lossy", Path { loss: 0.02, jitter_ms: 60.0, duplicate: 0.1, ..CALM }, CALM).stats.customer;
    assert!(lossy.lost > 0 && lossy.plc == lossy.lost && lossy.gaps == 0 && lossy.duplicates > 0, "{lossy:?}");
    let pausing = check_reel("dtx", Path { dtx: true, jitter_ms: 40.0, ..CALM }, Path { dtx: true, ..CALM });
    for (channel, side) in [pausing.stats.customer, pausing.stats.agent].into_iter().enumerate() {
        assert!(side.packets < 450 && side.lost == 0 && side.plc == 0 && side.gaps == 0, "{side:?}");
        let silent = pausing.channel(channel).iter().filter(|&&sample| sample == 0).count();
        assert!(silent > 10 * 16 * 50, "{silent}");
    }
    let uncopied = check_reel("uncopied", Path { uncopied: (170, 30), ..CALM }, CALM);
    let side = uncopied.stats.customer;
    assert_eq!((side.not_copied, side.gaps, side.gap_samples, side.lost, side.plc), (30, 1, 9_600, 0, 0), "{side:?}");
    check_reel("anew", Path { restart: Some(250), ..CALM }, CALM);
}

#[test]
fn nothing_of_a_pause_is_among_the_packets() {
    let opened = Clock.instant();
    let rough = Path { jitter_ms: 60.0, ..CALM };
    let (left, _) = beeps(440.0, 10, false);
    let (right, _) = beeps(1_000.0, 10, false);
    let left = send(Side::Customer, left.into_iter(), rough, opened);
    let right = send(Side::Agent, right.into_iter(), CALM, opened);
    let pauses = [(3_250_000, 4_950_000), (6_500_313, 6_600_000)];
    let heard = reel_with_pauses(left, right, opened, Duration::from_secs(10), &pauses);
    // What a decoder makes of the first silent frame rings on for some milliseconds.
    for range in [52_000 + 160..79_200, 104_005 + 160..105_600] {
        assert!(heard.samples[range.clone()].iter().all(|frame| frame.iter().all(|s| s.abs() <= 1)), "{range:?}");
    }
    for channel in [0, 1] {
        let starts: Vec<i64> = heard.beeps(channel).iter().map(|beep| beep.start / 16_000).collect();
        assert_eq!(starts, [0, 1, 2, 5, 6, 7, 8, 9], "channel {channel}");
    }
}

/// As for the decoded lines: an hour, two clocks that run apart, loss and jitter.
#[test]
fn after_an_hour_the_packets_of_two_clocks_are_still_side_by_side() {
    let opened = Clock.instant();
    let slow = Path { ppm: 100.0, loss: 0.02, jitter_ms: 60.0, ..CALM };
    let fast = Path { ppm: -100.0, loss: 0.02, ..CALM };
    let (left, delay) = beeps(440.0, 10, false);
    let (right, _) = beeps(1_000.0, 10, false);
    let left = send(Side::Customer, left.into_iter().cycle().take(180_000), slow, opened);
    let right = send(Side::Agent, right.into_iter().cycle().take(180_000), fast, opened);
    let heard = reel_with_pauses(left, right, opened, Duration::from_secs(3_601), &[]);
    assert_eq!(heard.samples.len(), 3_601 * 16_000);
    for (channel, path) in [(0, slow), (1, fast)] {
        let mut errors = errors_ms(&heard, channel, path, delay);
        assert_eq!(errors.len(), 3_600, "beeps of channel {channel}");
        errors.sort_by(f64::total_cmp);
        let side = [heard.stats.customer, heard.stats.agent][channel];
        println!("channel {channel}: {:.1} {:.1} {:.1} ms, {side:?}", errors[0], errors[1_800], errors[3_599]);
        // Of one beep in some thousand both edges are lost, and a lost frame is not rebuilt here.
        assert!(errors.iter().all(|ms| ms.abs() < 40.0), "{:?} {side:?}", [errors[0], errors[3_599]]);
        let inside = errors.iter().filter(|ms| ms.abs() < 20.0).count();
        assert!(inside >= 3_595, "{inside} {:?} {side:?}", [errors[0], errors[3_599]]);
    }
}

#[test]
fn packets_of_any_length_are_laid_on_the_grid_with_their_sound() {
    for (frame_ms, frames) in [(10, 1), (10, 3), (5, 1), (20, 2), (20, 3), (40, 1), (60, 1)] {
        let opened = Clock.instant();
        let application = if frame_ms == 5 { opus::Application::LowDelay } else { opus::Application::Voip };
        let mut encoder = opus::Encoder::new(16_000, opus::Channels::Mono, application).unwrap();
        let mut joined = opus::Repacketizer::new().unwrap();
        let samples = frame_ms * 16;
        let mut events = Vec::new();
        for packet in 0..3_000 / (frame_ms * frames) {
            let encoded: Vec<Vec<u8>> = (0..frames)
                .map(|frame| {
                    let first = (packet * frames + frame) * samples;
                    let tone = |i| (f64::from(first + i) / 16_000.0 * 440.0 * std::f64::consts::TAU).sin();
                    let pcm: Vec<i16> = (0..samples).map(|i| (tone(i) * 9_000.0) as i16).collect();
                    encoder.encode_vec(&pcm, 1_000).unwrap()
                })
                .collect();
            let mut payload = vec![0; 4_000];
            let len = joined.combine(&encoded.iter().map(Vec::as_slice).collect::<Vec<_>>(), &mut payload).unwrap();
            payload.truncate(len);
            let at = packet * frames * frame_ms;
            let arrival = opened + Duration::from_millis(at as u64 + 40);
            let (seq, rtp_time, payload) = (packet as u64 + 7, at as u32 * 48, TapPayload::new(&Arc::from(payload)));
            events.push((
                arrival,
                Event::Media(TapMedia { tap: TapKey(1), side: Side::Customer, seq, rtp_time, arrival, payload }),
            ));
        }
        let heard = reel_with_pauses(events, Vec::new(), opened, Duration::from_secs(3), &[]);
        let pcm = &heard.channel(0)[16_000..40_000];
        let stats = heard.stats.customer;
        assert!(purity(pcm, 440.0) > 0.95, "{frames} × {frame_ms} ms: {:.2} {stats:?}", purity(pcm, 440.0));
        assert_eq!((stats.malformed, stats.gaps, stats.plc, stats.late), (0, 0, 0, 0), "{frames} × {frame_ms} ms");
    }
}

/// Nothing is lost, so no hole offers itself: frames must be left out and put in.
#[test]
fn packets_of_a_clock_that_is_off_stay_beside_their_place_without_a_loss() {
    for ppm in [400.0, -400.0] {
        let opened = Clock.instant();
        let off = Path { ppm, ..CALM };
        let (left, delay) = beeps(440.0, 10, false);
        let left = send(Side::Customer, left.into_iter().cycle().take(15_000), off, opened);
        let heard = reel_with_pauses(left, Vec::new(), opened, Duration::from_secs(299), &[]);
        let (errors, side) = (errors_ms(&heard, 0, off, delay), heard.stats.customer);
        assert!(errors.len() >= 298 && errors.iter().all(|ms| ms.abs() < 20.0), "{ppm}: {errors:?} {side:?}");
        // 400 ppm are 120 ms in five minutes: six frames.
        assert!((4..=7).contains(&side.corrections) && side.gaps == 0, "{ppm}: {side:?}");
    }
}
