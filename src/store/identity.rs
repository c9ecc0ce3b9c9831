//! Who a WhatsApp event means. Since 2026 an event names a customer by phone number, by Meta's user id, or by both, so
//! two contacts may turn out to be one person, and a number may turn up with another person behind it.

use sqlx::any::AnyRow;
use sqlx::{Any, Transaction};

use super::Store;
use super::again::again;
use super::contacts::{CustomerIdentity, index_text, read_contact};
use super::error::{Result, StoreError};
use super::sql::{Columns, clean_opt};
use super::{notes, permissions};
use crate::model::directory::Contact;
use crate::model::id::ContactId;
use crate::model::phone::Phone;
use crate::model::time::Timestamp;

impl Store {
    /// Finds by phone, else by user id, else creates; fills in what was unknown (profile name and user
    /// name are WhatsApp's, so the newest stands; a name that people gave stands before the profile's).
    ///
    /// - Phone and user id lead to two contacts: they are one person. The phone's contact stays, the other's calls and
    ///   permissions move to it (of two decisions the newer stands), and the other's id leads to it from then on.
    /// - The phone is known with another user id: the number has a new owner. It moves to a contact of its own, so that
    ///   nobody inherits a permission given by somebody else.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when `who` has neither phone nor user id.
    pub async fn identify(&self, who: &CustomerIdentity, now: Timestamp) -> Result<Contact> {
        let who = &CustomerIdentity {
            phone: who.phone.clone(),
            user_id: clean_opt(who.user_id.as_deref()).filter(|id| !id.is_empty()),
            name: clean_opt(who.name.as_deref()).filter(|name| !name.trim().is_empty()),
            username: clean_opt(who.username.as_deref()).filter(|name| !name.trim().is_empty()),
        };
        if who.phone.is_none() && who.user_id.is_none() {
            return Err(StoreError::Missing("a customer without phone number and user id".to_owned()));
        }
        // Nearly every event names somebody known in full: no write, no lock.
        if let Some(known) = self.known_in_full(who).await? {
            return Ok(known);
        }
        again(|| async move {
            let mut tx = self.writer.begin().await?;
            lock(&mut tx).await?;
            let contact = settle(&mut tx, who, now).await?;
            index_text(&mut tx, &contact).await?;
            tx.commit().await?;
            Ok(contact)
        })
        .await
    }

    async fn known_in_full(&self, who: &CustomerIdentity) -> Result<Option<Contact>> {
        let rows = sqlx::query(LOOK_UP)
            .bind(who.phone.as_ref().map(Phone::wa_id))
            .bind(who.user_id.as_deref())
            .fetch_all(&self.reader)
            .await?;
        let [row] = rows.as_slice() else { return Ok(None) };
        let known = read_contact(row)?;
        let nothing_new = (who.phone.is_none() || who.phone == known.phone)
            && (who.user_id.is_none() || who.user_id == known.user_id)
            && (who.name.is_none() || who.name == row.text_opt("profile_name")?)
            && (who.username.is_none() || who.username == known.username);
        Ok(nothing_new.then_some(known))
    }
}

/// Makes whoever settles an identity wait for the one before. There is no row yet that two writers of a new customer could
/// both lock, so they lock this one.
pub(super) async fn lock(tx: &mut Transaction<'static, Any>) -> Result<()> {
    sqlx::query("UPDATE counters SET value = value + 1 WHERE name = 'identities'").execute(&mut **tx).await?;
    Ok(())
}

const LOOK_UP: &str = "SELECT * FROM contacts WHERE phone = $1 OR user_id = $2";

async fn settle(tx: &mut Transaction<'static, Any>, who: &CustomerIdentity, now: Timestamp) -> Result<Contact> {
    let rows = sqlx::query(LOOK_UP)
        .bind(who.phone.as_ref().map(Phone::wa_id))
        .bind(who.user_id.as_deref())
        .fetch_all(&mut **tx)
        .await?;
    let known = rows.iter().map(read_contact).collect::<Result<Vec<_>>>()?;
    let mut by_phone = known.iter().find(|c| who.phone.is_some() && c.phone == who.phone);
    let by_user = known.iter().find(|c| who.user_id.is_some() && c.user_id == who.user_id);

    if let Some(former) = by_phone
        && who.user_id.is_some()
        && former.user_id.is_some()
        && former.user_id != who.user_id
    {
        sqlx::query("UPDATE contacts SET phone = NULL WHERE id = $1")
            .bind(former.id.as_str())
            .execute(&mut **tx)
            .await?;
        index_text(tx, &Contact { phone: None, ..former.clone() }).await?;
        by_phone = None;
    }
    match (by_phone, by_user) {
        (Some(kept), Some(folded)) if kept.id != folded.id => {
            fold(tx, kept, folded).await?;
            fill(tx, &kept.id, who, Some(folded)).await
        }
        (Some(known), _) | (None, Some(known)) => fill(tx, &known.id, who, None).await,
        (None, None) => create(tx, who, now).await,
    }
}

async fn create(tx: &mut Transaction<'static, Any>, who: &CustomerIdentity, now: Timestamp) -> Result<Contact> {
    let row: AnyRow = sqlx::query(
        "INSERT INTO contacts (id, phone, user_id, profile_name, username, created_at, search_text) \
         VALUES ($1, $2, $3, $4, $5, $6, '') RETURNING *",
    )
    .bind(ContactId::generate().as_str())
    .bind(who.phone.as_ref().map(Phone::wa_id))
    .bind(who.user_id.as_deref())
    .bind(who.name.as_deref())
    .bind(who.username.as_deref())
    .bind(now.as_millis())
    .fetch_one(&mut **tx)
    .await?;
    read_contact(&row)
}

/// Completes a contact from an event, and where that says nothing, from the contact folded into it.
async fn fill(
    tx: &mut Transaction<'static, Any>,
    id: &ContactId,
    who: &CustomerIdentity,
    folded: Option<&Contact>,
) -> Result<Contact> {
    let username = who.username.as_deref().or_else(|| folded.and_then(|f| f.username.as_deref()));
    let row = sqlx::query(
        "UPDATE contacts SET phone = COALESCE($2, phone), user_id = COALESCE($3, user_id), \
         name = COALESCE(name, (SELECT f.name FROM contacts f WHERE f.id = $8)), \
         profile_name = COALESCE($4, profile_name, (SELECT f.profile_name FROM contacts f WHERE f.id = $8)), \
         username = COALESCE($5, username), \
         assignee_id = COALESCE(assignee_id, $6), owner_id = COALESCE(owner_id, $7) WHERE id = $1 RETURNING *",
    )
    .bind(id.as_str())
    .bind(who.phone.as_ref().map(Phone::wa_id))
    .bind(who.user_id.as_deref())
    .bind(who.name.as_deref())
    .bind(username)
    .bind(folded.and_then(|f| f.assignee_id.as_ref()).map(|a| a.as_str()))
    .bind(folded.and_then(|f| f.owner_id.as_ref()).map(|a| a.as_str()))
    .bind(folded.map(|f| f.id.as_str()))
    .fetch_one(&mut **tx)
    .await?;
    read_contact(&row)
}

/// Which contact this one was folded into.
pub(super) async fn folded_into(tx: &mut Transaction<'static, Any>, c: &ContactId) -> Result<Option<String>> {
    let row = sqlx::query("SELECT merged_into FROM contacts WHERE id = $1")
        .bind(c.as_str())
        .fetch_optional(&mut **tx)
        .await?;
    row.map_or(Ok(None), |row| row.text_opt("merged_into"))
}

/// Moves everything of `folded` to `kept` and leaves only a forwarding id behind.
async fn fold(tx: &mut Transaction<'static, Any>, kept: &Contact, folded: &Contact) -> Result<()> {
    let (kept, folded) = (kept.id.as_str(), folded.id.as_str());
    move_over(tx, kept, folded).await?;
    sqlx::query(
        "UPDATE contacts SET phone = NULL, user_id = NULL, search_text = '', merged_into = $1 \
         WHERE id = $2 OR merged_into = $2",
    )
    .bind(kept)
    .bind(folded)
    .execute(&mut **tx)
    .await?;
    // That waited for everybody who was writing about the contact; what they wrote is there only now.
    move_over(tx, kept, folded).await
}

/// Calls first: the order in which saving a call takes its locks.
async fn move_over(tx: &mut Transaction<'static, Any>, kept: &str, folded: &str) -> Result<()> {
    sqlx::query("UPDATE calls SET contact_id = $1 WHERE contact_id = $2")
        .bind(kept)
        .bind(folded)
        .execute(&mut **tx)
        .await?;
    notes::move_over(tx, kept, folded).await?;
    permissions::join(tx, kept, folded).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::CallRecord;
    use crate::model::directory::ContactRef;
    use crate::model::reason::PermissionStatus;
    use crate::store::fixture::{self, Fixture, T0, at, declined, granted, on_both};

    fn who(phone: Option<&str>, user: Option<&str>) -> CustomerIdentity {
        CustomerIdentity {
            phone: phone.map(|p| Phone::parse(p).unwrap()),
            user_id: user.map(str::to_owned),
            ..CustomerIdentity::default()
        }
    }

    async fn count(t: &Fixture) -> usize {
        t.store.contacts(None, 500, None).await.unwrap().items.len()
    }

    on_both!(events_of_one_customer_find_one_contact_and_complete_it);
    async fn events_of_one_customer_find_one_contact_and_complete_it(t: Fixture) {
        let first = t.store.identify(&who(Some("995555010203"), None), T0).await.unwrap();
        let named = CustomerIdentity { name: Some("Nino".into()), ..who(Some("995555010203"), Some("GE.1")) };
        let again = t.store.identify(&named, at(1)).await.unwrap();
        assert_eq!(
            (&again.id, again.name.as_deref(), again.user_id.as_deref()),
            (&first.id, Some("Nino"), Some("GE.1"))
        );
        let other_name = CustomerIdentity { name: Some("Nini".into()), ..who(None, Some("GE.1")) };
        let hidden = t.store.identify(&other_name, at(2)).await.unwrap();
        assert_eq!((&hidden.id, hidden.name.as_deref()), (&first.id, Some("Nini")), "as the customer is called by now");
        let empty = CustomerIdentity { user_id: Some(String::new()), ..CustomerIdentity::default() };
        assert!(matches!(t.store.identify(&empty, at(3)).await, Err(StoreError::Missing(_))));
        assert_eq!(count(&t).await, 1);
    }

    on_both!(a_name_that_people_gave_stands_before_the_profiles_until_it_is_emptied);
    async fn a_name_that_people_gave_stands_before_the_profiles_until_it_is_emptied(t: Fixture) {
        t.seed().await;
        let profile = |name: &str| CustomerIdentity { name: Some(name.into()), ..who(Some("995555010203"), None) };
        let told = t.store.identify(&profile("~nino~"), T0).await.unwrap();
        // Assigning writes back the name as it was read: that is no name that people gave.
        let assigned = Contact { assignee_id: Some(fixture::agent_id("a")), ..told.clone() };
        t.store.put_contact(&assigned).await.unwrap();
        let told = t.store.identify(&profile("nino 🌸"), at(1)).await.unwrap();
        assert_eq!(told.name.as_deref(), Some("nino 🌸"));

        let given = Contact { name: Some("Nino Beridze".into()), ..told.clone() };
        t.store.put_contact(&given).await.unwrap();
        let after = t.store.identify(&profile("Nini"), at(2)).await.unwrap();
        assert_eq!(after.name.as_deref(), Some("Nino Beridze"));
        assert_eq!(t.store.contacts(Some("beridze"), 10, None).await.unwrap().items.len(), 1);

        let emptied = t.store.put_contact(&Contact { name: None, ..after }).await.unwrap();
        assert_eq!(emptied.name.as_deref(), Some("Nini"));
        assert_eq!(t.store.contacts(Some("nini"), 10, None).await.unwrap().items.len(), 1);
    }

    on_both!(sixty_four_webhooks_at_once_create_one_contact);
    async fn sixty_four_webhooks_at_once_create_one_contact(t: Fixture) {
        let tasks = (0..64).map(|i| {
            let store = t.store.clone();
            // Some name the phone, some both; the one who comes with both ties them together.
            tokio::spawn(async move {
                let who =
                    if i % 2 == 0 { who(Some("995555010203"), None) } else { who(Some("995555010203"), Some("GE.1")) };
                store.identify(&who, at(i)).await.unwrap().id
            })
        });
        let ids = futures_util::future::join_all(tasks).await;
        let first = ids[0].as_ref().unwrap();
        assert!(ids.iter().all(|id| id.as_ref().unwrap() == first));
        assert_eq!(count(&t).await, 1);
    }

    on_both!(two_contacts_that_turn_out_to_be_one_person_become_one_with_everything_they_had);
    async fn two_contacts_that_turn_out_to_be_one_person_become_one_with_everything_they_had(t: Fixture) {
        t.seed().await;
        let by_phone = t.store.identify(&who(Some("995555010203"), None), T0).await.unwrap();
        let by_user = t.store.identify(&who(None, Some("GE.1")), at(1)).await.unwrap();
        let mut assigned = by_user.clone();
        assigned.assignee_id = Some(fixture::agent_id("a"));
        t.store.put_contact(&assigned).await.unwrap();
        let call = t.call(&by_user, 5).await;
        for (contact, said) in [(&by_phone, declined("a", at(10))), (&by_user, granted("b", at(20)))] {
            t.store.record_permission(&fixture::number_id(), &contact.id, &[said], at(21)).await.unwrap();
        }

        let one = t.store.identify(&who(Some("995555010203"), Some("GE.1")), at(30)).await.unwrap();
        assert_eq!((&one.id, one.user_id.as_deref()), (&by_phone.id, Some("GE.1")));
        assert_eq!(one.assignee_id, Some(fixture::agent_id("a")));
        assert_eq!(count(&t).await, 2, "this one and the seeded one");
        let forwarded = t.store.contact(&ContactRef::Id(by_user.id.clone())).await.unwrap().unwrap();
        assert_eq!(forwarded.id, by_phone.id, "the old id still leads to the person");
        assert_eq!(t.store.call(&call.id).await.unwrap().unwrap().contact.id, by_phone.id);
        for id in [&by_phone.id, &by_user.id] {
            let p = t.store.permission(&fixture::number_id(), id).await.unwrap().read(at(30));
            assert_eq!(p.status, PermissionStatus::Permanent, "the newer decision");
        }

        // Whoever still holds the old copy may write it: the person keeps number, user id and calls.
        t.store.put_contact(&Contact { name: Some("Nino".into()), ..assigned }).await.unwrap();
        t.store.save_call(&call, vec![], at(31)).await.unwrap();
        let now = t.store.call(&call.id).await.unwrap().unwrap().contact;
        assert_eq!((&now.id, now.name.as_deref(), now.user_id.as_deref()), (&by_phone.id, Some("Nino"), Some("GE.1")));
        assert!(now.phone.is_some());
    }

    async fn all_at(t: &Fixture, contact: &ContactId) {
        for table in ["calls", "service_windows", "permissions", "permission_events"] {
            let sql = format!("SELECT contact_id FROM {table}");
            let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&t.store.reader).await.unwrap();
            assert!(
                !rows.is_empty() && rows.iter().all(|row| row.text("contact_id").unwrap() == contact.as_str()),
                "{table}"
            );
        }
    }

    /// Of the customer whom only the user id named, and who is being called.
    async fn two_and_a_call(t: &Fixture) -> (Contact, Contact, CallRecord) {
        t.seed().await;
        let by_phone = t.store.identify(&who(Some("995555010203"), None), T0).await.unwrap();
        let by_user = t.store.identify(&who(None, Some("GE.1")), T0).await.unwrap();
        let call = CallRecord { answered_at: Some(at(1)), offers: Vec::new(), ..fixture::ringing(&by_user, T0) };
        (by_phone, by_user, call)
    }

    #[tokio::test]
    async fn a_call_that_is_just_being_saved_moves_along_when_its_contact_is_folded_into_another() {
        let t = fixture::postgres().await;
        let (by_phone, _, call) = two_and_a_call(&t).await;
        let mut saving = t.store.writer.begin().await.unwrap();
        let before = crate::store::books::Before::read(&mut saving, &call.id).await.unwrap();
        let terms = t.store.terms();
        crate::store::call_record::write(&mut saving, &call, before, vec![], &terms, at(2)).await.unwrap();
        let store = t.store.clone();
        let folding =
            tokio::spawn(async move { store.identify(&who(Some("995555010203"), Some("GE.1")), at(3)).await });
        t.until_somebody_waits().await;
        saving.commit().await.unwrap();
        assert_eq!(folding.await.unwrap().unwrap().id, by_phone.id);
        all_at(&t, &by_phone.id).await;
    }

    #[tokio::test]
    async fn a_call_saved_while_its_contact_is_just_being_folded_into_another_is_the_others() {
        let t = fixture::postgres().await;
        let (by_phone, _, call) = two_and_a_call(&t).await;
        let mut folding = t.store.writer.begin().await.unwrap();
        lock(&mut folding).await.unwrap();
        settle(&mut folding, &who(Some("995555010203"), Some("GE.1")), at(3)).await.unwrap();
        let store = t.store.clone();
        let saving = tokio::spawn(async move { store.save_call(&call, vec![], at(2)).await });
        t.until_somebody_waits().await;
        folding.commit().await.unwrap();
        saving.await.unwrap().unwrap();
        all_at(&t, &by_phone.id).await;
    }

    on_both!(a_number_with_a_new_owner_takes_no_permission_along);
    async fn a_number_with_a_new_owner_takes_no_permission_along(t: Fixture) {
        t.seed().await;
        let former = t.store.identify(&who(Some("995555010203"), Some("GE.1")), T0).await.unwrap();
        t.store.record_permission(&fixture::number_id(), &former.id, &[granted("a", T0)], T0).await.unwrap();
        let owner = t.store.identify(&who(Some("995555010203"), Some("GE.2")), at(1)).await.unwrap();
        assert_ne!(owner.id, former.id);
        let inherited = t.store.permission(&fixture::number_id(), &owner.id).await.unwrap();
        assert_eq!(inherited.read(at(1)).status, PermissionStatus::None);
        let phone = ContactRef::Phone(Phone::parse("995555010203").unwrap());
        assert_eq!(t.store.contact(&phone).await.unwrap().unwrap().id, owner.id);
        let former = t.store.contact(&ContactRef::User("GE.1".into())).await.unwrap().unwrap();
        assert_eq!(former.phone, None);
        assert!(t.store.contacts(Some("995555010203"), 10, None).await.unwrap().items.iter().all(|c| c.id == owner.id));
    }

    on_both!(a_customer_who_changes_the_number_stays_the_same_contact);
    async fn a_customer_who_changes_the_number_stays_the_same_contact(t: Fixture) {
        let before = t.store.identify(&who(Some("995555010203"), Some("GE.1")), T0).await.unwrap();
        let after = t.store.identify(&who(Some("995555990000"), Some("GE.1")), at(1)).await.unwrap();
        assert_eq!((&after.id, after.phone.unwrap().wa_id()), (&before.id, "995555990000"));
        assert_eq!(count(&t).await, 1);
    }
}
