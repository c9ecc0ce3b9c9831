//! Who is told before they are recorded, and who forbids it.

use crate::metrics::Consented;
use crate::model::id::TeamId;
use crate::model::recording::{Consent, ConsentState};
use crate::shard::Command;
use crate::store::StoreError;

use super::about_call;
use super::line::Line;

impl Line {
    /// Whether recording may begin. Where both parties are to be told first, the announcement begins with the first question.
    pub(super) async fn has_consent(&mut self) -> bool {
        let record = self.call.record();
        if let Some(consent) = &record.recording.consent {
            return consent.state == ConsentState::Announced;
        }
        let announcements = &self.desk.parts.announcements;
        let team = match self.team().await {
            Ok(team) => team,
            Err(error) => {
                tracing::error!(call = %record.id, %error, "nobody knows who is to be told: the call is not recorded");
                return false;
            }
        };
        let country = record.contact.country();
        let Some(announcement) = announcements.of(&record.number_id, country, team.as_ref()) else { return true };
        let consent = Consent {
            state: ConsentState::Announcing,
            language: announcement.language.clone(),
            sha256: announcement.sha256.clone(),
            length_ms: i64::try_from(announcement.prompt.duration().as_millis()).unwrap_or(i64::MAX),
            announced_at: None,
            opt_out_key: announcement.opt_out_key,
            opted_out_at: None,
        };
        let (announcement, opt_out) = (announcement.prompt.clone(), announcement.opt_out_key);
        self.command(|call| Command::Announce { call, announcement, opt_out });
        self.call.record_mut().recording.consent = Some(consent);
        self.store(Vec::new()).await;
        false
    }

    /// The team of the agent in the call, where announcements ask for it.
    async fn team(&self) -> Result<Option<TeamId>, StoreError> {
        let parts = &self.desk.parts;
        match &self.call.record().agent_id {
            Some(agent) if parts.announcements.ask_for_teams() => {
                Ok(parts.store.agent(agent).await?.and_then(|agent| agent.team_id))
            }
            _ => Ok(None),
        }
    }

    /// Both have been played it to its end: now it may be recorded.
    pub(super) async fn announced(&mut self) {
        let now = self.desk.parts.clock.now().wall;
        let Some(consent) = self.call.record_mut().recording.consent.as_mut() else { return };
        if consent.state != ConsentState::Announcing {
            return;
        }
        (consent.state, consent.announced_at) = (ConsentState::Announced, Some(now));
        self.desk.parts.metrics.consented(Consented::Announced);
        self.start_tap().await;
        self.tell_consent("recording.announced").await;
    }

    /// The shard has closed the tap by now, and opens none any more.
    pub(super) async fn opted_out(&mut self) {
        let now = self.desk.parts.clock.now().wall;
        let Some(consent) = self.call.record_mut().recording.consent.as_mut() else { return };
        (consent.state, consent.opted_out_at) = (ConsentState::OptedOut, Some(now));
        tracing::info!(call = %self.call.record().id, "the customer does not want to be recorded");
        self.desk.parts.metrics.consented(Consented::OptedOut);
        self.tell_consent("recording.opted_out").await;
    }

    async fn tell_consent(&mut self, kind: &'static str) {
        let record = self.call.record();
        let data = serde_json::json!({"call_id": record.id, "consent": record.recording.consent});
        let event = about_call(kind, &record.id, data);
        self.store(vec![event]).await;
    }
}
