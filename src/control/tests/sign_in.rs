//! People come in with a password, by a link that they were given, and nobody comes in through their browser.

use reqwest::{Method, Response};
use serde_json::{Value, json};

use super::fixture::{House, answer, id};
use crate::control::stream::BEAT;
use crate::model::directory::Agent;
use crate::model::reason::Role;

pub(super) const GOOD: &str = "three words and more";

pub(super) struct Browser<'a> {
    house: &'a House,
    cookie: String,
}

impl<'a> Browser<'a> {
    /// Whatever the answer's cookie says.
    pub(super) fn of(house: &'a House, response: &Response) -> Self {
        let set = response.headers()["set-cookie"].to_str().unwrap();
        assert!(set.ends_with("; Path=/; HttpOnly; SameSite=Strict; Secure"), "{set}");
        Self { house, cookie: set.split(';').next().unwrap().to_owned() }
    }

    /// A change that its own page makes.
    pub(super) async fn does(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let body = Some(body).filter(|body| !body.is_null());
        self.send(method, path, Some("same-origin"), body).await
    }

    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        site: Option<&str>,
        body: Option<Value>,
    ) -> (u16, Value) {
        let mut ask = self.house.ask(method, path, "").header("cookie", &self.cookie);
        if let Some(site) = site {
            ask = ask.header("sec-fetch-site", site);
        }
        if let Some(body) = body {
            ask = ask.json(&body);
        }
        answer(ask.send().await.unwrap()).await
    }

    /// The events that agt_a's page follows, once they come.
    pub(super) async fn follows(&self) -> Response {
        let ask = self.house.ask(Method::GET, "/v1/agents/agt_a/events", "");
        let mut open = ask.header("cookie", &self.cookie).send().await.unwrap();
        assert!(open.chunk().await.unwrap().is_some());
        open
    }

    pub(super) async fn who(&self) -> (u16, Value) {
        let (status, session) = self.send(Method::GET, "/v1/session", None, None).await;
        (status, session["agent"]["id"].clone())
    }
}

/// A page that has lost its right to listen hears so now, not at the next beat.
pub(super) async fn ends_now(mut open: Response) {
    let ends = async { while open.chunk().await.unwrap().is_some() {} };
    tokio::time::timeout(BEAT * 2 / 3, ends).await.expect("its page ends now");
}

pub(super) async fn post(house: &House, path: &str, body: Value) -> Response {
    house.ask(Method::POST, path, "").json(&body).send().await.unwrap()
}

/// The secret of a fresh link for this agent.
async fn invited(house: &House, agent: &str) -> String {
    let path = format!("/v1/agents/{agent}/invitations");
    let (status, link) = answer(house.ask(Method::POST, &path, &house.admin).send().await.unwrap()).await;
    assert_eq!(status, 201, "{link}");
    let url = link["url"].as_str().unwrap();
    url.strip_prefix("https://calls.example.com/welcome#invitation=").unwrap().to_owned()
}

pub(super) async fn signed_up<'a>(house: &'a House, agent: &str) -> Browser<'a> {
    let invitation = invited(house, agent).await;
    let response = post(house, "/v1/session/invitation", json!({"invitation": invitation, "password": GOOD})).await;
    assert_eq!(response.status(), 201);
    Browser::of(house, &response)
}

#[tokio::test]
async fn an_invited_agent_chooses_a_password_and_comes_in_with_it() {
    let house = House::open().await;
    house.put("/v1/teams/team_c", json!({"name": "Care"})).await;
    house.put("/v1/agents/agt_a", json!({"email": "Ana@Example.com", "team_id": "team_c"})).await;
    let invitation = invited(&house, "agt_a").await;
    let poor = json!({"invitation": invitation, "password": "short"});
    let (status, problem) = answer(post(&house, "/v1/session/invitation", poor).await).await;
    assert_eq!((status, problem["code"].as_str()), (422, Some("invalid_field")), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("password: at least 10"), "{problem}");

    let whose = async |secret: &str| {
        answer(post(&house, "/v1/session/invitation/details", json!({"invitation": secret})).await).await
    };
    for _ in 0..2 {
        let (status, told) = whose(&invitation).await;
        assert_eq!((status, &told["name"], &told["email"]), (200, &json!("Ana"), &json!("Ana@Example.com")), "{told}");
        assert_eq!((&told["agent_id"], &told["team"]), (&json!("agt_a"), &json!("Care")), "{told}");
    }
    assert_eq!(whose("ti_0").await.0, 401);

    let good = json!({"invitation": invitation, "password": GOOD});
    let response = post(&house, "/v1/session/invitation", good.clone()).await;
    let browser = Browser::of(&house, &response);
    let (status, session) = answer(response).await;
    assert_eq!((status, session["agent"]["id"].as_str()), (201, Some("agt_a")), "{session}");
    assert_eq!(browser.who().await, (200, json!("agt_a")));
    assert_eq!(post(&house, "/v1/session/invitation", good).await.status(), 401, "the link is used up");
    assert_eq!(whose(&invitation).await.0, 401, "and says no more whose it was");

    for login in ["ana@example.com", " ANA@EXAMPLE.COM ", "agt_a"] {
        let response = post(&house, "/v1/session", json!({"login": login, "password": GOOD})).await;
        assert_eq!(response.status(), 201, "{login}");
        assert_eq!(Browser::of(&house, &response).who().await, (200, json!("agt_a")));
    }
    let mut refusals = Vec::new();
    for (login, password) in [("ana@example.com", "three words and less"), ("agt_b", GOOD), ("nobody", GOOD)] {
        let response = post(&house, "/v1/session", json!({"login": login, "password": password})).await;
        assert!(!response.headers().contains_key("set-cookie"));
        let (status, mut problem) = answer(response).await;
        problem["request_id"] = Value::Null;
        refusals.push((status, problem));
    }
    assert_eq!(refusals[0].0, 401);
    assert!(refusals.iter().all(|refusal| *refusal == refusals[0]), "nobody learns who exists: {refusals:?}");
}

#[tokio::test]
async fn another_sites_page_changes_nothing_with_our_cookie() {
    let house = House::open().await;
    let browser = signed_up(&house, "agt_a").await;
    let path = "/v1/agents/agt_a/status";
    let online = || Some(json!({"status": "online"}));
    for site in [None, Some("cross-site"), Some("same-site"), Some("none")] {
        let (status, problem) = browser.send(Method::PUT, path, site, online()).await;
        assert_eq!((status, problem["code"].as_str()), (403, Some("cross_site")), "{site:?} {problem}");
    }
    assert_eq!(house.store.agent(&id("agt_a")).await.unwrap().unwrap().status.as_str(), "offline");
    assert_eq!(browser.send(Method::PUT, path, Some("same-origin"), online()).await.0, 200);
    // Nor does it sign anybody in.
    let foreign = house.ask(Method::POST, "/v1/session", "").header("sec-fetch-site", "cross-site");
    let (status, problem) =
        answer(foreign.json(&json!({"login": "agt_a", "password": GOOD})).send().await.unwrap()).await;
    assert_eq!((status, problem["code"].as_str()), (403, Some("cross_site")), "{problem}");
    // A key stands for itself, whatever else the browser sends.
    let with_key = house.ask(Method::GET, "/v1/session", &house.admin).header("cookie", &browser.cookie);
    let (status, session) = answer(with_key.send().await.unwrap()).await;
    assert_eq!((status, session["actor"].as_str()), (200, Some("key")));
}

#[tokio::test]
async fn a_session_ends_when_its_agent_signs_out_or_gets_another_password() {
    let house = House::open().await;
    let first = signed_up(&house, "agt_a").await;
    let body = json!({"login": "agt_a", "password": GOOD});
    let second = Browser::of(&house, &post(&house, "/v1/session", body.clone()).await);
    assert_eq!(first.send(Method::DELETE, "/v1/session", Some("same-origin"), None).await.0, 204);
    assert_eq!((first.who().await.0, second.who().await.0), (401, 200));

    let third = Browser::of(&house, &post(&house, "/v1/session", body).await);
    let change = |current, new| Some(json!({"current": current, "new": new}));
    let path = "/v1/session/password";
    let wrong = second.send(Method::PUT, path, Some("same-origin"), change("not that one", "another good one")).await;
    assert_eq!(wrong.0, 422, "{}", wrong.1);
    let ask = house.ask(Method::PUT, path, "").header("cookie", &second.cookie).header("sec-fetch-site", "same-origin");
    let response = ask.json(&change(GOOD, "another good one")).send().await.unwrap();
    assert_eq!(response.status(), 201);
    let renewed = Browser::of(&house, &response);
    assert_eq!((second.who().await.0, third.who().await.0, renewed.who().await.0), (401, 401, 200));
    for (secret, status) in [(&house.ana, 403), (&house.admin, 403)] {
        let ask = house.ask(Method::PUT, path, secret).json(&change(GOOD, GOOD));
        assert_eq!(ask.send().await.unwrap().status(), status, "only a person changes its own");
        assert_eq!(house.ask(Method::DELETE, "/v1/session", secret).send().await.unwrap().status(), 409);
    }
}

#[tokio::test]
async fn guessing_is_slowed_down_for_the_name_that_is_guessed_at_alone() {
    let house = House::open().await;
    signed_up(&house, "agt_a").await;
    signed_up(&house, "agt_b").await;
    let attempt = async |login: &str, password: &str| {
        let response = post(&house, "/v1/session", json!({"login": login, "password": password})).await;
        answer(response).await
    };
    for _ in 0..5 {
        assert_eq!(attempt("AGT_A", "a wrong password").await.0, 401);
    }
    let (status, problem) = attempt("agt_a", GOOD).await;
    assert_eq!((status, problem["code"].as_str()), (429, Some("too_many_attempts")), "{problem}");
    assert_eq!(attempt("agt_b", GOOD).await.0, 201);
}

#[tokio::test]
async fn an_owner_manages_agents_and_nobody_else_does() {
    let house = House::open().await;
    let agent = house.store.agent(&id("agt_a")).await.unwrap().unwrap();
    house.store.put_agent(&Agent { role: Role::Owner, ..agent }).await.unwrap();
    let (owner, mate) = (signed_up(&house, "agt_a").await, signed_up(&house, "agt_b").await);
    for (browser, want) in [(&owner, 201), (&mate, 404)] {
        let path = "/v1/agents/agt_c/invitations";
        house.put("/v1/agents/agt_c", json!({"name": "Cesar", "role": "teammate"})).await;
        assert_eq!(browser.send(Method::POST, path, Some("same-origin"), None).await.0, want);
        let renamed =
            browser.send(Method::PUT, "/v1/agents/agt_c", Some("same-origin"), Some(json!({"name": "C"}))).await;
        assert_eq!(renamed.0, if want == 201 { 200 } else { 404 }, "{}", renamed.1);
        let teams =
            browser.send(Method::PUT, "/v1/teams/team_x", Some("same-origin"), Some(json!({"name": "X"}))).await;
        assert_eq!(teams.0, if want == 201 { 201 } else { 403 }, "{}", teams.1);
    }
    for expires_in_ms in [0, 59_999, 2_592_000_001_u64] {
        let body = Some(json!({"expires_in_ms": expires_in_ms}));
        let refused = owner.send(Method::POST, "/v1/agents/agt_b/invitations", Some("same-origin"), body).await;
        assert_eq!(refused.0, 422, "{}", refused.1);
    }
}

#[tokio::test]
async fn guesses_that_are_sent_at_once_are_not_all_let_in() {
    let house = House::open().await;
    signed_up(&house, "agt_a").await;
    let guess = async |n: usize| {
        let body = json!({"login": "agt_a", "password": format!("a wrong password {n}")});
        post(&house, "/v1/session", body).await.status().as_u16()
    };
    let answers = futures_util::future::join_all((0..20).map(guess)).await;
    assert_eq!(answers.iter().filter(|status| **status == 401).count(), 5, "{answers:?}");
    assert!(answers.iter().all(|status| [401, 429].contains(status)), "{answers:?}");
}

#[tokio::test]
async fn signing_out_everywhere_ends_every_browser_and_token_of_that_agent_alone() {
    let house = House::open().await;
    let (first, other) = (signed_up(&house, "agt_a").await, signed_up(&house, "agt_b").await);
    let body = json!({"login": "agt_a", "password": GOOD});
    let second = Browser::of(&house, &post(&house, "/v1/session", body).await);
    let path = "/v1/session?everywhere=true";
    let open = second.follows().await;
    assert_eq!(first.send(Method::DELETE, path, Some("same-origin"), None).await.0, 204);
    assert_eq!((first.who().await.0, second.who().await.0, other.who().await.0), (401, 401, 200));
    assert_eq!(house.get("/v1/session", &house.ana).await.status(), 401, "its tokens, too");
    assert_eq!(house.get("/v1/session", &house.beka).await.status(), 200);
    ends_now(open).await;
}

#[tokio::test]
async fn an_owner_takes_access_away_from_others_and_a_link_gives_it_back() {
    let house = House::open().await;
    let agent = house.store.agent(&id("agt_a")).await.unwrap().unwrap();
    house.store.put_agent(&Agent { role: Role::Owner, ..agent }).await.unwrap();
    let (owner, mate) = (signed_up(&house, "agt_a").await, signed_up(&house, "agt_b").await);
    let path = |agent| format!("/v1/agents/{agent}/password");
    let take =
        async |browser: &Browser, agent| browser.send(Method::DELETE, &path(agent), Some("same-origin"), None).await.0;
    assert_eq!((take(&owner, "agt_a").await, take(&owner, "agt_z").await), (403, 404));
    assert_eq!(take(&owner, "agt_b").await, 204);
    assert_eq!(mate.who().await.0, 401);
    let body = json!({"login": "agt_b", "password": GOOD});
    assert_eq!(post(&house, "/v1/session", body).await.status(), 401);
    assert_eq!(signed_up(&house, "agt_b").await.who().await.0, 200);
}
