//! What decisions look at, read inside their transaction.

use sqlx::{Any, Transaction};

use super::contacts::read_contact;
use super::directory::{read_agent, read_number};
use super::error::Result;
use super::sql::{Columns, Select};
use super::{Store, Terms, permissions, pickup};
use crate::model::directory::{Agent, Contact, ContactRef, Number};
use crate::model::id::{AgentId, ContactId, NumberId};
use crate::model::reason::RequestKind;
use crate::model::settings::{NumberSettings, Restriction};
use crate::model::time::Timestamp;
use crate::policy::request::RequestFacts;

impl Store {
    /// The number's settings as wished; the default where nobody wished anything.
    pub async fn settings_in_force(&self, id: &NumberId) -> Result<NumberSettings> {
        let mut tx = self.reader.begin().await?;
        let settings = settings(&mut tx, id).await?;
        tx.commit().await?;
        Ok(settings)
    }

    /// When the customer last wrote to the number, called it or took its call.
    pub async fn window_opened_at(&self, n: &NumberId, c: &ContactId) -> Result<Option<Timestamp>> {
        let mut tx = self.reader.begin().await?;
        let opened_at = window_opened_at(&mut tx, n, c).await?;
        tx.commit().await?;
        Ok(opened_at)
    }
}

type Tx = Transaction<'static, Any>;

pub(super) async fn number(tx: &mut Tx, id: &NumberId) -> Result<Option<Number>> {
    let row = sqlx::query("SELECT * FROM numbers WHERE id = $1").bind(id.as_str()).fetch_optional(&mut **tx).await?;
    row.as_ref().map(read_number).transpose()
}

pub(super) async fn agent(tx: &mut Tx, id: &AgentId) -> Result<Option<Agent>> {
    let row = sqlx::query("SELECT * FROM agents WHERE id = $1 AND left_at IS NULL")
        .bind(id.as_str())
        .fetch_optional(&mut **tx)
        .await?;
    row.as_ref().map(read_agent).transpose()
}

/// The contact a reference names; the id of one that was folded into another leads to that other.
pub(super) async fn contact(tx: &mut Tx, who: &ContactRef) -> Result<Option<Contact>> {
    let row = select_contact(who).query().fetch_optional(&mut **tx).await?;
    row.as_ref().map(read_contact).transpose()
}

pub(super) fn select_contact(who: &ContactRef) -> Select {
    let mut select = Select::new("SELECT c.* FROM contacts r JOIN contacts c ON c.id = COALESCE(r.merged_into, r.id)");
    match who {
        ContactRef::Id(id) => select.and("r.id = ").text(id.as_str()),
        ContactRef::Phone(phone) => select.and("r.phone = ").text(phone.wa_id()),
        ContactRef::User(user) => select.and("r.user_id = ").text(user.as_str()),
    };
    select
}

/// The number's settings as wished; the default where nobody wished anything.
pub(super) async fn settings(tx: &mut Tx, id: &NumberId) -> Result<NumberSettings> {
    let row = sqlx::query("SELECT wished FROM number_settings WHERE number_id = $1")
        .bind(id.as_str())
        .fetch_optional(&mut **tx)
        .await?;
    Ok(row.map(|row| row.json("wished")).transpose()?.unwrap_or_default())
}

pub(super) async fn restrictions(tx: &mut Tx, id: &NumberId) -> Result<Vec<Restriction>> {
    let rows =
        sqlx::query("SELECT * FROM restrictions WHERE number_id = $1").bind(id.as_str()).fetch_all(&mut **tx).await?;
    let read = rows.iter().map(|row| {
        Ok(Restriction {
            kind: row.word("kind")?,
            since: row.time("since")?,
            expires_at: row.time_opt("expires_at")?,
            remediation: row.text_opt("remediation")?,
        })
    });
    read.collect()
}

/// When the customer last wrote, called or took our call.
pub(super) async fn window_opened_at(tx: &mut Tx, n: &NumberId, c: &ContactId) -> Result<Option<Timestamp>> {
    let row = sqlx::query("SELECT opened_at FROM service_windows WHERE number_id = $1 AND contact_id = $2")
        .bind(n.as_str())
        .bind(c.as_str())
        .fetch_optional(&mut **tx)
        .await?;
    row.map(|row| row.time("opened_at")).transpose()
}

/// Everything that bears on a permission request; `None` if number or contact is unknown. `now` is read last, so that no
/// decision sees what happened after its own moment.
pub(super) async fn of_request(
    tx: &mut Tx,
    (n, to, kind): (&NumberId, &ContactRef, RequestKind),
    terms: &Terms,
    now: impl FnOnce() -> Timestamp,
) -> Result<Option<RequestFacts>> {
    let (Some(number), Some(contact)) = (number(tx, n).await?, contact(tx, to).await?) else { return Ok(None) };
    let settings = settings(tx, n).await?;
    let restrictions = restrictions(tx, n).await?;
    let permission = permissions::read(tx, n, &contact.id, terms).await?;
    let window_opened_at = window_opened_at(tx, n, &contact.id).await?;
    let now = now();
    let outbound_hours = pickup::held_by(tx, n, &terms.rules(now).pickup, now).await?;
    Ok(Some(RequestFacts {
        now,
        kind,
        number,
        settings,
        restrictions,
        outbound_hours,
        contact,
        permission,
        window_opened_at,
    }))
}
