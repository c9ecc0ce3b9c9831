//! What WhatsApp warns a number of and takes from it, and how near a number is to that.

use crate::metrics::WebhookResult;
use crate::model::id::NumberId;
use crate::model::reason::{PickupStage, RestrictionKind, ViolationKind};
use crate::model::settings::{Restriction, Violation};
use crate::model::time::Timestamp;
use crate::policy::Blocker;
use crate::policy::inbound::withheld;
use crate::policy::pack::PickupRules;
use crate::policy::pickup::{self, Pickup, window_start};
use crate::signalling::whatsapp::{AccountUpdate, Restricted};
use crate::store::StoreError;

use super::{Desk, Refusal, Switchboard};

/// How a number stands with its customers and with WhatsApp.
#[derive(Clone, Debug)]
pub struct Health {
    /// Hours that the counts reach back.
    pub window_h: u32,
    /// A direction with fewer calls than this says nothing.
    pub calls_min: u32,
    pub pickup: Pickup,
    pub stage: PickupStage,
    /// Since when it is at that stage, as far as it was noticed.
    pub stage_since: Option<Timestamp>,
    /// Why the guard holds outbound calls back, and until when.
    pub hold: Option<Blocker>,
    /// What is wrong, a sentence each.
    pub warnings: Vec<String>,
    /// WhatsApp's own warnings.
    pub violations: Vec<Violation>,
    /// Those in force.
    pub restrictions: Vec<Restriction>,
}

impl Switchboard {
    /// # Errors
    /// [`Refusal::NotFound`] for an unknown number.
    pub async fn health(&self, number: &NumberId) -> Result<Health, Refusal> {
        let desk = &self.0;
        let store = &desk.parts.store;
        let known = store.number(number).await?.ok_or(Refusal::NotFound)?;
        let now = desk.parts.clock.now().wall;
        let rules = desk.rules(now);
        let withheld = withheld(&known, &rules);
        let rules = rules.pickup;
        let since = window_start(&rules, now);
        let (pickup, hours) = (store.pickup(number, since).await?, store.outbound_hours(number, since).await?);
        let stage = pickup::stage(pickup, &rules);
        let (noticed, stage_since) = store.pickup_stage(number).await?;
        let violations = store.violations(number).await?;
        let restrictions = desk.restrictions_in_force(number, now).await?;
        Ok(Health {
            window_h: rules.window_h,
            calls_min: rules.calls_min,
            pickup,
            stage,
            stage_since: stage_since.filter(|_| noticed == stage),
            hold: pickup::hold(&hours, &rules, now),
            warnings: withheld
                .iter()
                .map(|lacks| format!("Customers' calls are turned away as \"Business unavailable\". {}", lacks.message))
                .chain(warnings(stage, pickup, &rules, &violations, &restrictions))
                .collect(),
            violations,
            restrictions,
        })
    }
}

impl Desk {
    /// WhatsApp warns or restricts a number.
    pub(super) async fn account_update(
        &self,
        update: AccountUpdate,
        received_at: Timestamp,
    ) -> Result<WebhookResult, StoreError> {
        let store = &self.parts.store;
        let number = match &update.phone {
            Some(phone) => store.number_by_phone(phone).await?,
            None => None,
        };
        let Some(number) = number else {
            tracing::warn!(phone = ?update.phone, event = update.event, "WhatsApp warns or restricts a number nobody registered");
            return Ok(WebhookResult::Ignored);
        };
        let (at, now) = (update.at.unwrap_or(received_at), self.parts.clock.now().wall);
        for Restricted { kind, expires_at, remediation } in update.restrictions {
            // A report that was long under way may be over already.
            if expires_at.is_some_and(|expires_at| expires_at <= now) {
                continue;
            }
            let restriction = Restriction { kind, since: at, expires_at, remediation };
            if let Some(event) = store.put_restriction(&number, &restriction, now).await? {
                tracing::warn!(%number, %kind, ?expires_at, "WhatsApp restricts the number");
                self.publish(vec![event]);
            }
        }
        if let Some(violated) = update.violation {
            let violation = Violation { kind: violated.kind, at, remediation: violated.remediation };
            if let Some(event) = store.put_violation(&number, &violation, now).await? {
                tracing::warn!(%number, kind = %violation.kind, "WhatsApp warns the number");
                self.publish(vec![event]);
            }
        }
        Ok(WebhookResult::Done)
    }

    pub(super) async fn restrictions_in_force(
        &self,
        number: &NumberId,
        now: Timestamp,
    ) -> Result<Vec<Restriction>, StoreError> {
        let mut all = self.parts.store.restrictions(number).await?;
        all.retain(|restriction| restriction.expires_at.is_none_or(|expires_at| expires_at > now));
        Ok(all)
    }

    /// Restrictions whose time is over are lifted.
    pub(super) async fn lift_expired(&self) -> Result<(), StoreError> {
        let lifted = self.parts.store.expired_restrictions(self.parts.clock.now().wall).await?;
        for event in &lifted {
            tracing::info!(number = %event.data["number_id"], kind = %event.data["restriction"]["kind"], "a restriction is over");
        }
        self.publish(lifted);
        Ok(())
    }

    /// Finds the stage a number is at; a change is announced. To be called when a call was counted, and now and then, since
    /// calls also age out.
    pub(super) async fn review_pickup(&self, number: &NumberId) -> Result<(), StoreError> {
        let (store, now) = (&self.parts.store, self.parts.clock.now().wall);
        let rules = self.rules(now).pickup;
        let pickup = store.pickup(number, window_start(&rules, now)).await?;
        let stage = pickup::stage(pickup, &rules);
        if let Some(event) = store.put_pickup_stage(number, stage, pickup, now).await? {
            tracing::warn!(%number, %stage, "the share of missed calls is another");
            self.publish(vec![event]);
        }
        Ok(())
    }

    /// Every number whose calls may have aged out.
    pub(super) async fn review_all_pickups(&self) -> Result<(), StoreError> {
        let now = self.parts.clock.now().wall;
        let since = window_start(&self.rules(now).pickup, now);
        for number in self.parts.store.pickup_numbers(since).await? {
            self.review_pickup(&number).await?;
        }
        Ok(())
    }
}

fn warnings(
    stage: PickupStage,
    pickup: Pickup,
    rules: &PickupRules,
    violations: &[Violation],
    restrictions: &[Restriction],
) -> Vec<String> {
    let mut warnings = Vec::new();
    if stage != PickupStage::Fine {
        let days = rules.window_h.div_ceil(24);
        for (who, all, missed, risk) in [
            (
                "Customers' calls",
                pickup.inbound,
                pickup.inbound_missed,
                "hides the call button of numbers that do not answer",
            ),
            (
                "Calls to customers",
                pickup.outbound,
                pickup.outbound_missed,
                "pauses numbers whose calls are not wanted",
            ),
        ] {
            let percent = missed.saturating_mul(100).checked_div(all).unwrap_or(0);
            if all >= u64::from(rules.calls_min) && percent >= u64::from(rules.notice_missed_percent) {
                warnings.push(format!(
                    "{who} of the last {days} days: {percent} % of {all} were not taken; WhatsApp {risk}."
                ));
            }
        }
    }
    warnings.extend(
        violations.iter().map(|violation| format!("WhatsApp warned at {}: {}", violation.at, meaning(violation.kind))),
    );
    warnings.extend(restrictions.iter().map(|restriction| {
        let until =
            restriction.expires_at.map_or_else(|| "until further notice".to_owned(), |at| format!("until {at}"));
        format!("WhatsApp {} {until}.", taken(restriction.kind))
    }));
    warnings
}

const fn taken(kind: RestrictionKind) -> &'static str {
    match kind {
        RestrictionKind::Outbound => "lets this number place no calls",
        RestrictionKind::Inbound => "lets customers place no calls to this number",
        RestrictionKind::OutboundAndInbound => "lets this number neither place nor take calls",
        RestrictionKind::ButtonsHidden => "hides this number's call buttons",
    }
}

const fn meaning(kind: ViolationKind) -> &'static str {
    match kind {
        ViolationKind::OutboundQuality => "Customers do not want this number's calls.",
        ViolationKind::InboundQuality => "Customers were not content with the calls they placed to this number.",
        ViolationKind::InboundPickup => "Too few of the customers' calls to this number are answered.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::pack::Pack;

    #[test]
    fn warnings_say_which_direction_suffers_and_what_was_taken_until_when() {
        let rules = Pack::built_in().rules(Timestamp::from_secs(1_795_000_000)).pickup.clone();
        let pickup = |inbound, inbound_missed, outbound, outbound_missed| Pickup {
            inbound,
            inbound_missed,
            outbound,
            outbound_missed,
        };
        let said = |pickup| warnings(PickupStage::Warning, pickup, &rules, &[], &[]);
        assert_eq!(
            said(pickup(40, 22, 100, 5)),
            [
                "Customers' calls of the last 7 days: 55 % of 40 were not taken; WhatsApp hides the call button of numbers that do not answer."
            ]
        );
        assert!(said(pickup(40, 2, 100, 50))[0].starts_with("Calls to customers of the last 7 days: 50 % of 100"));
        assert_eq!(said(pickup(19, 19, 0, 0)), [""; 0], "too few calls say nothing");
        assert_eq!(warnings(PickupStage::Fine, pickup(40, 40, 0, 0), &rules, &[], &[]), [""; 0]);
        let restriction = Restriction {
            kind: RestrictionKind::Outbound,
            since: Timestamp::from_secs(1_795_000_000),
            expires_at: Some(Timestamp::from_secs(1_795_605_100)),
            remediation: None,
        };
        let violation = Violation {
            kind: ViolationKind::InboundPickup,
            at: Timestamp::from_secs(1_795_000_000),
            remediation: None,
        };
        assert_eq!(
            warnings(PickupStage::Fine, Pickup::default(), &rules, &[violation], &[restriction]),
            [
                "WhatsApp warned at 2026-11-18T11:06:40.000Z: Too few of the customers' calls to this number are answered.",
                "WhatsApp lets this number place no calls until 2026-11-25T11:11:40.000Z."
            ]
        );
    }
}
