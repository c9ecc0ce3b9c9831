//! Shards over real loopback sockets.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::model::time::Clock;

/// A loopback address of this test alone, so that tests running at the same time never want the same port.
pub(super) fn own_loopback(test: u8) -> IpAddr {
    let process = std::process::id();
    Ipv4Addr::new(127, (process >> 8 & 0x7f) as u8 + 64, (process & 0xff) as u8, test).into()
}

/// Waits for a condition.
pub(super) fn until(what: &str, within: Duration, mut condition: impl FnMut() -> bool) {
    let deadline = Clock.instant() + within;
    while !condition() {
        assert!(Clock.instant() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
