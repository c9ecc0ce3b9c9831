//! A call's record through its life, on both databases.

use super::*;
use crate::model::directory::Asker;
use crate::model::id::LegId;
use crate::model::reason::{EndReason, EndedBy, LegKind, OfferOutcome, RecordingState};
use crate::model::recording::Pause;
use crate::store::fixture::{self, Fixture, T0, at, on_both};

/// The record in full, also what the API does not show.
fn text(c: &CallRecord) -> String {
    format!("{c:?}")
}

on_both!(a_call_survives_a_restart_whole_at_every_step_of_its_life);
async fn a_call_survives_a_restart_whole_at_every_step_of_its_life(t: Fixture) {
    let contact = t.seed().await;
    let wacid = Wacid::parse("wacid.HBgMOTk1NTU1MDEwMjAz").unwrap();
    let mut call = fixture::ringing(&contact, T0);
    call.wacid = Some(wacid.clone());
    call.callback_data = Some("crm '\"; 😀".into());
    call.record = false;
    call.placed_by = Some(Asker::Key { name: "crm".to_owned() });
    (call.cta_payload, call.deeplink_payload) = (Some("order-7781".into()), Some("site-footer".into()));
    t.store.save_call(&call, vec![], T0).await.unwrap();
    let t = t.restart().await;
    assert_eq!(text(&t.store.call(&call.id).await.unwrap().unwrap()), text(&call));
    assert_eq!(t.store.live_calls().await.unwrap().len(), 1);
    assert_eq!(t.store.offer_call(&call.offers[0].id).await.unwrap(), Some(call.id.clone()));

    call.state = CallState::Active;
    call.status = crate::call::record::Status::Ongoing;
    call.agent_id = Some(fixture::agent_id("b"));
    call.answered_at = Some(at(9));
    call.offers[0].outcome = OfferOutcome::Withdrawn;
    call.offers.push(OfferRecord {
        id: OfferId::generate(),
        agent_id: fixture::agent_id("b"),
        outcome: OfferOutcome::Accepted,
        ..call.offers[0].clone()
    });
    let mut leg = LegRecord { history: Vec::new(), ..call.legs[0].clone() };
    (leg.id, leg.kind) = (LegId::generate(), LegKind::Agent);
    leg.measured(Quality { packets_received: 37, packets_lost: 10, ..Quality::default() }, at(9));
    leg.quality = Quality::default();
    call.legs.push(leg);
    call.recording.state = RecordingState::Paused;
    call.recording.pauses = vec![Pause { from_ms: 1_000, to_ms: Some(2_500) }, Pause { from_ms: 4_000, to_ms: None }];
    t.store.save_call(&call, vec![], at(9)).await.unwrap();
    let t = t.restart().await;
    assert_eq!(text(&t.store.call_by_wacid(&wacid).await.unwrap().unwrap()), text(&call));

    let mut call = fixture::ended(call, EndReason::Completed, at(60));
    call.ended_by = Some(EndedBy::Customer);
    call.duration_ms = 51_000;
    call.upstream_code = Some(138_001);
    call.opens_at = Some(at(3_600));
    // Dividing by nothing gives figures that are none.
    call.legs[0].quality =
        Quality { loss_ratio: f64::NAN, rtt_ms: Some(f64::INFINITY), packets_sent: u64::MAX, ..Quality::default() };
    call.legs.swap(0, 1);
    t.store.save_call(&call, vec![], at(60)).await.unwrap();
    let t = t.restart().await;
    call.legs[1].quality = finite(call.legs[1].quality);
    assert_eq!(text(&t.store.call(&call.id).await.unwrap().unwrap()), text(&call));
    assert!(t.store.live_calls().await.unwrap().is_empty());
}

on_both!(an_end_is_final_and_a_late_live_copy_leaves_no_trace);
async fn an_end_is_final_and_a_late_live_copy_leaves_no_trace(t: Fixture) {
    let contact = t.seed().await;
    let live = t.call(&contact, 0).await;
    let over = fixture::ended(live.clone(), EndReason::CallerCancelled, at(5));
    t.store.save_call(&over, vec![], at(5)).await.unwrap();
    let event = NewEvent { kind: "call.ringing", call_id: None, agent_id: None, data: serde_json::Value::Null };
    let refused = t.store.save_call(&live, vec![event], at(6)).await;
    assert!(matches!(refused, Err(StoreError::CallEnded(id)) if id == live.id));
    assert_eq!(text(&t.store.call(&live.id).await.unwrap().unwrap()), text(&over));
    assert_eq!(t.store.last_seq().await.unwrap(), 0);
    let mut noted = over.clone();
    noted.duration_ms = 1;
    t.store.save_call(&noted, vec![], at(7)).await.expect("an ended call may still be completed");
}

on_both!(sixty_four_who_amend_a_call_at_once_lose_nothing_of_each_other);
async fn sixty_four_who_amend_a_call_at_once_lose_nothing_of_each_other(t: Fixture) {
    let contact = t.seed().await;
    let call = fixture::ended(t.call(&contact, 0).await, EndReason::CallerCancelled, at(5));
    t.store.save_call(&call, vec![], at(5)).await.unwrap();
    let tasks = (0..64).map(|n| {
        let (store, id) = (t.store.clone(), call.id.clone());
        tokio::spawn(async move {
            let amended = store.amend_call(&id, at(6), |c| {
                // The recorder says one thing, WhatsApp another.
                if n % 2 == 0 {
                    c.recording.gaps += 1
                } else {
                    c.duration_ms += 1
                }
                Some(vec![])
            });
            amended.await.unwrap().unwrap();
        })
    });
    futures_util::future::join_all(tasks).await.into_iter().for_each(Result::unwrap);
    let read = t.store.call(&call.id).await.unwrap().unwrap();
    assert_eq!((read.recording.gaps, read.duration_ms), (32, 32));
    assert!(
        t.store
            .amend_call(&call.id, at(7), |c| {
                c.duration_ms = 0;
                None
            })
            .await
            .unwrap()
            .is_none()
    );
    assert!(t.store.amend_call(&CallId::generate(), at(7), |_| Some(vec![])).await.unwrap().is_none());
    assert_eq!(text(&t.store.call(&call.id).await.unwrap().unwrap()), text(&read), "left as it was");
}

on_both!(a_copy_from_before_does_not_open_a_recording_again);
async fn a_copy_from_before_does_not_open_a_recording_again(t: Fixture) {
    let contact = t.seed().await;
    let mut copy = fixture::ended(t.call(&contact, 0).await, EndReason::CallerCancelled, at(5));
    copy.recording.state = RecordingState::Recording;
    t.store.save_call(&copy, vec![], at(5)).await.unwrap();
    for state in [RecordingState::Ready, RecordingState::Failed] {
        t.store
            .amend_call(&copy.id, at(6), |c| {
                c.recording = RecordingRecord { state, duration_ms: 4_000, gaps: 3, ..RecordingRecord::NONE };
                Some(vec![])
            })
            .await
            .unwrap();
        copy.settled = true;
        t.store.save_call(&copy, vec![], at(7)).await.unwrap();
        let read = t.store.call(&copy.id).await.unwrap().unwrap();
        let recording = (read.recording.state, read.recording.duration_ms, read.recording.gaps);
        assert_eq!((recording, read.settled), ((state, 4_000, 3), true));
    }
}

on_both!(what_does_not_fit_together_is_refused_in_words);
async fn what_does_not_fit_together_is_refused_in_words(t: Fixture) {
    let contact = t.seed().await;
    let mut first = fixture::ringing(&contact, T0);
    first.wacid = Some(Wacid::parse("wacid.1").unwrap());
    t.store.save_call(&first, vec![], T0).await.unwrap();

    let mut twin = fixture::ringing(&contact, T0);
    twin.wacid.clone_from(&first.wacid);
    let says = t.store.save_call(&twin, vec![], T0).await.unwrap_err().to_string();
    assert_eq!(says, "WhatsApp's id of the call is already taken");
    twin.wacid = None;
    twin.agent_id = Some(fixture::agent_id("nobody"));
    let says = t.store.save_call(&twin, vec![], T0).await.unwrap_err().to_string();
    assert!(says.contains("agt_nobody does not exist"), "{says}");
    let mut stranger = fixture::ringing(&contact, T0);
    stranger.contact.id = crate::model::id::ContactId::generate();
    assert!(matches!(t.store.save_call(&stranger, vec![], T0).await, Err(StoreError::Missing(_))));
    assert_eq!(t.store.live_calls().await.unwrap().len(), 1, "what was refused left nothing behind");
    assert!(t.store.call(&twin.id).await.unwrap().is_none());
    assert!(t.store.offer_call(&twin.offers[0].id).await.unwrap().is_none());
}
