//! The templates of a business account: `GET /{waba_id}/message_templates`.

use std::time::Duration;

use crate::model::id::WabaId;
use crate::model::template::Template;

use super::super::payload::read_templates;
use super::request::Repeat;
use super::{Account, Graph, GraphError};

/// Somebody waits for the list in front of a dialog.
const PAGE_WITHIN: Duration = Duration::from_secs(8);
/// A template has 2 kB or so, and an answer's room is bounded.
const PER_PAGE: &str = "20";
/// An account may have 6000 templates; who has more than these that are looked at writes the name.
const PAGES_MAX: usize = 25;

impl Graph {
    /// The approved templates that ask for permission to call. The token needs `whatsapp_business_management`.
    ///
    /// # Errors
    /// [`GraphError`].
    pub async fn permission_templates(&self, from: Account<'_>, waba: &WabaId) -> Result<Vec<Template>, GraphError> {
        const OP: &str = "templates";
        let mut found = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let mut request = self.edge_of(from, OP, waba.as_str(), "message_templates", Repeat::Harmless)?;
            request = request.query("fields", "name,language,status,components");
            request = request.query("status", "APPROVED").query("limit", PER_PAGE);
            if let Some(after) = &after {
                request = request.query("after", after);
            }
            let answer = self.ask(request, self.request_timeout, PAGE_WITHIN).await?;
            let page = read_templates(&answer).ok_or_else(|| GraphError::unreadable(OP))?;
            found.extend(page.templates);
            after = page.after;
            if after.is_none() {
                break;
            }
        }
        Ok(found)
    }
}
