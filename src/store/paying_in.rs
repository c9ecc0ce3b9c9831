//! Paying into the wallet, and correcting what was booked wrongly: what people do to it.

use super::error::{Result, StoreError};
use super::sql::clean_opt;
use super::statement::{entry_with_key, read_entry};
use super::wallet::{BALANCE_MICROS_MAX, Entry, about_entry, fallen, lock, post};
use super::{Store, events};
use crate::billing::ledger::Transfer;
use crate::model::directory::Asker;
use crate::model::event::Event;
use crate::model::id::EntryId;
use crate::model::money::{Currency, Micros};
use crate::model::reason::EntryKind;
use crate::model::time::Timestamp;

/// The most that is paid in at once: a thousand million units. More is a typing error.
const TOP_UP_MICROS_MAX: Micros = 1_000_000_000_000_000;

/// Money paid in.
#[derive(Clone, Debug)]
pub struct TopUp {
    pub micros: Micros,
    pub currency: Currency,
    pub reference: Option<String>,
    /// The same key pays in once, for ever.
    pub key: Option<String>,
}

/// A correction of what was booked wrongly.
#[derive(Clone, Debug)]
pub struct Adjustment {
    /// Negative to take out; not 0.
    pub micros: Micros,
    pub currency: Currency,
    pub reason: String,
    pub by: Asker,
    /// The same key corrects once, for ever.
    pub key: Option<String>,
}

impl Store {
    /// Pays into the wallet and logs `wallet.topped_up`. A key that has paid in already gives its entry back, without events.
    ///
    /// # Errors
    /// [`StoreError::Refused`] naming the field; [`StoreError::Taken`] when the key paid in something else.
    pub async fn top_up(&self, top_up: &TopUp, now: Timestamp) -> Result<(Entry, Vec<Event>)> {
        let TopUp { micros, currency, reference, key } = top_up;
        if !(1..=TOP_UP_MICROS_MAX).contains(micros) {
            let reason = format!("1 to {TOP_UP_MICROS_MAX}, not {micros}");
            return Err(StoreError::Refused { field: "micros", reason });
        }
        let key = key.as_ref().map(|key| format!("top_up:{key}"));
        self.book(Transfer::top_up(*micros), *currency, reference.as_deref(), key, None, now).await
    }

    /// Corrects the balance and logs `wallet.adjusted`, and what came of it. A key that has done so already gives its
    /// entry back, without events.
    ///
    /// # Errors
    /// [`StoreError::Refused`] naming the field; [`StoreError::Taken`] when the key booked something else.
    pub async fn adjust(&self, adjustment: &Adjustment, now: Timestamp) -> Result<(Entry, Vec<Event>)> {
        let Adjustment { micros, currency, reason, by, key } = adjustment;
        let transfer = Transfer::correction(*micros).filter(|transfer| transfer.micros <= TOP_UP_MICROS_MAX);
        let Some(transfer) = transfer else {
            let reason = format!("-{TOP_UP_MICROS_MAX} to {TOP_UP_MICROS_MAX}, and not 0");
            return Err(StoreError::Refused { field: "micros", reason });
        };
        let key = key.as_ref().map(|key| format!("adjustment:{key}"));
        self.book(transfer, *currency, Some(reason), key, Some(by), now).await
    }

    /// Books what somebody asked for.
    async fn book(
        &self,
        transfer: Transfer,
        currency: Currency,
        reference: Option<&str>,
        key: Option<String>,
        by: Option<&Asker>,
        now: Timestamp,
    ) -> Result<(Entry, Vec<Event>)> {
        let refused = |field, reason: String| Err(StoreError::Refused { field, reason });
        let mut tx = self.writer.begin().await?;
        let accounts = lock(&mut tx, currency).await?;
        if accounts.currency != currency {
            return refused("currency", format!("the wallet is in {}", accounts.currency));
        }
        let id = EntryId::generate();
        let key = key.unwrap_or_else(|| format!("{}:{id}", transfer.kind));
        let reference = clean_opt(reference);
        if let Some(row) = entry_with_key(&mut tx, &key).await? {
            let entry = read_entry(&row)?;
            if entry.micros == transfer.wallet_micros() && entry.reference == reference {
                return Ok((entry, Vec::new()));
            }
            return Err(StoreError::Taken(
                "the key of this booking, by one with another amount or reference,".to_owned(),
            ));
        }
        if accounts.after(&transfer).is_err() {
            return refused("micros", format!("the wallet would hold more than {BALANCE_MICROS_MAX}, or owe it"));
        }
        let entry = Entry {
            id,
            kind: transfer.kind,
            micros: transfer.wallet_micros(),
            currency: accounts.currency,
            call_id: None,
            pulses: None,
            reference,
            by: by.cloned(),
            explanation: None,
            created_at: now,
        };
        let balance = post(&mut tx, &accounts, &key, &transfer, &entry).await?;
        let kind = if entry.kind == EntryKind::TopUp { "wallet.topped_up" } else { "wallet.adjusted" };
        let mut news = vec![about_entry(kind, &entry, balance)];
        news.extend(fallen(accounts.balance, balance, accounts.low, entry.currency));
        let logged = events::append(&mut tx, news, now).await?;
        tx.commit().await?;
        Ok((entry, logged))
    }
}
