//! Stories of prices and charges: imported cards, running costs, and calls that nobody saw end.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::Connection;
use tandem_loadtest::whatsapp::{Kind, Script, WebhookFaults};

use crate::world::{NINO, NUMBER, SOON, World};

/// A card whose minute to Georgia costs this much.
fn card(price: &str) -> String {
    format!("effective_from,market,currency,price_per_minute\n2025-01-01,*,USD,1\n2025-01-01,GE,USD,{price}\n")
}

async fn rate(world: &World) -> Value {
    world.get(&format!("contacts/wa:{NINO}/callability?number_id={NUMBER}&agent_id=agt_a")).await["rate"].clone()
}

/// What was booked for a call: kinds and amounts, oldest first.
async fn booked(world: &World, call: &str) -> Vec<(String, i64)> {
    let entries = world.get("wallet/entries").await;
    let of_call = entries["items"].as_array().unwrap().iter().rev().filter(|entry| entry["call_id"] == call);
    of_call.map(|entry| (entry["kind"].as_str().unwrap().to_owned(), entry["micros"].as_i64().unwrap())).collect()
}

async fn charge(world: &World, call: &str) -> Value {
    world.until("the call is charged", async || !world.call(call).await["charge"].is_null()).await;
    world.call(call).await["charge"].clone()
}

#[tokio::test]
async fn an_imported_card_prices_calls_also_after_a_restart() {
    let mut world = World::start().await;
    world.agent_offline("agt_a").await;
    world.nino_of("agt_a").await;
    let imported = world.gateway.put_rate_card(&card("0.6")).await.ok();
    assert_eq!(world.gateway.terminate().await, Some(0));
    world.restart().await;
    let quote = rate(&world).await;
    assert_eq!((&quote["market"], &quote["micros_per_minute"]), (&json!("GE"), &json!(600_000)));
    let ana = world.agent("agt_a").await;
    world.wa.set_customer(NINO, Script { hang_up_after: Some(Duration::from_secs(1)), ..Script::default() });
    let talk = ana.dial(NUMBER, &format!("wa:{NINO}")).await.unwrap();
    let charge = charge(&world, &talk.call_id).await;
    assert_eq!(charge["micros"].as_i64().unwrap(), charge["pulses"].as_i64().unwrap() * 60_000);
    let entries = world.get("wallet/entries").await;
    assert_eq!(entries["items"][0]["explanation"]["rate_card"], imported["sha256"], "{entries}");
}

#[tokio::test]
async fn a_card_imported_while_the_files_are_read_anew_is_the_one_in_force() {
    let world = World::start().await;
    for cents in 10..40 {
        let csv = card(&format!("0.{cents}"));
        let reload = async || world.gateway.request("POST", "admin/reload", None).await.status;
        let (one, imported, other) = tokio::join!(reload(), world.gateway.put_rate_card(&csv), reload());
        assert_eq!((one, imported.status, other), (204, 200, 204));
        let in_force = world.get("rate-card").await;
        assert_eq!(in_force["sha256"], imported.json()["sha256"], "the newest, not one from before");
    }
}

#[tokio::test]
async fn a_running_call_shows_what_it_costs_and_its_charge_once_it_is_over() {
    let world = World::start().await;
    let ana = world.agent("agt_a").await;
    world.nino_of("agt_a").await;
    world.gateway.put_rate_card(&card("0.6")).await.ok();
    let hang_up_after = Some(Duration::from_secs(3));
    world.wa.set_customer(NINO, Script { hang_up_after, ..Script::answers_after(Duration::ZERO) });
    let talk = ana.dial(NUMBER, &format!("wa:{NINO}")).await.unwrap();
    world
        .until("it costs something", async || world.call(&talk.call_id).await["cost_so_far"]["micros"] == 60_000)
        .await;
    let (call, wallet) = (world.call(&talk.call_id).await, world.get("wallet").await);
    assert_eq!((&call["charge"], &wallet["reserved_micros"]), (&Value::Null, &json!(600_000)), "{call} {wallet}");
    let charge = charge(&world, &talk.call_id).await;
    let (call, wallet) = (world.call(&talk.call_id).await, world.get("wallet").await);
    assert!(call.get("cost_so_far").is_none(), "{call}");
    assert_eq!((&wallet["reserved_micros"], &wallet["uncharged_calls"]), (&json!(0), &json!(0)));
    assert_eq!(booked(&world, &talk.call_id).await, [("call_charge".to_owned(), -charge["micros"].as_i64().unwrap())]);
}

/// What an hour without the gateway does to a database: everything of the call, and the last sign of life five minutes
/// after its answer, lies an hour back.
const AN_HOUR_LATER: [&str; 2] = [
    "UPDATE counters SET value = (SELECT MAX(answered_at) FROM calls) - 3600000 + 300000 WHERE name = 'alive'",
    "UPDATE calls SET created_at = created_at - 3600000, answered_at = answered_at - 3600000",
];

#[tokio::test]
async fn an_hour_without_the_gateway_is_not_billed_and_whatsapps_last_word_corrects_the_rest() {
    let mut world = World::start().await;
    let ana = world.agent("agt_a").await;
    world.nino_of("agt_a").await;
    world.gateway.put_rate_card(&card("0.6")).await.ok();
    world.wa.set_customer(NINO, Script::answers_after(Duration::ZERO));
    let talk = ana.dial(NUMBER, &format!("wa:{NINO}")).await.unwrap();
    let phone = world.wa.next_outbound(SOON).await.unwrap();
    phone.answered(SOON).await.unwrap();
    world.until("it is recorded", async || world.call(&talk.call_id).await["recording"]["state"] == "recording").await;
    world.wa.set_webhook_faults(WebhookFaults::default().delaying(Kind::Terminate, Duration::from_secs(5)));
    world.gateway.kill().await;
    std::fs::remove_dir_all(world.dir.path().join("data/recordings")).unwrap();
    sqlx::any::install_default_drivers();
    let file = format!("sqlite://{}?mode=rw", world.dir.path().join("data/tandem.sqlite3").display());
    let mut database = sqlx::AnyConnection::connect(&file).await.unwrap();
    for sql in AN_HOUR_LATER {
        sqlx::query(sql).execute(&mut database).await.unwrap();
    }
    database.close().await.unwrap();
    world.restart().await;

    let call = world.call(&talk.call_id).await;
    assert_eq!(
        (&call["end_reason"], &call["recording"]["state"], &call["charge"]["pulses"]),
        (&json!("drained"), &json!("failed"), &json!(50)),
        "settled when it starts, up to the last sign of life"
    );
    let said = phone.ended(SOON).await.unwrap().duration.unwrap();
    world.until("WhatsApp's last word counts", async || booked(&world, &talk.call_id).await.len() == 2).await;
    let call = world.call(&talk.call_id).await;
    let talked = Duration::from_millis(call["duration_ms"].as_u64().unwrap());
    assert!(talked.abs_diff(said) <= Duration::from_secs(1), "{talked:?}, and WhatsApp says {said:?}");
    let price = i64::try_from(talked.as_secs().div_ceil(6)).unwrap() * 60_000;
    assert_eq!(call["charge"]["micros"], price);
    let want = [("call_charge".to_owned(), -3_000_000), ("adjustment".to_owned(), 3_000_000 - price)];
    assert_eq!(booked(&world, &talk.call_id).await, want);
}
