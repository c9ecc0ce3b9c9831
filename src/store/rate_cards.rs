//! Rate cards that are or were in force: the newest import goes before files, the others explain old charges.

use super::error::{Result, StoreError};
use super::sql::{Columns, clean};
use super::{Store, events, wallet};
use crate::billing::RateCard;
use crate::model::event::{Event, NewEvent};
use crate::model::time::Timestamp;

/// What an imported card is called in errors, and as the source of its prices.
pub const IMPORTED: &str = "imported.csv";

impl Store {
    /// Keeps a card as the newest, also if it was imported before, and logs `rate_card.imported`.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when the wallet holds another currency.
    pub async fn import_rate_card(&self, card: &RateCard, now: Timestamp) -> Result<Vec<Event>> {
        can_be_kept(card)?;
        let mut tx = self.writer.begin().await?;
        // Also makes imports wait for each other.
        wallet::lock(&mut tx, card.currency()).await?.must_be_in(card.currency())?;
        // Two imports in one millisecond, or a clock that was set back, must not change their order.
        let newest = sqlx::query("SELECT CAST(MAX(imported_at) AS BIGINT) AS newest FROM rate_cards")
            .fetch_one(&mut *tx)
            .await?
            .int_opt("newest")?;
        sqlx::query(
            "INSERT INTO rate_cards (sha256, source, imported_at, csv) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (sha256) DO UPDATE SET imported_at = excluded.imported_at",
        )
        .bind(card.sha256())
        .bind(card.source())
        .bind(newest.map_or(now.as_millis(), |newest| now.as_millis().max(newest.saturating_add(1))))
        .bind(card.csv())
        .execute(&mut *tx)
        .await?;
        let data = serde_json::json!({"sha256": card.sha256(), "currency": card.currency()});
        let event = NewEvent { kind: "rate_card.imported", call_id: None, agent_id: None, data };
        let logged = events::append(&mut tx, vec![event], now).await?;
        tx.commit().await?;
        Ok(logged)
    }

    /// Keeps a card that comes into force from a file, so that what it charges stays explained once it is replaced.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when no database can hold it.
    pub async fn keep_rate_card(&self, card: &RateCard) -> Result<()> {
        can_be_kept(card)?;
        sqlx::query("INSERT INTO rate_cards (sha256, source, csv) VALUES ($1, $2, $3) ON CONFLICT (sha256) DO NOTHING")
            .bind(card.sha256())
            .bind(clean(card.source()))
            .bind(card.csv())
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    /// The card imported last: its SHA-256 in hex, and its text.
    pub async fn imported_rate_card(&self) -> Result<Option<(String, String)>> {
        let newest =
            "SELECT sha256, csv FROM rate_cards WHERE imported_at IS NOT NULL ORDER BY imported_at DESC LIMIT 1";
        let row = sqlx::query(newest).fetch_optional(&self.reader).await?;
        row.map(|row| Ok((row.text("sha256")?, row.text("csv")?))).transpose()
    }

    /// A card that is or was in force, by its SHA-256 in hex: where it came from, and its text.
    pub async fn rate_card(&self, sha256: &str) -> Result<Option<(String, String)>> {
        let row = sqlx::query("SELECT source, csv FROM rate_cards WHERE sha256 = $1")
            .bind(sha256)
            .fetch_optional(&self.reader)
            .await?;
        row.map(|row| Ok((row.text("source")?, row.text("csv")?))).transpose()
    }
}

/// PostgreSQL cannot hold U+0000, and no name or number of a card needs it.
fn can_be_kept(card: &RateCard) -> Result<()> {
    if card.csv().contains('\0') {
        return Err(StoreError::Refused { field: "market", reason: "U+0000 is not allowed".to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::money::Currency;
    use crate::store::TopUp;
    use crate::store::fixture::{Fixture, T0, at, on_both};

    fn card(currency: &str, price: &str) -> RateCard {
        let csv = format!("effective_from,market,currency,price_per_minute\n2025-01-01,*,{currency},{price}\n");
        RateCard::parse("test.csv", &csv).unwrap()
    }

    on_both!(the_newest_import_wins_and_an_old_card_imported_again_is_the_newest);
    async fn the_newest_import_wins_and_an_old_card_imported_again_is_the_newest(t: Fixture) {
        assert_eq!(t.store.imported_rate_card().await.unwrap(), None);
        let (one, two) = (card("USD", "0.01"), card("USD", "0.02"));
        // The clock stands still, and then runs backwards.
        for (card, now) in [(&one, at(9)), (&two, at(9)), (&one, at(9)), (&one, at(9)), (&two, T0)] {
            let events = t.store.import_rate_card(card, now).await.unwrap();
            assert_eq!(
                (events[0].kind.as_str(), &events[0].data["sha256"]),
                ("rate_card.imported", &card.sha256().into())
            );
            let newest = t.store.imported_rate_card().await.unwrap();
            assert_eq!(newest, Some((card.sha256().to_owned(), card.csv().to_owned())));
        }
        let t = t.restart().await;
        assert_eq!(t.store.imported_rate_card().await.unwrap().unwrap().0, two.sha256());
    }

    on_both!(a_card_that_came_as_a_file_explains_old_charges_and_is_no_import);
    async fn a_card_that_came_as_a_file_explains_old_charges_and_is_no_import(t: Fixture) {
        let (file, import) = (card("USD", "0.01"), card("USD", "0.02"));
        for _ in 0..2 {
            t.store.keep_rate_card(&file).await.unwrap();
        }
        assert_eq!(t.store.imported_rate_card().await.unwrap(), None);
        t.store.import_rate_card(&import, T0).await.unwrap();
        let newest = t.store.imported_rate_card().await.unwrap().unwrap();
        assert_eq!(newest.0, import.sha256(), "a file is older than every import, whenever it is read");
        for one in [&file, &import] {
            let kept = t.store.rate_card(one.sha256()).await.unwrap();
            assert_eq!(kept, Some(("test.csv".to_owned(), one.csv().to_owned())));
        }
        assert_eq!(t.store.rate_card("00").await.unwrap(), None);
        // The same card imported counts as an import from then on.
        t.store.import_rate_card(&file, at(9)).await.unwrap();
        assert_eq!(t.store.imported_rate_card().await.unwrap().unwrap().0, file.sha256());
    }

    on_both!(an_empty_wallet_follows_the_card_into_its_currency_and_a_used_one_refuses);
    async fn an_empty_wallet_follows_the_card_into_its_currency_and_a_used_one_refuses(t: Fixture) {
        t.store.import_rate_card(&card("USD", "0.01"), T0).await.unwrap();
        t.store.import_rate_card(&card("EUR", "0.01"), T0).await.unwrap();
        let eur = Currency::parse("EUR").unwrap();
        assert_eq!(t.store.wallet(Currency::USD).await.unwrap().currency, Currency::USD, "still nobody's");
        let paid = TopUp { micros: 5, currency: eur, reference: None, key: None };
        t.store.top_up(&paid, T0).await.unwrap();
        assert_eq!(t.store.wallet(Currency::USD).await.unwrap().currency, eur);
        let error = t.store.import_rate_card(&card("USD", "0.03"), T0).await.unwrap_err();
        assert!(matches!(error, StoreError::Refused { field: "currency", .. }), "{error}");
        let newest = t.store.imported_rate_card().await.unwrap().unwrap();
        assert_eq!(newest.0, card("EUR", "0.01").sha256(), "the card in force stays");
    }
}
