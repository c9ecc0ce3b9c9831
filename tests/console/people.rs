//! The people of a story: who they are, and how they come in.

use serde_json::json;

use crate::browser::Browser;
use crate::world::World;

pub(crate) const PASSWORD: &str = "four words and more";

/// An agent with this role, offline, who has chosen [`PASSWORD`].
pub(crate) async fn hire(world: &World, id: &str, name: &str, role: &str) {
    let agent = json!({"name": name, "email": format!("{id}@example.com"), "role": role, "team_id": "team_a"});
    world.put(&format!("agents/{id}"), agent).await;
    let invitation = invitation(world, id).await;
    let (_, secret) = invitation.split_once("#invitation=").unwrap();
    world.post("session/invitation", json!({"invitation": secret, "password": PASSWORD})).await;
}

/// A link with which an agent chooses a password.
pub(crate) async fn invitation(world: &World, id: &str) -> String {
    let made = world.post(&format!("agents/{id}/invitations"), json!({})).await;
    made["url"].as_str().unwrap().to_owned()
}

/// Opens the console at a path, and signs in there as somebody who was hired.
pub(crate) async fn sign_in_at(world: &World, browser: &Browser, id: &str, path: &str) {
    browser.open(&format!("{}{path}", world.gateway.base)).await;
    type_password(browser, &format!("{id}@example.com"), PASSWORD).await;
    browser.appears("status-switch").await;
}

pub(crate) async fn type_password(browser: &Browser, login: &str, password: &str) {
    browser.fill("sign-in-login", login).await;
    browser.fill("sign-in-password", password).await;
    browser.click("sign-in-submit").await;
}
