//! Alarms: media that should be there and is not.

use tandem::media::MediaEvent;
use tandem::model::reason::MediaAlarm;

use crate::world::World;

fn alarms(world: &World) -> Vec<(&str, MediaAlarm, bool)> {
    world
        .events()
        .filter_map(|e| match e {
            MediaEvent::Alarm { leg, alarm, raised } => Some((leg.as_str(), *alarm, *raised)),
            _ => None,
        })
        .collect()
}

#[test]
fn a_good_call_raises_no_alarm() {
    let mut world = World::talking(40);
    world.run_ms(60_000);
    assert_eq!(alarms(&world), []);
}

#[test]
fn a_customer_who_falls_silent_is_told_and_so_is_the_return() {
    let mut world = World::talking(41);
    world.phone.fall_silent();
    world.run_ms(6_000);
    let raised = [("leg_customer", MediaAlarm::NoRtp, true), ("leg_customer", MediaAlarm::OneWay, true)];
    assert_eq!(alarms(&world), raised);
    world.phone.speak(world.now);
    world.run_ms(5_000);
    assert_eq!(
        alarms(&world)[2..],
        [("leg_customer", MediaAlarm::NoRtp, false), ("leg_customer", MediaAlarm::OneWay, false)]
    );
}

#[test]
fn an_agent_whose_microphone_gives_no_voice_is_a_one_way_call() {
    let mut world = World::talking(42);
    // Joined anew, so that it was never heard in this conversation.
    world.hold(true);
    world.browsers[0].breathe(world.now);
    world.run_ms(3_000);
    world.hold(false);
    world.run_ms(14_000);
    assert_eq!(alarms(&world), [("leg_agent0", MediaAlarm::OneWay, true)]);
    world.browsers[0].speak(world.now);
    world.run_ms(2_000);
    assert_eq!(alarms(&world)[1..], [("leg_agent0", MediaAlarm::OneWay, false)]);
}
