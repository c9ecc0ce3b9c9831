//! The terms in force: read by every decision, replaced as a whole; and what is paid in.

use std::sync::Arc;

use super::{Desk, Refusal, Switchboard};
use crate::billing::RateCard;
use crate::model::directory::Asker;
use crate::model::money::{Currency, Micros};
use crate::store::{Adjustment, Entry, StoreError, Terms, TopUp};

impl Switchboard {
    /// The terms in force. A decision takes them once and keeps to them to its end.
    pub fn terms(&self) -> Arc<Terms> {
        self.0.terms()
    }

    /// Keeps the card and puts its prices in force at once; it stays in force over restarts.
    ///
    /// # Errors
    /// The wallet holds another currency, or the database failed: then the card before stays in force.
    pub async fn replace_rate_card(&self, card: RateCard) -> Result<(), Refusal> {
        let desk = &self.0;
        let _one_at_a_time = desk.parts.store.terms_change().await;
        let logged = desk.parts.store.import_rate_card(&card, desk.parts.clock.now().wall).await?;
        tracing::info!(sha256 = card.sha256(), currency = %card.currency(), "rate card replaced");
        let terms = Terms { card, ..Terms::clone(&desk.terms()) };
        desk.parts.store.set_terms(terms);
        desk.publish(logged);
        Ok(())
    }

    /// Pays into the wallet; calls it held up may be placed from now on.
    ///
    /// # Errors
    /// [`StoreError::Refused`] names the field that cannot be taken.
    pub async fn top_up(&self, top_up: TopUp) -> Result<Entry, Refusal> {
        let desk = &self.0;
        let _one_at_a_time = desk.parts.store.terms_change().await;
        desk.in_the_wallets(top_up.currency).await?;
        let (entry, logged) = desk.parts.store.top_up(&top_up, desk.parts.clock.now().wall).await?;
        desk.publish(logged);
        Ok(entry)
    }

    /// Corrects the balance, and tells.
    ///
    /// # Errors
    /// [`StoreError::Refused`] names the field that cannot be taken.
    pub async fn adjust(&self, adjustment: Adjustment) -> Result<Entry, Refusal> {
        let desk = &self.0;
        let _one_at_a_time = desk.parts.store.terms_change().await;
        desk.in_the_wallets(adjustment.currency).await?;
        let (entry, logged) = desk.parts.store.adjust(&adjustment, desk.parts.clock.now().wall).await?;
        desk.publish(logged);
        Ok(entry)
    }

    /// Says from which balance down the wallet is low.
    ///
    /// # Errors
    /// [`Refusal`] for what no wallet holds.
    pub async fn set_wallet_low(&self, low: Option<Micros>, by: &Asker) -> Result<(), Refusal> {
        let desk = &self.0;
        let now = desk.parts.clock.now().wall;
        let logged = desk.parts.store.set_low(low, desk.terms().card.currency(), by, now).await?;
        desk.publish(logged);
        Ok(())
    }
}

impl Desk {
    /// Money in another currency than the wallet's belongs to none of its books.
    async fn in_the_wallets(&self, currency: Currency) -> Result<(), StoreError> {
        let wallet = self.parts.store.wallet(self.terms().card.currency()).await?;
        if wallet.currency == currency {
            return Ok(());
        }
        let reason = format!("the wallet is in {}, not {currency}", wallet.currency);
        Err(StoreError::Refused { field: "currency", reason })
    }

    pub(super) fn terms(&self) -> Arc<Terms> {
        self.parts.store.terms()
    }
}
