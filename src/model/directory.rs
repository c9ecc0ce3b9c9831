//! Who there is: numbers, teams, agents, contacts, and what a customer permits. Plain data, serialised as the API shows it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::country::Country;
use super::id::{AgentId, ContactId, NumberId, TeamId};
use super::phone::Phone;
use super::reason::{GrantSource, PermissionStatus, Presence, Role};
use super::time::Timestamp;
use super::words::words;

words! {
    /// What the business pays for.
    Plan { Starter = "starter", Growth = "growth", Advanced = "advanced", SalesCrm = "sales_crm" }
}

words! {
    /// Bought beside the plan.
    AddOn { SalesCrm = "sales_crm" }
}

words! {
    /// Where the number lives at Meta. Only Cloud API numbers can call.
    Platform { CloudApi = "cloud_api", BusinessApp = "business_app" }
}

/// A business number. Its Graph token is kept beside it in the store and never leaves.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Number {
    pub id: NumberId,
    #[schema(value_type = String, example = "+995322000111")]
    pub display_phone_number: Phone,
    pub plan: Plan,
    pub add_ons: Vec<AddOn>,
    /// Unique customers the number may message in 24 h.
    pub messaging_limit: i64,
    pub platform: Platform,
    pub graph_token_set: bool,
    /// Whether its calls are recorded; `null` = as the gateway is configured.
    pub record: Option<bool>,
    /// Days its recordings are kept, 0 = for ever; `null` = as the gateway is configured.
    pub keep_recordings_days: Option<u32>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Team {
    pub id: TeamId,
    pub name: String,
}

/// The two switches that widen a role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Switches {
    /// Allow access to configure WhatsApp Call settings.
    #[serde(default)]
    pub configure_calls: bool,
    /// Allow access to the Call Management section (all calls).
    #[serde(default)]
    pub all_calls: bool,
}

/// Somebody who answers and places calls.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Agent {
    pub id: AgentId,
    pub name: String,
    pub email: Option<String>,
    pub role: Role,
    pub team_id: Option<TeamId>,
    /// Never rung by round robin; still rung as assignee or owner.
    pub excluded: bool,
    pub switches: Switches,
    /// As last set by the agent; survives a restart.
    pub status: Presence,
}

/// Somebody who was an agent. What it did goes on bearing its name.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FormerAgent {
    pub id: AgentId,
    pub name: String,
    /// As of then.
    pub team_id: Option<TeamId>,
    pub left_at: Timestamp,
}

/// A customer. Either `phone` or `user_id` is known, often both: since 2026 people may hide their number.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Contact {
    pub id: ContactId,
    #[schema(value_type = Option<String>, example = "+995555010203")]
    pub phone: Option<Phone>,
    /// Meta's business-scoped user id, `CC.digits`.
    pub user_id: Option<String>,
    pub name: Option<String>,
    pub username: Option<String>,
    pub assignee_id: Option<AgentId>,
    pub owner_id: Option<AgentId>,
    pub created_at: Timestamp,
}

impl Contact {
    /// Where the customer is, as far as a number or WhatsApp's id tells.
    pub fn country(&self) -> Option<Country> {
        let of_phone = self.phone.as_ref().and_then(Country::of_phone);
        of_phone.or_else(|| self.user_id.as_deref().and_then(Country::of_user_id))
    }
}

/// How the outside names a contact: `con_…`, `wa:<digits>` or `user:<id>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContactRef {
    Id(ContactId),
    Phone(Phone),
    User(String),
}

/// A contact reference that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a contact: write `con_…`, `wa:<digits>` or `user:<id>`")]
pub struct BadContactRef;

impl std::str::FromStr for ContactRef {
    type Err = BadContactRef;

    fn from_str(text: &str) -> Result<Self, BadContactRef> {
        if let Some(digits) = text.strip_prefix("wa:") {
            return Phone::parse(digits).map(Self::Phone).map_err(|_| BadContactRef);
        }
        if let Some(user) = text.strip_prefix("user:") {
            let fine = (1..=64).contains(&user.len()) && user.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.');
            return if fine { Ok(Self::User(user.to_owned())) } else { Err(BadContactRef) };
        }
        if text.starts_with("con_") {
            ContactId::parse(text).map(Self::Id).map_err(|_| BadContactRef)
        } else {
            Err(BadContactRef)
        }
    }
}

/// Who asked a customer for permission to call, or placed a call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Asker {
    Agent {
        agent_id: AgentId,
    },
    /// A program, by the name of its API key.
    Key {
        name: String,
    },
}

/// What a customer permits one number, as it is worth at the moment of reading. Only the customer's own words change it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Permission {
    pub number_id: NumberId,
    pub contact_id: ContactId,
    pub status: PermissionStatus,
    /// End of a temporary permission; by our own clock, since Meta announces none.
    pub expires_at: Option<Timestamp>,
    /// When the customer last decided, by Meta's clock.
    pub decided_at: Option<Timestamp>,
    pub source: Option<GrantSource>,
    /// The latest request, and until when it can be answered.
    pub requested_at: Option<Timestamp>,
    pub request_expires_at: Option<Timestamp>,
    /// Who sent it; `null` also where the reader may not see what that agent does.
    pub requested_by: Option<Asker>,
    /// Outbound calls in a row that the customer did not take.
    pub unanswered_in_a_row: u32,
    /// The last connected call of either direction.
    pub connected_at: Option<Timestamp>,
    /// When this was last compared with WhatsApp's own books, and what was wrong then.
    pub checked_at: Option<Timestamp>,
    pub drift: Option<String>,
}
