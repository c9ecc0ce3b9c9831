//! How far customers went: asked, agreed, called, lost again.

use serde::Serialize;
use utoipa::ToSchema;

use super::super::Store;
use super::super::error::Result;
use super::super::sql::{Columns, Select};
use crate::model::id::{AgentId, NumberId};
use crate::model::time::Timestamp;
use crate::model::words;

words! {
    /// What happened between a number and a customer.
    PermissionStep {
        /// The customer was asked.
        Requested = "requested",
        /// The customer agreed for a week, also by calling.
        GrantedTemporary = "granted_temporary",
        /// The customer agreed until further notice.
        GrantedPermanent = "granted_permanent",
        /// The customer said no.
        Declined = "declined",
        /// A call to the customer connected.
        Used = "used",
        /// Taken back after unanswered calls.
        Revoked = "revoked",
    }
}

/// One step, counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FunnelStep {
    pub step: PermissionStep,
    /// Customers with whom it happened, each counted once per number.
    pub customers: i64,
    /// How often it happened.
    pub times: i64,
}

/// What an event of a permission begins with: its variant comes first in its JSON, as it always was.
const STEP: &str = "CASE WHEN e.body LIKE '{\"what\":\"requested\"%' THEN 'requested' \
     WHEN e.body LIKE '{\"what\":\"granted\",\"permanent\":true%' THEN 'granted_permanent' \
     WHEN e.body LIKE '{\"what\":\"granted\"%' THEN 'granted_temporary' \
     WHEN e.body LIKE '{\"what\":\"declined\"%' THEN 'declined' \
     WHEN e.body LIKE '{\"what\":\"revoked\"%' THEN 'revoked' END";

impl Store {
    /// Every step of the permissions within `[from, to)`, in their order. `seen_by`: only those of customers who are
    /// assigned to or owned by one of these agents.
    pub async fn permissions_report(
        &self,
        number: Option<&NumberId>,
        seen_by: Option<&[AgentId]>,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<FunnelStep>> {
        let mut steps: Vec<_> =
            PermissionStep::ALL.iter().map(|step| FunnelStep { step: *step, customers: 0, times: 0 }).collect();
        if seen_by.is_some_and(<[_]>::is_empty) {
            return Ok(steps);
        }
        let said = format!("{STEP} AS step, COUNT(*) AS times FROM permission_events e");
        let dialled = "'used' AS step, COUNT(*) AS times FROM dials e";
        for (events, at) in [(said.as_str(), "e.at"), (dialled, "e.connected_at")] {
            let mut select = Select::new(&format!(
                "SELECT step, COUNT(*) AS customers, CAST(SUM(times) AS BIGINT) AS times FROM (SELECT {events} \
                 JOIN contacts r ON r.id = e.contact_id JOIN contacts c ON c.id = COALESCE(r.merged_into, r.id)"
            ));
            select.and(at).push(" >= ").int(from.as_millis());
            select.and(at).push(" < ").int(to.as_millis());
            if let Some(number) = number {
                select.and("e.number_id = ").text(number.as_str());
            }
            if let Some(agents) = seen_by {
                let ids = || agents.iter().map(AgentId::as_str);
                select.and("(c.assignee_id IN ").list(ids()).push(" OR c.owner_id IN ").list(ids()).push(")");
            }
            select.push(" GROUP BY 1, e.number_id, c.id) pairs WHERE step IS NOT NULL GROUP BY step");
            for row in select.query().fetch_all(&self.reader).await? {
                let step: PermissionStep = row.word("step")?;
                for counted in steps.iter_mut().filter(|counted| counted.step == step) {
                    (counted.customers, counted.times) = (row.int("customers")?, row.int("times")?);
                }
            }
        }
        Ok(steps)
    }
}
