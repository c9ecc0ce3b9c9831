//! Whose numbers are whose, and days of an account compared with WhatsApp's own count.

use serde::Serialize;
use utoipa::ToSchema;

use super::Store;
use super::error::{Result, StoreError};
use super::paging::{Cursor, Page, page, page_limit};
use super::settings::append_one;
use super::sql::{Columns, Select, clean_opt, json_text};
use crate::billing::reconcile::{Ours, Reconciliation, Tally};
use crate::model::day::Day;
use crate::model::event::Event;
use crate::model::id::{NumberId, WabaId};
use crate::model::reason::Direction;
use crate::model::time::Timestamp;

/// Names this list in its cursors.
const LIST: &str = "reconciliations";

/// A WhatsApp business account, and how comparing its calls goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct BusinessAccount {
    pub waba_id: WabaId,
    /// Since when its webhooks come; days before are not compared by themselves.
    pub learnt_at: Timestamp,
    /// The next comparison.
    pub compare_at: Timestamp,
    /// Why the last one failed; `null`: it did not.
    pub error: Option<String>,
    /// How many have failed in a row.
    pub failures: i64,
}

impl Store {
    /// Keeps which account a number belongs to. A number nobody registered, and what is known already, change nothing.
    /// `compare_at`: when the calls of an account that is new are to be compared first.
    pub async fn learn_owner(&self, n: &NumberId, waba: &WabaId, now: Timestamp, compare_at: Timestamp) -> Result<()> {
        // Every webhook says it again: a look costs no write.
        let known = sqlx::query("SELECT 1 AS one FROM numbers WHERE id = $1 AND (waba_id IS NULL OR waba_id <> $2)")
            .bind(n.as_str())
            .bind(waba.as_str())
            .fetch_optional(&self.reader)
            .await?;
        if known.is_none() {
            return Ok(());
        }
        let mut tx = self.writer.begin().await?;
        sqlx::query(
            "INSERT INTO business_accounts (id, learnt_at, compare_at, failures) VALUES ($1, $2, $3, 0) \
             ON CONFLICT (id) DO NOTHING",
        )
        .bind(waba.as_str())
        .bind(now.as_millis())
        .bind(compare_at.as_millis())
        .execute(&mut *tx)
        .await?;
        sqlx::query("UPDATE numbers SET waba_id = $2 WHERE id = $1")
            .bind(n.as_str())
            .bind(waba.as_str())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// The accounts, by id.
    pub async fn business_accounts(&self) -> Result<Vec<BusinessAccount>> {
        let all = "SELECT * FROM business_accounts ORDER BY id";
        sqlx::query(all).fetch_all(&self.reader).await?.iter().map(read_account).collect()
    }

    /// Accounts whose calls are to be compared at `now`. They are due again at `again_at`, should whoever compares them die.
    pub async fn due_comparisons(&self, now: Timestamp, again_at: Timestamp) -> Result<Vec<BusinessAccount>> {
        let taken = "UPDATE business_accounts SET compare_at = $2 WHERE compare_at <= $1 RETURNING *";
        let rows = sqlx::query(taken).bind(now.as_millis()).bind(again_at.as_millis()).fetch_all(&self.writer).await?;
        rows.iter().map(read_account).collect()
    }

    /// How the comparison of an account went, and when the next one is due.
    pub async fn note_compared(&self, waba: &WabaId, error: Option<&str>, next_at: Timestamp) -> Result<()> {
        sqlx::query(
            "UPDATE business_accounts SET error = $2, compare_at = $3, \
             failures = CASE WHEN $2 IS NULL THEN 0 ELSE failures + 1 END WHERE id = $1",
        )
        .bind(waba.as_str())
        .bind(clean_opt(error))
        .bind(next_at.as_millis())
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    /// The account that a number belongs to, once a webhook has told.
    pub async fn owner_of(&self, n: &NumberId) -> Result<Option<WabaId>> {
        let row = sqlx::query("SELECT waba_id FROM numbers WHERE id = $1 AND waba_id IS NOT NULL")
            .bind(n.as_str())
            .fetch_optional(&self.reader)
            .await?;
        row.map(|row| row.word("waba_id")).transpose()
    }

    /// The account's numbers, by id. Empty: no account that is known.
    pub async fn numbers_of(&self, waba: &WabaId) -> Result<Vec<NumberId>> {
        let rows = sqlx::query("SELECT id FROM numbers WHERE waba_id = $1 ORDER BY id")
            .bind(waba.as_str())
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(|row| row.word("id")).collect()
    }

    /// What the account's answered calls of a day came to.
    pub async fn tally(&self, waba: &WabaId, direction: Direction, day: Day) -> Result<Ours> {
        let (ended, answered) = ("ended_at < $3", "answered_at >= $2");
        let sums = [(ended, "ended"), (answered, "answered")].map(|(when, name)| {
            [("1", "calls"), ("duration_ms", "duration"), ("COALESCE(charge_micros, 0)", "cost")]
                .map(|(what, of)| {
                    format!("CAST(COALESCE(SUM(CASE WHEN {when} THEN {what} ELSE 0 END), 0) AS BIGINT) AS {name}_{of}")
                })
                .join(", ")
        });
        let sql = format!(
            "SELECT {} FROM calls WHERE number_id IN (SELECT id FROM numbers WHERE waba_id = $1) \
             AND answered_at IS NOT NULL AND ended_at >= $2 AND answered_at < $3 AND direction = $4",
            sums.join(", ")
        );
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(waba.as_str())
            .bind(day.starts_at().as_millis())
            .bind(day.ends_at().as_millis())
            .bind(direction.as_str())
            .fetch_one(&self.reader)
            .await?;
        let sum = |name: &str| -> Result<Tally> {
            Ok(Tally {
                calls: row.int(&format!("{name}_calls"))?,
                duration_ms: row.int(&format!("{name}_duration"))?,
                cost_micros: row.int(&format!("{name}_cost"))?,
            })
        };
        Ok(Ours { by_end: sum("ended")?, by_answer: sum("answered")? })
    }

    /// Whether the last comparison of a day found both sides to agree; `None`: it was never compared.
    pub async fn agreed(&self, waba: &WabaId, day: Day) -> Result<Option<bool>> {
        let row = sqlx::query("SELECT agrees FROM reconciliations WHERE waba_id = $1 AND day = $2")
            .bind(waba.as_str())
            .bind(day.number())
            .fetch_optional(&self.reader)
            .await?;
        row.map(|row| row.flag("agrees")).transpose()
    }

    /// Keeps a comparison in the place of the last one of that day, with the event `wallet.reconciliation_differs` when a
    /// difference appears and `wallet.reconciliation_agrees` when one is gone.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when the account is unknown.
    pub async fn put_reconciliation(&self, r: &Reconciliation) -> Result<Option<Event>> {
        let mut tx = self.writer.begin().await?;
        // The row is there first, so that the change below locks it and knows what was before. A day of which nothing is
        // known holds no difference.
        sqlx::query(
            "INSERT INTO reconciliations (waba_id, day, agrees, body) VALUES ($1, $2, 1, '') \
             ON CONFLICT (waba_id, day) DO NOTHING",
        )
        .bind(r.waba_id.as_str())
        .bind(r.day.number())
        .execute(&mut *tx)
        .await
        .map_err(StoreError::on_write(|| format!("account {}", r.waba_id)))?;
        let changed =
            sqlx::query("UPDATE reconciliations SET agrees = $3 WHERE waba_id = $1 AND day = $2 AND agrees <> $3")
                .bind(r.waba_id.as_str())
                .bind(r.day.number())
                .bind(i16::from(r.agrees))
                .execute(&mut *tx)
                .await?;
        sqlx::query("UPDATE reconciliations SET body = $3 WHERE waba_id = $1 AND day = $2")
            .bind(r.waba_id.as_str())
            .bind(r.day.number())
            .bind(json_text(r))
            .execute(&mut *tx)
            .await?;
        let event = if changed.rows_affected() == 0 {
            None
        } else {
            let kind = if r.agrees { "wallet.reconciliation_agrees" } else { "wallet.reconciliation_differs" };
            let data = serde_json::to_value(r).expect("a comparison is plain data");
            Some(append_one(&mut tx, kind, data, r.compared_at).await?)
        };
        tx.commit().await?;
        Ok(event)
    }

    /// Days that were compared, the latest first, in pages.
    ///
    /// # Errors
    /// [`StoreError::BadCursor`].
    pub async fn reconciliations(&self, limit: u32, cursor: Option<&str>) -> Result<Page<Reconciliation>> {
        let limit = page_limit(limit);
        let mut select = Select::new("SELECT body FROM reconciliations");
        if let Some(cursor) = cursor {
            let after = Cursor::decode(cursor, &self.key, LIST)?;
            select.and("(day, waba_id) < (").int(Day::of(after.at).number()).push(", ").text(after.id).push(")");
        }
        select.push(" ORDER BY day DESC, waba_id DESC LIMIT ").int(i64::from(limit) + 1);
        let rows = select.query().fetch_all(&self.reader).await?;
        let days = rows.iter().map(|row| row.json("body")).collect::<Result<_>>()?;
        Ok(page(days, limit, |last: &Reconciliation| {
            Cursor { at: last.day.starts_at(), id: last.waba_id.as_str().to_owned() }.encode(&self.key, LIST)
        }))
    }
}

fn read_account(row: &sqlx::any::AnyRow) -> Result<BusinessAccount> {
    Ok(BusinessAccount {
        waba_id: row.word("id")?,
        learnt_at: row.time("learnt_at")?,
        compare_at: row.time("compare_at")?,
        error: row.text_opt("error")?,
        failures: row.int("failures")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::billing::reconcile::{Books, Theirs};
    use crate::call::record::CallRecord;
    use crate::model::directory::Number;
    use crate::model::money::Currency;
    use crate::model::reason::EndReason;
    use crate::store::EntryFilter;
    use crate::store::fixture::{self, Fixture, T0, at, number_id, on_both};
    use Direction::{BusinessInitiated, UserInitiated};

    const DAY_S: i64 = 24 * 3600;

    fn waba(id: &str) -> WabaId {
        WabaId::parse(id).unwrap()
    }

    async fn owners(t: &Fixture) -> Vec<(String, Vec<String>)> {
        let mut owners = Vec::new();
        for account in t.store.business_accounts().await.unwrap() {
            let numbers = t.store.numbers_of(&account.waba_id).await.unwrap();
            owners.push((account.waba_id.to_string(), numbers.iter().map(ToString::to_string).collect()));
        }
        owners
    }

    on_both!(whose_a_number_is_is_learnt_once_and_again_when_it_moves);
    async fn whose_a_number_is_is_learnt_once_and_again_when_it_moves(t: Fixture) {
        t.seed().await;
        let stranger = NumberId::parse("999").unwrap();
        t.store.learn_owner(&stranger, &waba("20"), T0, at(60)).await.unwrap();
        assert_eq!(owners(&t).await, [], "a number nobody registered");
        t.store.learn_owner(&number_id(), &waba("20"), T0, at(60)).await.unwrap();
        t.store.learn_owner(&number_id(), &waba("20"), at(9), at(999)).await.unwrap();
        // Whoever changes the number knows nothing of it.
        t.store.put_number(&fixture::number(), None).await.unwrap();
        let t = t.restart().await;
        let known = t.store.business_accounts().await.unwrap();
        let want = BusinessAccount { waba_id: waba("20"), learnt_at: T0, compare_at: at(60), error: None, failures: 0 };
        assert_eq!(known, [want]);
        assert_eq!(owners(&t).await, [("20".to_owned(), vec![number_id().to_string()])]);
        t.store.learn_owner(&number_id(), &waba("21"), at(10), at(60)).await.unwrap();
        assert_eq!(owners(&t).await, [("20".to_owned(), vec![]), ("21".to_owned(), vec![number_id().to_string()])]);
    }

    on_both!(an_account_is_due_once_and_failures_are_counted_until_one_works);
    async fn an_account_is_due_once_and_failures_are_counted_until_one_works(t: Fixture) {
        t.seed().await;
        t.store.learn_owner(&number_id(), &waba("20"), T0, at(60)).await.unwrap();
        let due = async |t: &Fixture, secs| t.store.due_comparisons(at(secs), at(secs + 100)).await.unwrap().len();
        assert_eq!((due(&t, 59).await, due(&t, 60).await, due(&t, 159).await), (0, 1, 0));
        let t = t.restart().await;
        assert_eq!(due(&t, 160).await, 1, "whoever was at it died");
        for failures in 1..=2 {
            t.store.note_compared(&waba("20"), Some("WhatsApp is away\0"), at(300)).await.unwrap();
            let account = t.store.business_accounts().await.unwrap().remove(0);
            assert_eq!((account.failures, account.error.as_deref()), (failures, Some("WhatsApp is away\u{fffd}")));
        }
        assert_eq!((due(&t, 299).await, due(&t, 300).await), (0, 1));
        t.store.note_compared(&waba("20"), None, at(500)).await.unwrap();
        let account = t.store.business_accounts().await.unwrap().remove(0);
        assert_eq!((account.failures, account.error, account.compare_at), (0, None, at(500)));
    }

    /// Saves an ended call of a number; `None`: it was not answered. Seconds from the start of the day after `T0`'s.
    async fn call(t: &Fixture, n: &NumberId, direction: Direction, talked: Option<(i64, i64)>) {
        let midnight = Day::of(T0).ends_at();
        let moment = |secs: i64| Timestamp::from_millis(midnight.as_millis() + secs * 1000);
        let contact = t.customer("995555111222").await;
        let (answered, over) = talked.map_or((None, 10), |(from, to)| (Some(from), to));
        let record = CallRecord {
            number_id: n.clone(),
            direction,
            answered_at: answered.map(moment),
            duration_ms: answered.map_or(0, |from| (over - from) * 1000),
            settled: true,
            ..fixture::ringing(&contact, T0)
        };
        t.store.save_call(&fixture::ended(record, EndReason::Completed, moment(over)), vec![], T0).await.unwrap();
    }

    on_both!(a_day_is_what_was_answered_or_ended_in_it_by_the_accounts_own_numbers);
    async fn a_day_is_what_was_answered_or_ended_in_it_by_the_accounts_own_numbers(t: Fixture) {
        t.seed().await;
        let other = NumberId::parse("100000000000009").unwrap();
        t.store.put_number(&Number { id: other.clone(), ..fixture::number() }, None).await.unwrap();
        t.store.learn_owner(&number_id(), &waba("20"), T0, at(60)).await.unwrap();
        t.store.learn_owner(&other, &waba("21"), T0, at(60)).await.unwrap();
        for talked in [
            Some((0, 60)),
            Some((100, 130)),
            Some((-20, 0)),
            Some((-30, 10)),
            Some((DAY_S - 7, DAY_S)),
            Some((DAY_S, DAY_S + 9)),
            None,
        ] {
            call(&t, &number_id(), BusinessInitiated, talked).await;
        }
        call(&t, &number_id(), UserInitiated, Some((5, 25))).await;
        call(&t, &other, BusinessInitiated, Some((5, 95))).await;
        let day = Day::of(Day::of(T0).ends_at());
        let tally = async |id: &str, direction| {
            let Ours { by_end, by_answer } = t.store.tally(&waba(id), direction, day).await.unwrap();
            [by_end, by_answer].map(|tally| (tally.calls, tally.duration_ms))
        };
        assert_eq!(
            tally("20", BusinessInitiated).await,
            [(4, 60_000 + 30_000 + 20_000 + 40_000), (3, 60_000 + 30_000 + 7_000)]
        );
        assert_eq!(tally("20", UserInitiated).await, [(1, 20_000); 2]);
        assert_eq!(tally("21", BusinessInitiated).await, [(1, 90_000); 2]);
        assert_eq!(tally("22", BusinessInitiated).await, [(0, 0); 2]);
        let charged = t.store.tally(&waba("21"), BusinessInitiated, day).await.unwrap().by_end.cost_micros;
        let entries = t.store.entries(&EntryFilter::default(), 100, None).await.unwrap().items;
        assert!(charged > 0 && entries.iter().any(|entry| entry.micros == -charged), "{charged}: {entries:?}");
        assert_eq!(t.store.tally(&waba("20"), UserInitiated, day).await.unwrap().by_end.cost_micros, 0);
    }

    fn compared(id: &str, day: Day, theirs: i64, secs: i64) -> Reconciliation {
        let tally = |calls| Tally { calls, duration_ms: 0, cost_micros: 0 };
        let ours = Ours { by_end: tally(3), by_answer: tally(3) };
        let books = Books {
            outbound: (ours, Theirs { tally: tally(theirs), points: 1 }),
            inbound: (Ours::default(), Theirs::default()),
            currency: Currency::USD,
            their_currency: None,
        };
        Reconciliation::of(waba(id), day, &books, at(secs))
    }

    on_both!(a_difference_is_announced_when_it_appears_and_when_it_is_gone);
    async fn a_difference_is_announced_when_it_appears_and_when_it_is_gone(t: Fixture) {
        t.seed().await;
        let day = Day::of(T0);
        let unknown = t.store.put_reconciliation(&compared("20", day, 3, 1)).await.unwrap_err();
        assert!(matches!(unknown, StoreError::Missing(_)), "{unknown}");
        t.store.learn_owner(&number_id(), &waba("20"), T0, at(60)).await.unwrap();
        assert_eq!(t.store.agreed(&waba("20"), day).await.unwrap(), None);
        let mut told = Vec::new();
        for (theirs, secs) in [(2, 1), (1, 2), (3, 3), (3, 4), (4, 5)] {
            let report = compared("20", day, theirs, secs);
            let event = t.store.put_reconciliation(&report).await.unwrap();
            if let Some(event) = &event {
                assert_eq!(event.data, serde_json::to_value(&report).unwrap());
            }
            told.push(event.map(|event| event.kind));
            assert_eq!(t.store.agreed(&waba("20"), day).await.unwrap(), Some(theirs == 3));
            assert_eq!(t.store.reconciliations(10, None).await.unwrap().items, [report]);
        }
        let (differs, agrees) = ("wallet.reconciliation_differs", "wallet.reconciliation_agrees");
        assert_eq!(told, [Some(differs), None, Some(agrees), None, Some(differs)].map(|kind| kind.map(str::to_owned)));
        let quiet = t.store.put_reconciliation(&compared("20", day.minus(1), 3, 6)).await.unwrap();
        assert!(quiet.is_none(), "a day that agrees at once is no news");
    }

    on_both!(days_come_in_pages_the_latest_first_and_survive_a_restart);
    async fn days_come_in_pages_the_latest_first_and_survive_a_restart(t: Fixture) {
        t.seed().await;
        for id in ["20", "21"] {
            t.store.learn_owner(&number_id(), &waba(id), T0, at(60)).await.unwrap();
            for ago in 0..3 {
                t.store.put_reconciliation(&compared(id, Day::of(T0).minus(ago), 3, ago)).await.unwrap();
            }
        }
        let t = t.restart().await;
        let (mut cursor, mut seen) = (None::<String>, Vec::new());
        loop {
            let page = t.store.reconciliations(2, cursor.as_deref()).await.unwrap();
            seen.extend(page.items.iter().map(|r| (Day::of(T0).number() - r.day.number(), r.waba_id.to_string())));
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        let want = [(0, "21"), (0, "20"), (1, "21"), (1, "20"), (2, "21"), (2, "20")];
        assert_eq!(seen, want.map(|(ago, id)| (ago, id.to_owned())));
        assert!(matches!(t.store.reconciliations(2, Some("00")).await, Err(StoreError::BadCursor)));
    }
}
