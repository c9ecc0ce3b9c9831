//! What is done as time passes. For numbers: settings that are due are pushed, restrictions end, WhatsApp is asked what it
//! has, calls age out of the pickup window, days are compared with WhatsApp's count. For calls: a sign of life is kept,
//! what was left unsettled or uncharged is taken up again.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::model::time::Timestamp;
use crate::store::StoreError;

use super::Desk;
use super::push::LEASE;

/// A few look-ups in an index; the first retry of a push comes after 5 s.
const EVERY: Duration = Duration::from_secs(5);
/// Hours, closed dates and switches are changed elsewhere a few times a year.
const LOOK_EVERY: Duration = Duration::from_secs(3600);
/// A round through all accounts, even if WhatsApp answers none of them.
const COMPARED_WITHIN: Duration = Duration::from_secs(3600);
/// A number of which WhatsApp never said what it has shows only defaults; it was unreachable, or refused the token.
const LOOK_AT_UNSEEN_EVERY: Duration = Duration::from_secs(300);
/// The longest window a pack may set.
const PICKUP_KEPT: Duration = Duration::from_secs(31 * 24 * 3600);

/// Runs until the desk is gone.
pub(super) async fn run(desk: Weak<Desk>) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let every = |time: Duration| time.as_secs() / EVERY.as_secs();
    for tick in 0_u64.. {
        ticks.tick().await;
        let Some(desk) = desk.upgrade() else { return };
        desk.tell_untaken().await;
        if let Err(error) = keep_calls(&desk).await {
            tracing::error!(%error, "the store failed the upkeep of calls");
        }
        if let Err(error) = often(&desk).await {
            tracing::error!(%error, "the store failed the upkeep of numbers");
        }
        // They wait for WhatsApp, number by number; what is due in seconds does not wait for them.
        if tick % every(LOOK_EVERY) == 0 {
            tokio::spawn(async move {
                if let Err(error) = seldom(&desk).await {
                    tracing::error!(%error, "the store failed the hourly upkeep of numbers");
                }
            });
        } else if tick % every(LOOK_AT_UNSEEN_EVERY) == 0 {
            tokio::spawn(async move {
                if let Err(error) = look_at(&desk, true).await {
                    tracing::error!(%error, "the store failed a first look at numbers");
                }
            });
        }
    }
}

async fn keep_calls(desk: &Desk) -> Result<(), StoreError> {
    if desk.registry.lines() > 0 {
        desk.parts.store.note_alive(desk.parts.clock.now().wall).await?;
    }
    desk.settle_ended().await?;
    desk.charge_refused().await?;
    desk.look_at_documents().await
}

async fn often(desk: &Arc<Desk>) -> Result<(), StoreError> {
    let now = desk.parts.clock.now().wall;
    let leased_until = now.plus(LEASE);
    for number in desk.parts.store.due_pushes(now, leased_until).await? {
        let desk = Arc::clone(desk);
        tokio::spawn(async move {
            if let Err(error) = desk.push_settings(&number, Some(leased_until)).await {
                tracing::error!(%number, %error, "how a push of call settings went could not be kept");
            }
        });
    }
    desk.lift_expired().await?;
    let due = desk.parts.store.due_comparisons(now, now.plus(COMPARED_WITHIN)).await?;
    if !due.is_empty() {
        let desk = Arc::clone(desk);
        tokio::spawn(async move { desk.compare_due(due).await });
    }
    Ok(())
}

/// Asks WhatsApp what it has of every number, or of those of which it never said.
async fn look_at(desk: &Arc<Desk>, unseen: bool) -> Result<(), StoreError> {
    for number in desk.parts.store.numbers_to_look_at(unseen).await? {
        desk.look(&number).await?;
    }
    Ok(())
}

async fn seldom(desk: &Arc<Desk>) -> Result<(), StoreError> {
    look_at(desk, false).await?;
    let kept = i64::try_from(PICKUP_KEPT.as_millis()).expect("a month fits");
    let now = desk.parts.clock.now().wall;
    desk.parts.store.forget_pickup(Timestamp::from_millis(now.as_millis() - kept)).await?;
    desk.review_all_pickups().await
}
