//! Keys, in both directions and from us.

use tandem::media::MediaEvent;

use crate::peer::{Heard, frame_number};
use crate::world::{World, assert_gapless, assert_one_line};

/// Telephone-event packets a peer heard: (timestamp, code, end, duration).
fn events(heard: &[Heard], pt: u8) -> Vec<(u32, u8, bool, u16)> {
    heard
        .iter()
        .filter(|h| h.pt == pt)
        .map(|h| (h.time, h.payload[0], h.payload[1] & 0x80 != 0, u16::from_be_bytes([h.payload[2], h.payload[3]])))
        .collect()
}

fn digits(world: &World, leg: &str) -> String {
    world
        .events()
        .filter_map(|e| match e {
            MediaEvent::Digit { leg: from, digit } if from.as_str() == leg => Some(*digit),
            _ => None,
        })
        .collect()
}

#[track_caller]
fn assert_one_press(events: &[(u32, u8, bool, u16)], code: u8, longest: u16) {
    assert_eq!(events.len(), 7, "{events:?}");
    assert!(events.iter().all(|e| e.0 == events[0].0 && e.1 == code), "one press has one time: {events:?}");
    assert_eq!(events.iter().filter(|e| e.2).count(), 3, "the release three times");
    assert_eq!(events[6].3, longest);
}

#[test]
fn a_key_of_the_customer_reaches_the_browser_in_its_clock_and_is_told_once() {
    let mut world = World::talking(30);
    world.phone.press(5, 126, 8_000, world.now);
    world.run_ms(500);
    assert_one_press(&events(&world.browsers[0].heard, 110), 5, 4_800);
    world.phone.press(11, 126, 8_000, world.now);
    world.run_ms(500);
    assert_eq!(digits(&world, "leg_customer"), "5#");
    assert_one_line(&world.browsers[0].heard);
}

#[test]
fn a_key_of_the_agent_reaches_whatsapp_at_8000_whatever_the_browser_sends() {
    for (pt, clock) in [(110, 48_000), (126, 8_000)] {
        let mut world = World::talking(31);
        world.browsers[0].press(7, pt, clock, world.now);
        world.run_ms(500);
        assert_one_press(&events(&world.phone.heard, 126), 7, 800);
        assert_eq!(digits(&world, "leg_agent0"), "7");
        assert_one_line(&world.phone.heard);
    }
}

#[test]
fn keys_we_press_are_whole_tones_with_pauses_and_the_agent_goes_on_after_them() {
    let mut world = World::talking(32);
    world.bridge.send_digits("12#", world.now);
    world.run_ms(2_000);
    let pressed = events(&world.phone.heard, 126);
    let codes: Vec<u8> = pressed.iter().map(|e| e.1).collect();
    assert_eq!(codes, [[1; 8], [2; 8], [11; 8]].concat());
    let begins: Vec<u32> = pressed.chunks(8).map(|press| press[0].0).collect();
    for press in pressed.chunks(8) {
        assert!(press.iter().all(|e| e.0 == press[0].0), "one press has one time");
        let durations: Vec<(bool, u16)> = press.iter().map(|e| (e.2, e.3)).collect();
        let tone = [(false, 160), (false, 320), (false, 480), (false, 640), (false, 800)];
        assert_eq!(durations, [&tone[..], &[(true, 800); 3]].concat());
    }
    assert!(begins.windows(2).all(|pair| pair[1] - pair[0] == 160 * 48), "100 ms tone and 60 ms pause: {begins:?}");
    assert!(world.phone.heard.last().is_some_and(|h| frame_number(&h.payload).is_some()), "the agent is heard again");
    assert_gapless(&world.phone.heard);
    // Times of a press stand still while the sequence goes on, and nothing else may go back.
    let newest = world.phone.heard.windows(2).filter(|p| (p[1].time.wrapping_sub(p[0].time) as i32) < 0).count();
    assert_eq!(newest, 0);
    assert_eq!(digits(&world, "leg_customer"), "", "our own keys are nobody's");
}

#[test]
fn keys_pressed_before_the_gate_wait_for_it() {
    let mut world = World::inbound(crate::peer::Style::Live, 33);
    world.run_ms(500);
    world.bridge.send_digits("9", world.now);
    world.run_ms(500);
    assert!(world.phone.heard.is_empty());
    world.open_gate();
    world.run_ms(500);
    assert_eq!(events(&world.phone.heard, 126).len(), 8);
}
