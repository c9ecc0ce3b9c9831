//! Lists in pages, newest first. A cursor names the last row shown, so rows that arrive meanwhile move nothing.

use super::error::{Result, StoreError};
use super::secret_key::SecretKey;
use crate::model::time::Timestamp;
use crate::model::words;

/// One page, and where the next one starts.
#[derive(Clone, Debug)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Opaque; `None` on the last page.
    pub next_cursor: Option<String>,
}

words! {
    /// The sections of the call lists.
    #[derive(Default)]
    Section {
        #[default]
        All = "all",
        /// User-initiated, ongoing or completed.
        Received = "received",
        /// Business-initiated, ringing, ongoing or completed.
        Outbound = "outbound",
        /// Missed by an agent or the customer, or declined by the customer.
        Missed = "missed",
    }
}

const LIMIT_DEFAULT: u32 = 50;
/// A page this long is some 300 kB of calls.
const LIMIT_MAX: u32 = 500;

/// Rows of a page; 0 = the default.
pub(super) fn page_limit(asked: u32) -> u32 {
    if asked == 0 { LIMIT_DEFAULT } else { asked.min(LIMIT_MAX) }
}

/// The place behind a row in a list ordered by age and id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) at: Timestamp,
    pub(super) id: String,
}

impl Cursor {
    /// As text for the caller, marked so that only cursors of ours, for this list, are taken back.
    pub(super) fn encode(&self, key: &SecretKey, list: &'static str) -> String {
        let mut bytes = self.at.as_millis().to_be_bytes().to_vec();
        bytes.extend_from_slice(self.id.as_bytes());
        hex::encode(key.mark(list, &bytes))
    }

    pub(super) fn decode(text: &str, key: &SecretKey, list: &'static str) -> Result<Self> {
        let marked = hex::decode(text).map_err(|_| StoreError::BadCursor)?;
        let bytes = key.unmark(list, &marked).ok_or(StoreError::BadCursor)?;
        let (at, id) = bytes.split_first_chunk().ok_or(StoreError::BadCursor)?;
        let id = String::from_utf8(id.to_vec()).map_err(|_| StoreError::BadCursor)?;
        Ok(Self { at: Timestamp::from_millis(i64::from_be_bytes(*at)), id })
    }
}

/// Cuts `limit + 1` rows into a page.
pub(super) fn page<T>(mut rows: Vec<T>, limit: u32, cursor_of: impl Fn(&T) -> String) -> Page<T> {
    let limit = limit as usize;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next_cursor = rows.last().filter(|_| more).map(cursor_of);
    Page { items: rows, next_cursor }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_a_changed_or_foreign_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let key = SecretKey::load(dir.path(), true).unwrap();
        let cursor = Cursor { at: Timestamp::from_millis(1_795_000_000_123), id: "call_1".to_owned() };
        let text = cursor.encode(&key, "calls");
        assert_eq!(Cursor::decode(&text, &key, "calls").unwrap(), cursor);
        assert!(matches!(Cursor::decode(&text, &key, "contacts"), Err(StoreError::BadCursor)), "another list's");
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(matches!(Cursor::decode(&changed, &key, "calls"), Err(StoreError::BadCursor)), "{changed}");
        }
        for bad in ["", "0", "zz", "é", "' OR 1=1 --", &"00".repeat(16), &"ab".repeat(400)] {
            assert!(matches!(Cursor::decode(bad, &key, "calls"), Err(StoreError::BadCursor)), "{bad}");
        }
    }
}
