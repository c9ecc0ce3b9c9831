//! A store to test against. Every store test comes through here, so that another database is one change away.

use std::path::Path;
use std::time::Duration;

use super::{CustomerIdentity, Store};
use crate::call::record::{CallRecord, LegRecord, OFF, OfferRecord, RecordingRecord, Status};
use crate::model::directory::{Agent, Contact, Number, Plan, Platform, Switches};
use crate::model::id::{AgentId, CallId, LegId, NumberId, OfferId};
use crate::model::phone::Phone;
use crate::model::quality::Quality;
use crate::model::reason::{
    CallState, Direction, EndReason, LegKind, OfferCause, OfferOutcome, Presence, RecordingState, Role,
};
use crate::model::time::Timestamp;

/// 2026-11-18T09:46:40Z.
pub(super) const T0: Timestamp = Timestamp::from_millis(1_795_000_000_000);

/// This many seconds after [`T0`].
pub(super) fn at(secs: i64) -> Timestamp {
    T0.plus(Duration::from_secs(secs as u64))
}

/// An open store in a folder of its own, removed at the end.
pub(super) struct Fixture {
    pub(super) store: Store,
    dir: tempfile::TempDir,
    /// As in the configuration; empty = SQLite in `dir`.
    url: String,
}

pub(super) async fn open() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let url = String::new();
    let store = Store::open(&url, dir.path()).await.unwrap();
    Fixture { store, dir, url }
}

impl Fixture {
    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The program dies without a word (nothing is closed first) and starts again.
    pub(super) async fn restart(self) -> Self {
        let store = Store::open(&self.url, self.dir.path()).await.unwrap();
        Self { store, ..self }
    }

    /// One number, agents `agt_a` and `agt_b`, and a contact.
    pub(super) async fn seed(&self) -> Contact {
        self.store.put_number(&number(), None).await.unwrap();
        for name in ["a", "b"] {
            self.store.put_agent(&agent(name)).await.unwrap();
        }
        self.customer("995555111222").await
    }

    pub(super) async fn customer(&self, phone: &str) -> Contact {
        let who = CustomerIdentity { phone: Some(Phone::parse(phone).unwrap()), ..CustomerIdentity::default() };
        self.store.identify(&who, T0).await.unwrap()
    }

    /// A saved call that rings agent `a`.
    pub(super) async fn call(&self, contact: &Contact, secs: i64) -> CallRecord {
        let call = ringing(contact, at(secs));
        self.store.save_call(&call, vec![], at(secs)).await.unwrap();
        call
    }
}

pub(super) fn number_id() -> NumberId {
    NumberId::parse("100000000000001").unwrap()
}

pub(super) fn agent_id(name: &str) -> AgentId {
    AgentId::parse(&format!("agt_{name}")).unwrap()
}

pub(super) fn number() -> Number {
    Number {
        id: number_id(),
        display_phone_number: Phone::parse("+995322000111").unwrap(),
        plan: Plan::Growth,
        add_ons: vec![],
        messaging_limit: 2000,
        platform: Platform::CloudApi,
        graph_token_set: false,
    }
}

pub(super) fn agent(name: &str) -> Agent {
    Agent {
        id: agent_id(name),
        name: format!("Agent {name}"),
        email: None,
        role: Role::Teammate,
        team_id: None,
        excluded: false,
        switches: Switches::default(),
        status: Presence::Offline,
    }
}

/// A user-initiated call with one offer and one leg, not saved.
pub(super) fn ringing(contact: &Contact, now: Timestamp) -> CallRecord {
    CallRecord {
        id: CallId::generate(),
        number_id: number_id(),
        direction: Direction::UserInitiated,
        state: CallState::Ringing,
        status: Status::Ringing,
        contact: contact.clone(),
        agent_id: None,
        offers: vec![OfferRecord {
            id: OfferId::generate(),
            agent_id: agent_id("a"),
            offered_at: now,
            outcome: OfferOutcome::Pending,
            cause: None,
            ended_at: None,
            reason: "the assignee".to_owned(),
        }],
        created_at: now,
        answered_at: None,
        ended_at: None,
        duration_ms: 0,
        end_reason: None,
        ended_by: None,
        legs: vec![LegRecord {
            id: LegId::generate(),
            kind: LegKind::WhatsApp,
            quality: Quality { packets_received: 7, loss_ratio: 0.25, mos: Some(4.1), ..Quality::default() },
        }],
        recording: RecordingRecord { state: RecordingState::None, duration_ms: 0, gaps: 0 },
        transcript: OFF,
        summary: OFF,
        charge: None,
        wacid: None,
        callback_data: None,
        upstream_code: None,
        trace: serde_json::json!([{"step": "chat_assignee", "verdict": "chosen"}]),
    }
}

/// The same call, ended for this reason, its last offer missed.
pub(super) fn ended(mut call: CallRecord, reason: EndReason, now: Timestamp) -> CallRecord {
    call.state = CallState::Ended;
    call.end_reason = Some(reason);
    call.ended_at = Some(now);
    call.status = Status::of(call.state, call.answered_at.is_some(), call.end_reason);
    for offer in call.offers.iter_mut().filter(|o| o.outcome == OfferOutcome::Pending) {
        offer.outcome = OfferOutcome::MissedByAgent;
        offer.cause = Some(OfferCause::RingTimeout);
        offer.ended_at = Some(now);
    }
    call
}
