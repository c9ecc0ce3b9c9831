//! The generator against itself: pairs of endpoints without a gateway between them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};

use super::process::{ProcessFigures, ProcessWatch};
use super::report::Direction;
use super::{agents_sound, customers_sound, probe};
use crate::peer::{MediaThreads, Opened, Party, Peer, PeerConfig};

/// Joins `pairs` of endpoints directly and measures for `length`: what is left is this machine's own delay.
/// Also tells what this process used meanwhile.
///
/// # Errors
/// When the endpoints cannot be opened or joined.
pub async fn baseline(
    threads: &MediaThreads,
    ip: IpAddr,
    pairs: usize,
    length: Duration,
) -> Result<(Direction, ProcessFigures)> {
    let mut joined = Vec::new();
    for _ in 0..pairs {
        let one = open(threads, ip, Party::BrowserOffering)?;
        let two = open(threads, ip, Party::BrowserAnswering)?;
        let answer = two.peer.answer(one.offer.as_deref().context("a browser makes an offer")?).await?;
        one.peer.set_answer(&answer).await?;
        one.peer.connected(Duration::from_secs(10)).await?;
        two.peer.connected(Duration::from_secs(10)).await?;
        let there = probe(&one.peer, &two.peer, &customers_sound());
        let back = probe(&two.peer, &one.peer, &agents_sound());
        joined.push((one.peer, two.peer, [there, back]));
    }
    for meter in joined.iter().flat_map(|(_, _, meters)| meters) {
        meter.reset();
    }
    let watch = ProcessWatch::start(std::process::id(), None)?;
    tokio::time::sleep(length).await;
    let used = watch.finish().unwrap_or_default();
    let meters = joined.iter().flat_map(|(_, _, meters)| meters.iter().map(Arc::as_ref));
    let figures = Direction::collect(meters);
    for (one, two, _) in &joined {
        one.close();
        two.close();
    }
    Ok((figures, used))
}

fn open(threads: &MediaThreads, ip: IpAddr, party: Party) -> Result<Opened> {
    let socket = threads.bind(ip)?;
    let config = PeerConfig { party, listen: false, may_send: true, waits_for_first_packet: false, script: Vec::new() };
    let opened = Peer::open(&socket, config)?;
    opened.peer.expect_media();
    Ok(opened)
}
