//! Agents who left: nobody signs in as them, rings them or assigns to them, and what they did goes on bearing their name.

use sqlx::any::AnyRow;

use super::Store;
use super::contacts::read_contact;
use super::directory::read_agent;
use super::error::{Result, StoreError};
use super::sql::Columns;
use super::{events, identity};
use crate::model::directory::{Agent, FormerAgent};
use crate::model::event::{Event, NewEvent};
use crate::model::id::AgentId;
use crate::model::reason::Presence;
use crate::model::time::Timestamp;

impl Store {
    /// An agent leaves: offline, and its customers, as assignee and as owner, are this colleague's from now on, or nobody's.
    /// `None` if there is no such agent. Its access is another matter: see [`Self::take_access`].
    ///
    /// # Errors
    /// [`StoreError::Missing`] when the colleague is unknown.
    pub async fn leave(
        &self,
        id: &AgentId,
        customers_to: Option<&AgentId>,
        now: Timestamp,
    ) -> Result<Option<Vec<Event>>> {
        let mut tx = self.writer.begin().await?;
        identity::lock(&mut tx).await?;
        let left =
            sqlx::query("UPDATE agents SET left_at = $2, status = $3 WHERE id = $1 AND left_at IS NULL RETURNING *")
                .bind(id.as_str())
                .bind(now.as_millis())
                .bind(Presence::Offline.as_str())
                .fetch_optional(&mut *tx)
                .await?;
        let Some(left) = left else { return Ok(None) };
        let customers = sqlx::query(
            "UPDATE contacts SET assignee_id = CASE WHEN assignee_id = $1 THEN $2 ELSE assignee_id END, \
             owner_id = CASE WHEN owner_id = $1 THEN $2 ELSE owner_id END \
             WHERE (assignee_id = $1 OR owner_id = $1) AND merged_into IS NULL RETURNING *",
        )
        .bind(id.as_str())
        .bind(customers_to.map(AgentId::as_str))
        .fetch_all(&mut *tx)
        .await
        .map_err(StoreError::on_write(|| customers_to.map_or_else(String::new, |to| format!("agent {to}"))))?;
        let mut happened = vec![about("agent.left", &read_former(&left)?)];
        for row in &customers {
            happened.push(about("contact.updated", &read_contact(row)?));
        }
        let events = events::append(&mut tx, happened, now).await?;
        tx.commit().await?;
        Ok(Some(events))
    }

    /// Those who left, by id.
    pub async fn former_agents(&self) -> Result<Vec<FormerAgent>> {
        let rows =
            sqlx::query("SELECT * FROM agents WHERE left_at IS NOT NULL ORDER BY id").fetch_all(&self.reader).await?;
        rows.iter().map(read_former).collect()
    }

    /// All who are or were agents, by id: for whose calls are seen, which does not end with their leaving.
    pub async fn agents_ever(&self) -> Result<Vec<Agent>> {
        let rows = sqlx::query("SELECT * FROM agents ORDER BY id").fetch_all(&self.reader).await?;
        rows.iter().map(read_agent).collect()
    }

    /// An agent, also one who left.
    pub async fn agent_ever(&self, id: &AgentId) -> Result<Option<Agent>> {
        let row =
            sqlx::query("SELECT * FROM agents WHERE id = $1").bind(id.as_str()).fetch_optional(&self.reader).await?;
        row.as_ref().map(read_agent).transpose()
    }
}

fn about(kind: &'static str, what: &impl serde::Serialize) -> NewEvent {
    let data = serde_json::to_value(what).expect("agents and contacts are plain data");
    NewEvent { kind, call_id: None, agent_id: None, data }
}

fn read_former(row: &AnyRow) -> Result<FormerAgent> {
    Ok(FormerAgent {
        id: row.word("id")?,
        name: row.text("name")?,
        team_id: row.word_opt("team_id")?,
        left_at: row.time("left_at")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::directory::{Contact, ContactRef};
    use crate::store::fixture::{self, Fixture, T0, at, on_both};

    on_both!(who_left_is_nobody_to_whoever_asks_but_its_customers_and_its_name_are_kept);
    async fn who_left_is_nobody_to_whoever_asks_but_its_customers_and_its_name_are_kept(t: Fixture) {
        let nino = t.seed().await;
        let [a, b] = ["a", "b"].map(fixture::agent_id);
        let beka = t.customer("995555010204").await;
        let owned = |contact: &Contact, assignee: &AgentId, owner: &AgentId| Contact {
            assignee_id: Some(assignee.clone()),
            owner_id: Some(owner.clone()),
            ..contact.clone()
        };
        t.store.put_contact(&owned(&nino, &a, &b)).await.unwrap();
        t.store.put_contact(&owned(&beka, &b, &a)).await.unwrap();
        let email = Some("ana@example.com".to_owned());
        let agent = t.store.agent(&a).await.unwrap().unwrap();
        t.store.put_agent(&Agent { email: email.clone(), ..agent.clone() }).await.unwrap();

        let nobody = fixture::agent_id("nobody");
        let wrong = t.store.leave(&a, Some(&nobody), T0).await;
        assert!(matches!(wrong, Err(StoreError::Missing(_))), "{wrong:?}");
        assert!(t.store.agent(&a).await.unwrap().is_some(), "all or nothing");

        let told = t.store.leave(&a, Some(&b), at(5)).await.unwrap().unwrap();
        let kinds: Vec<_> = told.iter().map(|event| event.kind.as_str()).collect();
        assert_eq!(kinds, ["agent.left", "contact.updated", "contact.updated"]);
        assert_eq!(told[0].data["name"], agent.name);
        let t = t.restart().await;
        for contact in [&nino, &beka] {
            let now = t.store.contact(&ContactRef::Id(contact.id.clone())).await.unwrap().unwrap();
            assert_eq!((now.assignee_id.as_ref(), now.owner_id.as_ref()), (Some(&b), Some(&b)));
        }
        assert!(t.store.agent(&a).await.unwrap().is_none());
        assert!(t.store.agents().await.unwrap().iter().all(|agent| agent.id != a));
        assert!(t.store.agent_ever(&a).await.unwrap().is_some());
        assert_eq!(t.store.agents_ever().await.unwrap().len(), t.store.agents().await.unwrap().len() + 1);
        let former = t.store.former_agents().await.unwrap();
        assert_eq!(former.iter().map(|one| (&one.id, one.left_at)).collect::<Vec<_>>(), [(&a, at(5))]);
        assert!(t.store.leave(&a, None, at(6)).await.unwrap().is_none(), "once");
        assert!(t.store.leave(&nobody, None, at(6)).await.unwrap().is_none());

        // The address is free for somebody else, who signs in with it.
        let heir = t.store.agent(&b).await.unwrap().unwrap();
        t.store.put_agent(&Agent { email, ..heir }).await.unwrap();
        t.store.set_password(&b, "$hash$", T0).await.unwrap();
        assert_eq!(t.store.login("ana@example.com").await.unwrap().unwrap().agent, b);

        // Who comes back is the same one.
        t.store.put_agent(&agent).await.unwrap();
        assert!(t.store.agent(&a).await.unwrap().is_some());
        assert!(t.store.former_agents().await.unwrap().is_empty());
        let told = t.store.leave(&b, None, at(7)).await.unwrap().unwrap();
        assert_eq!(told.len(), 3);
        let now = t.store.contact(&ContactRef::Id(nino.id)).await.unwrap().unwrap();
        assert_eq!((now.assignee_id, now.owner_id), (None, None));
    }
}
