//! What calls cost, by the customer's country.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::super::Store;
use super::super::calls::{CallFilter, narrow};
use super::super::error::Result;
use super::super::sql::{Columns, Select};
use crate::model::country::Country;
use crate::model::money::{Currency, Micros};

/// What calls to one country came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct CountryCost {
    /// `null`: numbers that belong to no country.
    pub country: Option<Country>,
    pub currency: Currency,
    /// Calls that were charged.
    pub calls: i64,
    pub talk_ms: i64,
    /// Six-second pulses, each begun one counted.
    pub pulses: i64,
    pub micros: Micros,
}

impl Store {
    /// What the calls that the filter lets through were charged, dearest country first.
    pub async fn costs_report(&self, f: &CallFilter) -> Result<Vec<CountryCost>> {
        if f.agent_ids.as_ref().is_some_and(Vec::is_empty) {
            return Ok(Vec::new());
        }
        // Which digits belong to which country the database does not know; that so many are enough, it may.
        let mut select = Select::new(&format!(
            "SELECT substr(c.phone, 1, {}) AS digits, substr(c.user_id, 1, 3) AS prefix, charge_currency, \
             COUNT(*) AS calls, CAST(SUM(duration_ms) AS BIGINT) AS talk_ms, \
             CAST(SUM(COALESCE(charge_pulses, 0)) AS BIGINT) AS pulses, CAST(SUM(charge_micros) AS BIGINT) AS micros \
             FROM calls JOIN contacts r ON r.id = calls.contact_id JOIN contacts c ON c.id = COALESCE(r.merged_into, r.id)",
            Country::DIGITS
        ));
        narrow(&mut select, f);
        select.and("charge_micros IS NOT NULL").and("charge_currency IS NOT NULL").push(" GROUP BY 1, 2, 3");
        let mut costs = BTreeMap::<(Option<Country>, String), CountryCost>::new();
        for row in select.query().fetch_all(&self.reader).await? {
            let country = match row.text_opt("digits")? {
                Some(digits) => Country::of_digits(&digits),
                None => row.text_opt("prefix")?.as_deref().and_then(Country::of_user_id),
            };
            let currency: Currency = row.word("charge_currency")?;
            let none = CountryCost { country, currency, calls: 0, talk_ms: 0, pulses: 0, micros: 0 };
            let cost = costs.entry((country, currency.to_string())).or_insert(none);
            cost.calls += row.int("calls")?;
            cost.talk_ms += row.int("talk_ms")?;
            cost.pulses += row.int("pulses")?;
            cost.micros += row.int("micros")?;
        }
        let mut costs: Vec<_> = costs.into_values().collect();
        costs.sort_by_key(|cost| std::cmp::Reverse(cost.micros));
        Ok(costs)
    }
}
