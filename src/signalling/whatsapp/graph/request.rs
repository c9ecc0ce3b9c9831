//! One request: where it goes, what it carries, and what a repetition of it would do.

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use secrecy::ExposeSecret;

use super::{Account, Graph, GraphError};

/// What a second try of the same request would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// A person is called, or written to, a second time.
    Harmful,
    /// Nothing, but it is refused once the first has worked: the call is accepted already.
    Accepts,
    /// Nothing, but it is refused once the first has worked: the call is over already.
    Ends,
    Harmless,
}

/// What of a number is asked.
#[derive(Clone, Copy, Debug)]
pub(super) enum Edge {
    Calls,
    Messages,
    CallPermissions,
    Settings,
}

/// Everything that each try sends again, byte for byte.
pub(super) struct Request {
    /// Names the request in errors and metrics.
    pub(super) op: &'static str,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    /// `None`: it only reads.
    pub(super) body: Option<Vec<u8>>,
    pub(super) repeat: Repeat,
}

impl Graph {
    /// A request that only reads, unless it is made a [`Request::post`].
    pub(super) fn request(
        &self,
        from: Account<'_>,
        op: &'static str,
        edge: Edge,
        repeat: Repeat,
    ) -> Result<Request, GraphError> {
        self.edge_of(from, op, from.number_id.as_str(), edge.name(), repeat)
    }

    /// A request that only reads, of what belongs to the thing with this id.
    pub(super) fn edge_of(
        &self,
        from: Account<'_>,
        op: &'static str,
        id: &str,
        edge: &str,
        repeat: Repeat,
    ) -> Result<Request, GraphError> {
        let mut request = self.read_of(from, op, id, repeat)?;
        request.url.path_segments_mut().expect("the base is a web address").push(edge);
        Ok(request)
    }

    /// A request that only reads, of the thing with this id.
    pub(super) fn read_of(
        &self,
        from: Account<'_>,
        op: &'static str,
        id: &str,
        repeat: Repeat,
    ) -> Result<Request, GraphError> {
        // The only names of an identity's alphabet that a path would swallow.
        let url = Some(id).filter(|id| !matches!(*id, "." | ".."));
        let url = url.and_then(|id| Url::parse(&format!("{}/{id}", self.base)).ok());
        let url = url.ok_or_else(|| GraphError::ours(op, "the id cannot be part of a web address"))?;
        let bearer = HeaderValue::from_str(&format!("Bearer {}", from.token.expose_secret()));
        let mut bearer = bearer.map_err(|_| GraphError::unusable_token(op))?;
        bearer.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, bearer);
        Ok(Request { op, url, headers, body: None, repeat })
    }
}

impl Request {
    /// With a JSON body.
    pub(super) fn post(mut self, body: Vec<u8>) -> Self {
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.body = Some(body);
        self
    }

    /// With one more parameter, escaped.
    pub(super) fn query(mut self, key: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(key, value);
        self
    }

    pub(super) fn method(&self) -> Method {
        if self.body.is_some() { Method::POST } else { Method::GET }
    }
}

impl Edge {
    const fn name(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Messages => "messages",
            Self::CallPermissions => "call_permissions",
            Self::Settings => "settings",
        }
    }
}
