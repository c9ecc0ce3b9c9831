//! What may go wrong on Meta's side, on request.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The webhooks there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// `calls[].event = connect`
    Connect,
    /// `statuses[].status = RINGING`
    Ringing,
    /// `statuses[].status = ACCEPTED`
    Accepted,
    /// `statuses[].status = REJECTED`
    Rejected,
    /// `calls[].event = terminate`
    Terminate,
    /// A permission was granted, refused or taken back.
    PermissionReply,
    /// A customer wrote.
    Message,
    /// Settings of a number changed.
    SettingsUpdate,
    /// A warning, or a pause of calling.
    AccountUpdate,
    /// Something a test delivered itself, or an event the business does not know.
    Other,
}

/// How customers' numbers are hidden.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HidePhone {
    /// They are shown.
    #[default]
    No,
    /// The fields are missing.
    Missing,
    /// The fields are empty strings.
    Empty,
}

/// What happens to webhooks on their way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookFaults {
    /// Further copies of each webhook.
    pub duplicates: u32,
    /// Time between the copies.
    pub duplicate_pause: Duration,
    /// These come late; later ones overtake them.
    pub delays: Vec<(Kind, Duration)>,
    /// These never come.
    pub drops: Vec<Kind>,
    /// The signature does not fit the body.
    pub wrong_signature: bool,
    /// Time stamps lie this far in the past.
    pub stale_by: Duration,
    /// Fields that the business does not know, everywhere.
    pub extra_fields: bool,
    /// An event of an unknown kind goes with each webhook, in the same POST.
    pub unknown_events: bool,
    /// How the customer's number is hidden.
    pub hide_phone: HidePhone,
    /// `expiration_timestamp` of a permission is a number instead of a string.
    pub number_expiration: bool,
    /// `contacts` is missing.
    pub no_contacts: bool,
    /// Webhooks that happen within this time are sent in one POST.
    pub batch_window: Option<Duration>,
}

impl WebhookFaults {
    /// Sends `copies` more of each webhook.
    #[must_use]
    pub fn duplicating(mut self, copies: u32) -> Self {
        self.duplicates = copies;
        self
    }

    /// Delays one kind.
    #[must_use]
    pub fn delaying(mut self, kind: Kind, by: Duration) -> Self {
        self.delays.push((kind, by));
        self
    }

    /// Loses one kind.
    #[must_use]
    pub fn dropping(mut self, kind: Kind) -> Self {
        self.drops.push(kind);
        self
    }

    pub(super) fn delay_of(&self, kind: Kind) -> Option<Duration> {
        self.delays.iter().find(|(delayed, _)| *delayed == kind).map(|(_, by)| *by)
    }
}

/// What a Graph request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// Start a business-initiated call.
    Connect,
    /// Prepare the media of a user-initiated call.
    PreAccept,
    /// Answer it.
    Accept,
    /// Refuse it.
    Reject,
    /// End any call.
    Terminate,
    /// Send a message: ask for permission, write, send a call button.
    Message,
    /// Read the permission.
    CallPermissions,
    /// Change a number's settings.
    Settings,
    /// Read them.
    ReadSettings,
    /// Read what calls came to.
    Analytics,
    /// Read the account's templates.
    Templates,
}

impl Action {
    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "connect" => Self::Connect,
            "pre_accept" => Self::PreAccept,
            "accept" => Self::Accept,
            "reject" => Self::Reject,
            "terminate" => Self::Terminate,
            _ => return None,
        })
    }
}

/// How a Graph request goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GraphFault {
    /// Refused with this code of Meta's table; nothing is done.
    Error(u32),
    /// Refused with this HTTP status and no JSON; nothing is done.
    Status(u16),
    /// Never answered; nothing is done.
    TimeOut,
    /// Done, and then the connection is cut before the answer.
    AnswerLost,
    /// Done, and answered this late.
    AnswerLate(Duration),
}

/// Faults waiting for their requests.
#[derive(Default)]
pub(super) struct GraphFaults {
    waiting: Mutex<HashMap<Action, Vec<GraphFault>>>,
}

impl GraphFaults {
    pub(super) fn add(&self, action: Action, times: usize, fault: GraphFault) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.entry(action).or_default().extend(std::iter::repeat_n(fault, times));
    }

    pub(super) fn take(&self, action: Action) -> Option<GraphFault> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = waiting.get_mut(&action)?;
        if queue.is_empty() { None } else { Some(queue.remove(0)) }
    }
}
