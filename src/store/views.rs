//! Views of the call list that agents keep: a name for a section and what narrows it.

use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use utoipa::ToSchema;

use super::Store;
use super::error::{Result, StoreError};
use super::paging::Section;
use super::sql::{Columns, clean, json_text};
use crate::call::record::Status;
use crate::model::day::Day;
use crate::model::id::{AgentId, NumberId, TeamId, ViewId};
use crate::model::reason::Direction;
use crate::model::time::Timestamp;

/// More than anybody finds again.
const VIEWS_MAX: i64 = 50;

/// A view that an agent keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct View {
    pub id: ViewId,
    #[schema(example = "VIPs of this week")]
    pub name: String,
    pub section: Section,
    pub filter: ViewFilter,
    pub created_at: Timestamp,
}

/// What narrows the list, as in `GET /v1/calls`; the time in days, which begin where the agent is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ViewFilter {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The last so many days, today included. With it there is no `since` and no `until`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 366)]
    pub days: Option<u16>,
    /// From this day on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Day>,
    /// To this day, included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Day>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team_id: Option<TeamId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number_id: Option<NumberId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disposition: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub talked_ms_min: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub talked_ms_below: Option<u32>,
}

/// A view to keep.
#[derive(Clone, Debug)]
pub struct ViewWish {
    pub name: String,
    pub section: Section,
    pub filter: ViewFilter,
}

impl Store {
    /// Keeps a view. One of the same name is what is wished from now on.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when there is no such agent; [`StoreError::Refused`] when it keeps as many as it may.
    pub async fn keep_view(&self, agent: &AgentId, wish: &ViewWish, now: Timestamp) -> Result<View> {
        let mut tx = self.writer.begin().await?;
        // One after another: what is counted below is all there is.
        let locked = sqlx::query("UPDATE agents SET id = id WHERE id = $1").bind(agent.as_str());
        if locked.execute(&mut *tx).await?.rows_affected() == 0 {
            return Err(StoreError::Missing(format!("agent {agent}")));
        }
        let row = sqlx::query(
            "INSERT INTO views (id, agent_id, name, section, filter, created_at) VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (agent_id, name) DO UPDATE SET section = excluded.section, filter = excluded.filter \
             RETURNING *",
        )
        .bind(ViewId::generate().as_str())
        .bind(agent.as_str())
        .bind(clean(&wish.name))
        .bind(wish.section.as_str())
        .bind(clean(&json_text(&wish.filter)))
        .bind(now.as_millis())
        .fetch_one(&mut *tx)
        .await?;
        let kept = sqlx::query("SELECT COUNT(*) AS n FROM views WHERE agent_id = $1").bind(agent.as_str());
        if kept.fetch_one(&mut *tx).await?.int("n")? > VIEWS_MAX {
            let reason = format!("there are {VIEWS_MAX} already, which is all one may keep: remove one first");
            return Err(StoreError::Refused { field: "name", reason });
        }
        let view = read_view(&row)?;
        tx.commit().await?;
        Ok(view)
    }

    /// The views of an agent, by name.
    pub async fn views(&self, agent: &AgentId) -> Result<Vec<View>> {
        let query = sqlx::query("SELECT * FROM views WHERE agent_id = $1").bind(agent.as_str());
        let mut views: Vec<View> = query.fetch_all(&self.reader).await?.iter().map(read_view).collect::<Result<_>>()?;
        // Here, because the databases sort letters differently.
        views.sort_by_cached_key(|view| (view.name.to_lowercase(), view.id.clone()));
        Ok(views)
    }

    /// Whose view it is.
    pub async fn view_owner(&self, id: &ViewId) -> Result<Option<AgentId>> {
        let query = sqlx::query("SELECT agent_id FROM views WHERE id = $1").bind(id.as_str());
        query.fetch_optional(&self.reader).await?.map(|row| row.word("agent_id")).transpose()
    }

    /// Removes a view. Nothing if it is gone already.
    pub async fn remove_view(&self, id: &ViewId) -> Result<()> {
        sqlx::query("DELETE FROM views WHERE id = $1").bind(id.as_str()).execute(&self.writer).await?;
        Ok(())
    }
}

fn read_view(row: &AnyRow) -> Result<View> {
    Ok(View {
        id: row.word("id")?,
        name: row.text("name")?,
        section: row.word("section")?,
        filter: row.json("filter")?,
        created_at: row.time("created_at")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::{Fixture, T0, agent_id, at, on_both};

    fn wish(name: &str, filter: ViewFilter) -> ViewWish {
        ViewWish { name: name.to_owned(), section: Section::Missed, filter }
    }

    on_both!(a_view_is_kept_for_its_agent_renewed_by_its_name_and_removed);
    async fn a_view_is_kept_for_its_agent_renewed_by_its_name_and_removed(t: Fixture) {
        t.seed().await;
        let (ana, beka) = (agent_id("a"), agent_id("b"));
        let whole = ViewFilter {
            text: Some("it's \0 {\"x\": 1}".to_owned()),
            days: Some(7),
            since: Some("2026-11-01".parse().unwrap()),
            until: Some("2026-11-30".parse().unwrap()),
            direction: Some(Direction::UserInitiated),
            status: Some(Status::MissedByAgent),
            agent_id: Some(beka.clone()),
            team_id: Some(TeamId::parse("team_1").unwrap()),
            number_id: Some(NumberId::parse("1").unwrap()),
            disposition: Some("Resolved".to_owned()),
            tag: Some("vip".to_owned()),
            recorded: Some(true),
            talked_ms_min: Some(1),
            talked_ms_below: Some(u32::MAX),
        };
        let zoe = t.store.keep_view(&ana, &wish("zoe", whole.clone()), T0).await.unwrap();
        assert_eq!((&zoe.filter, zoe.section, zoe.created_at), (&whole, Section::Missed, T0));
        let first = t.store.keep_view(&ana, &wish("Alma", ViewFilter::default()), at(1)).await.unwrap();
        t.store.keep_view(&beka, &wish("zoe", ViewFilter::default()), at(2)).await.unwrap();
        assert_eq!(t.store.views(&ana).await.unwrap(), [first.clone(), zoe.clone()]);
        assert_eq!(t.store.view_owner(&zoe.id).await.unwrap(), Some(ana.clone()));

        let renewed = t.store.keep_view(&ana, &wish("zoe", ViewFilter::default()), at(3)).await.unwrap();
        assert_eq!((&renewed.id, &renewed.filter, renewed.created_at), (&zoe.id, &ViewFilter::default(), T0));
        t.store.remove_view(&zoe.id).await.unwrap();
        t.store.remove_view(&zoe.id).await.unwrap();
        assert_eq!(t.store.views(&ana).await.unwrap(), [first]);
        assert_eq!(t.store.views(&beka).await.unwrap().len(), 1);
        let nobody = t.store.keep_view(&agent_id("none"), &wish("x", ViewFilter::default()), T0).await;
        assert!(matches!(nobody, Err(StoreError::Missing(_))), "{nobody:?}");
    }

    on_both!(nobody_keeps_more_views_than_anybody_finds_again);
    async fn nobody_keeps_more_views_than_anybody_finds_again(t: Fixture) {
        t.seed().await;
        let ana = agent_id("a");
        for n in 0..VIEWS_MAX {
            t.store.keep_view(&ana, &wish(&n.to_string(), ViewFilter::default()), T0).await.unwrap();
        }
        let more = t.store.keep_view(&ana, &wish("more", ViewFilter::default()), T0).await;
        assert!(matches!(more, Err(StoreError::Refused { field: "name", .. })), "{more:?}");
        t.store.keep_view(&ana, &wish("7", ViewFilter::default()), T0).await.expect("renewing adds none");
        assert_eq!(t.store.views(&ana).await.unwrap().len(), 50);
    }
}
