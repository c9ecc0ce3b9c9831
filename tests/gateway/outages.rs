//! What was said is written down in the end, though the database took no word of it for a while, or the gateway died while
//! another machine had the sound.

use serde_json::json;
use tandem_loadtest::whatsapp::InboundCall;

use crate::forks::{agent, gateway_of, talk};
use crate::program::Program;
use crate::transcripts::{AGENT, CUSTOMER, PATIENCE, check_words, clip, listening};
use crate::world::{NINO, SOON, World};

/// What the database refuses, as if its disk were full.
const REFUSED: [(&str, &str); 3] =
    [("INSERT", "segments"), ("INSERT", "recordings"), ("UPDATE OF state", "transcripts")];

async fn refuse(world: &World) {
    for (what, table) in REFUSED {
        let refusal = "BEGIN SELECT RAISE(ABORT, 'the disk is full'); END";
        at_the_database(world, &format!("CREATE TRIGGER refuse_{table} BEFORE {what} ON {table} {refusal}")).await;
    }
}

async fn take_again(world: &World) {
    for (_, table) in REFUSED {
        at_the_database(world, &format!("DROP TRIGGER refuse_{table}")).await;
    }
}

pub(crate) async fn at_the_database(world: &World, sql: &str) {
    use sqlx::{Connection, Executor};
    sqlx::any::install_default_drivers();
    let file = world.dir.path().join("data/tandem.sqlite3");
    let mut connection = sqlx::AnyConnection::connect(&format!("sqlite://{}?mode=rw", file.display())).await.unwrap();
    connection.execute(sqlx::AssertSqlSafe(sql.to_owned())).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_database_that_takes_no_word_for_a_whole_call_has_all_of_it_in_the_end() {
    let world = listening().await;
    let agent = agent(&world).await;
    refuse(&world).await;
    let (phone, line) = talk(&world, &agent, InboundCall::from(NINO).says(clip(CUSTOMER))).await;
    phone.finished_speaking(SOON).await.unwrap();
    line.speak(&clip(AGENT));
    line.finished_speaking(SOON).await.unwrap();
    let log = |words: &str| world.gateway.log().contains(words);
    world.until_within(PATIENCE, "a word waits", async || log("the transcript met a failing database")).await;
    phone.hang_up();
    world.until("so does the recording", async || log("the end of a recording met a failing database")).await;
    let id = line.call_id.clone();
    let path = format!("calls/{id}/transcript");
    let transcript = world.get(&path).await;
    let is_kept = |segment: &serde_json::Value| segment["final"] == true;
    assert!(!transcript["segments"].as_array().unwrap().iter().any(is_kept), "nothing is taken: {transcript}");

    take_again(&world).await;
    world.until_within(PATIENCE, "it is whole", async || world.get(&path).await["state"] == "ready").await;
    let transcript = world.get(&path).await;
    check_words(&transcript);
    assert_eq!(transcript["unheard"], json!([]));
    let recording = format!("calls/{id}/recording");
    let is_there = async || world.gateway.request("GET", &recording, None).await.status == 200;
    world.until("the recording is there", is_there).await;
    assert_eq!(world.call(&id).await["recording"]["state"], "ready");
}

#[tokio::test]
async fn what_a_worker_had_of_a_call_whose_gateway_died_is_written_down_when_it_comes() {
    let dir = tempfile::tempdir().unwrap();
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/models/whisper-tiny.en");
    let asr = format!("[asr]\nmodel = {model:?}\n");
    let worker = Program::start(&dir.path().join("worker"), 0, "");
    let mut world = gateway_of(&worker, &dir, &asr).await;
    let agent = agent(&world).await;
    let (phone, line) = talk(&world, &agent, InboundCall::from(NINO).says(clip(CUSTOMER))).await;
    phone.finished_speaking(SOON).await.unwrap();
    line.speak(&clip(AGENT));
    line.finished_speaking(SOON).await.unwrap();
    // A second later the worker has it, too.
    let heard = phone.heard().pcm().len();
    world.until("a second passes", async || phone.heard().pcm().len() > heard + 16_000).await;
    let id = line.call_id.clone();
    world.kill_and_restart().await;
    let path = format!("calls/{id}/transcript");
    world.until_within(PATIENCE, "it is whole", async || world.get(&path).await["state"] == "ready").await;
    check_words(&world.get(&path).await);
    assert_eq!(world.call(&id).await["recording"]["state"], "ready");
    let summary = format!("calls/{id}/summary");
    world.until_within(PATIENCE, "it is summed up", async || world.get(&summary).await["state"] == "ready").await;
    assert_eq!(world.get(&summary).await["summary"]["unheard_ms"], 0);

    let again = world.gateway.request("POST", &path, None).await;
    assert_eq!(again.status, 202);
    world.until_within(PATIENCE, "it is whole again", async || world.get(&path).await["state"] == "ready").await;
    check_words(&world.get(&path).await);
}
