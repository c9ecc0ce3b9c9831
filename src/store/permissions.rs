//! What customers permit: the events as a set, and their fold beside them.
//!
//! The same thing reported again changes nothing; a correction, or something that happened before what is folded already,
//! is folded anew from all events of the pair. A state of '' says that nobody has folded it yet.

use std::time::Duration;

use std::collections::HashMap;

use sqlx::any::AnyRow;
use sqlx::{Any, Transaction};

use super::again::again;
use super::contacts::{match_text, read_contact};
use super::error::{Result, StoreError};
use super::identity::folded_into;
use super::paging::{Cursor, Page, page, page_limit};
use super::sql::{Columns, Select, clean, json_text, millis};
use super::terms::kept_pack;
use super::{Store, Terms, events};
use crate::model::directory::{Asker, Contact, Permission};
use crate::model::event::{Event as Logged, NewEvent};
use crate::model::id::{AgentId, ContactId, NumberId};
use crate::model::reason::PermissionStatus;
use crate::model::time::Timestamp;
use crate::policy::permission::{Event, Ledger, What, news};

/// Names this list in its cursors.
const LIST: &str = "permissions";

/// WhatsApp repeats a report for up to 7 days (Meta: Webhooks). What it tells of an earlier moment is judged by the check
/// that followed that moment, so no check is forgotten sooner; a day more is for clocks.
const LATE_MS: i64 = 8 * 24 * 3_600 * 1_000;

/// Permissions that ran out are told so many at a time.
const DUE_MAX: u32 = 100;
/// From five minutes to five hours: a customer WhatsApp never tells of is still asked about, now and then.
const PAUSE_DOUBLINGS: i64 = 6;

/// A page of them looks at so many rows, then says how far it came: some 10 ms of folds.
const READ_MAX: usize = 2_000;

/// Which permissions of a number; all other fields narrow them.
#[derive(Clone, Debug)]
pub struct PermissionFilter {
    pub number: NumberId,
    /// Only of customers who are assigned to or owned by one of these agents.
    pub seen_by: Option<Vec<AgentId>>,
    /// Part of a name, user name, number or user id.
    pub text: Option<String>,
    /// As it reads at the moment of asking.
    pub status: Option<PermissionStatus>,
    /// Of customers whom this agent has asked, or who are assigned to it.
    pub agent: Option<AgentId>,
    /// Whoever reads is not told that the agent has asked: only the assignment counts.
    pub hides_asker: bool,
}

impl PermissionFilter {
    pub fn of(number: NumberId) -> Self {
        Self { number, seen_by: None, text: None, status: None, agent: None, hides_asker: false }
    }

    /// The next rows that the database alone can tell to be candidates.
    fn select(&self, after: Option<Cursor>, rows: u32) -> Select {
        let mut select = Select::new(
            "SELECT c.*, p.state AS state, p.touched_at AS touched_at FROM permissions p \
             JOIN contacts c ON c.id = p.contact_id",
        );
        // A row that was only locked or checked belongs to a stranger.
        select.and("p.number_id = ").text(self.number.as_str()).and("p.touched_at > 0");
        if let Some(agents) = &self.seen_by {
            let ids = || agents.iter().map(AgentId::as_str);
            select.and("(c.assignee_id IN ").list(ids()).push(" OR c.owner_id IN ").list(ids()).push(")");
        }
        if let Some(text) = &self.text {
            match_text(&mut select, text, |_| ());
        }
        if let Some(Cursor { at, id }) = after {
            select.and("(p.touched_at, p.contact_id) < (").int(at.as_millis()).push(", ").text(id).push(")");
        }
        select.push(" ORDER BY p.touched_at DESC, p.contact_id DESC LIMIT ").int(i64::from(rows));
        select
    }

    /// What the clock and the fold decide.
    fn fits(&self, permission: &Permission, contact: &Contact) -> bool {
        let asked = |agent: &AgentId| {
            let by = permission.requested_by.as_ref().filter(|_| !self.hides_asker);
            matches!(by, Some(Asker::Agent { agent_id }) if agent_id == agent)
        };
        self.status.is_none_or(|status| status == permission.status)
            && self.agent.as_ref().is_none_or(|agent| contact.assignee_id.as_ref() == Some(agent) || asked(agent))
    }
}

impl Store {
    /// The state of one permission; of a pair nobody has heard of, the empty one.
    pub async fn permission(&self, n: &NumberId, c: &ContactId) -> Result<Ledger> {
        let mut tx = self.reader.begin().await?;
        let ledger = read(&mut tx, n, c, &self.terms()).await?;
        tx.commit().await?;
        Ok(ledger)
    }

    /// The permissions of a number as they read at `now`, the latest change first, in pages. A page may hold fewer than
    /// `limit` though there is a next one: what a permission is worth is read row by row, and only so many at a time.
    ///
    /// # Errors
    /// [`StoreError::BadCursor`].
    pub async fn permissions(
        &self,
        filter: &PermissionFilter,
        limit: u32,
        cursor: Option<&str>,
        now: Timestamp,
    ) -> Result<Page<(Permission, Contact)>> {
        let mut after = cursor.map(|cursor| Cursor::decode(cursor, &self.key, LIST)).transpose()?;
        if filter.seen_by.as_ref().is_some_and(Vec::is_empty) {
            return Ok(Page { items: Vec::new(), next_cursor: None });
        }
        let limit = page_limit(limit);
        let terms = self.terms();
        let (mut found, mut read) = (Vec::new(), 0);
        let mut tx = self.reader.begin().await?;
        while found.len() <= limit as usize && read < READ_MAX {
            let rows = filter.select(after.take(), limit + 1).query().fetch_all(&mut *tx).await?;
            read += rows.len();
            for row in &rows {
                let contact = read_contact(row)?;
                let permission = folded(&mut tx, &filter.number, &contact.id, row, &terms).await?;
                let permission = permission.view(&filter.number, &contact.id, now);
                let place = Cursor { at: row.time("touched_at")?, id: contact.id.as_str().to_owned() };
                if filter.fits(&permission, &contact) {
                    found.push((place.clone(), permission, contact));
                }
                after = Some(place);
            }
            if rows.len() <= limit as usize {
                after = None;
                break;
            }
        }
        tx.commit().await?;
        let place = |place: &Cursor| place.encode(&self.key, LIST);
        let page = page(found, limit, |(last, ..)| place(last));
        let items = page.items.into_iter().map(|(_, permission, contact)| (permission, contact)).collect();
        Ok(Page { items, next_cursor: page.next_cursor.or_else(|| after.as_ref().map(place)) })
    }

    /// Takes in what was said or done between a number and a customer; logs what it changed. Empty if nothing did.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when number or contact is unknown.
    pub async fn record_permission(
        &self,
        n: &NumberId,
        c: &ContactId,
        said: &[Event],
        now: Timestamp,
    ) -> Result<Vec<Logged>> {
        again(|| async move {
            let mut tx = self.writer.begin().await?;
            let news = take(&mut tx, n, c, said, &self.terms(), now).await?;
            let logged = events::append(&mut tx, news, now).await?;
            tx.commit().await?;
            Ok(logged)
        })
        .await
    }

    /// Works off what the clock alone has changed by `now`: permissions that ran out, requests that nobody answered. True
    /// in the second place when more is due.
    pub async fn expire_permissions(&self, now: Timestamp) -> Result<(Vec<Logged>, bool)> {
        let due = sqlx::query(
            "SELECT number_id, contact_id FROM permissions WHERE changes_at <= $1 AND NOT EXISTS \
             (SELECT 1 FROM contacts WHERE id = contact_id AND merged_into IS NOT NULL) ORDER BY changes_at LIMIT $2",
        )
        .bind(now.as_millis())
        .bind(i64::from(DUE_MAX))
        .fetch_all(&self.reader)
        .await?;
        let (mut logged, mut stuck) = (Vec::new(), 0);
        for row in &due {
            let (n, c): (NumberId, ContactId) = (row.word("number_id")?, row.word("contact_id")?);
            // One that cannot be read must not keep all others from being told.
            match self.record_permission(&n, &c, &[], now).await {
                Ok(told) => logged.extend(told),
                Err(error) => {
                    stuck += 1;
                    tracing::error!(number = %n, contact = %c, %error, "a permission that ran out could not be told");
                }
            }
        }
        Ok((logged, stuck == 0 && due.len() >= DUE_MAX as usize))
    }

    /// Numbers with permissions that are to be compared with WhatsApp's books by `now`, longest due first.
    pub async fn numbers_to_check(&self, now: Timestamp) -> Result<Vec<NumberId>> {
        let due = sqlx::query(
            "SELECT id FROM (SELECT n.id AS id, (SELECT p.check_at FROM permissions p WHERE p.number_id = n.id \
             AND p.check_at <= $1 ORDER BY p.check_at LIMIT 1) AS due FROM numbers n) d WHERE due IS NOT NULL ORDER BY due, id",
        )
        .bind(now.as_millis())
        .fetch_all(&self.reader)
        .await?;
        due.iter().map(|row| row.word("id")).collect()
    }

    /// The customers of a number whose permission is to be compared by `now`, at most `max`, longest due first. Each comes
    /// due again after `pause`, doubled for every question in a row that brought no answer: only the answer, taken in as an
    /// event, plans otherwise. So no failure need be reported, and a crash forgets nobody.
    pub async fn claim_checks(
        &self,
        n: &NumberId,
        max: u32,
        pause: Duration,
        now: Timestamp,
    ) -> Result<Vec<ContactId>> {
        let claimed = sqlx::query(
            "UPDATE permissions SET check_failures = check_failures + 1, check_at = $2 + ($4 << \
             CAST(CASE WHEN check_failures < $5 THEN check_failures ELSE $5 END AS INTEGER)) \
             WHERE number_id = $1 AND contact_id IN (SELECT contact_id FROM permissions WHERE number_id = $1 \
             AND check_at <= $2 AND NOT EXISTS (SELECT 1 FROM contacts WHERE id = contact_id AND merged_into IS NOT NULL) \
             ORDER BY check_at LIMIT $3) RETURNING contact_id",
        )
        .bind(n.as_str())
        .bind(now.as_millis())
        .bind(i64::from(max))
        .bind(i64::try_from(pause.as_millis()).expect("a pause is shorter than an age"))
        .bind(PAUSE_DOUBLINGS)
        .fetch_all(&self.writer)
        .await?;
        claimed.iter().map(|row| row.word("contact_id")).collect()
    }

    /// Has WhatsApp's books asked at `at` at the latest; `only_if_unplanned` keeps a date that is set, which may be
    /// the pause after a question that failed.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when number or contact is unknown.
    pub async fn check_permission_at(
        &self,
        n: &NumberId,
        c: &ContactId,
        at: Timestamp,
        only_if_unplanned: bool,
    ) -> Result<()> {
        let mut tx = self.writer.begin().await?;
        lock(&mut tx, n, c).await?;
        sqlx::query(
            "UPDATE permissions SET check_at = $3 WHERE number_id = $1 \
             AND contact_id = (SELECT COALESCE(merged_into, id) FROM contacts WHERE id = $2) \
             AND ($4 = 0 OR check_at IS NULL)",
        )
        .bind(n.as_str())
        .bind(c.as_str())
        .bind(at.as_millis())
        .bind(i64::from(only_if_unplanned))
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }
}

/// The state of a pair, read inside a transaction.
pub(super) async fn read(
    tx: &mut Transaction<'static, Any>,
    n: &NumberId,
    c: &ContactId,
    terms: &Terms,
) -> Result<Ledger> {
    let row = sqlx::query(
        "SELECT contact_id, state FROM permissions WHERE number_id = $1 \
         AND contact_id = (SELECT COALESCE(merged_into, id) FROM contacts WHERE id = $2)",
    )
    .bind(n.as_str())
    .bind(c.as_str())
    .fetch_optional(&mut **tx)
    .await?;
    match row {
        Some(row) => folded(tx, n, &row.word("contact_id")?, &row, terms).await,
        None => Ok(Ledger::default()),
    }
}

/// Takes events in and gives back what is to be logged. Begins by locking the pair.
pub(super) async fn take(
    tx: &mut Transaction<'static, Any>,
    n: &NumberId,
    c: &ContactId,
    said: &[Event],
    terms: &Terms,
    now: Timestamp,
) -> Result<Vec<NewEvent>> {
    let row = lock(tx, n, c).await?;
    let contact: ContactId = row.word("contact_id")?;
    // The lock may have waited for the very transaction that folded this contact into another.
    if folded_into(tx, &contact).await?.is_some() {
        return Err(StoreError::Overtaken);
    }
    let before = folded(tx, n, &contact, &row, terms).await?;
    let mut after = before.clone();
    let mut anew = row.text("state")?.is_empty();
    let (mut checked, mut idle) = (false, Vec::new());
    for event in said {
        match enter(tx, n, &contact, event, &terms.pack_id).await? {
            Entered::Known => continue,
            // A check is folded with all the others, which tells those that nothing needs any more.
            Entered::New if !anew && !matches!(event.what, What::Checked { .. }) && after.precedes(event) => {
                after.apply(event, terms.rules(event.at));
            }
            Entered::New | Entered::Corrected => anew = true,
        }
        checked |= matches!(event.what, What::Checked { .. });
    }
    if anew {
        (after, idle) = fold(tx, n, &contact, terms).await?;
    }
    // A check a day and pair would otherwise be the longest list of all.
    let settled = Timestamp::from_millis(now.as_millis() - LATE_MS);
    for key in idle {
        forget(tx, n, &contact, &key, settled).await?;
    }
    tell(tx, (n, &contact), (&before, &after), &row, checked, terms, now).await
}

/// Takes an event out again, because it turned out not to have happened; gives back what is to be logged.
pub(super) async fn withdraw(
    tx: &mut Transaction<'static, Any>,
    n: &NumberId,
    c: &ContactId,
    key: &str,
    terms: &Terms,
    now: Timestamp,
) -> Result<Vec<NewEvent>> {
    let row = lock(tx, n, c).await?;
    if !forget(tx, n, c, key, Timestamp::from_millis(i64::MAX)).await? {
        return Ok(Vec::new());
    }
    let contact: ContactId = row.word("contact_id")?;
    let before = folded(tx, n, &contact, &row, terms).await?;
    let (after, _) = fold(tx, n, &contact, terms).await?;
    tell(tx, (n, &contact), (&before, &after), &row, false, terms, now).await
}

/// Writes the new state, and tells what it and the clock have changed.
async fn tell(
    tx: &mut Transaction<'static, Any>,
    (n, contact): (&NumberId, &ContactId),
    (before, after): (&Ledger, &Ledger),
    row: &AnyRow,
    checked: bool,
    terms: &Terms,
    now: Timestamp,
) -> Result<Vec<NewEvent>> {
    // What the clock did since the row was last looked at is told as well; a change that lies ahead says that it did nothing.
    let due = row.time_opt("changes_at")?.filter(|at| *at <= now);
    let was = due.map_or(now, |at| Timestamp::from_millis(at.as_millis() - 1));
    let kinds = news(before, was, after, now);
    write(tx, n, contact, after, Written { now, touched: !kinds.is_empty(), checked }, terms).await?;
    if kinds.is_empty() {
        return Ok(Vec::new());
    }
    let person =
        sqlx::query("SELECT * FROM contacts WHERE id = $1").bind(contact.as_str()).fetch_one(&mut **tx).await?;
    let data = serde_json::json!({"permission": after.view(n, contact, now), "contact": read_contact(&person)?});
    Ok(kinds.into_iter().map(|kind| NewEvent { kind, call_id: None, agent_id: None, data: data.clone() }).collect())
}

/// Two contacts are one person: what both said is one history.
pub(super) async fn join(tx: &mut Transaction<'static, Any>, kept: &str, joined: &str) -> Result<()> {
    // In the order in which saving a call takes its locks; both histories are locked before either is copied.
    for sql in [
        "UPDATE dials SET contact_id = $1 WHERE contact_id = $2",
        "INSERT INTO service_windows (number_id, contact_id, opened_at) \
         SELECT number_id, $1, opened_at FROM service_windows WHERE contact_id = $2 \
         ON CONFLICT (number_id, contact_id) DO UPDATE SET opened_at = excluded.opened_at \
         WHERE excluded.opened_at > service_windows.opened_at",
        "UPDATE permissions SET revision = revision + 1 WHERE contact_id = $1 OR contact_id = $2",
        "INSERT INTO permissions (number_id, contact_id, revision, state, touched_at, changes_at, check_at) \
         SELECT number_id, $1, 0, '', touched_at, touched_at, check_at FROM permissions WHERE contact_id = $2 \
         ON CONFLICT (number_id, contact_id) DO UPDATE SET state = '', revision = permissions.revision + 1, \
         changes_at = CASE WHEN permissions.touched_at > excluded.changes_at THEN permissions.touched_at \
         ELSE excluded.changes_at END",
        "INSERT INTO permission_events (number_id, contact_id, key, at, body, pack) \
         SELECT number_id, $1, key, at, body, pack FROM permission_events WHERE contact_id = $2 \
         ON CONFLICT (number_id, contact_id, key) DO NOTHING",
    ] {
        sqlx::query(sql).bind(kept).bind(joined).execute(&mut **tx).await?;
    }
    for sql in [
        "DELETE FROM permission_events WHERE contact_id = $1",
        "DELETE FROM permissions WHERE contact_id = $1",
        "DELETE FROM service_windows WHERE contact_id = $1",
    ] {
        sqlx::query(sql).bind(joined).execute(&mut **tx).await?;
    }
    Ok(())
}

/// Makes the row if there is none, and locks it either way.
pub(super) async fn lock(tx: &mut Transaction<'static, Any>, n: &NumberId, c: &ContactId) -> Result<AnyRow> {
    let row = sqlx::query(
        "INSERT INTO permissions (number_id, contact_id, revision, state, touched_at) \
         VALUES ($1, (SELECT COALESCE(merged_into, id) FROM contacts WHERE id = $2), 0, $3, 0) \
         ON CONFLICT (number_id, contact_id) DO UPDATE SET revision = permissions.revision + 1 RETURNING *",
    )
    .bind(n.as_str())
    .bind(c.as_str())
    .bind(json_text(&Ledger::default()))
    .fetch_one(&mut **tx)
    .await
    .map_err(StoreError::on_write(|| format!("number {n} or contact {c}")))?;
    Ok(row)
}

enum Entered {
    /// Reported before, word for word.
    Known,
    New,
    Corrected,
}

/// `pack`: the one the event is judged by from now on, whatever comes into force later.
async fn enter(
    tx: &mut Transaction<'static, Any>,
    n: &NumberId,
    c: &ContactId,
    event: &Event,
    pack: &str,
) -> Result<Entered> {
    let key = clean(&event.key);
    let known =
        sqlx::query("SELECT at, body FROM permission_events WHERE number_id = $1 AND contact_id = $2 AND key = $3")
            .bind(n.as_str())
            .bind(c.as_str())
            .bind(&key)
            .fetch_optional(&mut **tx)
            .await?;
    let body = json_text(&event.what);
    let entered = match known {
        Some(row) if row.time("at")? == event.at && row.text("body")? == body => return Ok(Entered::Known),
        Some(_) => Entered::Corrected,
        None => Entered::New,
    };
    sqlx::query(
        "INSERT INTO permission_events (number_id, contact_id, key, at, body, pack) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (number_id, contact_id, key) DO UPDATE SET at = excluded.at, body = excluded.body",
    )
    .bind(n.as_str())
    .bind(c.as_str())
    .bind(&key)
    .bind(event.at.as_millis())
    .bind(body)
    .bind(pack)
    .execute(&mut **tx)
    .await?;
    Ok(entered)
}

/// False if there was no such event before that moment.
async fn forget(
    tx: &mut Transaction<'static, Any>,
    n: &NumberId,
    c: &ContactId,
    key: &str,
    before: Timestamp,
) -> Result<bool> {
    let gone = sqlx::query(
        "DELETE FROM permission_events WHERE number_id = $1 AND key = $3 AND at < $4 \
         AND contact_id = (SELECT COALESCE(merged_into, id) FROM contacts WHERE id = $2)",
    )
    .bind(n.as_str())
    .bind(c.as_str())
    .bind(key)
    .bind(before.as_millis())
    .execute(&mut **tx)
    .await?;
    Ok(gone.rows_affected() > 0)
}

/// The fold in a row, made anew where it is missing.
pub(super) async fn folded(
    tx: &mut Transaction<'static, Any>,
    n: &NumberId,
    c: &ContactId,
    row: &AnyRow,
    terms: &Terms,
) -> Result<Ledger> {
    if row.text("state")?.is_empty() { Ok(fold(tx, n, c, terms).await?.0) } else { row.json("state") }
}

/// The fold of all events, each by the pack under which it was taken in, and the keys of those it can do without.
async fn fold(
    tx: &mut Transaction<'static, Any>,
    n: &NumberId,
    c: &ContactId,
    terms: &Terms,
) -> Result<(Ledger, Vec<String>)> {
    let rows =
        sqlx::query("SELECT key, at, body, pack FROM permission_events WHERE number_id = $1 AND contact_id = $2")
            .bind(n.as_str())
            .bind(c.as_str())
            .fetch_all(&mut **tx)
            .await?;
    let (mut said, mut pack_of, mut packs) = (Vec::new(), HashMap::new(), HashMap::new());
    for row in &rows {
        let event = Event { key: row.text("key")?, at: row.time("at")?, what: row.json("body")? };
        let pack = row.text("pack")?;
        if pack != terms.pack_id && !packs.contains_key(&pack) {
            packs.insert(pack.clone(), kept_pack(tx, &pack).await?);
        }
        pack_of.insert(event.key.clone(), pack);
        said.push(event);
    }
    Ok(Ledger::fold_and_sift(&said, |key, at| {
        let pack = pack_of.get(key).and_then(|id| packs.get(id)?.as_ref());
        pack.unwrap_or(&terms.pack).rules(at)
    }))
}

struct Written {
    now: Timestamp,
    /// Something people see has changed.
    touched: bool,
    /// WhatsApp's books were asked.
    checked: bool,
}

async fn write(
    tx: &mut Transaction<'static, Any>,
    n: &NumberId,
    c: &ContactId,
    ledger: &Ledger,
    written: Written,
    terms: &Terms,
) -> Result<()> {
    let Written { now, touched, checked } = written;
    let in_force = matches!(ledger.read(now).status, PermissionStatus::Temporary | PermissionStatus::Permanent);
    let hours = u64::from(terms.rules(now).reconcile.every_h);
    let next_check = in_force.then(|| now.plus(Duration::from_secs(hours * 3600)));
    // Who was just asked waits a whole turn; who has none in force is asked only by request.
    sqlx::query(
        "UPDATE permissions SET state = $3, changes_at = $4, \
         check_at = CASE WHEN $6 = 1 THEN $5 ELSE COALESCE(check_at, $5) END, \
         check_failures = CASE WHEN $6 = 1 THEN 0 ELSE check_failures END, \
         touched_at = CASE WHEN $7 = 1 THEN $8 ELSE touched_at END WHERE number_id = $1 AND contact_id = $2",
    )
    .bind(n.as_str())
    .bind(c.as_str())
    .bind(json_text(ledger))
    .bind(millis(ledger.changes_at(now)))
    .bind(millis(next_check))
    .bind(i64::from(checked))
    .bind(i64::from(touched))
    .bind(now.as_millis())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests;
