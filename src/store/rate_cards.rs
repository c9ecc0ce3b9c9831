//! Rate cards that were imported: the newest is in force, the others explain old charges.

use super::error::{Result, StoreError};
use super::sql::Columns;
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
        // PostgreSQL cannot hold it, and no name or number of a card needs it.
        if card.csv().contains('\0') {
            return Err(StoreError::Refused { field: "market", reason: "U+0000 is not allowed".to_owned() });
        }
        let mut tx = self.writer.begin().await?;
        // Also makes imports wait for each other.
        wallet::lock(&mut tx, card.currency()).await?.must_be_in(card.currency())?;
        // Two imports in one millisecond, or a clock that was set back, must not change their order.
        let newest = sqlx::query("SELECT CAST(MAX(imported_at) AS BIGINT) AS newest FROM rate_cards")
            .fetch_one(&mut *tx)
            .await?
            .int_opt("newest")?;
        sqlx::query(
            "INSERT INTO rate_cards (sha256, imported_at, csv) VALUES ($1, $2, $3) \
             ON CONFLICT (sha256) DO UPDATE SET imported_at = excluded.imported_at",
        )
        .bind(card.sha256())
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

    /// The card imported last: its SHA-256 in hex, and its text.
    pub async fn imported_rate_card(&self) -> Result<Option<(String, String)>> {
        let row = sqlx::query("SELECT sha256, csv FROM rate_cards ORDER BY imported_at DESC LIMIT 1")
            .fetch_optional(&self.reader)
            .await?;
        row.map(|row| Ok((row.text("sha256")?, row.text("csv")?))).transpose()
    }
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
