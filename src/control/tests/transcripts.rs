//! What was said, read, followed and taken out.

use std::io::Read;

use serde_json::{Value, json};

use super::fixture::{House, agent, answer, now};
use crate::model::directory::{Agent, Team};
use crate::model::id::RecordingId;
use crate::model::reason::RecordingState;
use crate::model::rtp::Side;
use crate::model::transcript::{Segment, Unheard};
use crate::policy::access::Scope;
use crate::store::RecordingFile;

fn said(speaker: Side, start_ms: u64, text: &str) -> Segment {
    Segment {
        speaker,
        index: 0,
        start_ms,
        end_ms: start_ms + 500,
        text: text.to_owned(),
        is_final: true,
        stable_chars: text.chars().count() as u32,
        confidence: None,
        language: None,
    }
}

/// Both have spoken, and something was missed.
async fn talked() -> House {
    let house = House::open().await;
    let (store, call) = (&house.store, &house.call);
    store.begin_transcript(call, "builtin", Some("en"), true).await.unwrap();
    store.add_segment(call, &said(Side::Customer, 61_500, "Where is my parcel?")).await.unwrap();
    store.add_segment(call, &said(Side::Agent, 900, "Good morning, <b>Ana</b> speaking")).await.unwrap();
    store.add_unheard(call, Unheard { speaker: Side::Agent, start_ms: 70_000, end_ms: 71_000 }).await.unwrap();
    store.end_transcript(call, now()).await.unwrap();
    house
}

#[tokio::test]
async fn what_was_said_is_read_by_those_who_see_the_call_and_found_by_its_words() {
    let house = talked().await;
    let path = format!("/v1/calls/{}/transcript", house.call);
    let (status, transcript) = answer(house.get(&path, &house.ana).await).await;
    assert_eq!(status, 200);
    let want = json!({
        "call_id": house.call, "state": "pending", "engine": "builtin", "language": "en",
        "segments": [
            {"speaker": "agent", "index": 0, "start_ms": 900, "end_ms": 1_400, "text": "Good morning, <b>Ana</b> speaking",
                "final": true, "stable_chars": 33},
            {"speaker": "customer", "index": 0, "start_ms": 61_500, "end_ms": 62_000, "text": "Where is my parcel?",
                "final": true, "stable_chars": 19},
        ],
        "unheard": [{"speaker": "agent", "start_ms": 70_000, "end_ms": 71_000}],
    });
    assert_eq!(transcript, want);
    assert_eq!(house.get(&path, &house.beka).await.status(), 404);
    let (_, call) = answer(house.get(&format!("/v1/calls/{}", house.call), &house.ana).await).await;
    assert_eq!(call["transcript"], json!({"state": "pending"}));

    let texts = |body: &Value| -> Vec<String> {
        body["segments"].as_array().unwrap().iter().map(|s| s["text"].as_str().unwrap().to_owned()).collect()
    };
    let (_, some) = answer(house.get(&format!("{path}?text=PARC"), &house.ana).await).await;
    assert_eq!(texts(&some), ["Where is my parcel?"]);
    let calls_only = house.store.create_key("crm", &[Scope::CallsRead], now()).await.unwrap();
    for (secret, text, found) in
        [(&house.ana, "parcel", 1), (&house.ana, "lorry", 0), (&house.beka, "parcel", 0), (&calls_only, "parcel", 0)]
    {
        let (_, list) = answer(house.get(&format!("/v1/calls?text={text}"), secret).await).await;
        assert_eq!(list["items"].as_array().unwrap().len(), found, "{text}");
    }
}

#[tokio::test]
async fn a_call_nobody_listened_to_says_so() {
    let house = House::open().await;
    let path = format!("/v1/calls/{}/transcript", house.call);
    let (status, transcript) = answer(house.get(&path, &house.ana).await).await;
    let want =
        json!({"call_id": house.call, "state": "off", "engine": null, "language": null, "segments": [], "unheard": []});
    assert_eq!((status, transcript), (200, want));
    let frames = house.get(&format!("{path}/stream"), &house.ana).await.text().await.unwrap();
    let last = format!("event: transcript\ndata: {{\"call_id\":\"{}\",\"state\":\"off\"}}\n\n", house.call);
    assert_eq!(frames, last);
}

#[tokio::test]
async fn whoever_follows_too_late_gets_everything_and_the_end() {
    let house = talked().await;
    let path = format!("/v1/calls/{}/transcript/stream", house.call);
    assert_eq!(house.get(&path, &house.beka).await.status(), 404);
    let response = house.get(&path, &house.ana).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let frames = response.text().await.unwrap();
    let kinds: Vec<&str> = frames.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(kinds, ["segment", "segment", "transcript"], "{frames}");
    assert!(frames.ends_with("\"state\":\"pending\"}\n\n"), "{frames}");
}

#[tokio::test]
async fn exports_hold_the_calls_of_the_list_and_what_was_said_for_those_who_may_hear_it() {
    let house = talked().await;
    let folder = house.dir.path().join("recordings");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("call.wav");
    std::fs::write(&file, b"RIFF and so on").unwrap();
    let recording =
        RecordingFile { id: RecordingId::generate(), path: file, state: RecordingState::Ready, sha256: None };
    house.store.put_recording(&house.call, &recording).await.unwrap();
    let mut call = house.store.call(&house.call).await.unwrap().unwrap();
    call.recording.state = RecordingState::Ready;
    call.agent_id = Some("agt_a".parse().unwrap());
    let team = Team { id: "team_sales".parse().unwrap(), name: "=Sales".to_owned() };
    house.store.put_team(&team).await.unwrap();
    house.store.put_agent(&Agent { team_id: Some(team.id), ..agent("agt_a", "Ana") }).await.unwrap();
    house.store.save_call(&call, vec![], now()).await.unwrap();

    let response = house.get("/v1/calls.csv", &house.ana).await;
    assert_eq!(response.headers()["content-type"], "text/csv; charset=utf-8");
    assert_eq!(response.headers()["content-disposition"], "attachment; filename=\"calls.csv\"");
    let table = response.text().await.unwrap();
    let rows: Vec<&str> = table.split("\r\n").collect();
    assert!(rows[0].starts_with("id,direction,status,customer_name,"), "{table}");
    let begins = format!("{},user_initiated,Missed by Agent,Nino,+995555010203,,", house.call);
    assert!(rows[1].starts_with(&begins) && rows[1].contains(",ready,,pending,"), "{table}");
    assert!(rows[0].ends_with(",number,agent_name,team_name,summary"), "{table}");
    assert!(rows[1].ends_with(",+995322000111,Ana,'=Sales,"), "{table}");
    assert_eq!(rows[2..], [""]);
    let none = house.get("/v1/calls.csv?status=Completed", &house.ana).await.text().await.unwrap();
    assert_eq!(none, format!("{}\r\n", rows[0]));
    assert_eq!(house.get("/v1/calls.csv", &house.beka).await.text().await.unwrap(), none);

    let line = house.get("/v1/calls.ndjson?text=parcel", &house.ana).await.text().await.unwrap();
    let (_, object) = answer(house.get(&format!("/v1/calls/{}", house.call), &house.ana).await).await;
    assert_eq!(serde_json::from_str::<Value>(line.strip_suffix('\n').unwrap()).unwrap(), object);

    let calls_only = house.store.create_key("crm", &[Scope::CallsRead], now()).await.unwrap();
    let id = &house.call;
    let [json, sound] = ["call.json", "recording.wav"].map(|name| format!("{id}/{name}"));
    let [words, text] = ["transcript.json", "transcript.txt"].map(|name| format!("{id}/{name}"));
    for (secret, want) in [
        (&house.ana, vec![json.as_str(), &words, &text, &sound, "calls.csv", "index.json"]),
        (&calls_only, vec![json.as_str(), "calls.csv", "index.json"]),
        (&house.beka, vec!["calls.csv", "index.json"]),
    ] {
        let bytes = house.get("/v1/calls.zip", secret).await.bytes().await.unwrap();
        let mut zip = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
        let names: Vec<String> =
            (0..zip.len()).map(|i| zip.by_index(i).unwrap().name().unwrap().into_owned()).collect();
        assert_eq!(names, want);
        let mut read = |name: &str| {
            let mut content = String::new();
            zip.by_name(name).unwrap().read_to_string(&mut content).unwrap();
            content
        };
        if want.len() == 6 {
            assert_eq!(read(&sound), "RIFF and so on");
            let lines =
                "[00:00:00] agent: Good morning, <b>Ana</b> speaking\n[00:01:01] customer: Where is my parcel?\n";
            assert_eq!(read(&text), lines);
            assert_eq!(read("calls.csv"), table);
        }
    }

    let (status, problem) = answer(house.get("/v1/calls.zip?limit=5", &house.ana).await).await;
    assert_eq!((status, problem["code"].as_str()), (400, Some("invalid_parameter")), "{problem}");
    let log = house.store.events_after(0, 1000).await.unwrap();
    let taken = log.iter().filter(|event| event.kind == "calls.exported").map(|event| event.data.clone());
    let by = |agent: &str| json!({"kind": "agent", "agent_id": agent});
    let want = [
        json!({"by": by("agt_a"), "format": "csv", "query": ""}),
        json!({"by": by("agt_a"), "format": "csv", "query": "status=Completed"}),
        json!({"by": by("agt_b"), "format": "csv", "query": ""}),
        json!({"by": by("agt_a"), "format": "ndjson", "query": "text=parcel"}),
        json!({"by": by("agt_a"), "format": "zip", "query": ""}),
        json!({"by": {"kind": "key", "name": "crm"}, "format": "zip", "query": ""}),
        json!({"by": by("agt_b"), "format": "zip", "query": ""}),
    ];
    assert_eq!(taken.collect::<Vec<_>>(), want);
}
