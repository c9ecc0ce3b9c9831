//! A number's call settings: `GET` and `POST /{phone_number_id}/settings`.

use std::time::Duration;

use super::super::payload::{MetaCalling, read_settings};
use super::request::{Edge, Repeat};
use super::{Account, Graph, GraphError};

/// Somebody may wait for it to be saved; what failed is tried again later anyway.
const SETTINGS_WITHIN: Duration = Duration::from_secs(15);

impl Graph {
    /// The settings as WhatsApp has them.
    ///
    /// # Errors
    /// [`GraphError`].
    pub async fn settings(&self, of: Account<'_>) -> Result<MetaCalling, GraphError> {
        const OP: &str = "settings_read";
        let request = self.request(of, OP, Edge::Settings, Repeat::Harmless)?;
        let answer = self.ask(request, self.request_timeout, SETTINGS_WITHIN).await?;
        read_settings(&answer).ok_or_else(|| GraphError::unreadable(OP))
    }

    /// Changes what `calling` names and leaves the rest. Hours are replaced with everything in them, closed dates too.
    ///
    /// # Errors
    /// [`GraphError`]; 138015 and 138018 name a prerequisite that is missing.
    pub async fn put_settings(&self, of: Account<'_>, calling: &MetaCalling) -> Result<(), GraphError> {
        let request = self.request(of, "settings_write", Edge::Settings, Repeat::Harmless)?.post(calling.to_json());
        self.ask(request, self.request_timeout, SETTINGS_WITHIN).await.map(drop)
    }
}
