//! What people write about calls and customers.

use serde::Serialize;
use utoipa::ToSchema;

use super::id::{AgentId, CallId, ContactId, NoteId};
use super::time::Timestamp;

/// One note. It is never altered: who was wrong removes it and writes another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Note {
    pub id: NoteId,
    pub contact_id: ContactId,
    /// The call it was written on; left out where it is of the customer alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_id: Option<CallId>,
    /// The agent who wrote it; `null` where a program did.
    pub author_id: Option<AgentId>,
    /// The name of the program's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author_key: Option<String>,
    pub text: String,
    pub created_at: Timestamp,
}
