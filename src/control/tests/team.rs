//! Who manages the team, who leaves it, and what each role may.

use reqwest::Method;
use serde_json::{Value, json};

use super::fixture::{House, agent, answer, id, missed_call, now};
use super::sign_in::{Browser, GOOD, ends_now, post, signed_up};
use crate::model::directory::{Agent, Team};
use crate::model::id::TeamId;
use crate::model::reason::Role;

const PUT: Method = Method::PUT;
const DELETE: Method = Method::DELETE;

async fn owner<'a>(house: &'a House, agent: &str) -> Browser<'a> {
    let known = house.store.agent(&id(agent)).await.unwrap().unwrap();
    house.store.put_agent(&Agent { role: Role::Owner, ..known }).await.unwrap();
    signed_up(house, agent).await
}

#[tokio::test]
async fn the_last_one_who_manages_stays_and_can_come_in() {
    let house = House::open().await;
    let ana = owner(&house, "agt_a").await;
    let teammate = json!({"role": "teammate"});
    let stays =
        async |what: (u16, Value)| assert_eq!((what.0, &what.1["code"]), (409, &json!("last_owner")), "{what:?}");
    stays(ana.does(PUT, "/v1/agents/agt_a", teammate.clone()).await).await;
    stays(house.put("/v1/agents/agt_a", teammate.clone()).await).await;
    for path in ["/v1/agents/agt_a/password", "/v1/agents/agt_a"] {
        stays(answer(house.ask(DELETE, path, &house.admin).send().await.unwrap()).await).await;
    }
    assert_eq!(ana.does(PUT, "/v1/agents/agt_a", json!({"name": "Ana B."})).await.0, 200);

    // An owner who never chose a password manages nothing.
    house.put("/v1/agents/agt_b", json!({"role": "owner"})).await;
    stays(ana.does(PUT, "/v1/agents/agt_a", teammate.clone()).await).await;
    let beka = signed_up(&house, "agt_b").await;
    // Of two who demote each other at once, one stays.
    let (one, other) = tokio::join!(
        ana.does(PUT, "/v1/agents/agt_b", teammate.clone()),
        beka.does(PUT, "/v1/agents/agt_a", teammate.clone()),
    );
    let mut told = [one.0, other.0];
    told.sort_unstable();
    assert!(told[0] == 200 && [404, 409].contains(&told[1]), "{told:?}");
    let owners = house.store.agents().await.unwrap().into_iter().filter(|agent| agent.role == Role::Owner);
    assert_eq!(owners.count(), 1);
}

#[tokio::test]
async fn who_leaves_is_gone_and_leaves_customers_and_readable_calls_behind() {
    let house = House::open().await;
    let ana = owner(&house, "agt_a").await;
    let team = TeamId::parse("team_1").unwrap();
    house.store.put_team(&Team { id: team.clone(), name: "Care".to_owned() }).await.unwrap();
    for (who, role) in [("agt_b", Role::Teammate), ("agt_l", Role::SalesLead)] {
        house.store.put_agent(&Agent { role, team_id: Some(team.clone()), ..agent(who, who) }).await.unwrap();
    }
    let (beka, lead) = (signed_up(&house, "agt_b").await, signed_up(&house, "agt_l").await);
    let contact = house.store.call(&house.call).await.unwrap().unwrap().contact;
    let call = missed_call(contact, &id("agt_b"), now());
    house.store.save_call(&call, vec![], now()).await.unwrap();
    house.put("/v1/contacts/wa:995555010203", json!({"assignee_id": "agt_b"})).await;

    let leave = async |browser: &Browser, path: &str| browser.does(DELETE, path, Value::Null).await;
    assert_eq!(leave(&lead, "/v1/agents/agt_b").await.0, 404, "who does not manage learns nothing");
    assert_eq!(leave(&ana, "/v1/agents/agt_a").await.0, 403, "nobody removes itself");
    assert_eq!(leave(&ana, "/v1/agents/agt_x").await.0, 404);
    for heir in ["agt_x", "agt_b"] {
        let refused = leave(&ana, &format!("/v1/agents/agt_b?customers_to={heir}")).await;
        assert_eq!((refused.0, &refused.1["code"]), (422, &json!("invalid_field")), "{heir}");
    }
    let (status, problem) = leave(&ana, "/v1/agents/agt_b?customers_to=agt_l").await;
    assert_eq!(status, 204, "{problem}");
    assert_eq!((beka.who().await.0, lead.who().await.0), (401, 200));
    let again = post(&house, "/v1/session", json!({"login": "agt_b", "password": GOOD})).await;
    assert_eq!(again.status(), 401);
    assert_eq!(house.get("/v1/session", &house.beka).await.status(), 401, "its tokens, too");

    let get = async |browser: &Browser, path: &str| browser.send(Method::GET, path, None, None).await;
    assert_eq!(get(&ana, "/v1/agents/agt_b").await.0, 404);
    let listed = get(&ana, "/v1/agents").await.1.to_string();
    assert!(!listed.contains("agt_b") && listed.contains("agt_l"), "{listed}");
    let former = get(&lead, "/v1/former-agents").await.1;
    assert_eq!(former["items"][0]["name"], "agt_b");
    let contact = get(&ana, "/v1/contacts/wa:995555010203").await.1;
    assert_eq!(contact["assignee_id"], "agt_l");
    let refused = house.put("/v1/contacts/wa:995555010203", json!({"assignee_id": "agt_b"})).await;
    assert_eq!((refused.0, &refused.1["code"]), (422, &json!("invalid_field")), "no customers for who is gone");
    // The lead goes on seeing what its team did.
    assert_eq!(get(&lead, &format!("/v1/calls/{}", call.id)).await.0, 200);
    for path in ["/v1/calls?section=all", "/v1/calls?section=all&team_id=team_1"] {
        assert!(get(&lead, path).await.1.to_string().contains(call.id.as_str()), "{path}");
    }

    let back = ana.does(PUT, "/v1/agents/agt_b", json!({"name": "Beka", "role": "teammate"})).await;
    assert_eq!((back.0, &back.1["status"]), (201, &json!("offline")), "{}", back.1);
    assert_eq!(get(&ana, "/v1/former-agents").await.1["items"], json!([]));
    let again = post(&house, "/v1/session", json!({"login": "agt_b", "password": GOOD})).await;
    assert_eq!(again.status(), 401, "without a password");
}

#[tokio::test]
async fn who_manages_sends_others_home_and_wakes_nobody() {
    let house = House::open().await;
    let (ana, beka) = (owner(&house, "agt_a").await, signed_up(&house, "agt_b").await);
    let is = |status: &str| json!({"status": status});
    assert_eq!(beka.does(PUT, "/v1/agents/agt_b/status", is("online")).await.0, 200);
    assert_eq!(beka.does(PUT, "/v1/agents/agt_a/status", is("offline")).await.0, 404);
    assert_eq!(ana.does(PUT, "/v1/agents/agt_b/status", is("online")).await.0, 404);
    let (status, told) = ana.does(PUT, "/v1/agents/agt_b/status", is("offline")).await;
    assert_eq!((status, &told["status"]), (200, &json!("offline")), "{told}");
}

#[tokio::test]
async fn how_people_come_in_is_told_to_those_who_may_invite_them() {
    let house = House::open().await;
    let (ana, beka) = (owner(&house, "agt_a").await, signed_up(&house, "agt_b").await);
    house.put("/v1/agents/agt_c", json!({"name": "Cesar", "role": "teammate"})).await;
    assert_eq!(ana.does(Method::POST, "/v1/agents/agt_c/invitations", json!({})).await.0, 201);
    let get = async |browser: &Browser, path: &str| browser.send(Method::GET, path, None, None).await.1;
    let all = get(&ana, "/v1/agents").await;
    let of = |who: &str| all["items"].as_array().unwrap().iter().find(|a| a["id"] == who).unwrap()["sign_in"].clone();
    assert!(of("agt_b")["password_at"].is_string() && of("agt_b")["seen_at"].is_string(), "{all}");
    assert!(of("agt_c")["invited_until"].is_string() && of("agt_c")["password_at"].is_null(), "{all}");
    assert_eq!(get(&ana, "/v1/agents/agt_c").await["sign_in"], of("agt_c"));
    assert!(get(&beka, "/v1/agents").await.to_string().contains("agt_c"));
    for path in ["/v1/agents", "/v1/agents/agt_b", "/v1/agents/agt_c"] {
        assert!(!get(&beka, path).await.to_string().contains("sign_in"), "{path}");
    }
    let key = house.store.create_key("crm", &[crate::policy::access::Scope::CallsRead], now()).await.unwrap();
    assert!(!house.get("/v1/agents", &key).await.text().await.unwrap().contains("sign_in"));
}

#[tokio::test]
async fn a_person_sees_where_it_is_signed_in_and_ends_one() {
    let house = House::open().await;
    let first = signed_up(&house, "agt_a").await;
    let signs_in = house.ask(Method::POST, "/v1/session", "").header("user-agent", "Firefox on a phone");
    let response = signs_in.json(&json!({"login": "agt_a", "password": GOOD})).send().await.unwrap();
    let second = Browser::of(&house, &response);
    let devices = first.send(Method::GET, "/v1/session/devices", None, None).await.1;
    let items = devices["items"].as_array().unwrap();
    let shown: Vec<_> = items.iter().map(|d| (d["client"].as_str(), d["this"].as_bool().unwrap())).collect();
    assert_eq!(shown, [(Some("Firefox on a phone"), false), (None, true)]);
    let path = format!("/v1/session/devices/{}", items[0]["id"].as_str().unwrap());
    assert_eq!(signed_up(&house, "agt_b").await.does(DELETE, &path, Value::Null).await.0, 404, "not theirs");
    let open = second.follows().await;
    assert_eq!(first.does(DELETE, &path, Value::Null).await.0, 204);
    assert_eq!((first.who().await.0, second.who().await.0), (200, 401));
    ends_now(open).await;
}

#[tokio::test]
async fn the_rules_of_access_are_served_as_they_are_in_force() {
    let house = House::open().await;
    let (status, told) = answer(house.get("/v1/access", &house.ana).await).await;
    assert_eq!((status, &told["pack_name"]), (200, &json!("whatsapp")), "{told}");
    assert!(told["edition_from"].is_string() && told["policy_pack"].as_str().unwrap().starts_with("whatsapp-"));
    let cell = |deed: &str, role: &str| {
        let rows = told["items"].as_array().unwrap();
        let row = rows.iter().find(|row| row["deed"].as_str().unwrap().starts_with(deed)).unwrap();
        row["roles"].as_array().unwrap().iter().find(|column| column["role"] == role).unwrap().clone()
    };
    let reach = |role: &str, without: &str, configure: &str, all: &str| json!({"role": role, "without_switches": without, "configure_calls": configure, "all_calls": all});
    assert_eq!(cell("See calls", "sales_lead"), reach("sales_lead", "team", "team", "all"));
    assert_eq!(cell("Configure calls", "teammate"), reach("teammate", "no", "yes", "no"));
    assert_eq!(cell("Change agents", "owner"), reach("owner", "yes", "yes", "yes"));
    assert_eq!(cell("Set offline", "owner"), reach("owner", "all", "all", "all"));
    assert_eq!(cell("Set offline", "admin"), reach("admin", "own", "own", "own"));
}

#[tokio::test]
async fn who_loses_access_or_leaves_hears_nothing_from_then_on() {
    for path in ["/v1/agents/agt_b/password", "/v1/agents/agt_b"] {
        let house = House::open().await;
        let mut stream = house.get("/v1/agents/agt_b/events", &house.beka).await;
        assert_eq!(stream.status(), 200);
        let asked = house.ask(DELETE, path, &house.admin).send().await.unwrap();
        assert_eq!(asked.status(), 204, "{path}");
        let ends = async { while stream.chunk().await.unwrap().is_some() {} };
        // A beat would end it, too, after fifteen seconds.
        tokio::time::timeout(std::time::Duration::from_secs(10), ends).await.expect("it ends at once");
    }
}
