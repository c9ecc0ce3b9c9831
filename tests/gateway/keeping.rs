//! Recordings after the call: in a store, back again when somebody listens, and gone when their time is over.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::Connection;
use tandem_loadtest::sound::Sound;
use tandem_loadtest::whatsapp::InboundCall;

use crate::s3::{BUCKET, Fate, KEY_ID, S3};
use crate::world::{NINO, SOON, World};

/// Three parts and a bit.
const LONG: usize = 3 * 8 * 1024 * 1024 + 77;
/// A failed upload is tried again after 5 to 10 s.
const SOME_TRIES: Duration = Duration::from_secs(60);

async fn world(s3: &S3, recording: &str) -> World {
    let config = format!(
        "[recording]\nstore = \"s3://{BUCKET}/calls\"\n{recording}\n[archive]\nendpoint = {:?}\nallow_http = true\n\
         access_key_id = {KEY_ID:?}\nsecret_access_key_file = {:?}\ntimeout_s = 20\n",
        s3.endpoint,
        s3.secret_file(),
    );
    World::with(&config, Default::default()).await
}

/// Nino calls, says a second of beeps and hangs up; her call, settled.
async fn call(world: &World) -> Value {
    let agent = world.agent("agt_a").await;
    world.nino_of("agt_a").await;
    let phone = world.wa.call(InboundCall::from(NINO).says(Sound::beeps(1))).await.unwrap();
    let talk = agent.next_offer(SOON).await.unwrap().accept().await.unwrap();
    phone.answered(SOON).await.unwrap();
    talk.connected(SOON).await.unwrap();
    phone.finished_speaking(SOON).await.unwrap();
    phone.hang_up();
    let call = world.settled(&talk.call_id).await;
    assert_eq!(call["recording"]["state"], "ready", "{call}");
    call
}

fn path(call: &Value, rest: &str) -> String {
    format!("calls/{}/recording{rest}", call["id"].as_str().unwrap())
}

/// Events of this kind in the log.
async fn events(world: &World, kind: &str) -> Vec<Value> {
    let log = world.get("events?after=0").await;
    log["items"].as_array().unwrap().iter().filter(|event| event["type"] == kind).cloned().collect()
}

async fn told(world: &World, kind: &str) -> Value {
    world.until_within(SOME_TRIES, kind, async || !events(world, kind).await.is_empty()).await;
    events(world, kind).await.remove(0)
}

/// Of one recording: sound, details, chain and manifest.
const FILES: usize = 4;

/// Files of the local folder, what is played first.
fn local(world: &World) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![world.dir.path().join("data/recordings")];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        for entry in entries.map(|entry| entry.unwrap().path()) {
            if entry.is_dir() { folders.push(entry) } else { found.push(entry) }
        }
    }
    found.sort_by_key(|path| path.extension().is_none_or(|extension| extension != "wav"));
    found
}

fn key(file: &Path) -> String {
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    format!("calls/{}/{}", name(file.parent().unwrap()), name(file))
}

#[tokio::test]
async fn a_recording_is_stored_leaves_the_local_disk_and_is_played_as_it_was() {
    let s3 = S3::start().await;
    // Broken while the call runs: the call and its recording know nothing of it.
    s3.gate(|_| Fate::Broken);
    let world = world(&s3, "local_days = 0").await;
    let call = call(&world).await;
    let files = local(&world);
    assert_eq!(files.len(), FILES, "{files:?}");
    let (sound, details) = (std::fs::read(&files[0]).unwrap(), world.get(&path(&call, "/details")).await);
    let mut database = open(&world).await;
    upload_fails(&world, &mut database).await;
    assert!(s3.seen(&["PUT"]) > 0 && events(&world, "recording.store_failed").await.is_empty(), "it may be over soon");
    sqlx::query("UPDATE recordings SET attempts = 4, due_at = 0").execute(&mut database).await.unwrap();
    let failed = told(&world, "recording.store_failed").await;
    assert!(
        failed["data"]["error"].as_str().unwrap().starts_with("the store does not answer as it should"),
        "{failed}"
    );
    let played = world.gateway.request("GET", &path(&call, ""), None).await;
    assert!(played.status == 200 && played.body == sound, "what is here is played");
    assert!(events(&world, "recording.stored").await.is_empty());

    s3.gate(|_| Fate::Served);
    sqlx::query("UPDATE recordings SET due_at = 0").execute(&mut database).await.unwrap();
    let stored = told(&world, "recording.stored").await;
    assert!(stored["data"]["bytes"].as_u64().unwrap() > sound.len() as u64, "with its details: {stored}");
    assert_eq!(std::fs::read(s3.object(&key(&files[0]))).unwrap(), sound);
    world.until("the local copy goes", async || local(&world).is_empty()).await;

    // Away: said so, with when to come again.
    s3.gate(|_| Fate::Broken);
    let refused = world.gateway.request("GET", &path(&call, ""), None).await;
    let problem = refused.problem(503, "unavailable");
    assert!(
        problem["detail"].as_str().unwrap().contains("does not answer") && refused.headers.contains_key("retry-after")
    );
    // Altered: refused, and nothing of it stays.
    s3.gate(|_| Fate::Served);
    let object = s3.object(&key(&files[0]));
    let mut altered = sound.clone();
    altered[sound.len() / 2] ^= 1;
    std::fs::write(&object, &altered).unwrap();
    let refused = world.gateway.request("GET", &path(&call, ""), None).await;
    assert!(refused.problem(409, "recording_failed")["detail"].as_str().unwrap().contains("is not what was put there"));
    assert!(!files[0].exists());
    std::fs::write(&object, &sound).unwrap();

    // Ten listeners at once fetch it once.
    let before = s3.seen(&["GET", ".wav"]);
    let asked: Vec<String> = (0..10).map(|_| path(&call, "")).collect();
    let answers =
        futures_util::future::join_all(asked.iter().map(|asked| world.gateway.request("GET", asked, None))).await;
    for played in answers {
        assert_eq!((played.status, played.body == sound), (200, true));
    }
    assert_eq!(s3.seen(&["GET", ".wav"]) - before, 1, "the file is one piece");
    assert_eq!(world.get(&path(&call, "/details")).await, details);
    assert_eq!(local(&world).len(), FILES, "it stays for the next listener");

    std::fs::remove_file(&files[0]).unwrap();
    let archive = world.gateway.request("GET", "calls.zip", None).await;
    assert!(archive.body.windows(sound.len()).any(|piece| piece == sound), "an export brings it back too");
}

/// The first attempt has come to its end; the next one is seconds away.
async fn upload_fails(world: &World, database: &mut sqlx::AnyConnection) {
    let attempts = "SELECT attempts FROM recordings";
    world
        .until("the upload fails", async || {
            sqlx::query_scalar::<_, i64>(attempts).fetch_one(&mut *database).await.unwrap() > 0
        })
        .await;
}

/// The gateway's database, SQLite.
async fn open(world: &World) -> sqlx::AnyConnection {
    sqlx::any::install_default_drivers();
    let file = world.dir.path().join("data/tandem.sqlite3");
    sqlx::AnyConnection::connect(&format!("sqlite://{}?mode=rw", file.display())).await.unwrap()
}

#[tokio::test]
async fn an_upload_that_a_kill_interrupts_goes_on_after_the_restart() {
    let s3 = S3::start().await;
    s3.gate(|_| Fate::Broken);
    let mut world = world(&s3, "").await;
    call(&world).await;
    let mut database = open(&world).await;
    upload_fails(&world, &mut database).await;
    let sound = local(&world).remove(0);
    let long: Vec<u8> = (0..LONG).map(|i| (i % 251) as u8).collect();
    std::fs::write(&sound, &long).unwrap();
    s3.gate(|line| if line.contains("partNumber=3") { Fate::Silent } else { Fate::Served });
    world.until_within(SOME_TRIES, "two parts are sent", async || s3.seen(&["partNumber=3"]) > 0).await;
    world.gateway.kill().await;
    assert!(!s3.object(&key(&sound)).exists());

    s3.gate(|_| Fate::Served);
    world.restart().await;
    told(&world, "recording.stored").await;
    assert_eq!(std::fs::read(s3.object(&key(&sound))).unwrap(), long);
    let sent = ["partNumber=1", "partNumber=2", "?uploads"].map(|part| s3.seen(&[part]));
    assert_eq!(sent, [1, 1, 1], "no part twice, and one upload");
    assert!(sound.exists(), "the local copy stays for local_days");
}

#[tokio::test]
async fn a_recording_whose_time_is_over_goes_everywhere_unless_it_is_held() {
    let s3 = S3::start().await;
    let world = world(&s3, "keep_days = 2").await;
    let (kept, other) = (call(&world).await, call(&world).await);
    world.until("both are stored", async || events(&world, "recording.stored").await.len() == 2).await;
    assert_eq!((local(&world).len(), s3.objects().len()), (2 * FILES, 2 * FILES));
    let hold = path(&kept, "/hold");
    let agent = world.token("agt_a").await;
    world.gateway.request_as(&agent, "PUT", &hold, Some(json!({"held": true}))).await.problem(404, "not_found");
    world.gateway.request_as(&agent, "DELETE", &path(&kept, ""), None).await.problem(404, "not_found");
    let held = async |held: bool| world.gateway.request("PUT", &hold, Some(json!({ "held": held }))).await.status;
    assert_eq!(held(true).await, 204);
    world.gateway.request("DELETE", &path(&kept, ""), None).await.problem(409, "wrong_state");
    // What is not ours stays, wherever it lies.
    let (stranger, theirs) = (s3.object("calls/rec_of_others.wav"), local(&world)[0].with_file_name("notes.txt"));
    std::fs::write(&stranger, "not ours").unwrap();
    std::fs::write(&theirs, "not ours").unwrap();

    // The store is away when the time comes: nobody gets it any more, and the objects go later.
    s3.gate(|_| Fate::Broken);
    let mut database = open(&world).await;
    let two_days = "UPDATE recordings SET finished_at = finished_at - 2 * 24 * 3600 * 1000";
    sqlx::query(two_days).execute(&mut database).await.unwrap();
    let other_id = other["id"].as_str().unwrap();
    world.until("it is deleted", async || world.call(other_id).await["recording"]["state"] == "deleted").await;
    world.gateway.request("GET", &path(&other, ""), None).await.problem(410, "recording_deleted");
    world.until("its local files go", async || local(&world).len() == FILES + 1).await;
    s3.gate(|_| Fate::Served);
    let deleted = told(&world, "recording.deleted").await;
    assert_eq!((&deleted["call_id"], &deleted["data"]["by"]), (&other["id"], &Value::Null), "its time was over");
    assert_eq!((s3.objects().len(), theirs.exists(), stranger.exists()), (FILES + 1, true, true));
    assert_eq!(world.gateway.request("GET", &path(&kept, ""), None).await.status, 200, "held, and older");

    assert_eq!(held(false).await, 204);
    world.until("it goes too", async || events(&world, "recording.deleted").await.len() == 2).await;
    assert_eq!(s3.objects(), ["calls/rec_of_others.wav"]);
    assert_eq!(local(&world), [theirs]);
    let (holds, releases) = (events(&world, "recording.held").await, events(&world, "recording.released").await);
    assert_eq!((holds.len(), &holds[0]["data"]["by"]["kind"], releases.len()), (1, &json!("key"), 1));
}

#[tokio::test]
async fn a_recording_that_comes_late_is_stored_before_its_only_copy_goes() {
    let s3 = S3::start().await;
    let mut world = world(&s3, "local_days = 0").await;
    let agent = world.agent("agt_a").await;
    world.nino_of("agt_a").await;
    let phone = world.wa.call(InboundCall::from(NINO).says(Sound::beeps(2))).await.unwrap();
    let talk = agent.next_offer(SOON).await.unwrap().accept().await.unwrap();
    phone.answered(SOON).await.unwrap();
    phone.finished_speaking(SOON).await.unwrap();
    world.gateway.kill().await;
    // As if another machine had it when the gateway died.
    let recordings = world.dir.path().join("data/recordings");
    let away = world.dir.path().join("away");
    std::fs::rename(&recordings, &away).unwrap();
    world.restart().await;
    let call = world.settled(&talk.call_id).await;
    assert_eq!(call["recording"]["state"], "failed", "{call}");
    let mut database = open(&world).await;
    let mut waits = async || {
        let waits = "SELECT COUNT(*) FROM recordings WHERE finished_at IS NULL OR local_since IS NOT NULL";
        sqlx::query_scalar::<_, i64>(waits).fetch_one(&mut database).await.unwrap()
    };
    world.until("it is found that there is nothing to be stored", async || waits().await == 0).await;
    assert_eq!((events(&world, "recording.stored").await.len(), s3.objects().len()), (0, 0), "nothing is never stored");

    // It comes after all: the file, and then the word of it in the books.
    std::fs::remove_dir_all(&recordings).unwrap();
    std::fs::rename(&away, &recordings).unwrap();
    let sound = local(&world).remove(0);
    let id = tandem::model::id::CallId::parse(&talk.call_id).unwrap();
    let store = tandem::store::Store::open("", &world.dir.path().join("data")).await.unwrap();
    let mut file = store.recording(&id).await.unwrap().unwrap();
    tandem::record::repair(&sound, &Default::default()).unwrap();
    let bytes = std::fs::read(&sound).unwrap();
    file.state = tandem::model::reason::RecordingState::Ready;
    store.put_recording(&id, &file).await.unwrap();
    told(&world, "recording.stored").await;
    world.until("the local copy goes", async || local(&world).is_empty()).await;
    let played = world.gateway.request("GET", &path(&call, ""), None).await;
    assert!(played.status == 200 && played.body == bytes, "{}", played.status);
}

#[tokio::test]
async fn a_store_that_cannot_be_is_said_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tandem.toml");
    let check = async |text: &str, sentence: &str| {
        std::fs::write(&file, text).unwrap();
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_tandem"));
        let output = command.args(["check", "--config"]).arg(&file).output().await.unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && told.contains(sentence), "{told}");
    };
    check("[recording]\nstore = \"ftp://voices\"", "recording.store: \"ftp://voices\" is no store").await;
    check("[recording]\nstore = \"s3://voices\"", "archive.access_key_id: ").await;
    let keyed = "[recording]\nstore = \"s3://voices\"\n[archive]\naccess_key_id = \"k\"\n";
    check(&format!("{keyed}secret_access_key_file = \"/absent\""), "archive.secret_access_key_file: cannot read").await;
    check(&format!("{keyed}endpoint = \"http://127.0.0.1:9\""), "archive.allow_http = true").await;
}
