//! Notes, dispositions and tags, as programs and agents see them.

use reqwest::Method;
use serde_json::{Value, json};

use super::fixture::{House, agent, answer, id, missed_call, now};
use crate::model::id::AgentId;
use crate::store::CustomerIdentity;

async fn ask(house: &House, method: Method, path: &str, secret: &str, body: Option<Value>) -> (u16, Value) {
    let mut request = house.ask(method, path, secret);
    if let Some(body) = body {
        request = request.json(&body);
    }
    answer(request.send().await.unwrap()).await
}

async fn get(house: &House, path: &str, secret: &str) -> Value {
    let (status, body) = ask(house, Method::GET, path, secret, None).await;
    assert_eq!(status, 200, "{path}: {body}");
    body
}

fn texts(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|note| note["text"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_note_on_a_call_is_its_customers_for_those_who_see_the_call() {
    let house = House::open().await;
    let (call, contact) = (format!("/v1/calls/{}/notes", house.call), "/v1/contacts/wa:995555010203");
    let text = "Wants ten seats.\n<script>alert(1)</script>";
    let (status, note) = ask(&house, Method::POST, &call, &house.ana, Some(json!({"text": text}))).await;
    assert_eq!((status, &note["author_id"], &note["call_id"]), (201, &"agt_a".into(), &house.call.as_str().into()));
    assert!(note["id"].as_str().unwrap().starts_with("note_"));
    let on_contact = format!("{contact}/notes");
    let (status, free) =
        ask(&house, Method::POST, &on_contact, &house.beka, Some(json!({"text": "Speaks German."}))).await;
    assert_eq!((status, free.get("call_id")), (201, None));

    assert_eq!(texts(&get(&house, &call, &house.ana).await), [text]);
    assert_eq!(texts(&get(&house, &on_contact, &house.ana).await), ["Speaks German.", text]);
    assert_eq!(texts(&get(&house, &on_contact, &house.admin).await), ["Speaks German.", text]);
    // Beka does not see the call, until the customer is Beka's.
    assert_eq!(texts(&get(&house, &on_contact, &house.beka).await), ["Speaks German."]);
    let path = format!("/v1/notes/{}", free["id"].as_str().unwrap());
    assert_eq!(ask(&house, Method::DELETE, &path, &house.ana, None).await.0, 404, "who did not write it");
    assert_eq!(ask(&house, Method::DELETE, &path, &house.beka, None).await.0, 204);
    assert_eq!(ask(&house, Method::DELETE, &path, &house.beka, None).await.0, 404, "it is gone");
    assert_eq!(get(&house, contact, &house.ana).await["last_note"]["text"], text);
    assert_eq!(get(&house, contact, &house.beka).await["last_note"], Value::Null);
    house.put(contact, json!({"assignee_id": "agt_b"})).await;
    assert_eq!(get(&house, contact, &house.beka).await["last_note"]["text"], text);
    assert_eq!(texts(&get(&house, &on_contact, &house.beka).await), [text]);

    for (body, why) in [(json!({"text": " "}), "1 to 4000"), (json!({"text": "a\u{7}"}), "control")] {
        let (status, problem) = ask(&house, Method::POST, &call, &house.ana, Some(body)).await;
        assert_eq!(status, 422);
        assert!(problem["detail"].as_str().unwrap().contains(why), "{problem}");
    }
    assert_eq!(ask(&house, Method::POST, &call, &house.beka, Some(json!({"text": "x"}))).await.0, 404);
    let unknown = "/v1/contacts/wa:995000000000/notes";
    assert_eq!(ask(&house, Method::POST, unknown, &house.ana, Some(json!({"text": "x"}))).await.0, 404);
}

#[tokio::test]
async fn a_call_is_marked_with_words_of_the_pack_and_found_and_exported_by_them() {
    let house = House::open().await;
    let call = format!("/v1/calls/{}", house.call);
    let words = get(&house, "/v1/dispositions", &house.ana).await;
    assert_eq!(words["items"][0], "Resolved");
    let put = |what: &'static str, body: Value| {
        let (house, path) = (&house, format!("{call}/{what}"));
        async move { ask(house, Method::PUT, &path, &house.ana, Some(body)).await }
    };
    let (status, problem) = put("disposition", json!({"disposition": "Nonsense"})).await;
    assert_eq!(status, 422);
    assert!(problem["detail"].as_str().unwrap().contains("Resolved"), "{problem}");
    let (status, marked) = put("disposition", json!({"disposition": "Resolved"})).await;
    assert_eq!((status, &marked["disposition"]), (200, &"Resolved".into()));
    assert_eq!(put("tags", json!({"tags": ["=VIP", "Refund"]})).await.1["tags"], json!(["=vip", "refund"]));

    let who = CustomerIdentity { user_id: Some("GE.1".to_owned()), ..CustomerIdentity::default() };
    let contact = house.store.identify(&who, now()).await.unwrap();
    let other = missed_call(contact, &id("agt_a"), now());
    house.store.save_call(&other, vec![], now()).await.unwrap();
    for filter in ["disposition=Resolved", "tag=refund", "tag=%3DVIP"] {
        let page = get(&house, &format!("/v1/calls?{filter}"), &house.ana).await;
        let ids: Vec<_> = page["items"].as_array().unwrap().iter().map(|call| call["id"].clone()).collect();
        assert_eq!(ids, [house.call.as_str()], "{filter}");
        let csv = house.get(&format!("/v1/calls.csv?{filter}"), &house.ana).await.text().await.unwrap();
        let lines: Vec<_> = csv.lines().collect();
        assert!(lines[0].contains(",disposition,tags,") && lines.len() == 2, "{csv}");
        assert!(lines[1].contains(",Resolved,'=vip; refund,"), "what begins like a formula is text: {csv}");
    }
    assert_eq!(put("disposition", json!({"disposition": null})).await.1["disposition"], Value::Null);
    assert_eq!(get(&house, "/v1/calls?disposition=Resolved", &house.ana).await["items"], json!([]));
}

#[tokio::test]
async fn a_calls_story_leaves_out_what_was_for_others() {
    let house = House::open().await;
    let about = crate::store::Subject::Call(house.call.clone());
    let by = crate::model::directory::Asker::Agent { agent_id: id("agt_a") };
    house.control.switchboard.add_note(&about, &by, "Called back.").await.unwrap();
    let offer = json!({"offer_id": house.offer, "contact": {"name": "Nino", "last_note": {"text": "secret"}}});
    let event = |kind, agent_id: Option<AgentId>, data| crate::model::event::NewEvent {
        kind,
        call_id: Some(house.call.clone()),
        agent_id,
        data,
    };
    let news =
        vec![event("offer.created", Some(id("agt_a")), offer), event("summary.ready", None, json!({"text": "Said"}))];
    house.store.append(news, now()).await.unwrap();
    house.store.put_agent(&agent("agt_b", "Beka")).await.unwrap();
    let path = format!("/v1/calls/{}/timeline", house.call);
    let kinds = |page: &Value| {
        let items = page["items"].as_array().unwrap();
        items.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let told = get(&house, &path, &house.ana).await;
    assert_eq!(kinds(&told), ["call.ended", "note.added", "offer.created", "summary.ready"]);
    let ended = json!({"direction": "user_initiated", "agent_id": null, "answered_at": null, "ended_by": "system"});
    assert_eq!(told["items"][0]["data"], ended);
    assert!(!told.to_string().contains("secret"), "{told}");
    let deaf = house.store.create_key("deaf", &[crate::policy::access::Scope::CallsRead], now()).await.unwrap();
    assert_eq!(kinds(&get(&house, &path, &deaf).await), ["call.ended", "note.added", "offer.created"]);
}
