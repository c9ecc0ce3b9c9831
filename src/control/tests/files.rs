//! The directory as written and read back, and recordings whole and in ranges.

use reqwest::Method;
use serde_json::json;
use sqlx::Connection;

use super::fixture::{House, answer, now};
use crate::audio::{Block, Closed, Output};
use crate::model::id::RecordingId;
use crate::model::reason::RecordingState;
use crate::model::rtp::TapKey;
use crate::record::{Finished, Format, Open, PublicKey, RecordEvent, Recorder, Reserve, path_of, verify};
use crate::store::RecordingFile;

#[tokio::test]
async fn the_directory_reads_back_as_it_was_written() {
    let house = House::open().await;
    let (status, team) = house.put("/v1/teams/team_sales", json!({"name": " Sales "})).await;
    assert_eq!((status, team), (201, json!({"id": "team_sales", "name": "Sales"})));

    let agent = json!({"name": "Giorgi", "email": "g@example.com", "role": "sales_lead", "team_id": "team_sales",
        "excluded": true, "switches": {"all_calls": true}});
    let (status, created) = house.put("/v1/agents/agt_g", agent).await;
    assert_eq!(status, 201, "{created}");
    assert_eq!(created["switches"], json!({"configure_calls": false, "all_calls": true}));
    assert_eq!((created["status"].as_str(), created["active_calls"].as_u64()), (Some("offline"), Some(0)));

    // What is left out stays, null clears.
    let (status, changed) = house.put("/v1/agents/agt_g", json!({"email": null})).await;
    assert_eq!((status, &changed["email"], &changed["excluded"]), (200, &json!(null), &json!(true)));
    assert_eq!((changed["name"].as_str(), changed["team_id"].as_str()), (Some("Giorgi"), Some("team_sales")));

    let (status, number) = house
        .put(
            "/v1/numbers/200",
            json!({"display_phone_number": "+995 322 11", "plan": "growth", "graph_token": "EAAGsecret"}),
        )
        .await;
    assert_eq!(status, 201, "{number}");
    assert_eq!((number["graph_token_set"].as_bool(), number["messaging_limit"].as_i64()), (Some(true), Some(250)));
    let list = house.get("/v1/numbers", &house.admin).await.text().await.unwrap();
    assert!(!list.contains("EAAGsecret") && list.contains("\"+99532211\""), "{list}");
}

#[tokio::test]
async fn a_token_of_an_agent_opens_its_session() {
    let house = House::open().await;
    let ask = house.ask(Method::POST, "/v1/agents/agt_a/tokens", &house.admin);
    let (status, made) = answer(ask.send().await.unwrap()).await;
    assert_eq!(status, 201, "{made}");
    let (_, session) = answer(house.get("/v1/session", made["token"].as_str().unwrap()).await).await;
    assert_eq!(session["agent"]["id"], "agt_a");
}

#[tokio::test]
async fn a_call_is_read_with_its_trace_and_its_quality() {
    let house = House::open().await;
    let path = format!("/v1/calls/{}", house.call);
    let (status, call) = answer(house.get(&path, &house.ana).await).await;
    assert_eq!((status, call["status"].as_str()), (200, Some("Missed by Agent")), "{call}");
    assert_eq!(call["offers"][0]["cause"], "ring_timeout");
    let (_, trace) = answer(house.get(&format!("{path}/trace"), &house.ana).await).await;
    assert_eq!(trace["trace"][0]["verdict"], "chosen");
    let (_, quality) = answer(house.get(&format!("{path}/quality"), &house.ana).await).await;
    assert_eq!(quality, json!({"legs": []}));
}

#[tokio::test]
async fn a_recording_is_served_whole_and_in_ranges() {
    let house = House::open().await;
    let path = format!("/v1/calls/{}/recording", house.call);
    let folder = house.dir.path().join("recordings");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("call.wav");
    let sound: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    std::fs::write(&file, &sound).unwrap();
    let mut recording =
        RecordingFile { id: RecordingId::generate(), path: file, state: RecordingState::Recording, sha256: None };
    house.store.put_recording(&house.call, &recording).await.unwrap();
    let (status, problem) = answer(house.get(&path, &house.ana).await).await;
    assert_eq!((status, problem["code"].as_str()), (409, Some("recording_in_progress")));

    recording.state = RecordingState::Ready;
    house.store.put_recording(&house.call, &recording).await.unwrap();
    for (range, status, content_range, want) in [
        ("", 200, None, &sound[..]),
        ("bytes=0-99", 206, Some("bytes 0-99/10000"), &sound[..100]),
        ("bytes=9900-", 206, Some("bytes 9900-9999/10000"), &sound[9900..]),
        ("bytes=-50", 206, Some("bytes 9950-9999/10000"), &sound[9950..]),
    ] {
        let mut ask = house.ask(Method::GET, &path, &house.ana);
        if !range.is_empty() {
            ask = ask.header("range", range);
        }
        let response = ask.send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{range}");
        let headers = response.headers();
        assert_eq!(headers["content-type"], "audio/wav", "{range}");
        assert_eq!(headers["accept-ranges"], "bytes", "{range}");
        assert_eq!(headers["cache-control"], "private, no-store", "{range}");
        let given = headers.get("content-range").map(|value| value.to_str().unwrap());
        assert_eq!(given, content_range, "{range}");
        assert_eq!(response.bytes().await.unwrap(), want, "{range}");
    }
    let ask = house.ask(Method::GET, &path, &house.ana).header("range", "bytes=20000-");
    let response = ask.send().await.unwrap();
    assert_eq!(response.headers()["content-range"], "bytes */10000");
    let (status, problem) = answer(response).await;
    assert_eq!((status, problem["code"].as_str()), (416, Some("range_not_satisfiable")));
}

#[tokio::test]
async fn a_sealed_recording_is_served_as_if_it_lay_there_open_with_its_manifest() {
    let house = House::open().await;
    let path = format!("/v1/calls/{}/recording", house.call);
    let (told, ended) = std::sync::mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let vault = house.control.vault.clone();
    let tell = move |event| drop(told.lock().unwrap().send(event));
    let recorder = Recorder::spawn_with(house.dir.path(), vault.clone(), Reserve::of_disk(0), tell).unwrap();
    let (id, tap) = (RecordingId::generate(), TapKey(1));
    let file = path_of(house.dir.path(), &id, now(), Format::Wav);
    let call = house.call.clone();
    recorder.inlet().open(Open {
        tap,
        recording: id.clone(),
        call,
        path: file.clone(),
        started_at: now(),
        consent: None,
    });
    let samples: Vec<[i16; 2]> = (0..32_000).map(|at| [at, !at]).collect();
    recorder.inlet().take(Output::Block(Block { tap, first_sample: 0, samples: samples.clone() }));
    let stats = crate::audio::Stats { samples: 32_000, ..Default::default() };
    recorder.inlet().take(Output::Closed(Closed { tap, stats, pauses: Vec::new() }));
    tokio::task::spawn_blocking(move || recorder.stop()).await.unwrap();
    assert!(ended.iter().any(|event| matches!(event, RecordEvent::Finished { .. })));
    let on_disk = std::fs::read(&file).unwrap();
    let kept = RecordingFile { id, path: file.clone(), state: RecordingState::Ready, sha256: None };
    house.store.put_recording(&house.call, &kept).await.unwrap();

    let whole = house.get(&path, &house.ana).await;
    assert_eq!((whole.status().as_u16(), whole.headers()["content-length"].to_str().unwrap()), (200, "128044"));
    let whole = whole.bytes().await.unwrap();
    let heard: Vec<i16> = hound::WavReader::new(&whole[..]).unwrap().into_samples().map(Result::unwrap).collect();
    assert!(heard == samples.as_flattened() && !on_disk.windows(64).any(|some| some == &whole[9_000..9_064]));
    for (range, status, content_range, want) in [
        ("bytes=0-99", 206, "bytes 0-99/128044", &whole[..100]),
        ("bytes=100-", 206, "bytes 100-128043/128044", &whole[100..]),
        ("bytes=-50", 206, "bytes 127994-128043/128044", &whole[127_994..]),
        ("bytes=63990-64110", 206, "bytes 63990-64110/128044", &whole[63_990..64_111]),
    ] {
        let answer = house.ask(Method::GET, &path, &house.ana).header("range", range).send().await.unwrap();
        let headers = answer.headers().clone();
        assert_eq!((answer.status().as_u16(), headers["content-range"].to_str().unwrap()), (status, content_range));
        assert_eq!(
            (&headers["content-type"], &headers["accept-ranges"]),
            (&"audio/wav".parse().unwrap(), &"bytes".parse().unwrap())
        );
        assert_eq!(headers["content-length"], want.len().to_string().as_str());
        assert_eq!(answer.bytes().await.unwrap(), want, "{range}");
    }
    for range in ["bytes=200000-", "bytes=0-1,5-6", "lines=1-2"] {
        let answered = house.ask(Method::GET, &path, &house.ana).header("range", range).send().await.unwrap();
        assert_eq!(answered.headers()["content-range"], "bytes */128044");
        let (status, problem) = answer(answered).await;
        assert_eq!((status, problem["code"].as_str()), (416, Some("range_not_satisfiable")), "{range}");
    }
    let (status, manifest) = answer(house.get(&format!("{path}/manifest"), &house.ana).await).await;
    assert_eq!((status, manifest["parts"][0]["sound_bytes"].as_u64()), (200, Some(128_044)), "{manifest}");
    let (_, key) = answer(house.get("/v1/signing-key", &house.ana).await).await;
    assert_eq!(key["public_key"], manifest["public_key"]);
    let trusted = PublicKey::read(key["public_key"].as_str().unwrap()).unwrap();
    assert!(verify(&file, &trusted, &vault).unwrap().faults.is_empty());

    // A byte of its first frame, and its end.
    let mut changed = on_disk.clone();
    changed[500] ^= 1;
    for bytes in [&changed[..], &on_disk[..on_disk.len() - 1]] {
        std::fs::write(&file, bytes).unwrap();
        let (status, problem) = answer(house.get(&path, &house.ana).await).await;
        assert_eq!((status, problem["code"].as_str()), (409, Some("recording_failed")), "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains("changed"), "{problem}");
    }
}

#[tokio::test]
async fn a_recording_is_served_in_the_form_it_is_kept_in_and_in_no_other() {
    let house = House::open().await;
    let path = format!("/v1/calls/{}/recording", house.call);
    let folder = house.dir.path().join("recordings");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, kind) in [("call.opus", "audio/ogg"), ("call.wav", "audio/wav")] {
        let file = folder.join(name);
        std::fs::write(&file, "sound").unwrap();
        let recording =
            RecordingFile { id: RecordingId::generate(), path: file, state: RecordingState::Ready, sha256: None };
        house.store.put_recording(&house.call, &recording).await.unwrap();
        for (accept, fits) in [
            ("", true),
            ("*/*", true),
            ("text/html, audio/*;q=0.5", true),
            (kind, true),
            ("audio/mpeg, audio/flac", false),
            ("audio/*; q=0", false),
        ] {
            let mut ask = house.ask(Method::GET, &path, &house.ana);
            if !accept.is_empty() {
                ask = ask.header("accept", accept);
            }
            let response = ask.send().await.unwrap();
            if fits {
                assert_eq!(
                    (response.status().as_u16(), &response.headers()["content-type"]),
                    (200, &kind.parse().unwrap()),
                    "{accept}"
                );
                let named = response.headers()["content-disposition"].to_str().unwrap().to_owned();
                assert!(named.ends_with(&format!("{}\"", &name[4..])), "{named}");
                continue;
            }
            let (status, problem) = answer(response).await;
            assert_eq!((status, problem["code"].as_str()), (406, Some("not_acceptable")), "{accept}");
            assert!(problem["detail"].as_str().unwrap().contains(kind), "{problem}");
        }
    }
}

#[tokio::test]
async fn a_file_outside_the_recordings_is_not_served() {
    let house = House::open().await;
    std::fs::create_dir_all(house.dir.path().join("recordings")).unwrap();
    let secret = house.dir.path().join("secret.wav");
    std::fs::write(&secret, b"not a recording").unwrap();
    for path in [secret, "../secret.wav".into(), "missing.wav".into()] {
        let recording = RecordingFile {
            id: RecordingId::generate(),
            path: path.clone(),
            state: RecordingState::Ready,
            sha256: None,
        };
        house.store.put_recording(&house.call, &recording).await.unwrap();
        let response = house.get(&format!("/v1/calls/{}/recording", house.call), &house.admin).await;
        let (status, problem) = answer(response).await;
        assert_eq!((status, problem["code"].as_str()), (409, Some("recording_failed")), "{path:?}");
    }
}

/// The call's task is gone: what the recorder and WhatsApp say late goes straight to the books.
#[tokio::test]
async fn the_end_of_a_recording_overwrites_nothing_that_was_said_about_the_call_meanwhile() {
    let house = House::open().await;
    let file = format!("sqlite://{}?mode=rw", house.dir.path().join("tandem.sqlite3").display());
    let mut others = sqlx::AnyConnection::connect(&file).await.unwrap();
    let stats = crate::audio::Stats::default();
    let finished = Finished {
        duration_ms: 9_000,
        gaps: 1,
        bytes: 1,
        parts: 1,
        sha256: "ab".repeat(32),
        stats,
        pauses: Vec::new(),
    };
    let (call, recording) = (house.call.clone(), RecordingId::generate());
    let finished = RecordEvent::Finished { call, recording, finished: Box::new(finished) };
    // Both wait for whoever writes, WhatsApp's last word first.
    sqlx::query("BEGIN IMMEDIATE").execute(&mut others).await.unwrap();
    let terminated = house.store.amend_call(&house.call, now(), |call| {
        call.duration_ms = 7_000;
        Some(Vec::new())
    });
    let let_them = async {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        sqlx::query("COMMIT").execute(&mut others).await.unwrap();
    };
    let (terminated, (), ()) =
        tokio::join!(terminated, house.control.switchboard.take_record_event(finished), let_them);
    assert!(terminated.unwrap().is_some());
    let call = house.store.call(&house.call).await.unwrap().unwrap();
    assert_eq!((call.duration_ms, call.recording.duration_ms), (7_000, 9_000));
    assert_eq!(call.recording.state, RecordingState::Ready);
}
