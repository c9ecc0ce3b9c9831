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

/// Puts money into the wallet, so that business-initiated calls are not refused for the lack of it. A gateway without
/// wallets (404) needs none.
pub(super) async fn wallet(api: &Api) -> Result<()> {
    let body = json!({"micros": 1_000_000_000, "currency": "USD", "reference": "load run"});
    match api.post("/v1/wallet/top-ups", &body).await {
        Err(error) if error.status != 404 => Err(error).context("cannot top the wallet up"),
        _ => Ok(()),
    }
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

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::StatusCode;
    use axum::routing::post;

    use super::*;

    #[tokio::test]
    async fn a_gateway_without_wallets_is_fine_and_a_refused_top_up_is_not() {
        for (status, fine) in [(201, true), (404, true), (403, false), (500, false)] {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let url = format!("http://{}", listener.local_addr().expect("an address"));
            let answer = StatusCode::from_u16(status).expect("a status");
            let router = Router::new().route("/v1/wallet/top-ups", post(move || async move { answer }));
            tokio::spawn(async move { axum::serve(listener, router).await });
            let topped_up = wallet(&Api::new(&url, "tk_admin").expect("a client")).await;
            assert_eq!(topped_up.is_ok(), fine, "{status}: {topped_up:?}");
        }
    }
}
