//! WhatsApp is told how a number takes calls, and asked what it has.
//!
//! What nobody has chosen here is taken over from WhatsApp, with each look and before each push, until it was pushed once;
//! from then on all settings are ours, and a difference is drift.
//!
//! Closed dates are entered here and in WhatsApp's own manager, and WhatsApp replaces its whole list with each write. So
//! every push reads first, takes over what was entered there since the last push, and writes both. One push at a time runs
//! for a number; whichever runs tells the latest wish.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use secrecy::SecretString;
use serde_json::json;
use tokio::sync::OwnedMutexGuard;

use crate::metrics::WebhookResult;
use crate::model::directory::Number;
use crate::model::id::NumberId;
use crate::model::settings::{NumberSettings, Restriction, Setting, Unavailable};
use crate::model::time::Timestamp;
use crate::policy::hours::{merge_unavailable, united};
use crate::policy::pack::Rules;
use crate::signalling::whatsapp::settings::{as_meta_keeps, to_meta, unavailable_of, without};
use crate::signalling::whatsapp::{Account, GraphError, GraphErrorKind, MetaCalling, Restricted, SettingsUpdate};
use crate::store::{Sighting, StoreError, StoredSettings};

use super::adopt::{Adopted, adopt, has_unusable_hours};
use super::settings::{SyncState, missing_for_calling, switches_on};
use super::{Desk, Switchboard};

/// A push that nobody reported on within this time died with its process, and is due again. Two questions and a write
/// take 45 s at most.
pub(super) const LEASE: Duration = Duration::from_secs(90);
/// Wishes that may get in between while one push merges.
const RACES_MAX: usize = 5;
/// After a first failure that may pass; doubles with each further one.
const PAUSE: Duration = Duration::from_secs(5);
const PAUSE_MAX: Duration = Duration::from_secs(15 * 60);
/// WhatsApp said no, and will until somebody changes something there; a changed wish is told at once.
const REFUSED_PAUSE: Duration = Duration::from_secs(3600);
/// Asks nobody but the store.
const NO_TOKEN_PAUSE: Duration = Duration::from_secs(60);
/// Meta stamps whole seconds, and two clocks never quite agree.
const CLOCKS_DIFFER: Duration = Duration::from_secs(5);

/// Whose turn it is to push, per number.
#[derive(Default)]
pub(super) struct Turns(Mutex<HashMap<NumberId, Arc<tokio::sync::Mutex<()>>>>);

impl Turns {
    async fn take(&self, number: &NumberId) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(turns.entry(number.clone()).or_default())
        };
        turn.lock_owned().await
    }
}

/// Why a push came to nothing, and when to try again.
struct Failed {
    /// The wish that was tried.
    revision: i64,
    why: String,
    pause: Duration,
}

impl Switchboard {
    /// Has WhatsApp asked, in the background, what a number has that was created or changed.
    pub fn number_changed(&self, number: &NumberId) {
        self.0.look_in_background(number.clone());
    }
}

impl Desk {
    /// Tells WhatsApp the latest wish if it was not told yet, then looks what came of it. `leased_until`: by whoever found
    /// the push due; `None` for whoever has just stored a wish.
    pub(super) async fn push_settings(
        self: &Arc<Self>,
        number: &NumberId,
        leased_until: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let _turn = self.pushes.take(number).await;
        let store = &self.parts.store;
        for _ in 0..RACES_MAX {
            let Some(stored) = store.settings(number).await? else { return Ok(()) };
            let Some(push_at) = stored.push_at else { return Ok(()) };
            // Whoever had the turn before us tried this very wish in vain: its pause is ours too.
            let tried = stored.push_error.is_some() && Some(push_at) != leased_until;
            if tried && push_at > self.parts.clock.now().wall {
                return Ok(());
            }
            match self.tell(number, stored).await? {
                Ok(true) => return self.look(number).await,
                Ok(false) => {}
                Err(Failed { revision, why, pause }) => {
                    tracing::warn!(%number, why, "WhatsApp could not be told the call settings");
                    let again_at = self.parts.clock.now().wall.plus(pause);
                    return store.note_push_failed(number, revision, &why, again_at).await;
                }
            }
        }
        // Somebody changes the settings faster than WhatsApp answers: the push is still due.
        Ok(())
    }

    /// `false`: the wish was changed meanwhile.
    async fn tell(
        self: &Arc<Self>,
        number: &NumberId,
        stored: StoredSettings,
    ) -> Result<Result<bool, Failed>, StoreError> {
        let (store, graph) = (&self.parts.store, &self.parts.graph);
        let mut revision = stored.revision;
        let token = match self.token(number).await {
            Ok(token) => token,
            Err(why) => return Ok(Err(Failed { revision, why, pause: NO_TOKEN_PAUSE })),
        };
        let account = Account { number_id: number, token: &token };
        let theirs = match graph.settings(account).await {
            Ok(theirs) => theirs,
            Err(error) => return Ok(Err(Failed::of(&error, revision, stored.push_failures))),
        };
        let Some(of) = store.number(number).await? else { return Ok(Ok(false)) };
        let now = self.parts.clock.now().wall;
        let Merged { wished, told, untold } = match Merged::of(&stored, &theirs, &of, &self.rules(now), now) {
            Ok(merged) => merged,
            Err(why) => return Ok(Err(Failed { revision, why, pause: REFUSED_PAUSE })),
        };
        if wished != stored.wished {
            match store.put_settings(number, revision, &wished, &stored.left_open, now.plus(LEASE), now).await? {
                Some((changed, event)) => {
                    tracing::info!(%number, "what was set at WhatsApp alone is taken over");
                    self.publish(vec![event]);
                    revision = changed.revision;
                }
                None => return Ok(Ok(false)),
            }
        }
        if let Err(error) = graph.put_settings(account, &without(to_meta(&wished, &told), &untold)).await {
            return Ok(Err(Failed::of(&error, revision, stored.push_failures)));
        }
        let told = NumberSettings { unavailable: told, ..wished };
        store.note_pushed(number, revision, &told, &untold, self.parts.clock.now().wall).await?;
        tracing::info!(%number, revision, "WhatsApp was told the call settings");
        Ok(Ok(true))
    }

    /// Asks WhatsApp what it has, and takes over what nobody has chosen here. A failure is only logged: the next look comes.
    pub(super) async fn look(self: &Arc<Self>, number: &NumberId) -> Result<(), StoreError> {
        let Ok(token) = self.token(number).await else { return Ok(()) };
        let asked_at = self.parts.clock.now().wall;
        match self.parts.graph.settings(Account { number_id: number, token: &token }).await {
            Ok(seen) => {
                self.parts.store.begin_settings(number).await?;
                self.note_seen(number, Seen::Whole(seen), asked_at).await
            }
            Err(error) => {
                tracing::warn!(%number, %error, "WhatsApp does not tell the call settings");
                Ok(())
            }
        }
    }

    fn look_in_background(self: &Arc<Self>, number: NumberId) {
        let desk = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(error) = desk.look(&number).await {
                tracing::error!(%number, %error, "what WhatsApp has could not be kept");
            }
        });
    }

    /// WhatsApp reports changed settings: ours, somebody else's, or old news.
    pub(super) async fn settings_update(
        self: &Arc<Self>,
        update: SettingsUpdate,
        received_at: Timestamp,
    ) -> Result<WebhookResult, StoreError> {
        let SettingsUpdate { number_id, calling, at } = update;
        // The report names only some of the keys, and may be the echo of a push before the last one; so WhatsApp is asked for
        // its present state where that is possible.
        if self.token(&number_id).await.is_ok() {
            self.look_in_background(number_id);
            return Ok(WebhookResult::Done);
        }
        let Some(stored) = self.parts.store.settings(&number_id).await? else { return Ok(WebhookResult::Ignored) };
        let agrees = stored.differences(&calling, received_at).is_empty();
        if !agrees && stored.pushed_at.is_some_and(|pushed_at| at.is_some_and(|at| at.plus(CLOCKS_DIFFER) < pushed_at))
        {
            return Ok(WebhookResult::Stale);
        }
        self.note_seen(&number_id, Seen::Part(calling), received_at).await?;
        Ok(WebhookResult::Done)
    }

    /// Keeps what WhatsApp said. What nobody has chosen follows it, and a difference elsewhere that was not there before is
    /// announced, unless a push is under way that may be about to end it. What was asked before a push says nothing of it.
    async fn note_seen(&self, number: &NumberId, seen: Seen, asked_at: Timestamp) -> Result<(), StoreError> {
        let now = self.parts.clock.now().wall;
        let restrictions = match &seen {
            Seen::Whole(seen) => seen.restrictions.clone(),
            Seen::Part(_) => None,
        };
        let events = self.parts.store.note_seen(number, now, |old| {
            let before = old.seen_calling();
            let stale = matches!(seen, Seen::Whole(_)) && old.pushed_at.is_some_and(|pushed_at| pushed_at > asked_at);
            if let Some(seen) = old.seen.clone().filter(|_| stale) {
                return Sighting { seen, drifted: None, followed: None };
            }
            let seen = match seen {
                Seen::Whole(seen) => seen,
                Seen::Part(part) => before.clone().unwrap_or_default().updated_by(part),
            };
            let found = old.differences(&seen, now);
            let known = before.is_some_and(|before| old.differences(&before, now) == found);
            let news = old.sync() == SyncState::Synced && !found.is_empty() && !known;
            // While a push is due, it takes over what is left open: two at once would race, and the push must not take a
            // date that is being removed for one that was entered there.
            let followed = adopt(&old.wished, &old.left_open, &seen).settings;
            Sighting {
                seen: serde_json::to_value(seen).expect("settings are plain data"),
                drifted: news.then(|| json!({"number_id": number, "drift": found})),
                followed: (old.push_at.is_none() && followed != old.wished).then_some(followed),
            }
        });
        let events = events.await?;
        for event in &events {
            match event.data.get("drift") {
                Some(drift) => {
                    tracing::warn!(%number, %drift, "WhatsApp has other call settings than it was told");
                }
                None => tracing::info!(%number, "what WhatsApp has is taken over for settings that nobody chose here"),
            }
        }
        self.publish(events);
        match restrictions {
            Some(listed) => self.agree_on_restrictions(number, listed, asked_at).await,
            None => Ok(()),
        }
    }

    /// WhatsApp listed every restriction of the number.
    async fn agree_on_restrictions(
        &self,
        number: &NumberId,
        listed: Vec<Restricted>,
        asked_at: Timestamp,
    ) -> Result<(), StoreError> {
        let store = &self.parts.store;
        let still: Vec<_> = listed.iter().map(|one| one.kind).collect();
        let now = self.parts.clock.now().wall;
        self.publish(store.lift_restrictions_but(number, &still, asked_at, now).await?);
        let known = store.restrictions(number).await?;
        for Restricted { kind, expires_at, remediation } in listed {
            let before = known.iter().find(|known| known.kind == kind);
            let since = asked_at.whole_second();
            let stands = |before: &Restriction| before.since >= since || before.expires_at == expires_at;
            if expires_at.is_some_and(|at| at <= now) || before.is_some_and(stands) {
                continue;
            }
            let remediation = remediation.or_else(|| before.and_then(|before| before.remediation.clone()));
            let restriction = Restriction { kind, since, expires_at, remediation };
            self.publish(store.put_restriction(number, &restriction, now).await?.into_iter().collect());
        }
        Ok(())
    }

    async fn token(&self, number: &NumberId) -> Result<SecretString, String> {
        match self.parts.store.graph_token(number).await {
            Ok(Some(token)) => Ok(token),
            Ok(None) => Err(format!("number {number} has no Graph token: PUT /v1/numbers/{number} with `graph_token`")),
            Err(error) => Err(format!("the Graph token of {number} cannot be read: {error}")),
        }
    }
}

/// What WhatsApp said it has.
enum Seen {
    /// Asked: everything it tells.
    Whole(MetaCalling),
    /// Reported: what changed, perhaps more.
    Part(MetaCalling),
}

impl Failed {
    /// `failures` came before it in a row.
    fn of(error: &GraphError, revision: i64, failures: u32) -> Self {
        let pause = match error.kind {
            GraphErrorKind::Unreachable
            | GraphErrorKind::UnknownOutcome
            | GraphErrorKind::RateLimited
            | GraphErrorKind::Upstream => {
                let doubled = PAUSE.saturating_mul(2_u32.saturating_pow(failures)).min(PAUSE_MAX);
                doubled.max(error.retry_after.unwrap_or_default())
            }
            GraphErrorKind::Token | GraphErrorKind::InProgress | GraphErrorKind::CallGone | GraphErrorKind::Refused => {
                REFUSED_PAUSE
            }
        };
        Self { revision, why: error.to_string(), pause }
    }
}

/// A wish after what WhatsApp has was taken over.
struct Merged {
    /// To be stored.
    wished: NumberSettings,
    /// The closed dates to be written.
    told: Vec<Unavailable>,
    /// Not to be written.
    untold: BTreeSet<Setting>,
}

impl Merged {
    /// # Errors
    /// Why WhatsApp must not be told this, for people.
    fn of(
        stored: &StoredSettings,
        theirs: &MetaCalling,
        number: &Number,
        rules: &Rules,
        now: Timestamp,
    ) -> Result<Self, String> {
        let Adopted { settings: mut wished, untold } = adopt(&stored.wished, &stored.left_open, theirs);
        let missing = missing_for_calling(number, rules);
        if switches_on(&wished, &untold, theirs) && !missing.is_empty() {
            let missing: Vec<_> = missing.iter().map(|one| one.message.as_str()).collect();
            return Err(format!("calling is off at WhatsApp and cannot be switched on. {}", missing.join(" ")));
        }
        let left = |setting| untold.contains(&setting);
        if has_unusable_hours(theirs) && left(Setting::CallHours) && !left(Setting::Unavailable) {
            return Err(
                "WhatsApp has call hours that cannot be read, and takes closed dates only together with hours; \
                        set `call_hours` too"
                    .to_owned(),
            );
        }
        let dates = Dates::merge(stored.pushed.as_ref(), &wished, theirs, now);
        let (count, room) = (dates.told.len(), rules.hours.unavailable_max);
        if count > room {
            return Err(format!(
                "there are {count} closed dates with those entered at WhatsApp, which takes {room}; remove some"
            ));
        }
        if !left(Setting::Unavailable) {
            wished.unavailable = dates.wished;
        }
        Ok(Self { wished, told: dates.told, untold })
    }
}

/// Closed dates after those entered at WhatsApp were taken over.
struct Dates {
    /// To be stored.
    wished: Vec<Unavailable>,
    /// To be written: without those that have passed.
    told: Vec<Unavailable>,
}

impl Dates {
    fn merge(pushed: Option<&NumberSettings>, wished: &NumberSettings, theirs: &MetaCalling, now: Timestamp) -> Self {
        let base = pushed.map(|pushed| as_meta_keeps(&pushed.unavailable)).unwrap_or_default();
        let ours = as_meta_keeps(&wished.unavailable);
        let theirs = unavailable_of(theirs).unwrap_or_default();
        let zone = wished.call_hours.as_ref().map(|hours| hours.time_zone.as_str());
        let told = merge_unavailable(&base, &ours, &theirs, zone, now);
        let foreign: Vec<_> = told.iter().filter(|date| !ours.contains(date)).cloned().collect();
        if foreign.is_empty() {
            return Self { wished: wished.unavailable.clone(), told };
        }
        let both = wished.unavailable.iter().cloned().chain(foreign).collect();
        Self { wished: united(both), told: united(told) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_a_quarter_of_an_hour_and_are_never_shorter_than_whatsapp_asks() {
        let error = |kind, retry_after| GraphError {
            op: "settings_write",
            kind,
            code: None,
            http: None,
            message: "no".to_owned(),
            details: None,
            fbtrace_id: None,
            retry_after,
        };
        let pause = |kind, retry_after: Option<u64>, failures| {
            Failed::of(&error(kind, retry_after.map(Duration::from_secs)), 1, failures).pause.as_secs()
        };
        for (failures, secs) in [(0, 5), (1, 10), (2, 20), (7, 640), (8, 900), (40, 900), (u32::MAX, 900)] {
            assert_eq!(pause(GraphErrorKind::Unreachable, None, failures), secs, "{failures}");
        }
        assert_eq!(pause(GraphErrorKind::RateLimited, Some(1200), 0), 1200);
        assert_eq!(pause(GraphErrorKind::Refused, None, 0), 3600);
        assert_eq!(pause(GraphErrorKind::Token, None, 9), 3600);
    }
}
