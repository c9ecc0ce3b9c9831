//! Reports over HTTP: what they count is what the lists show, to everybody and for every filter.

use std::time::Duration;

use serde_json::{Value, json};

use super::fixture::{House, agent, answer, missed_call, now};
use crate::call::record::Status;
use crate::model::directory::{Agent, Switches, Team};
use crate::model::id::TeamId;
use crate::model::reason::{EndReason, OfferOutcome, Role};

/// Two teams with two agents each, calls of all of them, and tokens of some roles.
async fn company(house: &House) -> Vec<(String, String)> {
    for team in ["team_1", "team_2"] {
        house.store.put_team(&Team { id: TeamId::parse(team).unwrap(), name: team.to_owned() }).await.unwrap();
    }
    let contact = house.store.call(&house.call).await.unwrap().unwrap().contact;
    let mut secrets = vec![("key".to_owned(), house.admin.clone())];
    for (i, (name, team, role, all_calls)) in [
        ("agt_owner", "team_1", Role::Owner, false),
        ("agt_lead", "team_1", Role::SalesLead, false),
        ("agt_mate", "team_1", Role::Teammate, false),
        ("agt_far", "team_2", Role::Teammate, false),
        ("agt_wide", "team_2", Role::Teammate, true),
    ]
    .into_iter()
    .enumerate()
    {
        let switches = Switches { all_calls, ..Switches::default() };
        let me = Agent { team_id: Some(TeamId::parse(team).unwrap()), role, switches, ..agent(name, name) };
        house.store.put_agent(&me).await.unwrap();
        let token = house.store.create_agent_token(&me.id, now().plus(Duration::from_secs(3600))).await.unwrap();
        secrets.push((name.to_owned(), token));
        for n in 0..=i {
            let missed = missed_call(contact.clone(), &me.id, now());
            house.store.save_call(&missed, vec![], now()).await.unwrap();
            let mut taken = missed_call(contact.clone(), &me.id, now());
            (taken.agent_id, taken.answered_at) = (Some(me.id.clone()), Some(now()));
            (taken.status, taken.end_reason) = (Status::Completed, Some(EndReason::Completed));
            taken.duration_ms = 1_000 * (n as i64 + 1);
            taken.offers[0].outcome = OfferOutcome::Accepted;
            house.store.save_call(&taken, vec![], now()).await.unwrap();
        }
    }
    secrets
}

#[tokio::test]
async fn a_report_counts_exactly_the_calls_that_the_list_shows_to_the_same_person() {
    let house = House::open().await;
    for (who, secret) in company(&house).await {
        for filter in
            ["", "&team_id=team_1", "&team_id=team_2", "&agent_id=agt_mate", "&agent_id=agt_far&team_id=team_1"]
        {
            let get = async |path: &str| {
                let (status, body) = answer(house.get(&format!("{path}{filter}"), &secret).await).await;
                assert_eq!(status, 200, "{who} {path}{filter}: {body}");
                body
            };
            let listed = get("/v1/calls?limit=200").await;
            let listed = listed["items"].as_array().unwrap();
            let report = get("/v1/reports/calls?time_zone=Asia/Tbilisi").await;
            let total = |field: &str| -> i64 {
                [&report["inbound"], &report["outbound"]].iter().map(|tally| tally[field].as_i64().unwrap()).sum()
            };
            let of = |test: &dyn Fn(&&Value) -> bool| listed.iter().filter(test).count() as i64;
            let case = format!("{who} {filter}");
            assert_eq!(total("calls"), listed.len() as i64, "{case}");
            assert_eq!(total("answered"), of(&|call| call["status"] == "Completed"), "{case}");
            assert_eq!(total("missed"), of(&|call| call["status"] == "Missed by Agent"), "{case}");
            let talked: i64 = listed.iter().map(|call| call["duration_ms"].as_i64().unwrap()).sum();
            assert_eq!(total("talk_ms"), talked, "{case}");
            for part in ["by_hour", "by_status"] {
                let sum: i64 = report[part].as_array().unwrap().iter().map(|n| n["calls"].as_i64().unwrap()).sum();
                assert_eq!(sum, listed.len() as i64, "{case} {part}");
            }
            // Nobody is told of agents whose calls the list hides.
            let agents = get("/v1/reports/agents?").await;
            for load in agents["items"].as_array().unwrap() {
                let taken = of(&|call| call["agent_id"] == load["agent_id"]);
                assert_eq!(load["taken"].as_i64().unwrap(), taken, "{case}: {load}");
                let own = who != "agt_mate" || load["agent_id"] == "agt_mate";
                assert!(own, "{case}: {load}");
            }
        }
    }
}

#[tokio::test]
async fn a_report_says_what_span_it_counted_and_refuses_what_it_cannot_count() {
    let house = House::open().await;
    let (status, report) = answer(house.get("/v1/reports/calls?time_zone=asia/tbilisi", &house.admin).await).await;
    assert_eq!((status, &report["time_zone"]), (200, &json!("Asia/Tbilisi")));
    let week = Duration::from_secs(7 * 24 * 3600);
    let read = |field: &str| serde_json::from_value::<crate::model::time::Timestamp>(report[field].clone()).unwrap();
    assert_eq!(read("to").since(read("from")), week);
    for path in ["calls", "agents", "permissions", "costs"] {
        for (query, says) in [
            ("from=2026-11-02T00:00:00Z&to=2026-11-01T00:00:00Z", "from: a time before `to`"),
            ("from=2024-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", "from: at most 367 days before `to`"),
            ("from=yesterday", "from"),
            ("agent=agt_a", "agent"),
        ] {
            let (status, problem) = answer(house.get(&format!("/v1/reports/{path}?{query}"), &house.admin).await).await;
            assert_eq!((status, &problem["code"]), (400, &json!("invalid_parameter")), "{path} {query}: {problem}");
            assert!(problem["detail"].as_str().unwrap().contains(says), "{path} {query}: {problem}");
        }
    }
    let (status, problem) = answer(house.get("/v1/reports/calls?time_zone=Tbilisi", &house.admin).await).await;
    assert_eq!((status, problem["detail"].as_str().unwrap().contains("is no time zone")), (400, true));
}

#[tokio::test]
async fn who_does_not_see_the_wallet_does_not_see_what_calls_cost() {
    let house = House::open().await;
    let secrets = company(&house).await;
    for (who, secret) in &secrets {
        let (status, body) = answer(house.get("/v1/reports/costs", secret).await).await;
        let may = ["key", "agt_owner"].contains(&who.as_str());
        assert_eq!(status, if may { 200 } else { 403 }, "{who}: {body}");
    }
}
