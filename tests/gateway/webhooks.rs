//! WhatsApp's webhooks: forged, doubled, late, in every order.

use std::time::Duration;

use serde_json::json;
use tandem_loadtest::sound::Sound;
use tandem_loadtest::whatsapp::{CallOptions, Customer, Hold, InboundCall, Script, Signature, Step};

use crate::world::{NINO, NUMBER, SOON, World};

#[tokio::test]
async fn an_unsigned_or_wrongly_signed_webhook_changes_nothing() {
    let world = World::start().await;
    let agent = world.agent("agt_a").await;
    let phone = world.wa.call(InboundCall::from(NINO).says(Sound::beeps(2))).await.unwrap();
    let talk = agent.next_offer(SOON).await.unwrap().accept().await.unwrap();
    phone.answered(SOON).await.unwrap();
    let terminate = json!({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [{"field": "calls", "value": {
        "messaging_product": "whatsapp", "metadata": {"display_phone_number": "995322000111", "phone_number_id": "100000000000001"},
        "calls": [{"id": phone.wacid(), "event": "terminate", "timestamp": "1795000000", "status": "COMPLETED"}]}}]}]});
    let bytes = serde_json::to_vec(&terminate).unwrap();
    for signature in [Signature::Wrong, Signature::Missing] {
        assert_eq!(world.wa.deliver_signed_bytes(bytes.clone(), signature).await.unwrap(), 401);
    }
    assert_eq!(world.wa.deliver_signed_bytes(b"{\"rubbish\":".to_vec(), Signature::Right).await.unwrap(), 200);
    assert_eq!(world.call(&talk.call_id).await["state"], "active");
    assert_eq!(world.wa.deliver_signed_bytes(bytes, Signature::Right).await.unwrap(), 200);
    world.until("the signed one ends it", async || world.call(&talk.call_id).await["state"] == "ended").await;
}

#[tokio::test]
async fn an_end_that_comes_before_its_call_rings_nobody() {
    let world = World::start().await;
    let agent = world.agent("agt_a").await;
    let options = CallOptions { terminate_first: true, ..Default::default() };
    let phone = world.wa.call(InboundCall::from(NINO).with(options)).await.unwrap();
    phone.ended(SOON).await.unwrap();
    let call = world.newest_call("the call is in the books", |call| call["state"] == "ended").await;
    assert_eq!((&call["end_reason"], &call["offers"]), (&json!("caller_cancelled"), &json!([])));
    assert!(agent.events().iter().all(|event| event.kind != "offer.created"));
}

#[tokio::test]
async fn every_order_and_repetition_of_a_calls_webhooks_ends_alike() {
    // connect and terminate of a call nobody answers, in every order, each up to twice.
    for order in [vec![0, 1], vec![1, 0], vec![0, 0, 1, 1], vec![1, 1, 0, 0], vec![1, 0, 1, 0], vec![0, 1, 0, 1]] {
        let world = World::start().await;
        let options = CallOptions { hold: Hold::All, ..Default::default() };
        let phone = world.wa.call(InboundCall::from(NINO).with(options)).await.unwrap();
        phone.hang_up();
        world.until("both webhooks are held", async || phone.held().len() == 2).await;
        phone.release(&order).await.unwrap();
        let call = world.newest_call("the call is over", |call| call["state"] == "ended").await;
        let id = call["id"].as_str().unwrap();
        world
            .until("its end is settled", async || {
                world.call(id).await["end_reason"] != json!(null) && world.calls().await.len() == 1
            })
            .await;
        let call = world.call(id).await;
        assert_eq!(call["status"], "Missed by Agent", "{order:?}");
        assert!(call["offers"].as_array().unwrap().is_empty(), "{order:?}");
    }
}

#[tokio::test]
async fn every_order_of_an_outbound_calls_webhooks_ends_alike() {
    // The answer, RINGING, ACCEPTED and terminate, as they come and thoroughly shuffled, some twice.
    for order in [vec![0, 1, 2, 3], vec![3, 2, 1, 0], vec![2, 0, 3, 1], vec![1, 3, 0, 2, 2, 3], vec![3, 3, 0, 0, 2, 1]]
    {
        let world = World::start().await;
        let agent = world.agent("agt_a").await;
        world.nino_of("agt_a").await;
        let options = CallOptions { hold: Hold::All, ..Default::default() };
        let script = Script::answers_after(Duration::from_millis(100)).step(Step::Wait(Duration::from_millis(100)));
        world.wa.set_customer_with(Customer::new(NINO), script, options);
        let talk = agent.dial(NUMBER, &format!("wa:{NINO}")).await.unwrap();
        let phone = world.wa.next_outbound(SOON).await.unwrap();
        phone.answered(SOON).await.unwrap();
        let long = Duration::from_millis(1100);
        world
            .until("it lasts more than a second", async || phone.answered_at().is_some_and(|at| at.elapsed() > long))
            .await;
        phone.hang_up();
        world.until("all webhooks are held", async || phone.held().len() == 4).await;
        phone.release(&order).await.unwrap();
        world
            .until("the call is settled", async || {
                let call = world.call(&talk.call_id).await;
                call["state"] == "ended" && call["status"] == "Completed"
            })
            .await;
        let call = world.call(&talk.call_id).await;
        assert_eq!((&call["end_reason"], &call["ended_by"]), (&json!("completed"), &json!("customer")), "{order:?}");
        assert!(call["duration_ms"].as_i64().unwrap() >= 1000, "{order:?}: {call}");
    }
}

#[tokio::test]
async fn a_stale_call_rings_nobody_and_whatsapp_is_not_bothered() {
    let world = World::start().await;
    let agent = world.agent("agt_a").await;
    let faults = tandem_loadtest::whatsapp::WebhookFaults { stale_by: Duration::from_secs(61), ..Default::default() };
    world.wa.set_webhook_faults(faults);
    world.wa.call(InboundCall::from(NINO)).await.unwrap();
    let call = world.newest_call("the call is in the books", |call| call["state"] == "ended").await;
    assert_eq!(call["offers"], json!([]));
    assert!(world.wa.requests().is_empty());
    assert!(agent.events().iter().all(|event| event.kind != "offer.created"));
}

#[tokio::test]
async fn a_customer_who_hides_the_number_is_called_back_by_user_id() {
    let world = World::start().await;
    let agent = world.agent("agt_a").await;
    for hide in [tandem_loadtest::whatsapp::HidePhone::Missing, tandem_loadtest::whatsapp::HidePhone::Empty] {
        let faults = tandem_loadtest::whatsapp::WebhookFaults {
            hide_phone: hide,
            extra_fields: true,
            unknown_events: true,
            ..Default::default()
        };
        world.wa.set_webhook_faults(faults);
        let phone = world.wa.call(InboundCall::from(NINO).named("Nino")).await.unwrap();
        let offer = agent.next_offer(SOON).await.unwrap();
        assert_eq!(offer.contact["phone"], json!(null));
        assert!(offer.contact["user_id"].is_string());
        offer.reject().await.unwrap();
        phone.ended(SOON).await.unwrap();
    }
    let contacts = world.get("contacts").await;
    assert_eq!(contacts["items"].as_array().unwrap().len(), 1, "one person: {contacts}");
}
