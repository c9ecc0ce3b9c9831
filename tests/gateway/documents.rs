//! Every answered call leaves a record, a recording and a transcript, or says why not; what is missing is noticed.

use serde_json::{Value, json};
use tandem_loadtest::sound::Sound;
use tandem_loadtest::whatsapp::InboundCall;

use crate::forks::{agent, talk};
use crate::outages::at_the_database;
use crate::world::{NINO, NUMBER, SOON, World};

async fn talked(world: &World) -> Value {
    let agent = agent(world).await;
    let (phone, line) = talk(world, &agent, InboundCall::from(NINO).says(Sound::beeps(1))).await;
    phone.finished_speaking(SOON).await.unwrap();
    phone.hang_up();
    world.settled(&line.call_id).await
}

#[tokio::test]
async fn a_call_that_is_not_recorded_says_why_and_is_no_alarm() {
    let world = World::start().await;
    world.put(&format!("numbers/{NUMBER}"), json!({"record": false})).await;
    let call = talked(&world).await;
    assert_eq!(call["recording"]["reason"], "not_wanted", "{call}");
    assert_eq!(call["transcript"], json!({"state": "off", "reason": "not_recorded"}));
    assert!(world.get("calls?documented=false").await["items"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn a_recording_that_nobody_finds_is_told_listed_and_counted() {
    let world = World::start().await;
    // A row that is lost, by whatever.
    let lost = "CREATE TRIGGER lose AFTER INSERT ON recordings BEGIN DELETE FROM recordings; END";
    at_the_database(&world, lost).await;
    let call = talked(&world).await;
    assert_eq!((&call["recording"]["state"], &call["transcript"]["reason"]), (&json!("ready"), &json!("switched_off")));
    let id = call["id"].as_str().unwrap();
    let listed = async || {
        let items = world.get("calls?documented=false").await["items"].clone();
        items.as_array().unwrap().iter().any(|call| call["id"] == id)
    };
    world.until("it is noticed", listed).await;
    let log = world.get("events?after=0&limit=200").await;
    let told = log["items"].as_array().unwrap().iter().find(|event| event["type"] == "call.undocumented");
    assert_eq!(told.expect("it is told")["data"]["missing"], json!(["recording"]));
    world.until("it is counted", async || world.gateway.metric("tandem_calls_undocumented").await == 1.0).await;
}
