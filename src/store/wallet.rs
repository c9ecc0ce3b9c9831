//! The wallet: a double-entry ledger of whole micros. Every transfer names the account it leaves and the one it enters,
//! so the sum over all accounts is 0 after every commit.
//!
//! Whoever touches money begins with [`lock`]: it writes the accounts, so the row locks (PostgreSQL) or the write lock
//! (SQLite) make one transaction after another, and what is read after it is the truth. On top of that each posting has a
//! unique key, so that the same thing can never be posted twice, whatever a caller does.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sqlx::{Any, AnyConnection, Transaction};
use utoipa::ToSchema;

use super::error::{Result, StoreError};
use super::sql::{Columns, damaged, json_text};
use super::{Store, events};
use crate::billing::ledger::{Account, Transfer, settle};
use crate::billing::{Customer, Quote, RateCard, pulses};
use crate::call::record::CallRecord;
use crate::model::directory::Asker;
use crate::model::event::{Event, NewEvent};
use crate::model::id::{CallId, EntryId};
use crate::model::money::{Charge, Currency, Micros};
use crate::model::reason::{CallState, Direction, EntryKind};
use crate::model::time::Timestamp;

/// The most a wallet holds; far enough from the end of an i64 that no sum of balances and reserves reaches it.
pub(super) const BALANCE_MICROS_MAX: Micros = 1_000_000_000_000_000_000;

/// A call of a year. More is a fault of whoever measured it, and must not get into the books.
const PULSES_MAX: i64 = 366 * 24 * 3600 / 6;

/// What the business has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Wallet {
    /// Millionths of a unit of the currency. Below 0 when a running call cost more than there was: calls are never cut.
    #[schema(example = 50_000_000)]
    pub balance_micros: Micros,
    /// Of it, held back for running calls.
    pub reserved_micros: Micros,
    /// What new calls may use: they need more than 0.
    pub available_micros: Micros,
    pub currency: Currency,
    /// At or below this balance the wallet is low, as `wallet.low` tells once; `null`: nobody wants to be told.
    pub low_micros: Option<Micros>,
    /// Whether it is now.
    pub low: bool,
    /// Ended calls that are not booked yet because the ledger refused them, as the log says; each is tried again every
    /// minute. Anything but 0 wants looking into.
    pub uncharged_calls: i64,
}

/// One line of the wallet's statement.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Entry {
    pub id: EntryId,
    pub kind: EntryKind,
    /// Negative when money left the wallet.
    pub micros: Micros,
    pub currency: Currency,
    /// The call it was for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_id: Option<CallId>,
    /// Six-second pulses of the whole call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pulses: Option<i64>,
    /// As whoever paid in called it, or why the balance was corrected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Who paid in or corrected the balance; absent for calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Asker>,
    /// How the price came about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Explanation>,
    pub created_at: Timestamp,
}

/// How the price of a call came about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    #[serde(flatten)]
    pub quote: Quote,
    pub talked_ms: i64,
    /// What the call costs in all; an adjustment books the difference to what was posted before.
    pub price_micros: Micros,
    /// The month whose volume decided the tier, and how many pulses its market had before this call.
    pub month: String,
    pub pulses_before: i64,
    /// SHA-256 of the rate card.
    pub rate_card: String,
}

/// A call as it was settled.
#[derive(Clone, Debug)]
pub struct Charged {
    /// What the call costs in all.
    pub charge: Charge,
    /// What was posted now; `None` when the call stood so already, or costs nothing.
    pub entry: Option<Entry>,
    /// Of the wallet, afterwards.
    pub balance_micros: Micros,
    balance_before: Micros,
    low_micros: Option<Micros>,
}

impl Charged {
    /// For the event log: `wallet.debited` if anything was posted, `wallet.negative` when it was this that left
    /// nothing for new calls (0 or less, as the blocker of that name says), and `wallet.low` when it was this that made the
    /// wallet low. They name no call in their envelope: streams
    /// show those to everybody who was on it, and balances are not for everybody.
    pub fn events(&self) -> Vec<NewEvent> {
        let Some(entry) = &self.entry else { return Vec::new() };
        let mut events = vec![about_entry("wallet.debited", entry, self.balance_micros)];
        events.extend(fallen(self.balance_before, self.balance_micros, self.low_micros, entry.currency));
        events
    }
}

impl Store {
    /// The wallet; before anything happened, an empty one in this currency.
    pub async fn wallet(&self, currency: Currency) -> Result<Wallet> {
        let row = sqlx::query(
            "SELECT currency, balance_micros, reserved_micros, low_micros, (SELECT COUNT(*) FROM \
             (SELECT 1 FROM transfers LIMIT 1) AS first_one) AS moved FROM accounts WHERE id = 'wallet'",
        )
        .fetch_optional(&self.reader)
        .await?;
        let accounts = match row {
            Some(row) => Accounts {
                // One that nothing was ever booked in or held back from follows the rate card.
                currency: match row.flag("moved")? || row.flag("reserved_micros")? {
                    true => row.word("currency")?,
                    false => currency,
                },
                balance: row.int("balance_micros")?,
                reserved: row.int("reserved_micros")?,
                low: row.int_opt("low_micros")?,
            },
            None => Accounts { currency, balance: 0, reserved: 0, low: None },
        };
        Ok(Wallet {
            balance_micros: accounts.balance,
            reserved_micros: accounts.reserved,
            available_micros: accounts.available(),
            currency: accounts.currency,
            low_micros: accounts.low,
            low: accounts.low.is_some_and(|low| accounts.balance <= low),
            uncharged_calls: self.uncharged_calls().await?,
        })
    }

    /// How many ended calls the ledger has refused to charge so far.
    pub async fn uncharged_calls(&self) -> Result<i64> {
        let query = sqlx::query("SELECT COUNT(*) AS n FROM calls WHERE charge_again_at IS NOT NULL");
        query.fetch_one(&self.reader).await?.int("n")
    }

    /// What an outbound call that was answered has cost by now, or will cost once it is settled, at the volume settled so
    /// far. `None` for any other, and once it is charged.
    pub async fn cost_so_far(&self, c: &CallRecord, now: Timestamp) -> Result<Option<Charge>> {
        let (Some(answered), Direction::BusinessInitiated, None) = (c.answered_at, c.direction, c.charge) else {
            return Ok(None);
        };
        let talked = match c.state {
            CallState::Ended => Duration::from_millis(u64::try_from(c.duration_ms).unwrap_or(0)),
            _ => now.since(answered),
        };
        let terms = self.terms();
        let (card, at) = (&terms.card, c.created_at);
        let to = Customer { phone: c.contact.phone.as_ref(), user_id: c.contact.user_id.as_deref() };
        let used = usage(&mut *self.reader.acquire().await?, &card.month(at), &card.market(to, at)).await?;
        let price = card.price(to, at, used, pulses(talked));
        Ok(Some(Charge { micros: price.micros, currency: card.currency(), pulses: price.pulses }))
    }

    /// Says from which balance down the wallet is low, and logs `wallet.changed`.
    ///
    /// # Errors
    /// [`StoreError::Refused`] for what no wallet holds.
    pub async fn set_low(
        &self,
        low: Option<Micros>,
        currency: Currency,
        by: &Asker,
        now: Timestamp,
    ) -> Result<Vec<Event>> {
        if low.is_some_and(|low| !(0..=BALANCE_MICROS_MAX).contains(&low)) {
            return Err(StoreError::Refused {
                field: "low_micros",
                reason: format!("0 to {BALANCE_MICROS_MAX}, or null"),
            });
        }
        let mut tx = self.writer.begin().await?;
        let accounts = lock(&mut tx, currency).await?;
        let set = sqlx::query("UPDATE accounts SET low_micros = $1 WHERE id = 'wallet'").bind(low);
        set.execute(&mut *tx).await?;
        let data = serde_json::json!({"low_micros": low, "currency": accounts.currency, "by": by});
        let event = NewEvent { kind: "wallet.changed", call_id: None, agent_id: None, data };
        let logged = events::append(&mut tx, vec![event], now).await?;
        tx.commit().await?;
        Ok(logged)
    }
}

/// What a balance that fell is told as: `wallet.negative` when this left nothing, `wallet.low` when this made it low.
pub(super) fn fallen(before: Micros, after: Micros, low: Option<Micros>, currency: Currency) -> Vec<NewEvent> {
    let mut data = serde_json::json!({"balance_micros": after, "currency": currency});
    let fell_to = |bound| before > bound && after <= bound;
    let mut events = Vec::new();
    if fell_to(0) {
        events.push(NewEvent { kind: "wallet.negative", call_id: None, agent_id: None, data: data.clone() });
    }
    if let Some(low) = low.filter(|low| fell_to(*low)) {
        data["low_micros"] = low.into();
        events.push(NewEvent { kind: "wallet.low", call_id: None, agent_id: None, data });
    }
    events
}

/// What new calls may use; locks the wallet until the transaction ends, so that two calls never spend the same money.
///
/// # Errors
/// [`StoreError::Refused`] when the wallet is in another currency than the rate card.
pub(super) async fn available(tx: &mut Transaction<'static, Any>, currency: Currency) -> Result<Micros> {
    let accounts = lock(tx, currency).await?;
    accounts.must_be_in(currency)?;
    Ok(accounts.available())
}

/// What new calls may use, without locking anything: a look, or after [`available`] in the same transaction.
pub(super) async fn look(connection: &mut AnyConnection) -> Result<Micros> {
    let row = sqlx::query("SELECT balance_micros - reserved_micros AS available FROM accounts WHERE id = 'wallet'")
        .fetch_optional(connection)
        .await?;
    row.map_or(Ok(0), |row| row.int("available"))
}

/// Holds this much back for a running call; it needs not be there. After [`available`], in the same transaction.
pub(super) async fn reserve(tx: &mut Transaction<'static, Any>, micros: Micros) -> Result<()> {
    let done = sqlx::query(
        "UPDATE accounts SET reserved_micros = reserved_micros + $1 WHERE id = 'wallet' AND reserved_micros <= $2",
    )
    .bind(micros)
    .bind(BALANCE_MICROS_MAX - micros)
    .execute(&mut **tx)
    .await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(too_large("reserve")) }
}

/// Gives back what was held for a call.
pub(super) async fn release(tx: &mut Transaction<'static, Any>, micros: Micros) -> Result<()> {
    let taken =
        "UPDATE accounts SET reserved_micros = reserved_micros - $1 WHERE id = 'wallet' AND reserved_micros >= $1";
    if sqlx::query(taken).bind(micros).execute(&mut **tx).await?.rows_affected() == 1 || micros == 0 {
        return Ok(());
    }
    // Somebody gave back twice. Ending a call matters more than this sum, but it must not pass unseen.
    tracing::error!(micros, "more was released from the wallet than was held back");
    sqlx::query("UPDATE accounts SET reserved_micros = 0 WHERE id = 'wallet'").execute(&mut **tx).await?;
    Ok(())
}

/// Books what a call that was answered costs; `talked` 0 for one that was not. The same end reported again, at any time and
/// by anybody, changes nothing; another talk time books the difference and corrects the month's volume. `at`: the moment
/// whose price and month count; the same in every report of a call.
///
/// The tier is decided by the volume before the call as it was when the call was first charged, so that a correction does
/// not depend on what was settled in between.
///
/// # Errors
/// [`StoreError::Refused`], with nothing written, when the wallet is in another currency than the card, the talk is longer
/// than any can be, or a sum leaves the room of the ledger.
pub(super) async fn charge(
    tx: &mut Transaction<'static, Any>,
    call: &CallId,
    to: Customer<'_>,
    at: Timestamp,
    talked: Duration,
    card: &RateCard,
    now: Timestamp,
) -> Result<Charged> {
    let accounts = lock(tx, card.currency()).await?;
    accounts.must_be_in(card.currency())?;
    let booked = Booked::of(tx, call).await?;
    let pulses = pulses(talked);
    if pulses > PULSES_MAX {
        return Err(StoreError::Refused { field: "talked", reason: format!("{pulses} pulses are more than a year") });
    }
    let stands = |micros| Charged {
        charge: Charge { micros, currency: accounts.currency, pulses },
        entry: None,
        balance_micros: accounts.balance,
        balance_before: accounts.balance,
        low_micros: accounts.low,
    };
    match &booked {
        Some(booked) if booked.pulses == pulses => return Ok(stands(booked.micros)),
        None if pulses == 0 => return Ok(stands(0)),
        _ => {}
    }
    let (month, market) = (card.month(at), card.market(to, at));
    let pulses_before = match booked.as_ref().filter(|booked| booked.month == month && booked.market == market) {
        Some(booked) => booked.pulses_before,
        None => usage(tx, &month, &market).await?,
    };
    let price = card.price(to, at, pulses_before, pulses);
    let transfers = booked.as_ref().map_or(0, |booked| booked.transfers);
    let transfer = settle(booked.as_ref().filter(|_| transfers > 0).map(|booked| booked.micros), price.micros);
    if let Some(transfer) = &transfer {
        // Refused before anything is written: the caller may go on with the transaction.
        accounts.after(transfer)?;
    }
    if let Some(booked) = &booked {
        count(tx, &booked.month, &booked.market, -booked.pulses).await?;
    }
    count(tx, &month, &market, pulses).await?;
    let posting = transfer.map(|transfer| {
        let key = match transfer.kind {
            EntryKind::CallCharge => format!("charge:{call}"),
            EntryKind::Adjustment | EntryKind::TopUp => format!("adjust:{call}:{transfers}"),
        };
        let entry = Entry {
            id: EntryId::generate(),
            kind: transfer.kind,
            micros: transfer.wallet_micros(),
            currency: accounts.currency,
            call_id: Some(call.clone()),
            pulses: Some(pulses),
            reference: None,
            by: None,
            explanation: Some(Explanation {
                quote: price.quote,
                talked_ms: i64::try_from(talked.as_millis()).unwrap_or(i64::MAX),
                price_micros: price.micros,
                month: month.clone(),
                pulses_before,
                rate_card: card.sha256().to_owned(),
            }),
            created_at: now,
        };
        (key, transfer, entry)
    });
    let booked = Booked {
        month,
        market,
        pulses_before,
        pulses,
        micros: price.micros,
        transfers: transfers + i64::from(posting.is_some()),
    };
    booked.keep(tx, call).await?;
    let balance_micros = match &posting {
        Some((key, transfer, entry)) => post(tx, &accounts, key, transfer, entry).await?,
        None => accounts.balance,
    };
    Ok(Charged { entry: posting.map(|(_, _, entry)| entry), balance_micros, ..stands(price.micros) })
}

/// The wallet's account under lock.
pub(super) struct Accounts {
    pub(super) currency: Currency,
    pub(super) balance: Micros,
    reserved: Micros,
    pub(super) low: Option<Micros>,
}

impl Accounts {
    const fn available(&self) -> Micros {
        self.balance.saturating_sub(self.reserved)
    }

    /// The balance once this is posted.
    pub(super) fn after(&self, transfer: &Transfer) -> Result<Micros> {
        let balance = self.balance.checked_add(transfer.wallet_micros()).filter(|b| b.abs() <= BALANCE_MICROS_MAX);
        balance.ok_or_else(|| too_large("balance"))
    }

    /// Prices in one currency cannot be taken from a wallet in another.
    pub(super) fn must_be_in(&self, card: Currency) -> Result<()> {
        if self.currency == card {
            return Ok(());
        }
        let reason = format!("the wallet is in {} and the rate card in {card}: use a card in {0}", self.currency);
        Err(StoreError::Refused { field: "currency", reason })
    }
}

/// Makes the accounts if there are none yet, and locks them until the transaction ends. A wallet that nothing was ever
/// booked in or held back from takes the currency it is asked for.
pub(super) async fn lock(tx: &mut Transaction<'static, Any>, currency: Currency) -> Result<Accounts> {
    let rows = sqlx::query(
        "INSERT INTO accounts (id, currency, balance_micros, reserved_micros) \
         VALUES ('wallet', $1, 0, 0), ('funding', $1, 0, 0), ('calls', $1, 0, 0) \
         ON CONFLICT (id) DO UPDATE SET reserved_micros = accounts.reserved_micros RETURNING *",
    )
    .bind(currency.as_str())
    .fetch_all(&mut **tx)
    .await?;
    let mut accounts = None;
    for row in &rows {
        if row.word::<Account>("id")? == Account::Wallet {
            let (balance, reserved) = (row.int("balance_micros")?, row.int("reserved_micros")?);
            accounts =
                Some(Accounts { currency: row.word("currency")?, balance, reserved, low: row.int_opt("low_micros")? });
        }
    }
    let mut accounts = accounts.ok_or_else(|| damaged("id", "the ledger has no wallet"))?;
    if accounts.currency != currency && accounts.reserved == 0 && !anything_booked(tx).await? {
        sqlx::query("UPDATE accounts SET currency = $1").bind(currency.as_str()).execute(&mut **tx).await?;
        accounts.currency = currency;
    }
    Ok(accounts)
}

async fn anything_booked(tx: &mut Transaction<'static, Any>) -> Result<bool> {
    Ok(sqlx::query("SELECT id FROM transfers LIMIT 1").fetch_optional(&mut **tx).await?.is_some())
}

/// Writes a transfer and both balances; gives the wallet's.
pub(super) async fn post(
    tx: &mut Transaction<'static, Any>,
    accounts: &Accounts,
    key: &str,
    transfer: &Transfer,
    entry: &Entry,
) -> Result<Micros> {
    let balance = accounts.after(transfer)?;
    sqlx::query(
        "INSERT INTO transfers (id, key, kind, debit_account, credit_account, micros, call_id, pulses, explanation, \
         reference, created_at, asked_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(entry.id.as_str())
    .bind(key)
    .bind(transfer.kind.as_str())
    .bind(transfer.debit.as_str())
    .bind(transfer.credit.as_str())
    .bind(transfer.micros)
    .bind(entry.call_id.as_ref().map(CallId::as_str))
    .bind(entry.pulses)
    .bind(json_text(&entry.explanation))
    .bind(entry.reference.as_deref())
    .bind(entry.created_at.as_millis())
    .bind(entry.by.as_ref().map(json_text))
    .execute(&mut **tx)
    .await
    .map_err(StoreError::on_write(|| format!("the posting {key}")))?;
    for (account, micros) in [(transfer.debit, -transfer.micros), (transfer.credit, transfer.micros)] {
        sqlx::query("UPDATE accounts SET balance_micros = balance_micros + $1 WHERE id = $2")
            .bind(micros)
            .bind(account.as_str())
            .execute(&mut **tx)
            .await?;
    }
    Ok(balance)
}

/// What stands in the books for a call.
struct Booked {
    month: String,
    market: String,
    pulses_before: i64,
    pulses: i64,
    micros: Micros,
    /// Postings so far; a call that is free has none.
    transfers: i64,
}

impl Booked {
    async fn of(tx: &mut Transaction<'static, Any>, call: &CallId) -> Result<Option<Self>> {
        let row = sqlx::query("SELECT * FROM call_charges WHERE call_id = $1")
            .bind(call.as_str())
            .fetch_optional(&mut **tx)
            .await?;
        row.map(|row| {
            Ok(Self {
                month: row.text("month")?,
                market: row.text("market")?,
                pulses_before: row.int("pulses_before")?,
                pulses: row.int("pulses")?,
                micros: row.int("micros")?,
                transfers: row.int("transfers")?,
            })
        })
        .transpose()
    }

    async fn keep(&self, tx: &mut Transaction<'static, Any>, call: &CallId) -> Result<()> {
        sqlx::query(
            "INSERT INTO call_charges (call_id, month, market, pulses_before, pulses, micros, transfers) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (call_id) DO UPDATE SET month = excluded.month, \
             market = excluded.market, pulses_before = excluded.pulses_before, pulses = excluded.pulses, \
             micros = excluded.micros, transfers = excluded.transfers",
        )
        .bind(call.as_str())
        .bind(&self.month)
        .bind(&self.market)
        .bind(self.pulses_before)
        .bind(self.pulses)
        .bind(self.micros)
        .bind(self.transfers)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }
}

/// Pulses settled in a market in a month.
pub(super) async fn usage(connection: &mut AnyConnection, month: &str, market: &str) -> Result<i64> {
    let row = sqlx::query("SELECT pulses FROM usage WHERE month = $1 AND market = $2")
        .bind(month)
        .bind(market)
        .fetch_optional(connection)
        .await?;
    row.map_or(Ok(0), |row| row.int("pulses"))
}

async fn count(tx: &mut Transaction<'static, Any>, month: &str, market: &str, pulses: i64) -> Result<()> {
    sqlx::query(
        "INSERT INTO usage (month, market, pulses) VALUES ($1, $2, $3) \
         ON CONFLICT (month, market) DO UPDATE SET pulses = usage.pulses + excluded.pulses",
    )
    .bind(month)
    .bind(market)
    .bind(pulses)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(super) fn about_entry(kind: &'static str, entry: &Entry, balance_micros: Micros) -> NewEvent {
    let data = serde_json::json!({"entry": entry, "balance_micros": balance_micros, "currency": entry.currency});
    NewEvent { kind, call_id: None, agent_id: None, data }
}

fn too_large(field: &'static str) -> StoreError {
    StoreError::Refused { field, reason: format!("it would pass {BALANCE_MICROS_MAX} micros") }
}
