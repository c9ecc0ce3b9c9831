//! How a number takes calls: what is wished, checked and stored; telling WhatsApp is [`super::push`]'s.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::model::directory::Number;
use crate::model::id::NumberId;
use crate::model::settings::{CallHours, NumberSettings, Restriction, Setting, Unavailable};
use crate::model::time::Timestamp;
use crate::policy::admit::{Prerequisite, prerequisites};
use crate::policy::hours::{BadHours, normalise, today};
use crate::policy::inbound::{Closed, refuse};
use crate::policy::pack::{HoursRules, Rules};
use crate::signalling::whatsapp::MetaCalling;
use crate::signalling::whatsapp::settings::{Drift, drift};
use crate::store::{StoreError, StoredSettings};

use super::adopt::adopt;
use super::push::LEASE;
use super::{Desk, Switchboard};

/// Whoever changed the settings sees how WhatsApp took it, unless WhatsApp is slow.
const PUSH_WAIT: Duration = Duration::from_secs(2);
/// Changes that may get in between before the caller is told to look again.
const RACES_MAX: usize = 5;

/// What to change of a number's settings; `None` keeps.
#[derive(Clone, Debug, Default)]
pub struct SettingsChange {
    pub allow_voice_calls: Option<bool>,
    pub display_call_buttons: Option<bool>,
    pub callback_permission: Option<bool>,
    /// `Some(None)`: open at all times.
    pub call_hours: Option<Option<CallHours>>,
    pub unavailable: Option<Vec<Unavailable>>,
}

/// A number's settings and how they stand.
#[derive(Clone, Debug)]
pub struct SettingsView {
    pub number: Number,
    pub wished: NumberSettings,
    /// What of `wished` is a default, since nobody chose it here and WhatsApp has not told what it has.
    pub unknown: BTreeSet<Setting>,
    /// Counts changes; 0 while there was none.
    pub revision: i64,
    /// Where WhatsApp differs though it was told.
    pub drift: Vec<Drift>,
    pub prerequisites: Vec<Prerequisite>,
    pub sync: SyncState,
    /// Why WhatsApp has not been told.
    pub sync_error: Option<String>,
    pub pushed_at: Option<Timestamp>,
    /// Those in force.
    pub restrictions: Vec<Restriction>,
    /// Why a customer's call would be turned away now; `None` while calls are let in.
    pub closed: Option<Closed>,
}

/// Whether WhatsApp knows what is wished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SyncState {
    Synced,
    /// It is being told, or has not told yet what it has.
    Pending,
    /// It could not be told; that is tried again.
    Failed,
}

/// Why settings are not changed.
#[derive(Debug, thiserror::Error)]
pub enum SettingsRefusal {
    #[error("there is no such number")]
    NotFound,
    #[error("call hours and closed dates are locked while call buttons are hidden")]
    HoursLocked,
    /// Every value that cannot be used.
    #[error("hours or closed dates cannot be used")]
    BadHours(Vec<BadHours>),
    /// Calling cannot be enabled: those that are not met.
    #[error("the number does not meet what calling needs")]
    Prerequisites(Vec<Prerequisite>),
    #[error("the settings were changed meanwhile")]
    Changed,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Switchboard {
    /// # Errors
    /// [`SettingsRefusal::NotFound`] for an unknown number.
    pub async fn settings(&self, number: &NumberId) -> Result<SettingsView, SettingsRefusal> {
        let desk = &self.0;
        let store = &desk.parts.store;
        let number = store.number(number).await?.ok_or(SettingsRefusal::NotFound)?;
        let now = desk.parts.clock.now().wall;
        let restrictions = desk.restrictions_in_force(&number.id, now).await?;
        let rules = desk.rules(now);
        let prerequisites = prerequisites(&number, &rules);
        let stored = store.settings(&number.id).await?;
        let unasked = if number.graph_token_set {
            "WhatsApp has not told yet what it has; it is asked again every few minutes".to_owned()
        } else {
            format!("what WhatsApp has is not known: PUT /v1/numbers/{} with `graph_token`", number.id)
        };
        let stored = stored.filter(|stored| stored.revision > 0 || stored.seen.is_some());
        let wished = stored.as_ref().map(|stored| stored.wished.clone()).unwrap_or_default();
        let closed = refuse(&number, &wished, &rules, now);
        let view = SettingsView {
            number,
            wished,
            unknown: Setting::all(),
            revision: 0,
            drift: Vec::new(),
            prerequisites,
            sync: SyncState::Pending,
            sync_error: Some(unasked),
            pushed_at: None,
            restrictions,
            closed,
        };
        let Some(stored) = stored else { return Ok(view) };
        Ok(SettingsView {
            unknown: stored.unknown(),
            revision: stored.revision,
            drift: current_drift(&stored, now),
            sync: stored.sync(),
            sync_error: stored.push_error,
            pushed_at: stored.pushed_at,
            ..view
        })
    }

    /// Changes a number's settings and tells WhatsApp. `revision`: only if that is still the stored one. The answer waits
    /// a moment for WhatsApp; what takes longer goes on behind it. A change that changes nothing tells WhatsApp again if it
    /// has something else.
    ///
    /// What nobody ever chose is left open until WhatsApp can be asked, and is then what WhatsApp has: a change is kept,
    /// whether or not WhatsApp can be reached, and overwrites nothing that it does not name.
    ///
    /// # Errors
    /// [`SettingsRefusal`].
    pub async fn put_settings(
        &self,
        number: &NumberId,
        change: SettingsChange,
        revision: Option<i64>,
    ) -> Result<SettingsView, SettingsRefusal> {
        let desk = &self.0;
        let number = desk.parts.store.number(number).await?.ok_or(SettingsRefusal::NotFound)?;
        if desk.store_change(&number, change, revision).await? {
            let (desk, id) = (Arc::clone(desk), number.id.clone());
            let push = tokio::spawn(async move { desk.push_settings(&id, None).await });
            // Slow is not failed: the push goes on, and the answer says that it is pending.
            let _ = tokio::time::timeout(PUSH_WAIT, push).await;
        }
        self.settings(&number.id).await
    }
}

impl Desk {
    /// Whether WhatsApp is to be told.
    async fn store_change(
        self: &Arc<Self>,
        number: &Number,
        change: SettingsChange,
        asked: Option<i64>,
    ) -> Result<bool, SettingsRefusal> {
        let store = &self.parts.store;
        let mut looked = false;
        for _ in 0..RACES_MAX {
            let stored = store.settings(&number.id).await?;
            let revision = stored.as_ref().map_or(0, |stored| stored.revision);
            if asked.is_some_and(|asked| asked != revision) {
                return Err(SettingsRefusal::Changed);
            }
            let now = self.parts.clock.now().wall;
            let rules = self.rules(now);
            let old = stored.as_ref().map(|stored| stored.wished.clone()).unwrap_or_default();
            let was_open = stored.as_ref().map_or_else(Setting::all, |stored| stored.left_open.clone());
            let left_open = change.leaves_open(&was_open);
            let wished = change.clone().apply(&old, &rules.hours)?;
            let theirs = stored.as_ref().and_then(StoredSettings::seen_calling).unwrap_or_default();
            if switches_on(&wished, &left_open, &theirs) {
                let missing = missing_for_calling(number, &rules);
                // Perhaps it was switched on at WhatsApp meanwhile.
                if !missing.is_empty() && !looked {
                    self.look(&number.id).await?;
                    looked = true;
                    continue;
                }
                if !missing.is_empty() {
                    return Err(SettingsRefusal::Prerequisites(missing));
                }
            }
            let settled = stored
                .is_none_or(|stored| stored.sync() == SyncState::Synced && current_drift(&stored, now).is_empty());
            if settled && wished == old && left_open == was_open {
                return Ok(false);
            }
            let put = store.put_settings(&number.id, revision, &wished, &left_open, now.plus(LEASE), now);
            if let Some((_, event)) = put.await? {
                self.publish(vec![event]);
                return Ok(true);
            }
        }
        Err(SettingsRefusal::Changed)
    }
}

/// Whether telling this wish would switch calling on where WhatsApp does not have it on.
pub(super) fn switches_on(wished: &NumberSettings, left_open: &BTreeSet<Setting>, theirs: &MetaCalling) -> bool {
    let chosen = wished.allow_voice_calls && !left_open.contains(&Setting::AllowVoiceCalls);
    chosen && theirs.status != Some(true)
}

/// What the number lacks for calling to be switched on.
pub(super) fn missing_for_calling(number: &Number, rules: &Rules) -> Vec<Prerequisite> {
    prerequisites(number, rules).into_iter().filter(|one| !one.outbound_only && !one.met).collect()
}

impl SettingsChange {
    /// What nobody has chosen after the change.
    fn leaves_open(&self, before: &BTreeSet<Setting>) -> BTreeSet<Setting> {
        let named = |setting: Setting| match setting {
            Setting::AllowVoiceCalls => self.allow_voice_calls.is_some(),
            Setting::DisplayCallButtons => self.display_call_buttons.is_some(),
            Setting::CallbackPermission => self.callback_permission.is_some(),
            Setting::CallHours => self.call_hours.is_some(),
            Setting::Unavailable => self.unavailable.is_some(),
        };
        before.iter().copied().filter(|setting| !named(*setting)).collect()
    }

    /// The settings after the change.
    fn apply(self, old: &NumberSettings, rules: &HoursRules) -> Result<NumberSettings, SettingsRefusal> {
        let mut new = old.clone();
        new.allow_voice_calls = self.allow_voice_calls.unwrap_or(old.allow_voice_calls);
        new.display_call_buttons = self.display_call_buttons.unwrap_or(old.display_call_buttons);
        new.callback_permission = self.callback_permission.unwrap_or(old.callback_permission);
        if self.call_hours.is_some() || self.unavailable.is_some() {
            let hours = self.call_hours.unwrap_or_else(|| old.call_hours.clone());
            let unavailable = self.unavailable.unwrap_or_else(|| old.unavailable.clone());
            (new.call_hours, new.unavailable) =
                normalise(hours, unavailable, rules).map_err(SettingsRefusal::BadHours)?;
        }
        // Who sends back what was read changes nothing and may.
        let same_hours = new.call_hours == old.call_hours && new.unavailable == old.unavailable;
        let locked = !old.display_call_buttons && !new.display_call_buttons;
        if locked && !same_hours { Err(SettingsRefusal::HoursLocked) } else { Ok(new) }
    }
}

impl StoredSettings {
    pub(super) fn sync(&self) -> SyncState {
        match (&self.push_error, self.push_at) {
            (Some(_), _) => SyncState::Failed,
            (None, Some(_)) => SyncState::Pending,
            (None, None) => SyncState::Synced,
        }
    }

    /// Where WhatsApp has something else than was chosen here.
    pub(super) fn differences(&self, theirs: &MetaCalling, now: Timestamp) -> Vec<Drift> {
        let mut found = drift(&self.wished, theirs, &today(&self.wished, now));
        found.retain(|one| !self.left_open.iter().any(|setting| setting.as_str() == one.field));
        found
    }

    fn unknown(&self) -> BTreeSet<Setting> {
        // What is left open is taken over with the push that is due.
        if self.push_at.is_some() {
            return self.left_open.clone();
        }
        adopt(&self.wished, &self.left_open, &self.seen_calling().unwrap_or_default()).untold
    }

    /// What WhatsApp last said it has.
    pub(super) fn seen_calling(&self) -> Option<MetaCalling> {
        // What an older version wrote and this one cannot read is as good as not seen.
        serde_json::from_value(self.seen.clone()?).ok()
    }
}

/// Where WhatsApp differs. While it is being told, it may.
fn current_drift(stored: &StoredSettings, now: Timestamp) -> Vec<Drift> {
    match stored.seen_calling() {
        Some(seen) if stored.sync() != SyncState::Pending => stored.differences(&seen, now),
        _ => Vec::new(),
    }
}

impl Desk {
    /// The rules in force.
    pub(super) fn rules(&self, now: Timestamp) -> Rules {
        self.parts.store.terms().rules(now).clone()
    }
}
