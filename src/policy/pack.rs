//! Policy packs: every number, window, country list and role that the rules use, as dated data.
//!
//! A pack is a TOML file of editions. The first edition says everything, each later one only what changes on its date, so
//! the file itself answers "what changes when". A decision at `now` follows the edition in force then; a decision about
//! the past follows the one in force in the past.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::country::Country;
use crate::model::directory::{AddOn, Plan};
use crate::model::reason::Role;
use crate::model::time::Timestamp;
use crate::model::words;

use super::limits::Limit;

mod changes;
mod check;
mod read;
#[cfg(test)]
mod tests;

pub use changes::Change;

/// The pack that is built in.
pub const BUILT_IN: &str = include_str!("../../config/policy/default.toml");

/// A validated pack.
#[derive(Clone, Debug)]
pub struct Pack {
    /// As the file calls itself.
    pub name: String,
    /// Oldest first; never empty.
    editions: Vec<Rules>,
}

/// What holds from one date on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    pub from: Timestamp,
    pub prerequisites: Prerequisites,
    pub routing: RoutingRules,
    pub countries: Countries,
    pub permission: PermissionRules,
    pub requests: RequestRules,
    pub calls: CallRules,
    pub wallet: WalletRules,
    pub reconcile: ReconcileRules,
    pub hours: HoursRules,
    pub pickup: PickupRules,
    pub dispositions: DispositionRules,
    pub roles: BTreeMap<Role, Grants>,
    pub switches: SwitchRules,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prerequisites {
    pub messaging_limit_min: i64,
    pub plans: Vec<Plan>,
    pub add_ons: Vec<AddOn>,
}

/// Whom a caller rings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoutingRules {
    /// Numbers on these plans, or with these add-ons, ring a contact's owner before round robin.
    pub owner_plans: Vec<Plan>,
    pub owner_add_ons: Vec<AddOn>,
    /// Seconds after a call in which its agent is busy with writing it up.
    pub wrap_up_s: u32,
}

impl RoutingRules {
    /// Whether an agent whose last call ended at `last_call` is still writing it up at `now`.
    pub fn is_wrap_up(&self, last_call: Option<Timestamp>, now: Timestamp) -> bool {
        last_call.is_some_and(|end| now < end.plus(Duration::from_secs(self.wrap_up_s.into())))
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Countries {
    /// Of the business number.
    pub outbound_blocked: Vec<Country>,
    /// Of the customer.
    pub unreachable: Vec<Country>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PermissionRules {
    pub temporary_h: u32,
    pub request_life_h: u32,
    pub renews_on_connected_call: bool,
    pub reconsider_after: u32,
    pub revoke_after: u32,
    pub service_window_h: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestRules {
    pub short: Limit,
    pub long: Limit,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallRules {
    pub attempts_per_number: Limit,
    /// `None`, and in the file `"unlimited"` or nothing in the first edition: no limit.
    #[serde(default, with = "read::limit_or_unlimited")]
    pub connected_per_number: Option<Limit>,
    #[serde(default, with = "read::limit_or_unlimited")]
    pub connected_per_pair: Option<Limit>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WalletRules {
    pub reserve_s: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReconcileRules {
    pub every_h: u32,
    pub per_second: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoursRules {
    pub spans_per_day_max: usize,
    pub unavailable_max: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PickupRules {
    pub window_h: u32,
    pub calls_min: u32,
    pub notice_missed_percent: u32,
    pub warning_missed_percent: u32,
    pub critical_missed_percent: u32,
    /// From this share of missed outbound calls on, the number places none and asks for no permission. `None`, and in the file `"never"` or nothing in the
    /// first edition: only warnings.
    #[serde(default, with = "read::percent_or_never")]
    pub hold_outbound_percent: Option<u32>,
}

/// What people may say a call was. Packs before it have no words for that.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DispositionRules {
    pub names: Vec<String>,
}

words! {
    /// How far somebody sees.
    Sight { Own = "own", Team = "team", All = "all" }
}

/// What a role may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grants {
    pub calls: Sight,
    pub configure_calls: bool,
    pub wallet: bool,
    /// Changes agents and teams, and invites them: whoever may can become any of them. Packs before it grant it to nobody.
    #[serde(default)]
    pub manage: bool,
    /// Whose customers it says of whose they are; whoever manages says it of all. Packs before it grant it to nobody else.
    #[serde(default)]
    pub assign: Assigning,
}

words! {
    /// Among whom somebody gives customers away.
    #[derive(Default)]
    Assigning {
        #[default]
        None = "none",
        Team = "team",
        All = "all",
    }
}

/// What an agent's switches add.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwitchRules {
    pub configure_calls: Added,
    pub all_calls: Added,
}

/// What one switch adds to a role; what it does not name stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Added {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<Sight>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configure_calls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wallet: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manage: Option<bool>,
}

/// Everything that is wrong with a pack, one line each: file, edition, key, reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackErrors(pub Vec<String>);

impl fmt::Display for PackErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for PackErrors {}

impl Pack {
    /// The pack in `config/policy/default.toml`.
    pub fn built_in() -> Self {
        Self::parse("config/policy/default.toml", BUILT_IN).expect("a test reads the built-in pack")
    }

    /// Reads and checks a pack; `file` names it in errors.
    ///
    /// # Errors
    /// [`PackErrors`], all of them.
    pub fn parse(file: &str, text: &str) -> Result<Self, PackErrors> {
        read::pack(file, text)
    }

    /// The rules in force at a moment; before the first edition, the first.
    pub fn rules(&self, at: Timestamp) -> &Rules {
        let later = self.editions.partition_point(|edition| edition.from <= at);
        &self.editions[later.saturating_sub(1)]
    }

    /// All editions, oldest first.
    pub fn editions(&self) -> &[Rules] {
        &self.editions
    }

    /// What every edition but the first changes, oldest first.
    pub fn changes(&self) -> Vec<Change> {
        changes::of(&self.editions)
    }

    /// The pack as a page for people: all it says, and what changes when.
    pub fn page(&self, now: Timestamp) -> String {
        changes::page(self, now)
    }
}
