//! Puts agents, contacts and a number into the gateway by its control API.

use anyhow::{Context, Result};
use serde_json::json;

use crate::agent::Api;
use crate::whatsapp::BusinessNumber;

/// Creates the number if it is not there with these values.
pub(super) async fn number(api: &Api, number: &BusinessNumber, graph_token: &str) -> Result<()> {
    let body = json!({
        "display_phone_number": format!("+{}", number.display),
        "plan": "sales_crm",
        "add_ons": [],
        "messaging_limit": 100_000,
        "platform": "cloud_api",
        "graph_token": graph_token,
    });
    api.put(&format!("/v1/numbers/{}", number.id), &body).await.context("cannot create the number")?;
    Ok(())
}

/// Creates an agent and returns a token for it.
pub(super) async fn agent(api: &Api, id: &str) -> Result<String> {
    let body = json!({"name": format!("Load {id}"), "email": format!("{id}@load.example"), "role": "teammate"});
    api.put(&format!("/v1/agents/{id}"), &body).await.context("cannot create an agent")?;
    let token = api.post(&format!("/v1/agents/{id}/tokens"), &json!({})).await.context("cannot get an agent token")?;
    Ok(token["token"].as_str().context("the gateway gave no token")?.to_owned())
}

/// Creates a contact that belongs to an agent, so that its calls ring there.
pub(super) async fn contact(api: &Api, phone: &str, agent_id: &str) -> Result<()> {
    let body = json!({"name": format!("Load {phone}"), "assignee_id": agent_id});
    api.put(&format!("/v1/contacts/wa:{phone}"), &body).await.context("cannot create a contact")?;
    Ok(())
}
