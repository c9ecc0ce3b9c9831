//! Numbers, teams and agents.

use secrecy::SecretString;
use sqlx::any::AnyRow;

use super::Store;
use super::error::{Result, StoreError};
use super::sql::{Columns, clean, clean_opt, json_text};
use super::{events, sql};
use crate::model::directory::{Agent, Number, Switches, Team};
use crate::model::event::{Event, NewEvent};
use crate::model::id::{AgentId, NumberId, TeamId};
use crate::model::phone::Phone;
use crate::model::reason::Presence;
use crate::model::time::Timestamp;

impl Store {
    /// Creates or changes a number. `graph_token: None` keeps the stored one; a given one is kept sealed. What comes
    /// back says whether a token is set, whatever `n.graph_token_set` said.
    pub async fn put_number(&self, n: &Number, graph_token: Option<&str>) -> Result<Number> {
        let sealed = graph_token.map(|token| self.key.seal(&token_place(n.id.as_str()), token.as_bytes()));
        let row = sqlx::query(
            "INSERT INTO numbers (id, display_phone, plan, add_ons, messaging_limit, platform, graph_token, record_wanted, \
             keep_recordings_days) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
             ON CONFLICT (id) DO UPDATE SET display_phone = excluded.display_phone, plan = excluded.plan, \
             add_ons = excluded.add_ons, messaging_limit = excluded.messaging_limit, platform = excluded.platform, \
             record_wanted = excluded.record_wanted, keep_recordings_days = excluded.keep_recordings_days, \
             graph_token = COALESCE(excluded.graph_token, numbers.graph_token) RETURNING *",
        )
        .bind(n.id.as_str())
        .bind(n.display_phone_number.wa_id())
        .bind(n.plan.as_str())
        .bind(json_text(&n.add_ons))
        .bind(n.messaging_limit)
        .bind(n.platform.as_str())
        .bind(sealed)
        .bind(n.record.map(i16::from))
        .bind(n.keep_recordings_days.map(i64::from))
        .fetch_one(&self.writer)
        .await?;
        read_number(&row)
    }

    pub async fn number(&self, id: &NumberId) -> Result<Option<Number>> {
        let row =
            sqlx::query("SELECT * FROM numbers WHERE id = $1").bind(id.as_str()).fetch_optional(&self.reader).await?;
        row.as_ref().map(read_number).transpose()
    }

    /// All numbers, by id.
    pub async fn numbers(&self) -> Result<Vec<Number>> {
        let rows = sqlx::query("SELECT * FROM numbers ORDER BY id").fetch_all(&self.reader).await?;
        rows.iter().map(read_number).collect()
    }

    /// The number's Graph token, opened.
    ///
    /// # Errors
    /// [`StoreError::SecretKey`] when it was sealed with another key file.
    pub async fn graph_token(&self, id: &NumberId) -> Result<Option<SecretString>> {
        let row = sqlx::query("SELECT graph_token FROM numbers WHERE id = $1")
            .bind(id.as_str())
            .fetch_optional(&self.reader)
            .await?;
        let Some(sealed) = row.map(|row| row.bytes_opt("graph_token")).transpose()?.flatten() else { return Ok(None) };
        let token = self.key.open(&token_place(id.as_str()), &sealed)?;
        let token = String::from_utf8(token).map_err(|e| sql::damaged("graph_token", e))?;
        Ok(Some(token.into()))
    }

    pub async fn put_team(&self, t: &Team) -> Result<()> {
        sqlx::query("INSERT INTO teams (id, name) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET name = excluded.name")
            .bind(t.id.as_str())
            .bind(clean(&t.name))
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    pub async fn team(&self, id: &TeamId) -> Result<Option<Team>> {
        let row =
            sqlx::query("SELECT * FROM teams WHERE id = $1").bind(id.as_str()).fetch_optional(&self.reader).await?;
        row.as_ref().map(read_team).transpose()
    }

    /// All teams, by id.
    pub async fn teams(&self) -> Result<Vec<Team>> {
        let rows = sqlx::query("SELECT * FROM teams ORDER BY id").fetch_all(&self.reader).await?;
        rows.iter().map(read_team).collect()
    }

    /// Deletes a team in which nobody is, and logs that it happened; who left the house is in no team from then on. `None`:
    /// somebody is in it, or it does not exist.
    pub async fn delete_team(&self, id: &TeamId, now: Timestamp) -> Result<Option<Event>> {
        let mut tx = self.writer.begin().await?;
        sqlx::query("UPDATE agents SET team_id = NULL WHERE team_id = $1 AND left_at IS NOT NULL")
            .bind(id.as_str())
            .execute(&mut *tx)
            .await?;
        let gone = sqlx::query(
            "DELETE FROM teams WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM agents WHERE team_id = $1) RETURNING *",
        )
        .bind(id.as_str())
        .fetch_optional(&mut *tx)
        .await?;
        let Some(gone) = gone else { return Ok(None) };
        let data = serde_json::to_value(read_team(&gone)?).expect("a team is two strings");
        let event = NewEvent { kind: "team.deleted", call_id: None, agent_id: None, data };
        let event = events::append(&mut tx, vec![event], now).await?.pop().expect("one event in, one out");
        tx.commit().await?;
        Ok(Some(event))
    }

    /// Creates or changes an agent. Keeps the stored `status`; a new agent is offline. Who had left is back.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when the team is unknown.
    pub async fn put_agent(&self, a: &Agent) -> Result<Agent> {
        upsert_agent(a).fetch_one(&self.writer).await.map_err(on_agent(a)).and_then(|row| read_agent(&row))
    }

    /// As [`Self::put_agent`], and logs that it happened, both or neither.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when the team is unknown.
    pub async fn change_agent(&self, a: &Agent, now: Timestamp) -> Result<(Agent, Event)> {
        let mut tx = self.writer.begin().await?;
        let row = upsert_agent(a).fetch_one(&mut *tx).await.map_err(on_agent(a))?;
        let agent = read_agent(&row)?;
        let data = serde_json::to_value(&agent).expect("an agent is strings and flags");
        let event = NewEvent { kind: "agent.updated", call_id: None, agent_id: None, data };
        let event = events::append(&mut tx, vec![event], now).await?.pop().expect("one event in, one out");
        tx.commit().await?;
        Ok((agent, event))
    }

    /// Who left is nobody.
    pub async fn agent(&self, id: &AgentId) -> Result<Option<Agent>> {
        let row = sqlx::query("SELECT * FROM agents WHERE id = $1 AND left_at IS NULL")
            .bind(id.as_str())
            .fetch_optional(&self.reader)
            .await?;
        row.as_ref().map(read_agent).transpose()
    }

    /// All agents, by id; without those who left.
    pub async fn agents(&self) -> Result<Vec<Agent>> {
        let rows =
            sqlx::query("SELECT * FROM agents WHERE left_at IS NULL ORDER BY id").fetch_all(&self.reader).await?;
        rows.iter().map(read_agent).collect()
    }

    /// Sets an agent's status and logs the event, both or neither. `None` if there is no such agent.
    pub async fn set_status(
        &self,
        id: &AgentId,
        s: Presence,
        e: NewEvent,
        now: Timestamp,
    ) -> Result<Option<(Agent, Event)>> {
        let mut tx = self.writer.begin().await?;
        let row = sqlx::query("UPDATE agents SET status = $2 WHERE id = $1 AND left_at IS NULL RETURNING *")
            .bind(id.as_str())
            .bind(s.as_str())
            .fetch_optional(&mut *tx)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let event = events::append(&mut tx, vec![e], now).await?.pop().expect("one event in, one out");
        tx.commit().await?;
        Ok(Some((read_agent(&row)?, event)))
    }
}

fn upsert_agent(a: &Agent) -> sqlx::query::Query<'_, sqlx::Any, sqlx::any::AnyArguments> {
    sqlx::query(
        "INSERT INTO agents (id, name, email, role, team_id, excluded, configure_calls, all_calls, status) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, email = excluded.email, role = excluded.role, \
         team_id = excluded.team_id, excluded = excluded.excluded, configure_calls = excluded.configure_calls, \
         all_calls = excluded.all_calls, left_at = NULL RETURNING *",
    )
    .bind(a.id.as_str())
    .bind(clean(&a.name))
    .bind(clean_opt(a.email.as_deref()))
    .bind(a.role.as_str())
    .bind(a.team_id.as_ref().map(TeamId::as_str))
    .bind(i16::from(a.excluded))
    .bind(i16::from(a.switches.configure_calls))
    .bind(i16::from(a.switches.all_calls))
    .bind(Presence::Offline.as_str())
}

fn on_agent(a: &Agent) -> impl FnOnce(sqlx::Error) -> StoreError {
    StoreError::on_write(|| a.team_id.as_ref().map_or_else(String::new, |t| format!("team {t}")))
}

/// What a number's sealed token is bound to.
pub(super) fn token_place(number_id: &str) -> String {
    format!("numbers/{number_id}/graph_token")
}

pub(super) fn read_number(row: &AnyRow) -> Result<Number> {
    Ok(Number {
        id: row.word("id")?,
        display_phone_number: row
            .parsed_opt("display_phone", Phone::parse)?
            .ok_or_else(|| sql::damaged("display_phone", "empty"))?,
        plan: row.word("plan")?,
        add_ons: row.json("add_ons")?,
        messaging_limit: row.int("messaging_limit")?,
        platform: row.word("platform")?,
        graph_token_set: row.bytes_opt("graph_token")?.is_some(),
        record: row.int_opt("record_wanted")?.map(|flag| flag != 0),
        keep_recordings_days: row.int_opt("keep_recordings_days")?.and_then(|days| u32::try_from(days).ok()),
    })
}

fn read_team(row: &AnyRow) -> Result<Team> {
    Ok(Team { id: row.word("id")?, name: row.text("name")? })
}

pub(super) fn read_agent(row: &AnyRow) -> Result<Agent> {
    Ok(Agent {
        id: row.word("id")?,
        name: row.text("name")?,
        email: row.text_opt("email")?,
        role: row.word("role")?,
        team_id: row.word_opt("team_id")?,
        excluded: row.flag("excluded")?,
        switches: Switches { configure_calls: row.flag("configure_calls")?, all_calls: row.flag("all_calls")? },
        status: row.word("status")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::directory::AddOn;
    use crate::model::reason::Role;
    use crate::store::fixture::{self, Fixture, at, on_both};

    on_both!(numbers_teams_and_agents_survive_a_restart_as_they_were_put);
    async fn numbers_teams_and_agents_survive_a_restart_as_they_were_put(t: Fixture) {
        let number = Number { add_ons: vec![AddOn::SalesCrm], messaging_limit: i64::MAX, ..fixture::number() };
        t.store.put_number(&number, None).await.unwrap();
        let team = Team { id: TeamId::parse("team_1").unwrap(), name: "Sales '; --".into() };
        t.store.put_team(&team).await.unwrap();
        let agent = Agent {
            email: Some("a@example.org".into()),
            role: Role::SalesLead,
            team_id: Some(team.id.clone()),
            excluded: true,
            switches: Switches { configure_calls: true, all_calls: false },
            ..fixture::agent("a")
        };
        t.store.put_agent(&agent).await.unwrap();
        let t = t.restart().await;
        let read = t.store.number(&number.id).await.unwrap().unwrap();
        assert_eq!(json_text(&read), json_text(&number));
        assert_eq!(json_text(&t.store.team(&team.id).await.unwrap()), json_text(&team));
        assert_eq!(json_text(&t.store.agent(&agent.id).await.unwrap()), json_text(&agent));
        let all = (t.store.numbers().await.unwrap(), t.store.teams().await.unwrap(), t.store.agents().await.unwrap());
        assert_eq!((all.0.len(), all.1.len(), all.2.len()), (1, 1, 1));
        assert!(t.store.number(&NumberId::parse("x").unwrap()).await.unwrap().is_none());
        assert!(t.store.graph_token(&number.id).await.unwrap().is_none());
        let lost = Agent { team_id: Some(TeamId::parse("team_x").unwrap()), ..agent };
        assert_eq!(t.store.put_agent(&lost).await.unwrap_err().to_string(), "team team_x does not exist");
    }

    on_both!(a_team_goes_when_nobody_is_in_it_and_who_left_is_then_in_none);
    async fn a_team_goes_when_nobody_is_in_it_and_who_left_is_then_in_none(t: Fixture) {
        let team = Team { id: TeamId::parse("team_1").unwrap(), name: "Sales".into() };
        t.store.put_team(&team).await.unwrap();
        for name in ["a", "b"] {
            let agent = Agent { team_id: Some(team.id.clone()), ..fixture::agent(name) };
            t.store.put_agent(&agent).await.unwrap();
        }
        t.store.leave(&fixture::agent_id("b"), None, at(1)).await.unwrap().unwrap();
        assert!(t.store.delete_team(&team.id, at(2)).await.unwrap().is_none(), "a is in it");
        assert_eq!(t.store.former_agents().await.unwrap()[0].team_id, Some(team.id.clone()), "nothing was changed");
        t.store.put_agent(&fixture::agent("a")).await.unwrap();
        let told = t.store.delete_team(&team.id, at(3)).await.unwrap().unwrap();
        assert_eq!((told.kind.as_str(), &told.data["name"]), ("team.deleted", &serde_json::json!("Sales")));
        assert!(t.store.delete_team(&team.id, at(4)).await.unwrap().is_none(), "once");
        let t = t.restart().await;
        assert!(t.store.teams().await.unwrap().is_empty());
        assert_eq!(t.store.former_agents().await.unwrap()[0].team_id, None);
    }

    on_both!(a_status_changes_with_its_event_and_putting_the_agent_keeps_it);
    async fn a_status_changes_with_its_event_and_putting_the_agent_keeps_it(t: Fixture) {
        t.seed().await;
        let id = fixture::agent_id("a");
        let event = |kind| NewEvent { kind, call_id: None, agent_id: Some(id.clone()), data: serde_json::json!({}) };
        let (agent, event_1) =
            t.store.set_status(&id, Presence::Online, event("agent.status_changed"), at(1)).await.unwrap().unwrap();
        assert_eq!((agent.status, event_1.seq), (Presence::Online, 1));
        let put = t.store.put_agent(&Agent { name: "New name".into(), ..fixture::agent("a") }).await.unwrap();
        assert_eq!((put.status, put.name.as_str()), (Presence::Online, "New name"));
        let nobody = fixture::agent_id("nobody");
        assert!(t.store.set_status(&nobody, Presence::Online, event("x"), at(2)).await.unwrap().is_none());
        let t = t.restart().await;
        assert_eq!(t.store.last_seq().await.unwrap(), 1, "no event without a change");
        assert_eq!(t.store.agent(&id).await.unwrap().unwrap().status, Presence::Online);
    }
}
