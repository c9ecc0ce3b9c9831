//! Notes on calls and customers. A call's notes belong to its customer too, and move with it.

use sqlx::any::AnyRow;
use sqlx::{Any, Transaction};

use super::error::{Result, StoreError};
use super::paging::{Cursor, Page, page, page_limit};
use super::sql::{Columns, Select, clean};
use super::{Store, events, identity};
use crate::model::directory::Asker;
use crate::model::event::{Event, NewEvent};
use crate::model::id::{AgentId, CallId, ContactId, NoteId};
use crate::model::note::Note;
use crate::model::time::Timestamp;

/// What a note is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    Call(CallId),
    Contact(ContactId),
}

/// Names this list in its cursors.
const LIST: &str = "notes";

impl Store {
    /// Writes a note down and logs `note.added`.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when there is no such call, customer or author.
    pub async fn add_note(
        &self,
        about: &Subject,
        by: &Asker,
        text: &str,
        now: Timestamp,
    ) -> Result<(Note, Vec<Event>)> {
        let mut tx = self.writer.begin().await?;
        // So that the customer is not folded into another meanwhile.
        identity::lock(&mut tx).await?;
        let (author, key) = match by {
            Asker::Agent { agent_id } => (Some(agent_id.as_str()), None),
            Asker::Key { name } => (None, Some(name.as_str())),
        };
        let (call, contact) = match about {
            Subject::Call(call) => (Some(call.as_str()), None),
            Subject::Contact(contact) => (None, Some(contact.as_str())),
        };
        let row = sqlx::query(
            "INSERT INTO notes (id, contact_id, call_id, author_id, author_key, text, created_at) \
             SELECT $1, COALESCE(c.merged_into, c.id), $2, $4, $5, $6, $7 FROM contacts c \
             WHERE c.id = COALESCE($3, (SELECT contact_id FROM calls WHERE id = $2)) RETURNING *",
        )
        .bind(NoteId::generate().as_str())
        .bind(call)
        .bind(contact)
        .bind(author)
        .bind(key.map(clean))
        .bind(clean(text))
        .bind(now.as_millis())
        .fetch_optional(&mut *tx)
        .await
        .map_err(StoreError::on_write(|| format!("agent {}", author.unwrap_or("-"))))?;
        let row = row.ok_or_else(|| StoreError::Missing("the call or the customer".to_owned()))?;
        let note = read_note(&row)?;
        let told = events::append(&mut tx, vec![news("note.added", &note)], now).await?;
        tx.commit().await?;
        Ok((note, told))
    }

    pub async fn note(&self, id: &NoteId) -> Result<Option<Note>> {
        let query = sqlx::query("SELECT * FROM notes WHERE id = $1").bind(id.as_str());
        query.fetch_optional(&self.reader).await?.as_ref().map(read_note).transpose()
    }

    /// Removes a note and logs `note.removed`, which no longer says what it said. Nothing if it is gone already.
    pub async fn remove_note(&self, id: &NoteId, by: &Asker, now: Timestamp) -> Result<Vec<Event>> {
        let mut tx = self.writer.begin().await?;
        let row = sqlx::query("DELETE FROM notes WHERE id = $1 RETURNING *").bind(id.as_str());
        let Some(row) = row.fetch_optional(&mut *tx).await? else { return Ok(Vec::new()) };
        let note = read_note(&row)?;
        let data = serde_json::json!({"id": note.id, "contact_id": note.contact_id, "call_id": note.call_id, "by": by});
        let event = NewEvent { data, ..news("note.removed", &note) };
        let told = events::append(&mut tx, vec![event], now).await?;
        tx.commit().await?;
        Ok(told)
    }

    /// Notes, newest first, in pages. Of a customer also those on its calls, as far as they involve one of `seen_by`
    /// (`None`: all).
    ///
    /// # Errors
    /// [`StoreError::BadCursor`].
    pub async fn notes(
        &self,
        about: &Subject,
        seen_by: Option<&[AgentId]>,
        limit: u32,
        cursor: Option<&str>,
    ) -> Result<Page<Note>> {
        let limit = page_limit(limit);
        let mut select = about.select(seen_by);
        if let Some(cursor) = cursor {
            let after = Cursor::decode(cursor, &self.key, LIST)?;
            select.and("(n.created_at, n.id) < (").int(after.at.as_millis()).push(", ").text(after.id).push(")");
        }
        let notes = self.read_notes(select, i64::from(limit) + 1).await?;
        Ok(page(notes, limit, |last| {
            Cursor { at: last.created_at, id: last.id.as_str().to_owned() }.encode(&self.key, LIST)
        }))
    }

    /// The newest note about a customer, as [`Store::notes`] shows it.
    pub async fn last_note(&self, contact: &ContactId, seen_by: Option<&[AgentId]>) -> Result<Option<Note>> {
        let select = Subject::Contact(contact.clone()).select(seen_by);
        Ok(self.read_notes(select, 1).await?.pop())
    }

    async fn read_notes(&self, mut select: Select, limit: i64) -> Result<Vec<Note>> {
        select.push(" ORDER BY n.created_at DESC, n.id DESC LIMIT ").int(limit);
        select.query().fetch_all(&self.reader).await?.iter().map(read_note).collect()
    }
}

impl Subject {
    fn select(&self, seen_by: Option<&[AgentId]>) -> Select {
        let mut select = Select::new("SELECT n.* FROM notes n");
        match self {
            Self::Call(call) => select.and("n.call_id = ").text(call.as_str()),
            // Also under the id it had before it was folded into another.
            Self::Contact(contact) => select
                .and("n.contact_id = (SELECT COALESCE(merged_into, id) FROM contacts WHERE id = ")
                .text(contact.as_str())
                .push(")"),
        };
        match seen_by {
            None => {}
            Some([]) => {
                select.and("n.call_id IS NULL");
            }
            Some(agents) => {
                let ids = || agents.iter().map(AgentId::as_str);
                select.and(
                    "(n.call_id IS NULL OR EXISTS (SELECT 1 FROM calls k WHERE k.id = n.call_id AND k.agent_id IN ",
                );
                select.list(ids());
                select.push(") OR EXISTS (SELECT 1 FROM offers o WHERE o.call_id = n.call_id AND o.agent_id IN ");
                select.list(ids()).push("))");
            }
        }
        select
    }
}

/// Moves a customer's notes to another's.
pub(super) async fn move_over(tx: &mut Transaction<'static, Any>, kept: &str, folded: &str) -> Result<()> {
    let query = sqlx::query("UPDATE notes SET contact_id = $1 WHERE contact_id = $2").bind(kept).bind(folded);
    query.execute(&mut **tx).await?;
    Ok(())
}

/// Of a call: for all who see that. Of a customer: for all who see customers.
fn news(kind: &'static str, note: &Note) -> NewEvent {
    let data = serde_json::to_value(note).expect("a note is plain data");
    NewEvent { kind, call_id: note.call_id.clone(), agent_id: None, data }
}

fn read_note(row: &AnyRow) -> Result<Note> {
    Ok(Note {
        id: row.word("id")?,
        contact_id: row.word("contact_id")?,
        call_id: row.word_opt("call_id")?,
        author_id: row.word_opt("author_id")?,
        author_key: row.text_opt("author_key")?,
        text: row.text("text")?,
        created_at: row.time("created_at")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::{Fixture, T0, agent_id, at, on_both};

    fn ana() -> Asker {
        Asker::Agent { agent_id: agent_id("a") }
    }

    fn texts(page: Page<Note>) -> Vec<String> {
        page.items.into_iter().map(|note| note.text).collect()
    }

    on_both!(a_calls_notes_are_its_customers_too_and_are_shown_to_those_who_see_the_call);
    async fn a_calls_notes_are_its_customers_too_and_are_shown_to_those_who_see_the_call(t: Fixture) {
        let contact = t.seed().await;
        let call = t.call(&contact, 0).await;
        let (of_call, of_contact) = (Subject::Call(call.id.clone()), Subject::Contact(contact.id.clone()));
        let (note, told) = t.store.add_note(&of_call, &ana(), "wants a\nquote \0 <b>", at(1)).await.unwrap();
        assert_eq!((note.contact_id.clone(), note.author_id.clone()), (contact.id.clone(), Some(agent_id("a"))));
        assert_eq!((told[0].kind.as_str(), told[0].call_id.clone()), ("note.added", Some(call.id.clone())));
        assert_eq!(told[0].data["text"], "wants a\nquote \u{fffd} <b>");
        let crm = Asker::Key { name: "crm".to_owned() };
        let (free, told) = t.store.add_note(&of_contact, &crm, "VIP", at(2)).await.unwrap();
        assert_eq!((free.author_key.as_deref(), free.call_id, told[0].call_id.clone()), (Some("crm"), None, None));

        let t = t.restart().await;
        assert_eq!(t.store.note(&note.id).await.unwrap().unwrap(), note);
        let (a, b) = ([agent_id("a")], [agent_id("b")]);
        let shown = async |about, seen_by| texts(t.store.notes(about, seen_by, 0, None).await.unwrap());
        let both = ["VIP".to_owned(), note.text.clone()];
        assert_eq!(shown(&of_call, None).await, both[1..]);
        assert_eq!(shown(&of_contact, None).await, both);
        assert_eq!(shown(&of_contact, Some(&a[..])).await, both, "it rang at a");
        assert_eq!(shown(&of_contact, Some(&b[..])).await, both[..1]);
        assert_eq!(shown(&of_contact, Some(&b[..0])).await, both[..1]);
        let last = t.store.last_note(&contact.id, None).await.unwrap().unwrap();
        assert_eq!(last.text, "VIP");

        let told = t.store.remove_note(&free.id, &crm, at(3)).await.unwrap();
        assert_eq!((told[0].kind.as_str(), told[0].data.get("text")), ("note.removed", None));
        assert!(t.store.remove_note(&free.id, &crm, at(4)).await.unwrap().is_empty());
        assert_eq!(t.store.last_note(&contact.id, None).await.unwrap().unwrap().text, note.text);
        let missing = Subject::Call(CallId::generate());
        assert!(matches!(t.store.add_note(&missing, &ana(), "x", T0).await, Err(StoreError::Missing(_))));
        let nobody = Asker::Agent { agent_id: agent_id("nobody") };
        assert!(matches!(t.store.add_note(&of_call, &nobody, "x", T0).await, Err(StoreError::Missing(_))));
    }

    on_both!(notes_come_in_pages_and_move_with_a_customer_who_is_folded_into_another);
    async fn notes_come_in_pages_and_move_with_a_customer_who_is_folded_into_another(t: Fixture) {
        t.seed().await;
        let who = |phone: Option<&str>, user: Option<&str>| crate::store::CustomerIdentity {
            phone: phone.map(|phone| crate::model::phone::Phone::parse(phone).unwrap()),
            user_id: user.map(str::to_owned),
            ..Default::default()
        };
        let kept = t.store.identify(&who(Some("995555010299"), None), T0).await.unwrap();
        let folded = t.store.identify(&who(None, Some("GE.9")), T0).await.unwrap();
        let about = Subject::Contact(folded.id.clone());
        for i in 0..5 {
            t.store.add_note(&about, &ana(), &i.to_string(), at(i)).await.unwrap();
        }
        t.store.identify(&who(Some("995555010299"), Some("GE.9")), at(9)).await.unwrap();
        // Whoever has the old id writes to the person.
        let (late, _) = t.store.add_note(&about, &ana(), "5", at(10)).await.unwrap();
        assert_eq!(late.contact_id, kept.id);
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let page = t.store.notes(&Subject::Contact(kept.id.clone()), None, 2, cursor.as_deref()).await.unwrap();
            cursor = page.next_cursor.clone();
            seen.extend(texts(page));
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, ["5", "4", "3", "2", "1", "0"]);
        assert_eq!(t.store.notes(&about, None, 0, None).await.unwrap().items.len(), 6);
        let bad = t.store.notes(&about, None, 0, Some("00")).await;
        assert!(matches!(bad, Err(StoreError::BadCursor)));
    }
}
