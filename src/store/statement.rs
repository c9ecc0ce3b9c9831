//! The wallet's statement: the ledger as its owner reads it.

use sqlx::any::AnyRow;
use sqlx::{Any, Transaction};

use super::Store;
use super::error::Result;
use super::paging::{Cursor, Page, page, page_limit};
use super::sql::{Columns, Select, clean, like_pattern};
use super::wallet::Entry;
use crate::billing::ledger::Transfer;
use crate::model::id::CallId;
use crate::model::reason::EntryKind;
use crate::model::time::Timestamp;

/// Which entries; all fields narrow them.
#[derive(Clone, Debug, Default)]
pub struct EntryFilter {
    pub kind: Option<EntryKind>,
    pub call_id: Option<CallId>,
    /// Part of the reference, whatever the case of its Latin letters.
    pub reference: Option<String>,
    /// Booked at this moment or later.
    pub from: Option<Timestamp>,
    /// Booked before this moment.
    pub to: Option<Timestamp>,
}

/// Names this list in its cursors.
const LIST: &str = "wallet entries";

impl Store {
    /// The wallet's statement, newest first, in pages.
    ///
    /// # Errors
    /// [`StoreError::BadCursor`].
    pub async fn entries(&self, filter: &EntryFilter, limit: u32, cursor: Option<&str>) -> Result<Page<Entry>> {
        let limit = page_limit(limit);
        let mut select = Select::new(ENTRIES);
        filter.narrow(&mut select);
        if let Some(cursor) = cursor {
            let after = Cursor::decode(cursor, &self.key, LIST)?;
            select.and("(transfers.created_at, transfers.id) < (").int(after.at.as_millis()).push(", ");
            select.text(after.id).push(")");
        }
        select.push(" ORDER BY transfers.created_at DESC, transfers.id DESC LIMIT ").int(i64::from(limit) + 1);
        let rows = select.query().fetch_all(&self.reader).await?;
        let entries = rows.iter().map(read_entry).collect::<Result<_>>()?;
        Ok(page(entries, limit, |last: &Entry| {
            Cursor { at: last.created_at, id: last.id.as_str().to_owned() }.encode(&self.key, LIST)
        }))
    }
}

impl EntryFilter {
    fn narrow(&self, select: &mut Select) {
        if let Some(kind) = self.kind {
            select.and("transfers.kind = ").text(kind.as_str());
        }
        if let Some(call) = &self.call_id {
            select.and("transfers.call_id = ").text(call.as_str());
        }
        if let Some(reference) = &self.reference {
            // Lowered on both sides by the database: each knows other letters.
            let pattern = like_pattern(&clean(reference));
            select.and("LOWER(transfers.reference) LIKE LOWER(").text(pattern).push(") ESCAPE '\\'");
        }
        if let Some(from) = self.from {
            select.and("transfers.created_at >= ").int(from.as_millis());
        }
        if let Some(to) = self.to {
            select.and("transfers.created_at < ").int(to.as_millis());
        }
    }
}

/// Every list of entries starts so. A ledger has one currency, that of its wallet.
const ENTRIES: &str = "SELECT transfers.*, accounts.currency FROM transfers JOIN accounts ON accounts.id = 'wallet'";

pub(super) async fn entry_with_key(tx: &mut Transaction<'static, Any>, key: &str) -> Result<Option<AnyRow>> {
    let mut select = Select::new(ENTRIES);
    select.and("transfers.key = ").text(key);
    Ok(select.query().fetch_optional(&mut **tx).await?)
}

pub(super) fn read_entry(row: &AnyRow) -> Result<Entry> {
    let transfer = Transfer {
        kind: row.word("kind")?,
        debit: row.word("debit_account")?,
        credit: row.word("credit_account")?,
        micros: row.int("micros")?,
    };
    Ok(Entry {
        id: row.word("id")?,
        kind: transfer.kind,
        micros: transfer.wallet_micros(),
        currency: row.word("currency")?,
        call_id: row.word_opt("call_id")?,
        pulses: row.int_opt("pulses")?,
        reference: row.text_opt("reference")?,
        by: row.json_opt("asked_by")?,
        explanation: row.json("explanation")?,
        created_at: row.time("created_at")?,
    })
}
