//! A phone whose media is somebody else's.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use futures_util::future::BoxFuture;
use tandem_loadtest::measure::beeps_heard;
use tandem_loadtest::peer::{Party, Peer};
use tandem_loadtest::sound::Sound;
use tandem_loadtest::whatsapp::{CallOptions, Config, Customer, ExternalPhone, InboundCall, Script};

use crate::business::{Business, SOON};

/// Stands for another WebRTC stack: full ICE, its own SDP.
struct OtherStack {
    peer: Peer,
    offer: Option<String>,
    ended: AtomicUsize,
}

impl ExternalPhone for OtherStack {
    fn offer(&self) -> BoxFuture<'_, Result<String>> {
        Box::pin(async { Ok(self.offer.clone().expect("it offers")) })
    }

    fn take_answer(&self, sdp: String) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { self.peer.set_answer(&sdp).await })
    }

    fn answer(&self, offer: String) -> BoxFuture<'_, Result<String>> {
        Box::pin(async move { self.peer.answer(&offer).await })
    }

    fn accepted(&self) {
        self.peer.speak(&Sound::beeps(5));
    }

    fn ended(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
        self.peer.close();
    }
}

fn other_stack(business: &Business, party: Party) -> Arc<OtherStack> {
    let (peer, offer) = business.endpoint(party, true);
    Arc::new(OtherStack { peer, offer, ended: AtomicUsize::new(0) })
}

#[tokio::test]
async fn another_stack_can_play_the_phone_in_both_directions() {
    let business = Business::start(Config::default()).await;

    let phone = other_stack(&business, Party::BrowserOffering);
    let options = CallOptions { external: Some(Arc::<OtherStack>::clone(&phone)), ..CallOptions::default() };
    let call = business.wa.call(InboundCall::from("995555010203").with(options)).await.unwrap();
    let (peer, sdp) = business.answer(call.wacid(), true).await;
    assert_eq!(business.act_with("accept", call.wacid(), &sdp).await.status, 200);
    peer.until(SOON, "beeps", |p| beeps_heard(&p.heard().pcm(), 5).len() == 5).await.unwrap();
    business.act("terminate", call.wacid()).await;
    call.ended(SOON).await.unwrap();
    assert_eq!(phone.ended.load(Ordering::Relaxed), 1);

    let phone = other_stack(&business, Party::BrowserAnswering);
    let options = CallOptions { external: Some(Arc::<OtherStack>::clone(&phone)), ..CallOptions::default() };
    let customer = Customer::new("995555020001");
    business.wa.set_customer_with(customer, Script::answers_after(Duration::from_millis(300)), options);
    let (peer, _wacid) = business.dial("995555020001").await;
    peer.until(SOON, "beeps", |p| beeps_heard(&p.heard().pcm(), 5).len() == 5).await.unwrap();
}

#[tokio::test]
async fn a_lossy_phone_loses_about_the_share_it_is_told_to() {
    let business = Business::start(Config::default()).await;
    let call = business.wa.call(InboundCall::from("995555010203")).await.unwrap();
    let (peer, sdp) = business.answer(call.wacid(), false).await;
    assert_eq!(business.act_with("accept", call.wacid(), &sdp).await.status, 200);
    peer.connected(SOON).await.unwrap();
    call.lose(0.3);
    peer.open_microphone();
    peer.until(SOON, "a hundred packets", |p| p.stats().packets_received >= 100).await.unwrap();
    let stats = peer.stats();
    let share = stats.packets_lost as f64 / (stats.packets_received + stats.packets_lost) as f64;
    assert!((0.12..0.5).contains(&share), "{stats:?}");
}
