//! skeleton
use crate::call::record::CallRecord;
use crate::model::directory::Agent;
use crate::model::words;

words! {
    /// What an API key may do.
    Scope {
        CallsRead = "calls:read", CallsWrite = "calls:write", RecordingsRead = "recordings:read",
        PermissionsWrite = "permissions:write", SettingsWrite = "settings:write", EventsRead = "events:read", Admin = "admin",
    }
}

/// Who asks.
#[derive(Clone, Debug)]
pub enum Actor {
    Key { name: String, scopes: Vec<Scope> },
    Agent(Agent),
}
