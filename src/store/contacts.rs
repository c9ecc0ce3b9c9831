//! Customers: looking them up and changing what people may change. Who a WhatsApp event means is in `identity`.

use sqlx::any::AnyRow;
use sqlx::{Any, Transaction};

use super::error::{Result, StoreError};
use super::facts::select_contact;
use super::paging::{Cursor, Page, page, page_limit};
use super::sql::{Columns, Select, clean_opt, like_pattern};
use super::{Store, identity};
use crate::model::directory::{Contact, ContactRef};
use crate::model::id::AgentId;
use crate::model::phone::Phone;

/// Who a WhatsApp event names.
#[derive(Clone, Debug, Default)]
pub struct CustomerIdentity {
    pub phone: Option<Phone>,
    pub user_id: Option<String>,
    pub name: Option<String>,
    pub username: Option<String>,
}

/// Names this list in its cursors.
const LIST: &str = "contacts";

impl Store {
    /// The contact a reference names. The id of a contact that was folded into another leads to that other.
    pub async fn contact(&self, r: &ContactRef) -> Result<Option<Contact>> {
        let row = select_contact(r).query().fetch_optional(&self.reader).await?;
        row.as_ref().map(read_contact).transpose()
    }

    /// Contacts, newest first; `text` finds part of a name, user name, number or user id, whatever the case.
    ///
    /// # Errors
    /// [`StoreError::BadCursor`].
    pub async fn contacts(&self, text: Option<&str>, limit: u32, cursor: Option<&str>) -> Result<Page<Contact>> {
        let limit = page_limit(limit);
        let mut select = Select::new("SELECT * FROM contacts c");
        select.and("c.merged_into IS NULL");
        if let Some(text) = text {
            match_text(&mut select, text, |_| ());
        }
        if let Some(cursor) = cursor {
            let after = Cursor::decode(cursor, &self.key, LIST)?;
            select.and("(c.created_at, c.id) < (").int(after.at.as_millis()).push(", ").text(after.id).push(")");
        }
        select.push(" ORDER BY c.created_at DESC, c.id DESC LIMIT ").int(i64::from(limit) + 1);
        let rows = select.query().fetch_all(&self.reader).await?;
        let contacts = rows.iter().map(read_contact).collect::<Result<Vec<_>>>()?;
        Ok(page(contacts, limit, |last| {
            Cursor { at: last.created_at, id: last.id.as_str().to_owned() }.encode(&self.key, LIST)
        }))
    }

    /// Creates or changes a contact. Phone, user id and user name are filled in or changed but never cleared: a writer
    /// that read the contact before an event told us more would erase it. A name that comes back as it was read is no
    /// wish; any other stands before WhatsApp's, and none gives that one back.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when assignee or owner is unknown, [`StoreError::Taken`] when the phone number or the
    /// user id is another contact's.
    pub async fn put_contact(&self, c: &Contact) -> Result<Contact> {
        let mut tx = self.writer.begin().await?;
        identity::lock(&mut tx).await?;
        let row = sqlx::query(
            "INSERT INTO contacts (id, phone, user_id, name, username, assignee_id, owner_id, created_at, search_text) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, '') \
             ON CONFLICT (id) DO UPDATE SET phone = COALESCE(excluded.phone, contacts.phone), \
             user_id = COALESCE(excluded.user_id, contacts.user_id), \
             username = COALESCE(excluded.username, contacts.username), \
             name = CASE WHEN excluded.name = COALESCE(contacts.name, contacts.profile_name) THEN contacts.name \
             ELSE excluded.name END, \
             assignee_id = excluded.assignee_id, owner_id = excluded.owner_id \
             WHERE contacts.merged_into IS NULL RETURNING *",
        )
        .bind(c.id.as_str())
        .bind(c.phone.as_ref().map(Phone::wa_id))
        .bind(clean_opt(c.user_id.as_deref()))
        .bind(clean_opt(c.name.as_deref()))
        .bind(clean_opt(c.username.as_deref()))
        .bind(c.assignee_id.as_ref().map(AgentId::as_str))
        .bind(c.owner_id.as_ref().map(AgentId::as_str))
        .bind(c.created_at.as_millis())
        .fetch_optional(&mut *tx)
        .await
        .map_err(violation(c))?;
        let row = match row {
            Some(row) => row,
            // Folded into another one meanwhile: that one's identity stands, the rest is what was wished.
            None => sqlx::query(
                "UPDATE contacts SET name = CASE WHEN $2 = COALESCE(name, profile_name) THEN name ELSE $2 END, \
                 assignee_id = $3, owner_id = $4 \
                 WHERE id = (SELECT merged_into FROM contacts WHERE id = $1) RETURNING *",
            )
            .bind(c.id.as_str())
            .bind(clean_opt(c.name.as_deref()))
            .bind(c.assignee_id.as_ref().map(AgentId::as_str))
            .bind(c.owner_id.as_ref().map(AgentId::as_str))
            .fetch_one(&mut *tx)
            .await
            .map_err(violation(c))?,
        };
        let contact = read_contact(&row)?;
        index_text(&mut tx, &contact).await?;
        tx.commit().await?;
        Ok(contact)
    }
}

/// Adds the condition that contact `c` matches what somebody typed.
pub(super) fn match_text(select: &mut Select, typed: &str, or_else: impl FnOnce(&mut Select)) {
    let folded = super::sql::clean(typed.trim()).to_lowercase();
    if folded.is_empty() {
        return;
    }
    select.and("(c.search_text LIKE ").text(like_pattern(&folded)).push(" ESCAPE '\\'");
    // A number is typed with spaces, dashes and brackets but kept as digits.
    let digits: String = folded.chars().filter(char::is_ascii_digit).collect();
    if digits.len() >= 3 && folded.chars().all(|c| c.is_ascii_digit() || "+-.() ".contains(c)) {
        select.push(" OR c.phone LIKE ").text(like_pattern(&digits));
    }
    or_else(select);
    select.push(")");
}

/// Keeps what `match_text` looks at in step with the row.
pub(super) async fn index_text(tx: &mut Transaction<'static, Any>, c: &Contact) -> Result<()> {
    let phone = c.phone.as_ref().map(Phone::e164);
    // One line each: what is typed holds no line break, so a match never spans two fields.
    let text = [&c.name, &c.username, &phone, &c.user_id]
        .into_iter()
        .flatten()
        .map(|part| part.replace('\n', " ").to_lowercase())
        .collect::<Vec<_>>()
        .join("\n");
    sqlx::query("UPDATE contacts SET search_text = $2 WHERE id = $1")
        .bind(c.id.as_str())
        .bind(text)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

pub(super) fn read_contact(row: &AnyRow) -> Result<Contact> {
    Ok(Contact {
        id: row.word("id")?,
        phone: row.parsed_opt("phone", Phone::parse)?,
        user_id: row.text_opt("user_id")?,
        name: row.text_opt("name")?.map_or_else(|| row.text_opt("profile_name"), |name| Ok(Some(name)))?,
        username: row.text_opt("username")?,
        assignee_id: row.word_opt("assignee_id")?,
        owner_id: row.word_opt("owner_id")?,
        created_at: row.time("created_at")?,
    })
}

fn violation(c: &Contact) -> impl FnOnce(sqlx::Error) -> StoreError {
    move |error| match StoreError::on_write(String::new)(error) {
        StoreError::Taken(_) => StoreError::Taken("the phone number or the user id".to_owned()),
        StoreError::Missing(_) => {
            let agents = [&c.assignee_id, &c.owner_id].into_iter().flatten().map(ToString::to_string);
            StoreError::Missing(format!("agent {}", agents.collect::<Vec<_>>().join(" or ")))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::ContactId;
    use crate::store::fixture::{self, Fixture, T0, at, on_both};

    fn named(name: &str, phone: Option<&str>) -> Contact {
        Contact {
            id: ContactId::generate(),
            phone: phone.map(|p| Phone::parse(p).unwrap()),
            user_id: None,
            name: Some(name.to_owned()),
            username: None,
            assignee_id: None,
            owner_id: None,
            created_at: T0,
        }
    }

    async fn found(t: &Fixture, text: &str) -> Vec<String> {
        let page = t.store.contacts(Some(text), 50, None).await.unwrap();
        let mut names: Vec<_> = page.items.into_iter().filter_map(|c| c.name).collect();
        names.sort();
        names
    }

    on_both!(a_search_finds_names_and_numbers_as_people_type_them);
    async fn a_search_finds_names_and_numbers_as_people_type_them(t: Fixture) {
        for (name, phone) in [
            ("Nino Kapanadze", Some("+995555010203")),
            ("ИРИНА", Some("+79161234567")),
            ("Ünal Öz", None),
            ("100% Discount_Co", None),
            ("100 per cent", None),
        ] {
            t.store.put_contact(&named(name, phone)).await.unwrap();
        }
        for (typed, want) in [
            ("nino", vec!["Nino Kapanadze"]),
            ("  KAPANA ", vec!["Nino Kapanadze"]),
            ("ирина", vec!["ИРИНА"]),
            ("üNAL ö", vec!["Ünal Öz"]),
            ("+995 555 01-02", vec!["Nino Kapanadze"]),
            ("(916) 123", vec!["ИРИНА"]),
            ("100%", vec!["100% Discount_Co"]),
            ("t_c", vec!["100% Discount_Co"]),
            ("_", vec!["100% Discount_Co"]),
            ("\\", vec![]),
            ("' OR 1=1 --", vec![]),
            ("%", vec!["100% Discount_Co"]),
            ("nino\0", vec![]),
        ] {
            assert_eq!(found(&t, typed).await, want, "{typed:?}");
        }
        assert_eq!(found(&t, " ").await.len(), 5, "nothing typed narrows nothing");
    }

    on_both!(hostile_text_is_only_text);
    async fn hostile_text_is_only_text(t: Fixture) {
        for name in [
            "'; DROP TABLE contacts; --",
            "\"$1\"",
            "\u{202e}evil",
            "a\0b",
            "😀\n\r\t",
            "%_\\",
            "{}",
            &"x".repeat(100_000),
        ] {
            let contact = named(name, None);
            t.store.put_contact(&contact).await.unwrap();
            let read = t.store.contact(&ContactRef::Id(contact.id.clone())).await.unwrap().unwrap();
            assert_eq!(read.name.unwrap(), name.replace('\0', "\u{fffd}"));
        }
        assert_eq!(t.store.contacts(None, 50, None).await.unwrap().items.len(), 8);
    }

    on_both!(a_change_keeps_what_it_must_and_refuses_what_is_taken_or_unknown);
    async fn a_change_keeps_what_it_must_and_refuses_what_is_taken_or_unknown(t: Fixture) {
        let seeded = t.seed().await;
        let mut contact = named("Nino", Some("+995555010203"));
        t.store.put_contact(&contact).await.unwrap();
        contact.user_id = Some("GE.1".into());
        contact.assignee_id = Some(fixture::agent_id("a"));
        t.store.put_contact(&contact).await.unwrap();
        // A writer who read before the event: the user id stays, the name goes as wished.
        let stale = Contact { user_id: None, phone: None, name: None, ..contact.clone() };
        t.store.put_contact(&stale).await.unwrap();
        let read = t.store.contact(&ContactRef::User("GE.1".into())).await.unwrap().unwrap();
        assert_eq!(
            (read.name, read.phone, read.assignee_id),
            (None, contact.phone.clone(), Some(fixture::agent_id("a")))
        );

        let thief = Contact { phone: seeded.phone.clone(), ..named("Thief", None) };
        assert!(matches!(t.store.put_contact(&thief).await, Err(StoreError::Taken(_))));
        let lost = Contact { owner_id: Some(fixture::agent_id("nobody")), ..contact };
        let error = t.store.put_contact(&lost).await.unwrap_err();
        assert_eq!(error.to_string(), "agent agt_a or agt_nobody does not exist");
    }

    on_both!(pages_hold_every_contact_once_while_more_arrive);
    async fn pages_hold_every_contact_once_while_more_arrive(t: Fixture) {
        for i in 0..25 {
            // Several of one moment: the id must break the tie.
            let contact = Contact { created_at: at(i / 5), ..named(&format!("{i:02}"), None) };
            t.store.put_contact(&contact).await.unwrap();
        }
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let page = t.store.contacts(None, 4, cursor.as_deref()).await.unwrap();
            assert!(page.items.len() <= 4);
            seen.extend(page.items.into_iter().map(|c| c.name.unwrap()));
            t.store.put_contact(&Contact { created_at: at(99), ..named("late", None) }).await.unwrap();
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        seen.retain(|name| name != "late");
        let blocks: Vec<_> = seen.iter().map(|n| n.parse::<i64>().unwrap() / 5).collect();
        assert!(blocks.is_sorted_by(|a, b| a >= b), "newest first: {seen:?}");
        seen.sort();
        assert!(seen.iter().eq(&(0..25).map(|i| format!("{i:02}")).collect::<Vec<_>>()), "each once: {seen:?}");
        assert!(matches!(t.store.contacts(None, 4, Some("abc")).await, Err(StoreError::BadCursor)));
    }
}
