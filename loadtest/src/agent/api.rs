//! The control API, as a client sees it.

use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::{Method, Response};
use serde_json::Value;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// A refusal, or a request that got no answer (status 0).
#[derive(Clone, Debug, thiserror::Error)]
#[error("{request}: {status} {code}: {detail}")]
pub struct ApiError {
    /// Method and path.
    pub request: String,
    /// HTTP status.
    pub status: u16,
    /// `code` of the problem document.
    pub code: String,
    /// `detail` of it.
    pub detail: String,
    /// The whole body, when it is JSON.
    pub body: Value,
}

/// A client with one token.
#[derive(Clone, Debug)]
pub struct Api {
    base_url: String,
    token: String,
    client: reqwest::Client,
}

impl Api {
    /// A client for a gateway.
    ///
    /// # Errors
    /// When no HTTP client can be built.
    pub fn new(base_url: &str, token: &str) -> Result<Self> {
        let client = reqwest::Client::builder().no_proxy().build().context("cannot build an HTTP client")?;
        Ok(Self { base_url: base_url.trim_end_matches('/').to_owned(), token: token.to_owned(), client })
    }

    /// GET, answer as JSON.
    ///
    /// # Errors
    /// What the gateway refuses, or that it does not answer.
    pub async fn get(&self, path: &str) -> Result<Value, ApiError> {
        self.json(Method::GET, path, None).await
    }

    /// POST with JSON, answer as JSON (`null` when empty).
    ///
    /// # Errors
    /// See [`Api::get`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, ApiError> {
        self.json(Method::POST, path, Some(body)).await
    }

    /// POST without a body.
    ///
    /// # Errors
    /// See [`Api::get`].
    pub async fn post_empty(&self, path: &str) -> Result<Value, ApiError> {
        self.json(Method::POST, path, None).await
    }

    /// PUT with JSON.
    ///
    /// # Errors
    /// See [`Api::get`].
    pub async fn put(&self, path: &str, body: &Value) -> Result<Value, ApiError> {
        self.json(Method::PUT, path, Some(body)).await
    }

    /// POST of an SDP offer, answer as SDP.
    ///
    /// # Errors
    /// See [`Api::get`].
    pub async fn post_sdp(&self, path: &str, offer: String) -> Result<String, ApiError> {
        let request = self.request(Method::POST, path).header("content-type", "application/sdp").body(offer);
        let name = format!("POST {path}");
        let response = request.send().await.map_err(|e| no_answer(&name, &e))?;
        let response = checked(&name, response).await?;
        response.text().await.map_err(|e| no_answer(&name, &e))
    }

    /// GET, answer as bytes (recordings).
    ///
    /// # Errors
    /// See [`Api::get`].
    pub async fn bytes(&self, path: &str) -> Result<Vec<u8>, ApiError> {
        let name = format!("GET {path}");
        let response = self.request(Method::GET, path).send().await.map_err(|e| no_answer(&name, &e))?;
        let response = checked(&name, response).await?;
        Ok(response.bytes().await.map_err(|e| no_answer(&name, &e))?.to_vec())
    }

    /// Opens an event stream.
    ///
    /// # Errors
    /// See [`Api::get`].
    pub(super) async fn stream(&self, path: &str, last_event_id: Option<&str>) -> Result<Response, ApiError> {
        let name = format!("GET {path}");
        let mut request = self.client.get(format!("{}{path}", self.base_url)).bearer_auth(&self.token);
        request = request.header("accept", "text/event-stream");
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await.map_err(|e| no_answer(&name, &e))?;
        checked(&name, response).await
    }

    async fn json(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, ApiError> {
        let name = format!("{method} {path}");
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(|e| no_answer(&name, &e))?;
        let response = checked(&name, response).await?;
        let bytes = response.bytes().await.map_err(|e| no_answer(&name, &e))?;
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).map_err(|e| ApiError {
            request: name,
            status: 200,
            code: "not_json".to_owned(),
            detail: e.to_string(),
            body: Value::Null,
        })
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client
            .request(method, format!("{}{path}", self.base_url))
            .bearer_auth(&self.token)
            .timeout(REQUEST_TIMEOUT)
    }
}

fn no_answer(request: &str, error: &reqwest::Error) -> ApiError {
    let mut detail = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        detail = format!("{detail}: {cause}");
        source = cause.source();
    }
    ApiError { request: request.to_owned(), status: 0, code: "no_answer".to_owned(), detail, body: Value::Null }
}

async fn checked(request: &str, response: Response) -> Result<Response, ApiError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let text = response.text().await.unwrap_or_default();
    let body: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
    let code = body["code"].as_str().unwrap_or("").to_owned();
    let detail = body["detail"].as_str().unwrap_or(&text).to_owned();
    Err(ApiError { request: request.to_owned(), status: status.as_u16(), code, detail, body })
}
