//! A number's call settings: as they are wished, as WhatsApp was told, and as WhatsApp last said it has them.
//!
//! What nobody has chosen here is WhatsApp's to say: it is taken over from there, and never written over.
//!
//! Every wish has a revision, so that whoever read one may change it only if nobody did in between. What WhatsApp is to be
//! told is due from the moment it is wished until it was told, whatever happens to the process.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sqlx::any::AnyRow;

use super::Store;
use super::error::{Result, StoreError};
use super::events;
use super::sql::{Columns, Select, clean, json_text};
use crate::model::event::{Event, NewEvent};
use crate::model::id::NumberId;
use crate::model::settings::{NumberSettings, Setting};
use crate::model::time::Timestamp;

/// One number's settings. A number that has none was never set up: [`NumberSettings::default`] holds for it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredSettings {
    pub wished: NumberSettings,
    /// What of `wished` nobody has chosen: there it is what WhatsApp has, or the default while WhatsApp has not told.
    pub left_open: BTreeSet<Setting>,
    /// Counts the changes of `wished`, by people here or at WhatsApp.
    pub revision: i64,
    /// What WhatsApp was last told or said it has, with the closed dates as they were there.
    pub pushed: Option<NumberSettings>,
    pub pushed_at: Option<Timestamp>,
    /// What WhatsApp last said it has, in the words of whoever reads WhatsApp.
    pub seen: Option<Value>,
    pub seen_at: Option<Timestamp>,
    /// Why the last push failed.
    pub push_error: Option<String>,
    /// Pushes that failed in a row.
    pub push_failures: u32,
    /// When to push, first or again; `None` once WhatsApp has been told.
    pub push_at: Option<Timestamp>,
}

/// What a look at WhatsApp comes to.
pub struct Sighting {
    /// What WhatsApp has, to be kept.
    pub seen: Value,
    /// Data of a `number.settings_drifted`, if that is news.
    pub drifted: Option<Value>,
    /// The settings with what WhatsApp has in those left open, if that is another than before.
    pub followed: Option<NumberSettings>,
}

impl Store {
    pub async fn settings(&self, n: &NumberId) -> Result<Option<StoredSettings>> {
        let row = sqlx::query("SELECT * FROM number_settings WHERE number_id = $1")
            .bind(n.as_str())
            .fetch_optional(&self.reader)
            .await?;
        row.as_ref().map(read_settings).transpose()
    }

    /// Stores what is wished, to be pushed at `push_at`, with the event `number.settings_changed`; `None` when `revision`
    /// (0 for a number without settings) is no longer the stored one: read again. `left_open`: what nobody has chosen yet.
    ///
    /// # Errors
    /// [`StoreError::Missing`] for an unknown number.
    pub async fn put_settings(
        &self,
        n: &NumberId,
        revision: i64,
        wished: &NumberSettings,
        left_open: &BTreeSet<Setting>,
        push_at: Timestamp,
        now: Timestamp,
    ) -> Result<Option<(StoredSettings, Event)>> {
        let mut tx = self.writer.begin().await?;
        let row = sqlx::query(
            "INSERT INTO number_settings (number_id, revision, wished, left_open, push_at, push_failures) \
             VALUES ($1, 1, $3, $5, $4, 0) ON CONFLICT (number_id) DO UPDATE SET \
             revision = number_settings.revision + 1, wished = excluded.wished, left_open = excluded.left_open, \
             push_at = excluded.push_at, push_error = NULL, push_failures = 0 \
             WHERE number_settings.revision = $2 RETURNING *",
        )
        .bind(n.as_str())
        .bind(revision)
        .bind(json_text(wished))
        .bind(push_at.as_millis())
        .bind(json_text(left_open))
        .fetch_optional(&mut *tx)
        .await
        .map_err(StoreError::on_write(|| format!("number {n}")))?;
        let Some(row) = row else { return Ok(None) };
        let stored = read_settings(&row)?;
        let event = changed(&mut tx, n, stored.revision, wished, now).await?;
        tx.commit().await?;
        Ok(Some((stored, event)))
    }

    /// WhatsApp was told `pushed`, the wish of this revision, except for what is still `left_open`; the rest counts as
    /// chosen from now on. A later wish stays due.
    pub async fn note_pushed(
        &self,
        n: &NumberId,
        revision: i64,
        pushed: &NumberSettings,
        left_open: &BTreeSet<Setting>,
        now: Timestamp,
    ) -> Result<()> {
        sqlx::query(
            "UPDATE number_settings SET pushed = $3, pushed_at = $4, push_error = NULL, push_failures = 0, \
             push_at = CASE WHEN revision = $2 THEN NULL ELSE push_at END, \
             left_open = CASE WHEN revision = $2 THEN $5 ELSE left_open END WHERE number_id = $1",
        )
        .bind(n.as_str())
        .bind(revision)
        .bind(json_text(pushed))
        .bind(now.as_millis())
        .bind(json_text(left_open))
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    /// Telling WhatsApp the wish of this revision failed, and why, for people. Says nothing about a later wish.
    pub async fn note_push_failed(&self, n: &NumberId, revision: i64, why: &str, again_at: Timestamp) -> Result<()> {
        sqlx::query(
            "UPDATE number_settings SET push_error = $3, push_at = $4, push_failures = push_failures + 1 \
             WHERE number_id = $1 AND revision = $2",
        )
        .bind(n.as_str())
        .bind(revision)
        .bind(clean(why))
        .bind(again_at.as_millis())
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    /// A number that has no settings begins with those that nobody has chosen: all of them are left open.
    ///
    /// # Errors
    /// [`StoreError::Missing`] for an unknown number.
    pub async fn begin_settings(&self, n: &NumberId) -> Result<()> {
        sqlx::query(
            "INSERT INTO number_settings (number_id, revision, wished, left_open, push_failures) \
             VALUES ($1, 0, $2, $3, 0) ON CONFLICT (number_id) DO NOTHING",
        )
        .bind(n.as_str())
        .bind(json_text(&NumberSettings::default()))
        .bind(json_text(&Setting::all()))
        .execute(&self.writer)
        .await
        .map_err(StoreError::on_write(|| format!("number {n}")))?;
        Ok(())
    }

    /// Keeps what WhatsApp says it has. `look` is shown the settings as they were before and says what the sighting comes
    /// to; nothing comes between the two. A number without settings is passed over.
    pub async fn note_seen(
        &self,
        n: &NumberId,
        now: Timestamp,
        look: impl FnOnce(&StoredSettings) -> Sighting + Send,
    ) -> Result<Vec<Event>> {
        let mut tx = self.writer.begin().await?;
        let row = sqlx::query("UPDATE number_settings SET seen_at = $2 WHERE number_id = $1 RETURNING *")
            .bind(n.as_str())
            .bind(now.as_millis())
            .fetch_optional(&mut *tx)
            .await?;
        let Some(row) = row else { return Ok(Vec::new()) };
        let old = read_settings(&row)?;
        let Sighting { seen, drifted, followed } = look(&old);
        sqlx::query("UPDATE number_settings SET seen = $2 WHERE number_id = $1")
            .bind(n.as_str())
            .bind(json_text(&seen))
            .execute(&mut *tx)
            .await?;
        let mut events = Vec::new();
        if let Some(settings) = followed {
            let revision = old.revision + 1;
            sqlx::query("UPDATE number_settings SET wished = $2, pushed = $2, revision = $3 WHERE number_id = $1")
                .bind(n.as_str())
                .bind(json_text(&settings))
                .bind(revision)
                .execute(&mut *tx)
                .await?;
            events.push(changed(&mut tx, n, revision, &settings, now).await?);
        }
        if let Some(data) = drifted {
            events.push(append_one(&mut tx, "number.settings_drifted", data, now).await?);
        }
        tx.commit().await?;
        Ok(events)
    }

    /// Numbers whose push is due. They come due again at `again_at`, unless it is noted how the push went: so nobody else
    /// takes them meanwhile, and a crash forgets none.
    pub async fn due_pushes(&self, now: Timestamp, again_at: Timestamp) -> Result<Vec<NumberId>> {
        let rows = sqlx::query("UPDATE number_settings SET push_at = $2 WHERE push_at <= $1 RETURNING number_id")
            .bind(now.as_millis())
            .bind(again_at.as_millis())
            .fetch_all(&self.writer)
            .await?;
        rows.iter().map(|row| row.word("number_id")).collect()
    }

    /// Numbers with a Graph token that WhatsApp has nothing to be told of: to be compared with it now and then, or, with
    /// `unseen`, only those of which it never said what it has.
    pub async fn numbers_to_look_at(&self, unseen: bool) -> Result<Vec<NumberId>> {
        let mut select = Select::new("SELECT n.id FROM numbers n LEFT JOIN number_settings s ON s.number_id = n.id");
        select.and("n.graph_token IS NOT NULL").and("s.push_at IS NULL");
        if unseen {
            select.and("s.seen IS NULL");
        }
        select.push(" ORDER BY n.id");
        let rows = select.query().fetch_all(&self.reader).await?;
        rows.iter().map(|row| row.word("id")).collect()
    }
}

async fn changed(
    tx: &mut sqlx::Transaction<'static, sqlx::Any>,
    n: &NumberId,
    revision: i64,
    settings: &NumberSettings,
    now: Timestamp,
) -> Result<Event> {
    let data = json!({"number_id": n, "revision": revision, "settings": settings});
    append_one(tx, "number.settings_changed", data, now).await
}

/// Logs one event that belongs to no call and no agent.
pub(super) async fn append_one(
    tx: &mut sqlx::Transaction<'static, sqlx::Any>,
    kind: &'static str,
    data: Value,
    now: Timestamp,
) -> Result<Event> {
    let event = NewEvent { kind, call_id: None, agent_id: None, data };
    let mut logged = events::append(tx, vec![event], now).await?;
    Ok(logged.pop().expect("one event was logged"))
}

fn read_settings(row: &AnyRow) -> Result<StoredSettings> {
    let parsed = |column| row.parsed_opt(column, |text| serde_json::from_str(text));
    Ok(StoredSettings {
        wished: row.json("wished")?,
        left_open: row.json("left_open")?,
        revision: row.int("revision")?,
        pushed: row.parsed_opt("pushed", |text| serde_json::from_str(text))?,
        pushed_at: row.time_opt("pushed_at")?,
        seen: parsed("seen")?,
        seen_at: row.time_opt("seen_at")?,
        push_error: row.text_opt("push_error")?,
        push_failures: u32::try_from(row.int("push_failures")?).unwrap_or(u32::MAX),
        push_at: row.time_opt("push_at")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::settings::{CallHours, Unavailable, Weekday};
    use crate::store::fixture::{Fixture, T0, at, number, number_id, on_both};

    fn wish(unavailable: &[&str]) -> NumberSettings {
        let spans = vec![("09:00".to_owned(), "18:00".to_owned())];
        let date =
            |date: &&str| Unavailable { date: (*date).to_owned(), from: "00:00".to_owned(), to: "24:00".to_owned() };
        NumberSettings {
            display_call_buttons: false,
            call_hours: Some(CallHours {
                time_zone: "Asia/Tbilisi".to_owned(),
                weekly: [(Weekday::Monday, spans)].into(),
            }),
            unavailable: unavailable.iter().map(date).collect(),
            ..NumberSettings::default()
        }
    }

    fn sighting(seen: Value) -> Sighting {
        Sighting { seen, drifted: None, followed: None }
    }

    async fn put(t: &Fixture, revision: i64, wished: &NumberSettings) -> Option<i64> {
        let put = t.store.put_settings(&number_id(), revision, wished, &BTreeSet::new(), at(30), T0).await.unwrap();
        put.map(|(stored, _)| stored.revision)
    }

    async fn stored(t: &Fixture) -> StoredSettings {
        t.store.settings(&number_id()).await.unwrap().unwrap()
    }

    on_both!(a_wish_reads_back_is_due_and_is_told_to_the_log);
    async fn a_wish_reads_back_is_due_and_is_told_to_the_log(t: Fixture) {
        t.seed().await;
        assert_eq!(t.store.settings(&number_id()).await.unwrap(), None);
        let wished = wish(&["2027-01-07"]);
        let open: BTreeSet<_> = [Setting::AllowVoiceCalls, Setting::CallbackPermission].into();
        let (stored, event) =
            t.store.put_settings(&number_id(), 0, &wished, &open, at(30), at(1)).await.unwrap().unwrap();
        let want = StoredSettings {
            wished: wished.clone(),
            left_open: open,
            revision: 1,
            pushed: None,
            pushed_at: None,
            seen: None,
            seen_at: None,
            push_error: None,
            push_failures: 0,
            push_at: Some(at(30)),
        };
        assert_eq!((&stored, event.kind.as_str(), event.occurred_at), (&want, "number.settings_changed", at(1)));
        assert_eq!(event.data["settings"], serde_json::to_value(&wished).unwrap());
        assert_eq!(event.data["number_id"], number_id().as_str());
        let t = t.restart().await;
        assert_eq!(t.store.settings(&number_id()).await.unwrap(), Some(want));
        assert_eq!(t.store.events_after(0, 10).await.unwrap().len(), 1);
    }

    on_both!(a_change_needs_the_revision_it_was_made_from);
    async fn a_change_needs_the_revision_it_was_made_from(t: Fixture) {
        t.seed().await;
        assert_eq!(put(&t, 0, &wish(&[])).await, Some(1));
        assert_eq!(put(&t, 0, &wish(&["2027-01-01"])).await, None);
        assert_eq!(put(&t, 2, &wish(&["2027-01-01"])).await, None);
        assert_eq!(put(&t, 1, &wish(&["2027-01-02"])).await, Some(2));
        assert_eq!(stored(&t).await.wished, wish(&["2027-01-02"]));
        assert_eq!(t.store.events_after(0, 10).await.unwrap().len(), 2, "a lost race is no change");
        let nobody = NumberId::parse("7").unwrap();
        let unknown = t.store.put_settings(&nobody, 0, &wish(&[]), &BTreeSet::new(), T0, T0).await;
        assert!(matches!(unknown, Err(StoreError::Missing(_))), "{unknown:?}");
    }

    on_both!(of_many_changes_from_one_revision_exactly_one_is_made);
    async fn of_many_changes_from_one_revision_exactly_one_is_made(t: Fixture) {
        t.seed().await;
        put(&t, 0, &wish(&[])).await;
        let wished = wish(&["2027-01-07"]);
        let id = number_id();
        let none = BTreeSet::new();
        let tries = (0..20).map(|_| t.store.put_settings(&id, 1, &wished, &none, T0, T0));
        let made =
            futures_util::future::join_all(tries).await.into_iter().filter(|put| put.as_ref().unwrap().is_some());
        assert_eq!(made.count(), 1);
    }

    on_both!(a_push_stays_due_until_it_is_told_how_it_went_also_over_a_restart);
    async fn a_push_stays_due_until_it_is_told_how_it_went_also_over_a_restart(t: Fixture) {
        t.seed().await;
        put(&t, 0, &wish(&[])).await;
        assert_eq!(t.store.due_pushes(at(29), at(90)).await.unwrap(), []);
        assert_eq!(t.store.due_pushes(at(30), at(90)).await.unwrap(), [number_id()]);
        assert_eq!(t.store.due_pushes(at(89), at(150)).await.unwrap(), [], "somebody is at it");
        let t = t.restart().await;
        assert_eq!(t.store.due_pushes(at(90), at(150)).await.unwrap(), [number_id()], "who was at it died");

        t.store.note_push_failed(&number_id(), 1, "no token\0", at(200)).await.unwrap();
        t.store.note_push_failed(&number_id(), 1, "no token", at(210)).await.unwrap();
        let failed = stored(&t).await;
        assert_eq!((failed.push_error.as_deref(), failed.push_failures), (Some("no token"), 2));
        assert_eq!(t.store.due_pushes(at(210), at(300)).await.unwrap(), [number_id()]);

        let told = wish(&["2027-01-07"]);
        t.store.note_pushed(&number_id(), 1, &told, &BTreeSet::new(), at(220)).await.unwrap();
        let told = stored(&t).await;
        assert_eq!((told.push_error, told.push_failures, told.push_at), (None, 0, None));
        assert_eq!((told.pushed, told.pushed_at), (Some(wish(&["2027-01-07"])), Some(at(220))));
        assert_eq!(t.store.due_pushes(at(9999), at(9999)).await.unwrap(), []);
    }

    on_both!(numbers_are_looked_at_once_they_have_a_token_and_while_nothing_is_due);
    async fn numbers_are_looked_at_once_they_have_a_token_and_while_nothing_is_due(t: Fixture) {
        t.seed().await;
        let check = async |all: &[NumberId], unseen: &[NumberId]| {
            assert_eq!(t.store.numbers_to_look_at(false).await.unwrap(), all);
            assert_eq!(t.store.numbers_to_look_at(true).await.unwrap(), unseen);
        };
        let one = [number_id()];
        check(&[], &[]).await;
        t.store.put_number(&number(), Some("token")).await.unwrap();
        check(&one, &one).await;
        t.store.begin_settings(&number_id()).await.unwrap();
        check(&one, &one).await;
        t.store.note_seen(&number_id(), T0, |_| sighting(json!({}))).await.unwrap();
        check(&one, &[]).await;
        put(&t, 0, &wish(&[])).await;
        check(&[], &[]).await;
        t.store.note_pushed(&number_id(), 1, &wish(&[]), &BTreeSet::new(), at(1)).await.unwrap();
        check(&one, &[]).await;
    }

    on_both!(what_nobody_has_chosen_follows_whatsapp_and_is_chosen_once_it_was_pushed);
    async fn what_nobody_has_chosen_follows_whatsapp_and_is_chosen_once_it_was_pushed(t: Fixture) {
        t.seed().await;
        let id = number_id();
        let nobody = NumberId::parse("7").unwrap();
        assert!(matches!(t.store.begin_settings(&nobody).await, Err(StoreError::Missing(_))));
        t.store.begin_settings(&id).await.unwrap();
        let begun = stored(&t).await;
        assert_eq!((begun.revision, &begun.wished, begun.push_at), (0, &NumberSettings::default(), None));
        assert_eq!((begun.left_open, begun.seen, begun.pushed), (Setting::all(), None, None));

        let theirs = wish(&["2027-01-07"]);
        let followed = Sighting { followed: Some(theirs.clone()), ..sighting(json!({"status": false})) };
        let events = t.store.note_seen(&id, at(1), |_| followed).await.unwrap();
        let told: Vec<_> = events.iter().map(|event| (event.kind.as_str(), &event.data["settings"])).collect();
        assert_eq!(told, [("number.settings_changed", &serde_json::to_value(&theirs).unwrap())]);
        let (t, seen) = (t.restart().await, Some(json!({"status": false})));
        let now = stored(&t).await;
        assert_eq!((now.revision, &now.wished, now.pushed.as_ref()), (1, &theirs, Some(&theirs)));
        assert_eq!((now.left_open, now.pushed_at, now.push_at, now.seen), (Setting::all(), None, None, seen));

        t.store.begin_settings(&id).await.unwrap();
        assert_eq!(stored(&t).await.revision, 1, "it has begun");
        assert_eq!(put(&t, 0, &wish(&[])).await, None, "read before it was followed");
        let open = |settings: &[Setting]| settings.iter().copied().collect::<BTreeSet<_>>();
        let (three, one) = (
            open(&[Setting::AllowVoiceCalls, Setting::CallHours, Setting::Unavailable]),
            open(&[Setting::AllowVoiceCalls]),
        );
        for revision in [1, 2] {
            t.store.put_settings(&id, revision, &wish(&[]), &three, at(30), T0).await.unwrap().unwrap();
        }
        t.store.note_pushed(&id, 2, &wish(&[]), &one, at(2)).await.unwrap();
        assert_eq!(stored(&t).await.left_open, three, "a later wish was not told");
        t.store.note_pushed(&id, 3, &wish(&[]), &one, at(3)).await.unwrap();
        assert_eq!(stored(&t).await.left_open, one);
    }

    on_both!(news_of_an_old_push_say_nothing_about_a_newer_wish);
    async fn news_of_an_old_push_say_nothing_about_a_newer_wish(t: Fixture) {
        t.seed().await;
        put(&t, 0, &wish(&[])).await;
        put(&t, 1, &wish(&["2027-01-07"])).await;
        t.store.note_push_failed(&number_id(), 1, "too late", at(9999)).await.unwrap();
        assert_eq!((stored(&t).await.push_error, stored(&t).await.push_at), (None, Some(at(30))));
        t.store.note_pushed(&number_id(), 1, &wish(&[]), &BTreeSet::new(), at(5)).await.unwrap();
        assert_eq!((stored(&t).await.pushed, stored(&t).await.push_at), (Some(wish(&[])), Some(at(30))));
        put(&t, 2, &wish(&[])).await;
        t.store.note_push_failed(&number_id(), 3, "no", at(40)).await.unwrap();
        put(&t, 3, &wish(&[])).await;
        assert_eq!((stored(&t).await.push_error, stored(&t).await.push_failures), (None, 0), "a new wish, a new try");
    }

    on_both!(what_is_seen_is_kept_and_compared_with_what_was_seen_before);
    async fn what_is_seen_is_kept_and_compared_with_what_was_seen_before(t: Fixture) {
        t.seed().await;
        let id = number_id();
        let none = t.store.note_seen(&id, T0, |_| panic!("there is nothing to compare with")).await.unwrap();
        assert!(none.is_empty());
        put(&t, 0, &wish(&[])).await;
        let event = t.store.note_seen(&id, at(1), |old| {
            assert_eq!((&old.seen, &old.wished), (&None, &wish(&[])));
            Sighting { drifted: Some(json!({"drift": 1})), ..sighting(json!({"status": false})) }
        });
        let event = event.await.unwrap().pop().unwrap();
        assert_eq!((event.kind.as_str(), &event.data), ("number.settings_drifted", &json!({"drift": 1})));
        let quiet = t.store.note_seen(&id, at(2), |old| {
            assert_eq!(old.seen, Some(json!({"status": false})));
            sighting(json!({"status": true}))
        });
        assert!(quiet.await.unwrap().is_empty());
        assert_eq!((stored(&t).await.seen, stored(&t).await.seen_at), (Some(json!({"status": true})), Some(at(2))));
        assert_eq!(t.store.events_after(0, 10).await.unwrap().len(), 2);
    }
}
