//! Recordings that are exported, listened to and gone for good.

use std::io::Read;
use std::path::PathBuf;

use reqwest::Method;
use serde_json::{Value, json};

use super::fixture::{House, answer, id, now};
use crate::audio::{Block, Closed, Output};
use crate::model::id::{CallId, RecordingId};
use crate::model::reason::RecordingState;
use crate::model::recording::{Consent, ConsentState};
use crate::model::rtp::TapKey;
use crate::model::summary::{Figures, Summary, SummaryKind};
use crate::record::{Finished, Format, Open, RecordEvent, Recorder, Reserve, path_of, verify};
use crate::store::RecordingFile;

/// A sealed and signed recording of two seconds, ready.
async fn recorded(house: &House) -> (RecordingFile, Box<Finished>) {
    let (told, ended) = std::sync::mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let tell = move |event| drop(told.lock().unwrap().send(event));
    let recorder =
        Recorder::spawn_with(house.dir.path(), house.control.vault.clone(), Reserve::of_disk(0), tell).unwrap();
    let (id, tap, call) = (RecordingId::generate(), TapKey(1), house.call.clone());
    let path = path_of(house.dir.path(), &id, now(), Format::Wav);
    let recording = id.clone();
    recorder.inlet().open(Open { tap, recording, call, path: path.clone(), started_at: now(), consent: None });
    let samples = (0..32_000).map(|at| [at, !at]).collect();
    recorder.inlet().take(Output::Block(Block { tap, first_sample: 0, samples }));
    let stats = crate::audio::Stats { samples: 32_000, ..Default::default() };
    recorder.inlet().take(Output::Closed(Closed { tap, stats, pauses: Vec::new() }));
    tokio::task::spawn_blocking(move || recorder.stop()).await.unwrap();
    let finished = ended.iter().find_map(|event| match event {
        RecordEvent::Finished { finished, .. } => Some(finished),
        _ => None,
    });
    let file = RecordingFile { id, path, state: RecordingState::Ready, sha256: None };
    ready(house, &house.call, &file).await;
    (file, finished.unwrap())
}

async fn ready(house: &House, call: &CallId, file: &RecordingFile) {
    let mut record = house.store.call(call).await.unwrap().unwrap();
    record.recording.state = RecordingState::Ready;
    record.recording.consent = Some(Consent {
        state: ConsentState::OptedOut,
        language: "ka".to_owned(),
        sha256: "cd".repeat(32),
        length_ms: 900,
        announced_at: Some(now()),
        opt_out_key: Some('9'),
        opted_out_at: Some(now()),
    });
    house.store.save_call(&record, vec![], now()).await.unwrap();
    house.store.put_recording(call, file).await.unwrap();
}

async fn told(house: &House, kind: &str) -> Vec<Value> {
    let log = house.store.events_after(0, 1000).await.unwrap();
    log.into_iter().filter(|event| event.kind == kind).map(|event| event.data).collect()
}

#[tokio::test]
async fn an_export_holds_all_parts_with_their_proof_and_says_which_recording_is_lost() {
    let house = House::open().await;
    let (file, _) = recorded(&house).await;
    let summary = Summary {
        kind: SummaryKind::Extractive,
        model: None,
        language: None,
        text: "She asked for her parcel.".to_owned(),
        reason: None,
        key_points: Vec::new(),
        questions: Vec::new(),
        action_items: Vec::new(),
        outcome: None,
        details: Vec::new(),
        figures: Figures::default(),
        unheard_ms: 0,
        withheld: 0,
        fallback_reason: None,
    };
    house.store.begin_transcript(&house.call, "builtin", None, true).await.unwrap();
    house.store.end_transcript(&house.call, now()).await.unwrap();
    let due = house.store.due_summaries(false, now()).await.unwrap().remove(0);
    house.store.put_summary(&due, &summary, true, now()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let export = async || {
        let bytes = house.get("/v1/calls.zip", &house.ana).await.bytes().await.unwrap();
        let mut zip = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
        for i in 0..zip.len() {
            let mut entry = zip.by_index(i).unwrap();
            let path: PathBuf = folder.path().join(&*entry.name().unwrap());
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let index = std::fs::read(folder.path().join("index.json")).unwrap();
        serde_json::from_slice::<Value>(&index).unwrap()
    };
    let about = crate::store::Subject::Call(house.call.clone());
    let by = crate::model::directory::Asker::Agent { agent_id: id("agt_a") };
    house.store.add_note(&about, &by, "Called back.", now()).await.unwrap();
    let index = export().await;
    let files = [
        "call.json",
        "notes.json",
        "transcript.json",
        "transcript.txt",
        "summary.json",
        "recording.wav",
        "recording.json",
        "recording.chain",
        "recording.manifest.json",
    ];
    assert_eq!(index, json!([{"call_id": house.call, "files": files}]));
    let read = |name: &str| std::fs::read(folder.path().join(house.call.as_str()).join(name)).unwrap();
    let whole: Value = serde_json::from_slice(&read("summary.json")).unwrap();
    assert_eq!(whole["text"], "She asked for her parcel.");
    let (key, exported) = (house.control.vault.public_key().unwrap(), folder.path().join(house.call.as_str()));
    let report = verify(&exported.join("recording.wav"), &key, &house.control.vault).unwrap();
    assert_eq!((report.faults, report.manifest.recording_id), (vec![], file.id.clone()));

    let table = std::fs::read_to_string(folder.path().join("calls.csv")).unwrap();
    let lines: Vec<&str> = table.lines().collect();
    assert!(
        lines[0].contains(",consent_language,consent_sha256,announced_at,opted_out_at,disposition,tags,"),
        "{table}"
    );
    assert!(lines[1].ends_with(",She asked for her parcel."), "{table}");
    let consent = house.store.call(&house.call).await.unwrap().unwrap().recording.consent.unwrap();
    let times = [consent.announced_at, consent.opted_out_at].map(|at| at.unwrap().to_string()).join(",");
    assert!(lines[1].contains(&format!(",ka,{},{times},,", "cd".repeat(32))), "{table}");

    // Beyond 4 GiB.
    std::fs::copy(&file.path, file.path.with_extension("part2.wav")).unwrap();
    let index = export().await;
    assert_eq!(index[0]["files"][6], "recording.part2.wav");
    assert_eq!(read("recording.part2.wav"), read("recording.wav"));

    // In a store that nobody knows any more, and not here.
    house.store.enter_finished(now()).await.unwrap();
    house.store.begin_upload(&house.call, "s3://gone").await.unwrap();
    house.store.put_stored(&house.call, 9, now()).await.unwrap();
    std::fs::remove_dir_all(file.path.parent().unwrap()).unwrap();
    let index = export().await;
    assert_eq!(index[0]["files"], json!(files[..5]));
    assert!(index[0]["recording_missing"].as_str().unwrap().contains("s3://gone"), "{index}");
}

#[tokio::test]
async fn a_fifth_archive_waits_for_one_of_four_to_end() {
    let house = House::open().await;
    let mut others: Vec<_> = (0..4).map(|_| house.control.switchboard.begin_archive().unwrap()).collect();
    let refused = house.get("/v1/calls.zip", &house.ana).await;
    assert!(refused.headers().contains_key("retry-after"));
    let (status, problem) = answer(refused).await;
    assert_eq!((status, problem["code"].as_str()), (503, Some("unavailable")), "{problem}");
    assert_eq!(house.get("/v1/calls.csv", &house.ana).await.status(), 200);
    others.pop();
    let archive = house.get("/v1/calls.zip", &house.ana).await;
    assert_eq!(archive.status(), 200);
    archive.bytes().await.unwrap();
    assert_eq!(told(&house, "calls.exported").await.len(), 2, "what was refused is not told");
}

#[tokio::test]
async fn who_listens_is_told_once_whatever_ranges_a_player_asks_for() {
    let house = House::open().await;
    recorded(&house).await;
    let path = format!("/v1/calls/{}/recording", house.call);
    assert_eq!(house.ask(Method::HEAD, &path, &house.ana).send().await.unwrap().status(), 200);
    assert_eq!(house.get(&path, &house.beka).await.status(), 404);
    assert_eq!(told(&house, "call.downloaded").await, [Value::Null; 0], "nobody got anything");
    for range in ["bytes=0-99", "bytes=100-199", "bytes=0-"] {
        let answer = house.ask(Method::GET, &path, &house.ana).header("range", range).send().await.unwrap();
        assert_eq!(answer.status(), 206);
    }
    for rest in ["/details", "/manifest"] {
        assert_eq!(house.get(&format!("{path}{rest}"), &house.ana).await.status(), 200);
    }
    for other in ["transcript", "transcript", "summary"] {
        assert_eq!(house.get(&format!("/v1/calls/{}/{other}", house.call), &house.ana).await.status(), 200);
    }
    assert_eq!(house.get(&path, &house.admin).await.status(), 200);
    let ana = json!({"kind": "agent", "agent_id": "agt_a"});
    let want: Vec<Value> = ["recording", "details", "manifest", "transcript", "summary"]
        .map(|what| json!({"by": ana, "call_id": house.call, "what": what}))
        .into_iter()
        .chain([json!({"by": {"kind": "key", "name": "admin"}, "call_id": house.call, "what": "recording"})])
        .collect();
    let mut told = told(&house, "call.downloaded").await;
    // An hour of the clock may end in between.
    assert!(told.len() <= want.len() + 1, "{told:?}");
    told.dedup();
    assert_eq!(told, want);
}

#[tokio::test]
async fn what_comes_of_a_deleted_recording_is_removed_and_not_told() {
    let house = House::open().await;
    let (file, finished) = recorded(&house).await;
    let deleted = house.ask(Method::DELETE, &format!("/v1/calls/{}/recording", house.call), &house.admin);
    let (status, body) = answer(deleted.send().await.unwrap()).await;
    assert_eq!(status, 204, "{body}");
    let before = told(&house, "recording.ready").await.len();
    for (name, late) in [(file.id.to_string(), false), (file.id.late().to_string(), true)] {
        std::fs::create_dir_all(file.path.parent().unwrap()).unwrap();
        let path = file.path.with_file_name(format!("{name}.wav"));
        std::fs::write(&path, "voices").unwrap();
        let (call, recording, finished) = (house.call.clone(), file.id.clone(), finished.clone());
        let event = match late {
            true => RecordEvent::Late { call, recording, finished },
            false => RecordEvent::Finished { call, recording, finished },
        };
        house.control.switchboard.take_record_event(event).await;
        assert!(!path.exists(), "{name}");
    }
    assert_eq!(told(&house, "recording.ready").await.len(), before);
    let call = house.store.call(&house.call).await.unwrap().unwrap();
    assert_eq!(call.recording.state, RecordingState::Deleted);
}
