//! Both parties are told that they are recorded, and the customer may forbid it.

use std::time::Duration;

use tandem::media::{MediaEvent, Prompt};
use tandem::model::rtp::{Side, TapKey, TapRecord};

use crate::peer::{Heard, Style, frame_number};
use crate::world::{World, agent_id, assert_gapless, assert_one_line, longest_silence};

/// RFC 4733 table 3.
const NINE: u8 = 9;
/// A frame each 20 ms, and the 100 ms after which an absent source is filled in for.
const SILENCE_MAX: Duration = Duration::from_millis(121);

fn announcement() -> Prompt {
    Prompt::encode(&(0..16_000).map(|i| ((i as f32 * 0.2).sin() * 9_000.0) as i16).collect::<Vec<_>>())
}

/// What was heard that no peer said, one payload after the other, without silence.
fn announced(heard: &[Heard]) -> Vec<&[u8]> {
    let own = heard.iter().filter(|packet| frame_number(&packet.payload).is_none() && packet.payload.len() > 30);
    own.map(|packet| packet.payload.as_ref()).collect()
}

fn times(world: &World, wanted: fn(&MediaEvent) -> bool) -> usize {
    world.events().filter(|event| wanted(event)).count()
}

#[test]
fn both_hear_the_announcement_and_nothing_else_until_its_end() {
    let mut world = World::inbound(Style::Live, 61);
    let agent = world.add_agent();
    world.run_ms(1_000);
    world.bridge.announce(announcement(), Some('9'), world.now);
    world.collect();
    world.phone.speak(world.now);
    world.browsers[agent].speak(world.now);
    world.join(agent);
    world.run_ms(500);
    assert!(announced(&world.phone.heard).is_empty(), "not before the gate");
    let before = (world.phone.frames_heard().len(), world.browsers[agent].frames_heard().len());
    assert!(before.0 == 0 && before.1 > 15, "{before:?}");
    world.open_gate();
    let opened = world.now;
    world.run_ms(500);
    assert_eq!(times(&world, |event| matches!(event, MediaEvent::Announced)), 0);
    world.run_ms(480);
    let said = (world.phone.frames_heard().len(), world.browsers[agent].frames_heard().len());
    assert!(said.0 == 0 && said.1 <= before.1 + 2, "{said:?} after {before:?}");
    world.run_ms(1_000);
    let (phone, browser) = (&world.phone.heard, &world.browsers[agent].heard);
    assert_eq!(times(&world, |event| matches!(event, MediaEvent::Announced)), 1);
    assert_eq!(announced(phone).len(), 50, "a second of it");
    assert_eq!(announced(phone), announced(browser), "the same to both");
    assert!(world.phone.frames_heard().len() > 40 && world.browsers[agent].frames_heard().len() > said.1 + 40);
    for heard in [phone, browser] {
        assert_one_line(heard);
        assert_gapless(heard);
    }
    assert!(longest_silence(phone, opened, world.now) <= SILENCE_MAX);
}

#[test]
fn an_announcement_that_lost_its_agent_begins_anew_with_the_next() {
    let mut world = World::inbound(Style::Live, 62);
    let agent = world.add_agent();
    world.run_ms(1_000);
    world.bridge.announce(announcement(), None, world.now);
    world.join(agent);
    world.open_gate();
    world.run_ms(400);
    world.detach(agent);
    world.run_ms(1_000);
    assert_eq!(times(&world, |event| matches!(event, MediaEvent::Announced)), 0);
    let next = world.add_agent();
    world.run_ms(1_000);
    world.join(next);
    world.run_ms(1_100);
    assert_eq!(times(&world, |event| matches!(event, MediaEvent::Announced)), 1);
    assert_eq!(announced(&world.browsers[next].heard).len(), 50, "from its beginning");
    assert_one_line(&world.phone.heard);
}

#[test]
fn after_the_customers_key_nothing_is_copied_any_more() {
    let mut world = World::talking(63);
    world.bridge.announce(announcement(), Some('9'), world.now);
    world.run_ms(1_100);
    world.bridge.start_tap(TapKey(1), world.now);
    world.run_ms(500);
    // The agent may press what she likes, and so may the customer.
    world.browsers[0].press(NINE, 110, 48_000, world.now);
    world.phone.press(5, 126, 8_000, world.now);
    world.run_ms(300);
    assert!(!matches!(world.copies.last(), Some(TapRecord::Close { .. })));
    world.phone.press(NINE, 126, 8_000, world.now);
    let pressed = world.now;
    world.run_ms(1_000);
    assert_eq!(times(&world, |event| matches!(event, MediaEvent::OptedOut)), 1);
    let Some(TapRecord::Close { tap: TapKey(1), at }) = world.copies.last() else {
        panic!("{:?}", world.copies.last())
    };
    assert!(*at - pressed < Duration::from_millis(60), "one way through the network");
    let copied =
        |side| world.copies.iter().filter(|copy| matches!(copy, TapRecord::Media(media) if media.side == side)).count();
    assert!(copied(Side::Customer) > 30 && copied(Side::Agent) > 30);
    // They still hear each other.
    let heard = world.browsers[0].frames_heard().len();
    world.run_ms(500);
    assert!(world.browsers[0].frames_heard().len() >= heard + 24);

    let before = world.copies.len();
    world.bridge.start_tap(TapKey(2), world.now);
    world.run_ms(500);
    let after = &world.copies[before..];
    assert!(
        matches!(after, [TapRecord::Open { tap: TapKey(2), at: open }, TapRecord::Close { tap: TapKey(2), at: close }] if open == close),
        "{after:?}"
    );
}

#[test]
fn a_key_in_the_middle_of_the_announcement_ends_it() {
    let mut world = World::talking(64);
    world.bridge.announce(announcement(), Some('9'), world.now);
    world.run_ms(300);
    world.phone.press(NINE, 126, 8_000, world.now);
    world.run_ms(200);
    let said = announced(&world.phone.heard).len();
    assert!(said < 30, "{said}");
    world.run_ms(1_000);
    assert_eq!(announced(&world.phone.heard).len(), said);
    let told = (
        times(&world, |event| matches!(event, MediaEvent::Announced)),
        times(&world, |event| matches!(event, MediaEvent::OptedOut)),
    );
    assert_eq!(told, (0, 1));
    assert!(world.phone.frames_heard().len() > 90, "the agent is heard again");
    assert_eq!(world.bridge.legs().filter(|(_, leg, _)| **leg == agent_id(0)).count(), 1);
}
