//! kill -9, and an orderly end.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tandem_loadtest::measure;
use tandem_loadtest::sound::Sound;
use tandem_loadtest::whatsapp::{Config, InboundCall, Step};
use tokio::process::Command;

use crate::world::{Gateway, NINO, SOON, World};

on_both!(a_call_alive_at_a_kill_is_settled_at_the_next_start);
async fn a_call_alive_at_a_kill_is_settled_at_the_next_start(mut world: World) {
    let agent = world.agent("agt_a").await;
    let voice = Sound::beeps(20);
    let phone = world.wa.call(InboundCall::from(NINO).step(Step::Speak(voice.clone()))).await.unwrap();
    let talk = agent.next_offer(SOON).await.unwrap().accept().await.unwrap();
    phone.answered(SOON).await.unwrap();
    phone.finished_speaking(SOON).await.unwrap();
    let answered = std::time::Instant::now();
    let heard = phone.stats().packets_received;
    world.until("they go on talking", async || phone.stats().packets_received > heard + 75).await;
    let spoken_for = answered.elapsed() + voice.duration();
    world.kill_and_restart().await;
    phone.ended(SOON).await.expect("WhatsApp is told");
    let call = world.settled(&talk.call_id).await;
    assert_eq!(
        (&call["state"], &call["ended_by"], &call["end_reason"]),
        (&json!("ended"), &json!("system"), &json!("drained"))
    );
    assert_eq!(call["recording"]["state"], "ready");
    let (customer, _) = world.recording(&talk.call_id).await;
    let heard = measure::beeps_heard(&customer, 20);
    assert_eq!(heard, (0..20).collect::<Vec<_>>(), "what was said before the kill is there");
    let recorded = Duration::from_secs_f64(customer.len() as f64 / 16_000.0);
    assert!(
        recorded + Duration::from_secs(1) >= spoken_for,
        "it ends at most 1 s before the kill: {recorded:?} of {spoken_for:?}"
    );
    let events = world.get("events?after=0&limit=200").await;
    let seqs: Vec<_> = events["items"].as_array().unwrap().iter().map(|event| event["seq"].as_i64().unwrap()).collect();
    assert_eq!(seqs, (1..=seqs.len() as i64).collect::<Vec<_>>(), "the log has no gap");
}

#[tokio::test]
async fn agents_who_do_not_come_back_after_a_kill_are_not_rung() {
    let mut world = World::with("[agents]\naway_after_ms = 1000\n", Config::default()).await;
    let gone = world.agent("agt_a").await;
    let back = world.agent("agt_b").await;
    world.gateway.kill().await;
    drop(gone);
    drop(back);
    world.restart().await;
    let back = world.sign_in("agt_b").await;
    world
        .until("the one who is gone is offline", async || {
            let agents = world.get("agents").await;
            agents["items"].as_array().unwrap().iter().any(|a| a["id"] == "agt_a" && a["status"] == "offline")
        })
        .await;
    let agents = world.get("agents").await;
    let still = agents["items"].as_array().unwrap().iter().any(|a| a["id"] == "agt_b" && a["status"] == "online");
    assert!(still, "who came back stays online: {agents}");
    drop(back);
}

/// Enough to be in the middle of.
const CUSTOMERS: usize = 40;

on_both!(what_was_answered_outlives_a_kill_and_what_was_not_is_done_whole_or_not_at_all);
async fn what_was_answered_outlives_a_kill_and_what_was_not_is_done_whole_or_not_at_all(mut world: World) {
    for (id, role) in [("agt_a", "teammate"), ("agt_b", "teammate"), ("agt_o", "owner")] {
        world.put(&format!("agents/{id}"), json!({"name": id, "role": role})).await;
    }
    for n in 0..CUSTOMERS {
        world.put(&format!("contacts/wa:99555501{n:04}"), json!({"name": "N", "assignee_id": "agt_a"})).await;
    }
    let cookie = session(&world, "agt_o").await;
    let mut customers_of = "agt_a";
    // From before anything is begun to after all of it.
    for after_ms in [0, 2, 4, 8, 16, 32, 500] {
        let heir = if customers_of == "agt_a" { "agt_b" } else { "agt_a" };
        let (http, base) = (reqwest::Client::new(), format!("{}/v1", world.gateway.base));
        let ask = async |method: &str, path: &str, body: Option<Value>| {
            let mut request = http.request(method.parse().unwrap(), format!("{base}/{path}"));
            request = request.header("cookie", &cookie).header("sec-fetch-site", "same-origin");
            if let Some(body) = body {
                request = request.json(&body);
            }
            let answer = request.send().await.ok()?;
            assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap());
            Some(())
        };
        let name = format!("Killed after {after_ms} ms");
        let view = json!({"name": name, "section": "missed", "filter": {"days": 7}});
        let endpoint = format!("https://updates.push.services.mozilla.com/wpush/v2/{after_ms}");
        let subscription = json!({"endpoint": endpoint, "device": name, "keys": {"auth": "BTBZMqHH6r4Tts7J_aSIgg",
            "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"}});
        let leaving = format!("agents/{customers_of}?customers_to={heir}");
        let pid = world.gateway.pid.to_string();
        let kill = async {
            tokio::time::sleep(Duration::from_millis(after_ms)).await;
            assert!(Command::new("kill").args(["-KILL", &pid]).status().await.unwrap().success());
        };
        let (viewed, subscribed, left, ()) = tokio::join!(
            ask("POST", "agents/agt_o/views", Some(view)),
            ask("PUT", "agents/agt_o/push-subscriptions", Some(subscription)),
            ask("DELETE", &leaving, None),
            kill
        );
        world.kill_and_restart().await;

        for (what, done, list, field) in
            [("view", viewed, "views", "name"), ("browser", subscribed, "push-subscriptions", "device")]
        {
            let kept = world.get(&format!("agents/agt_o/{list}")).await["items"].clone();
            let kept: Vec<_> = kept.as_array().unwrap().iter().filter(|one| one[field] == name).collect();
            assert!(kept.len() == 1 || kept.is_empty() && done.is_none(), "{what}, {after_ms} ms: {done:?}, {kept:?}");
            assert!(what == "browser" || kept.iter().all(|view| view["filter"] == json!({"days": 7})), "{kept:?}");
            // An agent has five at most.
            if let ("browser", [one]) = (what, &kept[..]) {
                let path = format!("agents/agt_o/push-subscriptions?subscription_id={}", one["id"].as_str().unwrap());
                assert_eq!(world.gateway.request("DELETE", &path, None).await.status, 204);
            }
        }
        let contacts = world.get("contacts?limit=100").await["items"].clone();
        let of = |agent| contacts.as_array().unwrap().iter().filter(|contact| contact["assignee_id"] == agent).count();
        let is_gone = world.gateway.request("GET", &format!("agents/{customers_of}"), None).await.status == 404;
        println!("killed after {after_ms} ms: {viewed:?} {subscribed:?} {left:?}, gone: {is_gone}");
        assert!(is_gone || left.is_none(), "{after_ms} ms: what was answered is undone");
        let handed_over = if is_gone { (0, CUSTOMERS) } else { (CUSTOMERS, 0) };
        assert_eq!((of(customers_of), of(heir)), handed_over, "{after_ms} ms: all or none");
        if is_gone {
            world.put(&format!("agents/{customers_of}"), json!({"name": customers_of, "role": "teammate"})).await;
            customers_of = heir;
        }
    }
}

/// The cookie of somebody who has just chosen a password.
async fn session(world: &World, id: &str) -> String {
    let link = world.post(&format!("agents/{id}/invitations"), json!({})).await["url"].as_str().unwrap().to_owned();
    let (_, secret) = link.split_once("#invitation=").unwrap();
    let response = reqwest::Client::new()
        .post(format!("{}/v1/session/invitation", world.gateway.base))
        .json(&json!({"invitation": secret, "password": "three words and more"}))
        .send()
        .await
        .unwrap();
    response.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_second_gateway_on_the_same_folder_does_not_start_and_harms_no_call() {
    let world = World::start().await;
    let agent = world.agent("agt_a").await;
    let phone = world.wa.call(InboundCall::from(NINO)).await.unwrap();
    let talk = agent.next_offer(SOON).await.unwrap().accept().await.unwrap();
    phone.answered(SOON).await.unwrap();
    world.until("the call is up", async || world.call(&talk.call_id).await["state"] == "active").await;
    let second = Gateway::command(&world.dir.path().join("tandem.toml")).output();
    let second = tokio::time::timeout(SOON, second).await.expect("it gives up at once").unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert_eq!(world.call(&talk.call_id).await["state"], "active");
    assert!(!phone.is_ended());
}

on_both!(a_webhook_kept_but_not_worked_off_is_worked_off_at_the_next_start);
async fn a_webhook_kept_but_not_worked_off_is_worked_off_at_the_next_start(mut world: World) {
    world.agent_offline("agt_a").await;
    world.gateway.kill().await;
    let options = tandem_loadtest::whatsapp::CallOptions::default();
    let phone = world.wa.call(InboundCall::from(NINO).with(options)).await.unwrap();
    world.restart().await;
    phone.ended(Duration::from_secs(60)).await.expect("WhatsApp tries again and the call is refused politely");
    let call = world.newest_call("the call is in the books", |call| call["state"] == "ended").await;
    assert_eq!(call["end_reason"], "no_agent_available");
}

#[tokio::test]
async fn a_second_gateway_on_the_same_database_does_not_start_and_harms_no_call() {
    let world = World::on_postgres().await;
    let agent = world.agent("agt_a").await;
    let phone = world.wa.call(InboundCall::from(NINO)).await.unwrap();
    let talk = agent.next_offer(SOON).await.unwrap().accept().await.unwrap();
    phone.answered(SOON).await.unwrap();
    world.until("the call is up", async || world.call(&talk.call_id).await["state"] == "active").await;
    let elsewhere = tempfile::tempdir().unwrap();
    let url = world.database.as_ref().unwrap().url();
    let says = second_gateway(elsewhere.path(), &url).await;
    assert!(says.contains("in use by another tandem, connected from 127.0.0.1; stop it"), "{says}");
    let password = url.split([':', '@']).nth(2).unwrap();
    assert!(password.len() > 20 && !says.contains(password) && !world.gateway.log().contains(password));
    assert_eq!(world.call(&talk.call_id).await["state"], "active");
    assert!(!phone.is_ended());
}

#[tokio::test]
async fn a_second_gateway_on_the_same_database_does_not_start() {
    let world = World::on_postgres().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let says = second_gateway(elsewhere.path(), &world.database.as_ref().unwrap().url()).await;
    assert!(says.contains("in use by another tandem, connected from 127.0.0.1; stop it"), "{says}");
    // A program that only makes a key may run beside it.
    let made = Command::new(env!("CARGO_BIN_EXE_tandem"))
        .args(["key", "create", "--name", "crm", "--scope", "calls:read", "--config"])
        .arg(world.dir.path().join("tandem.toml"))
        .output()
        .await
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let key = String::from_utf8(made.stdout).unwrap();
    assert_eq!(world.gateway.request_as(key.trim(), "GET", "calls", None).await.status, 200);
}

/// Starts one more on this database, in a folder of its own, and returns its last words.
async fn second_gateway(dir: &Path, url: &str) -> String {
    let file = dir.join("tandem.toml");
    let config = format!(
        "[http]\nlisten = \"127.0.0.1:0\"\nmetrics_listen = \"127.0.0.1:0\"\n\
         [media]\nlisten = \"127.0.0.1:0\"\n[data]\ndir = {:?}\nurl = {url:?}\n",
        dir.join("data")
    );
    std::fs::write(&file, config).unwrap();
    let second = Gateway::command(&file).env("RUST_LOG", "info,sqlx=debug").stderr(Stdio::piped()).output();
    let second = tokio::time::timeout(SOON, second).await.expect("it gives up").unwrap();
    assert_eq!(second.status.code(), Some(1));
    String::from_utf8_lossy(&second.stderr).into_owned()
}

#[tokio::test]
async fn a_gateway_whose_database_goes_away_works_on_when_it_is_back() {
    let world = World::on_postgres().await;
    let database = world.database.as_ref().unwrap();
    let team = json!({"name": "Team B"});
    database.go_away().await;
    let refused = world.gateway.request("PUT", "teams/team_b", Some(team.clone())).await;
    assert!(refused.status >= 500, "{}: {}", refused.status, String::from_utf8_lossy(&refused.body));
    database.come_back().await;
    world.put("teams/team_b", team).await;
    world.until("the claim is taken again", async || world.gateway.log().contains("the database is back")).await;
    let elsewhere = tempfile::tempdir().unwrap();
    second_gateway(elsewhere.path(), &database.url()).await;
    assert_eq!(world.get("teams").await["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn the_end_of_a_call_is_told_once_as_soon_as_the_database_takes_it() {
    let world = World::on_postgres().await;
    let agent = world.agent("agt_a").await;
    let phone = world.wa.call(InboundCall::from(NINO).says(Sound::beeps(3))).await.unwrap();
    let talk = agent.next_offer(SOON).await.unwrap().accept().await.unwrap();
    phone.answered(SOON).await.unwrap();
    world.until("the call is up", async || world.call(&talk.call_id).await["state"] == "active").await;
    let database = world.database.as_ref().unwrap();
    database.refuse_ends().await;
    phone.hang_up();
    // By then nothing more happens to the call: what is stored later, the task stores by itself.
    world.until("it waits", async || world.gateway.log().contains("the end of the call is kept until")).await;
    assert_eq!(world.call(&talk.call_id).await["state"], "active");
    database.take_ends().await;
    let call = world.settled(&talk.call_id).await;
    assert_eq!((&call["end_reason"], &call["recording"]["state"]), (&json!("completed"), &json!("ready")));
    let log = world.get("events?after=0&limit=200").await;
    for kind in ["call.ended", "recording.ready"] {
        let told = log["items"].as_array().unwrap().iter().filter(|event| event["type"] == kind);
        assert_eq!(told.count(), 1, "{kind}: {log}");
    }
}

#[tokio::test]
async fn sigterm_drains_and_a_second_one_ends_calls_properly() {
    let mut world = World::start().await;
    let agent = world.agent("agt_a").await;
    let phone = world.wa.call(InboundCall::from(NINO).says(Sound::beeps(3))).await.unwrap();
    let talk = agent.next_offer(SOON).await.unwrap().accept().await.unwrap();
    phone.answered(SOON).await.unwrap();
    let pid = world.gateway.pid.to_string();
    let term = || std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    assert!(term().success());
    world.until("it drains", async || world.gateway.log().contains("draining")).await;
    assert_eq!(world.call(&talk.call_id).await["state"], "active", "running calls go on");
    assert_eq!(world.gateway.terminate().await, Some(2), "calls were cut, and the exit code says so");
    phone.ended(SOON).await.expect("WhatsApp is told");
    world.restart().await;
    let call = world.settled(&talk.call_id).await;
    assert_eq!((&call["end_reason"], &call["recording"]["state"]), (&json!("drained"), &json!("ready")));
}
