//! Days of calls, compared with WhatsApp's own count every night. A difference is shown, announced and counted; the ledger
//! stays as it is.

use std::time::Duration;

use crate::billing::reconcile::{Books, Reconciliation, Theirs};
use crate::model::day::Day;
use crate::model::id::WabaId;
use crate::model::reason::Direction;
use crate::model::time::Timestamp;
use crate::signalling::whatsapp::{CallAnalytics, GraphError, owners};
use crate::store::{BusinessAccount, StoreError};

use super::execute::OwnedAccount;
use super::{Desk, Refusal, Switchboard};

/// After midnight UTC. By then calls of the day are over, and WhatsApp has most of its count.
const NIGHTLY: Duration = Duration::from_secs(3 * 3600);
/// WhatsApp's count may be late: a day that differs is compared again on so many nights.
const NIGHTS: i64 = 3;
/// After a question that failed; doubles with each further one.
const AGAIN_AFTER: Duration = Duration::from_secs(300);
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(6 * 3600);

/// Why a day was not compared.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("no number of the account has a Graph token: PUT /v1/numbers/{{id}} with `graph_token`")]
    NoToken,
    #[error(transparent)]
    Graph(#[from] GraphError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Switchboard {
    /// Compares one day of an account, which must be over, with WhatsApp's count as it is now.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] for an unknown account, [`Refusal::Upstream`], [`Refusal::Store`].
    pub async fn reconcile(&self, waba: &WabaId, day: Day) -> Result<Reconciliation, Refusal> {
        if self.0.parts.store.numbers_of(waba).await?.is_empty() {
            return Err(Refusal::NotFound);
        }
        self.0.reconcile(waba, day).await.map_err(|failure| match failure {
            Failure::Store(error) => error.into(),
            Failure::Graph(error) => Refusal::Upstream { code: error.code, message: error.to_string() },
            Failure::NoToken => Refusal::Upstream { code: None, message: failure.to_string() },
        })
    }
}

impl Desk {
    /// Keeps whose numbers are whose. What cannot be kept now is in the next webhook too.
    pub(super) async fn learn_owners(&self, body: &[u8], now: Timestamp) {
        for (number, waba) in owners(body) {
            if let Err(error) = self.parts.store.learn_owner(&number, &waba, now, next_night(now)).await {
                tracing::warn!(%number, %waba, %error, "whose number this is could not be kept");
            }
        }
    }

    /// Compares accounts one after the other; one that fails keeps no other waiting for more than its own time-out.
    pub(super) async fn compare_due(&self, due: Vec<BusinessAccount>) {
        for account in due {
            let waba = &account.waba_id;
            let compared = self.compare_days(&account).await;
            let now = self.parts.clock.now().wall;
            let (error, next_at) = match compared {
                Ok(()) => (None, next_night(now)),
                Err(failure) => {
                    tracing::warn!(%waba, %failure, "calls could not be compared with WhatsApp's count");
                    let asked_for = match &failure {
                        Failure::Graph(error) => error.retry_after,
                        Failure::NoToken | Failure::Store(_) => None,
                    };
                    let pause = pause_after(account.failures).max(asked_for.unwrap_or_default());
                    (Some(failure.to_string()), now.plus(pause))
                }
            };
            if let Err(error) = self.parts.store.note_compared(waba, error.as_deref(), next_at).await {
                tracing::error!(%waba, %error, "how a comparison went could not be kept");
            }
        }
    }

    /// The last days, oldest first, unless they have agreed already or the account was not known yet.
    async fn compare_days(&self, account: &BusinessAccount) -> Result<(), Failure> {
        let today = Day::of(self.parts.clock.now().wall);
        for nights_ago in (1..=NIGHTS).rev() {
            let day = today.minus(nights_ago);
            if day.ends_at() <= account.learnt_at {
                continue;
            }
            if self.parts.store.agreed(&account.waba_id, day).await? != Some(true) {
                self.reconcile(&account.waba_id, day).await?;
            }
        }
        Ok(())
    }

    async fn reconcile(&self, waba: &WabaId, day: Day) -> Result<Reconciliation, Failure> {
        let result = self.reconcile_uncounted(waba, day).await;
        self.parts.metrics.reconciliation(match &result {
            Ok(report) if report.agrees => "agrees",
            Ok(_) => "differs",
            Err(_) => "failed",
        });
        result
    }

    async fn reconcile_uncounted(&self, waba: &WabaId, day: Day) -> Result<Reconciliation, Failure> {
        let store = &self.parts.store;
        let asker = self.asker(waba).await?;
        let ask = |direction| self.parts.graph.call_analytics(asker.as_ref(), waba, direction, day);
        // One after the other: nobody waits, and WhatsApp counts questions.
        let outbound = ask(Direction::BusinessInitiated).await?;
        let inbound = ask(Direction::UserInitiated).await?;
        let books = Books {
            outbound: (store.tally(waba, Direction::BusinessInitiated, day).await?, sum(&outbound, day)),
            inbound: (store.tally(waba, Direction::UserInitiated, day).await?, sum(&inbound, day)),
            currency: store.wallet(store.terms().card.currency()).await?.currency,
            their_currency: outbound.currency,
        };
        let report = Reconciliation::of(waba.clone(), day, &books, self.parts.clock.now().wall);
        if !report.agrees {
            let (outbound, inbound) = (&report.outbound.differences, &report.inbound.differences);
            tracing::warn!(%waba, %day, ?outbound, ?inbound, "WhatsApp counts the day's calls otherwise");
        }
        self.publish(store.put_reconciliation(&report).await?.into_iter().collect());
        Ok(report)
    }

    /// Whoever of the account's numbers can ask.
    async fn asker(&self, waba: &WabaId) -> Result<OwnedAccount, Failure> {
        for number in self.parts.store.numbers_of(waba).await? {
            if let Some(token) = self.parts.store.graph_token(&number).await? {
                return Ok(OwnedAccount { number, token });
            }
        }
        Err(Failure::NoToken)
    }
}

/// Of the day's figures; WhatsApp may tell more than it was asked for.
fn sum(analytics: &CallAnalytics, day: Day) -> Theirs {
    let mut theirs = Theirs::default();
    for point in analytics.points.iter().filter(|point| Day::of(point.starts_at) == day) {
        let tally = &mut theirs.tally;
        tally.calls = tally.calls.saturating_add(point.calls);
        tally.duration_ms = tally.duration_ms.saturating_add(point.duration_ms);
        tally.cost_micros = tally.cost_micros.saturating_add(point.cost_micros);
        theirs.points += 1;
    }
    theirs
}

pub(super) fn next_night(now: Timestamp) -> Timestamp {
    let today = Day::of(now);
    let tonight = today.starts_at().plus(NIGHTLY);
    if now < tonight { tonight } else { today.ends_at().plus(NIGHTLY) }
}

fn pause_after(failures: i64) -> Duration {
    let doublings = u32::try_from(failures.clamp(0, 16)).expect("a number from 0 to 16");
    (AGAIN_AFTER * 2_u32.pow(doublings)).min(AGAIN_AFTER_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::billing::reconcile::Tally;
    use crate::signalling::whatsapp::CallFigures;

    #[test]
    fn the_next_night_is_three_hours_after_a_midnight_and_always_ahead() {
        let at = |text: &str| serde_json::from_value::<Timestamp>(text.into()).unwrap();
        for (now, want) in [
            ("2026-11-18T00:00:00Z", "2026-11-18T03:00:00Z"),
            ("2026-11-18T02:59:59.999Z", "2026-11-18T03:00:00Z"),
            ("2026-11-18T03:00:00Z", "2026-11-19T03:00:00Z"),
            ("2026-11-18T23:59:59Z", "2026-11-19T03:00:00Z"),
        ] {
            assert_eq!(next_night(at(now)), at(want), "{now}");
        }
    }

    #[test]
    fn pauses_double_up_to_six_hours() {
        let minutes: Vec<u64> = (0..9).map(|failures| pause_after(failures).as_secs() / 60).collect();
        assert_eq!(minutes, [5, 10, 20, 40, 80, 160, 320, 360, 360]);
        assert_eq!((pause_after(i64::MAX), pause_after(-1)), (AGAIN_AFTER_MAX, AGAIN_AFTER));
    }

    #[test]
    fn only_figures_of_the_day_are_added_up() {
        let day: Day = "2026-11-18".parse().unwrap();
        let point = |starts_at: Timestamp, calls| CallFigures { starts_at, calls, cost_micros: 10, duration_ms: 1_000 };
        let before = Timestamp::from_millis(day.starts_at().as_millis() - 1);
        let points = vec![
            point(before, 1),
            point(day.starts_at(), 2),
            point(Timestamp::from_millis(day.ends_at().as_millis() - 1), 4),
            point(day.ends_at(), 8),
        ];
        let theirs = sum(&CallAnalytics { currency: None, points }, day);
        assert_eq!(theirs, Theirs { tally: Tally { calls: 6, duration_ms: 2_000, cost_micros: 20 }, points: 2 });
    }
}
