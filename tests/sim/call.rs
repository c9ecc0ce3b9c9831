//! A call from connection to goodbye, asked for what was heard.

use std::time::Duration;

use tandem::media::{Fault, MediaEvent};
use tandem::model::rtp::{Side, TapKey, TapRecord};

use crate::network::Weather;
use crate::peer::{Style, frame_number};
use crate::world::{CUSTOMER, World, agent_key, assert_gapless, assert_one_line, longest_silence};

/// A frame each 20 ms, and the 100 ms after which an absent source is filled in for.
const SILENCE_MAX: Duration = Duration::from_millis(121);

#[track_caller]
fn assert_heard_both_ways(mut world: World) {
    let agent = world.add_agent();
    world.run_ms(1_500);
    assert!(world.phone.connected && world.browsers[agent].connected);
    world.join(agent);
    world.open_gate();
    world.phone.speak(world.now);
    world.browsers[agent].speak(world.now);
    world.run_ms(2_000);
    // Every frame, in order, with exactly the bytes that were spoken.
    let expected: Vec<u64> = (0..99).collect();
    assert_eq!(world.phone.frames_heard()[..99], expected);
    assert_eq!(world.browsers[agent].frames_heard()[..99], expected);
    assert_one_line(&world.phone.heard);
    assert_gapless(&world.phone.heard);
    assert_gapless(&world.browsers[agent].heard);
}

#[test]
fn a_user_calls_and_both_hear_each_other() {
    assert_heard_both_ways(World::inbound(Style::Live, 1));
}

#[test]
fn the_older_style_of_description_connects_as_well() {
    assert_heard_both_ways(World::inbound(Style::Reference, 2));
}

#[test]
fn we_call_and_both_hear_each_other_whichever_role_whatsapp_names() {
    for setup in ["active", "passive", "actpass"] {
        assert_heard_both_ways(World::outbound(Style::Live, setup, 3));
    }
}

#[test]
fn our_description_is_what_whatsapp_asks_for() {
    let world = World::inbound(Style::Live, 4);
    let text = &world.our_text;
    for line in [
        "a=setup:active",
        "a=mid:audio",
        "a=group:BUNDLE audio",
        "a=ptime:20",
        "a=maxptime:20",
        "a=rtpmap:111 opus/48000/2",
        "a=rtpmap:126 telephone-event/8000",
    ] {
        assert_eq!(text.lines().filter(|l| *l == line).count(), 1, "{line} in\n{text}");
    }
    assert!(!text.contains("extmap:") && !text.contains("WhatsApp") && !text.contains("str0m"), "{text}");
    assert_eq!(text.matches("a=fingerprint:").count(), 1);
    assert_eq!(text.matches("a=candidate:").count(), 1);
    assert!(text.split("\r\n").all(|l| !l.contains('\n')), "CRLF everywhere");
}

#[test]
fn before_the_gate_the_customer_is_sent_no_media_at_all() {
    let mut world = World::inbound(Style::Live, 5);
    let agent = world.add_agent();
    world.run_ms(500);
    world.join(agent);
    world.browsers[agent].speak(world.now);
    world.phone.speak(world.now);
    world.bridge.hold(true, world.now);
    world.run_ms(2_000);
    world.bridge.hold(false, world.now);
    world.run_ms(10_000);
    assert!(world.phone.connected);
    let media = world.sent.iter().filter(|s| s.leg == CUSTOMER && s.is_rtp()).count();
    assert_eq!(media, 0);
    assert!(!world.browsers[agent].frames_heard().is_empty(), "the agent hears the customer all the while");

    world.open_gate();
    let opened = world.now;
    let first = world.sent.iter().find(|s| s.leg == CUSTOMER && s.is_rtp()).unwrap();
    assert_eq!(first.at, opened, "we speak first, at once");
    world.run_ms(1_000);
    assert!(world.phone.frames_heard().len() > 45);
    assert!(world.events().any(|e| matches!(e, MediaEvent::FirstAudio { .. })));
}

#[test]
fn from_the_gate_on_the_customer_is_never_left_in_silence_and_hears_one_line() {
    let mut world = World::inbound(Style::Live, 6);
    let first = world.add_agent();
    world.run_ms(500);
    world.open_gate();
    let opened = world.now;
    world.run_ms(1_000);
    world.join(first);
    world.browsers[first].speak(world.now);
    world.run_ms(1_000);
    world.hold(true);
    world.run_ms(1_000);
    let heard_on_hold = world.phone.frames_heard().len();
    world.run_ms(1_000);
    assert_eq!(world.phone.frames_heard().len(), heard_on_hold, "the agent is not heard on hold");
    world.hold(false);
    world.run_ms(1_000);
    assert!(world.phone.frames_heard().len() > heard_on_hold + 45);
    // The agent stops sending, and comes back.
    world.browsers[first].fall_silent();
    world.run_ms(3_000);
    world.browsers[first].speak(world.now);
    world.run_ms(1_000);
    // The tab is closed; after a while another one re-attaches.
    world.browsers[first].hang_up();
    world.run_ms(2_000);
    assert!(world.is_lost("leg_agent0"));
    let second = world.add_agent();
    world.run_ms(500);
    world.join(second);
    world.browsers[second].speak(world.now);
    let before = world.phone.frames_heard().len();
    world.run_ms(1_000);
    assert!(world.phone.frames_heard().len() > before + 40, "the re-attached agent is heard");
    // Detached: hold music again.
    world.detach(second);
    world.run_ms(1_000);
    assert!(world.browsers[second].closed, "the browser was told");
    let until = world.now;

    assert_one_line(&world.phone.heard);
    assert_gapless(&world.phone.heard);
    let longest = longest_silence(&world.phone.heard, opened + Duration::from_millis(30), until);
    assert!(longest <= SILENCE_MAX, "{longest:?}");
    // The line neither runs ahead of the clock nor behind it.
    let (a, b) = (&world.phone.heard[0], world.phone.heard.last().unwrap());
    let line_ms = i64::from(b.time.wrapping_sub(a.time)) / 48;
    let clock_ms = (b.at - a.at).as_millis() as i64;
    assert!((line_ms - clock_ms).abs() <= 100, "{line_ms} {clock_ms}");
    for pair in world.phone.heard.windows(2) {
        let spoken = |n: usize| frame_number(&pair[n].payload).is_some();
        assert!(spoken(0) == spoken(1) || pair[1].marker, "a change of source is marked: {pair:?}");
    }
}

#[test]
fn a_customer_whom_we_call_is_sent_silence_at_once_and_the_agent_after_the_gate() {
    let mut world = World::outbound(Style::Live, "active", 20);
    let agent = world.add_agent();
    world.join(agent);
    world.browsers[agent].speak(world.now);
    world.run_ms(5_000);
    let connected = world.told.iter().find(|(_, e)| matches!(e, MediaEvent::Connected { .. })).unwrap().0;
    assert!(
        world.phone.heard.len() > 200 && world.phone.frames_heard().is_empty(),
        "silence, and no word of the agent"
    );
    assert!(longest_silence(&world.phone.heard, connected + Duration::from_millis(30), world.now) <= SILENCE_MAX);
    world.open_gate();
    world.run_ms(1_000);
    assert!(world.phone.frames_heard().len() > 45);
    assert_one_line(&world.phone.heard);
    assert_gapless(&world.phone.heard);
}

#[test]
fn an_agent_who_sends_nothing_leaves_the_customer_to_hold_music_and_takes_over_with_the_next_packet() {
    let mut world = World::talking(21);
    world.browsers[0].fall_silent();
    world.run_ms(2_500);
    let silence = world.phone.heard.last().unwrap().payload.len();
    world.run_ms(3_000);
    let music: usize = world.phone.heard.iter().rev().take(50).map(|h| h.payload.len()).sum::<usize>() / 50;
    assert!(music > silence + 15, "music is more than silence: {music} {silence}");
    world.browsers[0].speak(world.now);
    let (back, before) = (world.now, world.phone.frames_heard().len());
    world.run_ms(500);
    let first = world.phone.heard.iter().find(|h| h.at > back && frame_number(&h.payload).is_some()).unwrap();
    assert!(first.at - back <= Duration::from_millis(90), "{:?}", first.at - back);
    assert!(world.phone.frames_heard().len() >= before + 20);
    assert_gapless(&world.phone.heard);
}

#[test]
fn the_pauses_of_a_source_that_rests_are_halved_and_its_own_frames_pass() {
    let mut world = World::talking(22);
    world.browsers[0].rest();
    let rested = world.now;
    world.run_ms(8_000);
    let theirs = world.phone.heard.iter().filter(|h| h.at > rested && h.payload.len() == 2).count();
    assert!((19..=20).contains(&theirs), "{theirs}");
    let longest = longest_silence(&world.phone.heard, rested, world.now);
    assert!(longest <= Duration::from_millis(260), "{longest:?}");
    assert!(world.phone.heard.iter().filter(|h| h.at > rested).count() < 60, "and they are not drowned in ours");
    world.browsers[0].speak(world.now);
    world.run_ms(1_000);
    let spoken = world.browsers[0].spoken;
    let expected: Vec<u64> = (0..spoken - 1).collect();
    assert_eq!(world.phone.frames_heard()[..expected.len()], expected, "not a frame is lost by coming back");
    assert_one_line(&world.phone.heard);
    assert_gapless(&world.phone.heard);
}

#[test]
fn each_peer_is_told_as_heard_once() {
    let world = World::talking(23);
    let heard: Vec<&str> = world
        .events()
        .filter_map(|e| match e {
            MediaEvent::Heard { leg } => Some(leg.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(heard, ["leg_customer", "leg_agent0"]);
}

#[test]
fn the_first_word_is_whole_for_an_agent_whose_leg_comes_up_late() {
    let mut world = World::inbound(Style::Live, 7);
    world.run_ms(500);
    world.open_gate();
    world.phone.speak(world.now);
    // The agent accepts while the customer already speaks; its leg connects within the half second that is kept.
    let agent = world.add_agent();
    world.join(agent);
    world.run_ms(1_500);
    let heard = world.browsers[agent].frames_heard();
    assert_eq!(heard[..60], (0..60).collect::<Vec<u64>>()[..], "from the very first frame");
    assert_one_line(&world.browsers[agent].heard);
    assert_gapless(&world.browsers[agent].heard);
}

#[test]
fn a_rough_network_loses_only_what_it_lost() {
    for seed in [8, 81, 82, 83] {
        assert_only_the_networks_losses(seed);
    }
}

#[track_caller]
#[allow(clippy::unwrap_used, reason = "what cannot go on in a test stops it")]
fn assert_only_the_networks_losses(seed: u64) {
    let mut world = World::talking(seed);
    let (spoken, joined) = (world.browsers[0].spoken, world.now);
    world.network.weather = Weather { loss: 5, duplicate: 5, late: 10 };
    world.run_ms(20_000);
    world.network.weather = Weather::default();
    world.run_ms(1_000);
    for (heard, name) in [(&world.phone.heard, "phone"), (&world.browsers[0].heard, "browser")] {
        assert_one_line(heard);
        let numbers: Vec<u64> =
            heard.iter().filter_map(|h| frame_number(&h.payload)).filter(|n| *n >= spoken).collect();
        let mut unique = numbers.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), numbers.len(), "{name}: no frame twice");
        // Two networks of 5 % each way.
        let share = unique.len() as f64 / (world.browsers[0].spoken - spoken) as f64;
        assert!((0.86..0.95).contains(&share), "{name}: {share}");
    }
    // A loss stays a hole in the sequence, where the far end can see it and repair it.
    let span = world.phone.heard.last().unwrap().seq - world.phone.heard[0].seq + 1;
    assert!(span as usize > world.phone.heard.len() + 50);
    assert!(longest_silence(&world.phone.heard, joined, world.now) <= Duration::from_millis(200));
    let quality = world
        .events()
        .filter_map(|e| match e {
            MediaEvent::Quality { leg, quality, .. } if leg.as_str() == "leg_customer" => Some(*quality),
            _ => None,
        })
        .last()
        .unwrap();
    assert!((0.03..0.08).contains(&quality.loss_ratio), "{quality:?}");
    assert!(quality.jitter_ms > 2.0 && quality.rtt_ms.is_some_and(|ms| (10.0..60.0).contains(&ms)), "{quality:?}");
    assert!(quality.mos.is_some_and(|mos| (3.0..4.4).contains(&mos)), "{quality:?}");
}

#[test]
fn a_panic_in_one_leg_leaves_the_others_alone() {
    let mut world = World::talking(9);
    world.bridge.plant(agent_key(0), Fault::Panic);
    world.run_ms(1_000);
    assert!(world.is_lost("leg_agent0") && !world.is_lost("leg_customer"));
    assert_eq!(world.bridge.counters().panics, 1);
    assert_eq!(world.bridge.legs().count(), 1);
    let again = world.add_agent();
    world.run_ms(500);
    world.join(again);
    world.browsers[again].speak(world.now);
    world.run_ms(1_000);
    assert!(world.browsers[again].frames_heard().len() > 45);
    assert_gapless(&world.phone.heard);

    let mut world = World::talking(10);
    world.bridge.plant(CUSTOMER, Fault::Panic);
    world.run_ms(1_000);
    assert!(world.is_lost("leg_customer") && !world.is_lost("leg_agent0"));
}

#[test]
fn a_peer_that_vanishes_is_noticed() {
    let mut world = World::talking(11);
    world.network.cut = Some(world.phone.address);
    world.run_ms(8_000);
    assert!(!world.is_lost("leg_customer"));
    world.run_ms(2_500);
    assert!(world.is_lost("leg_customer") && !world.is_lost("leg_agent0"));

    let mut world = World::talking(12);
    world.network.cut = Some(world.browsers[0].address);
    world.run_ms(10_500);
    assert!(world.is_lost("leg_agent0") && !world.is_lost("leg_customer"));
    let before = world.phone.heard.len();
    world.run_ms(1_000);
    assert!(world.phone.heard.len() >= before + 49, "hold music goes on");
}

#[test]
fn a_phone_that_learns_our_answer_late_still_connects() {
    let mut world = World::inbound(Style::Live, 13);
    world.network.cut = Some(world.phone.address);
    world.run_ms(25_000);
    assert!(!world.phone.connected && !world.is_lost("leg_customer"));
    world.network.cut = None;
    world.run_ms(4_000);
    assert!(world.phone.connected);

    let mut world = World::inbound(Style::Live, 14);
    world.network.cut = Some(world.phone.address);
    world.run_ms(61_000);
    assert!(world.is_lost("leg_customer"), "but not for ever");
}

#[test]
fn a_source_that_changes_in_mid_call_is_heard_and_the_agent_sees_one_stream() {
    let mut world = World::talking(15);
    world.phone.change_ssrc(4_242);
    let before = world.browsers[0].frames_heard().len();
    world.run_ms(1_000);
    assert!(world.browsers[0].frames_heard().len() >= before + 48);
    assert_eq!(world.bridge.counters().unknown_ssrc, 1);
    assert_one_line(&world.browsers[0].heard);
}

#[test]
fn copies_tell_who_was_heard_and_when_it_changed() {
    let mut world = World::talking(16);
    let tap = TapKey(5);
    world.bridge.start_tap(tap, world.now);
    let heard_before = world.phone.frames_heard().len();
    world.run_ms(1_000);
    world.hold(true);
    world.run_ms(500);
    world.hold(false);
    world.run_ms(500);
    world.bridge.stop_tap(world.now);
    world.run_ms(500);
    assert!(matches!(world.copies.first(), Some(TapRecord::Open { tap: TapKey(5), .. })));
    assert!(matches!(world.copies.last(), Some(TapRecord::Close { tap: TapKey(5), .. })));
    let switches = world.copies.iter().filter(|r| matches!(r, TapRecord::Switch { side: Side::Agent, .. })).count();
    assert_eq!(switches, 2, "to hold music and back");
    let side = |wanted| {
        world.copies.iter().filter_map(move |r| match r {
            TapRecord::Media(m) if m.side == wanted => Some(m),
            _ => None,
        })
    };
    assert_eq!(side(Side::Customer).count(), 100, "the customer is copied on hold too");
    let line: Vec<_> = side(Side::Agent).collect();
    assert!((97..=101).contains(&line.len()), "{}", line.len());
    assert!(line.windows(2).all(|p| p[1].seq == p[0].seq + 1 && p[1].rtp_time.wrapping_sub(p[0].rtp_time) == 960));
    let agent_frames = line.iter().filter(|m| frame_number(m.payload.bytes()).is_some()).count();
    assert!((72..=76).contains(&agent_frames), "{agent_frames}");
    assert!(world.phone.frames_heard().len() > heard_before + 70);
}

#[test]
fn a_closed_call_says_goodbye_to_everybody_and_gives_its_last_figures() {
    let mut world = World::talking(17);
    world.bridge.close(world.now);
    assert!(!world.bridge.is_closed(), "the goodbyes are still inside");
    world.run_ms(100);
    assert!(world.bridge.is_closed());
    assert!(world.phone.closed && world.browsers[0].closed);
    assert!(!world.is_lost("leg_customer") && !world.is_lost("leg_agent0"));
    let last: Vec<&str> = world
        .events()
        .filter_map(|e| match e {
            MediaEvent::Quality { leg, quality, last: true, .. } => {
                assert!(quality.packets_received > 45 && quality.packets_sent > 45, "{quality:?}");
                Some(leg.as_str())
            }
            _ => None,
        })
        .collect();
    assert_eq!(last, ["leg_customer", "leg_agent0"]);
    let sent = world.sent.len();
    world.run_ms(5_000);
    assert_eq!(world.sent.len(), sent, "and then nothing more");
}

#[test]
fn a_bridge_that_never_connected_closes_too() {
    let mut world = World::inbound(Style::Live, 18);
    world.bridge.close(world.now);
    world.collect();
    assert!(world.bridge.is_closed());
}
