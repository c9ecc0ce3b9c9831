//! Who may what, as one table to read and to argue about. It is written down here and nowhere derived, so that the doors
//! are compared with what was meant and not with themselves. A route that is served and is not here fails the test.

use crate::model::reason::Role;
use crate::policy::access::Scope;
use Answer::{Answers, Lists, ListsCustomers, Streams};
use Scope::{Admin, CallsRead, CallsWrite, EventsRead, PermissionsWrite, RecordingsRead, SettingsWrite};

/// How far a role sees calls, without and with the switch `all_calls`: calls it took, calls that only rang at it, calls of
/// its team, calls of other teams, calls that reached nobody.
pub(super) const SIGHT: [(Role, bool, [bool; 5]); 8] = [
    //                        took  rang  team   others nobody
    (Role::Owner, false, /**/ [true, true, true, true, true]),
    (Role::Owner, true, /* */ [true, true, true, true, true]),
    (Role::SalesLead, false, [true, true, true, false, false]),
    (Role::SalesLead, true, /**/ [true, true, true, true, true]),
    (Role::Admin, false, /**/ [true, true, false, false, false]),
    (Role::Admin, true, /* */ [true, true, true, true, true]),
    (Role::Teammate, false, [true, true, false, false, false]),
    (Role::Teammate, true, /**/ [true, true, true, true, true]),
];

/// Who configures calls, without and with the switch `configure_calls`.
pub(super) const CONFIGURES: [(Role, [bool; 2]); 4] = [
    (Role::Owner, [true, true]),
    (Role::SalesLead, [false, true]),
    (Role::Admin, [false, true]),
    (Role::Teammate, [false, true]),
];

/// Who sees the wallet and fills it, whatever the switches.
pub(super) const SEES_WALLET: [(Role, bool); 4] =
    [(Role::Owner, true), (Role::SalesLead, false), (Role::Admin, false), (Role::Teammate, false)];

/// Who changes agents, teams and numbers, whatever the switches.
pub(super) const MANAGES: [(Role, bool); 4] =
    [(Role::Owner, true), (Role::SalesLead, false), (Role::Admin, false), (Role::Teammate, false)];

/// Who gives customers to whom, whatever the switches: `None`: to nobody, `Some(false)`: in the own team.
pub(super) const ASSIGNS: [(Role, Option<bool>); 4] =
    [(Role::Owner, Some(true)), (Role::SalesLead, Some(false)), (Role::Admin, None), (Role::Teammate, None)];

/// Which agents may, and what the others are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Agents {
    /// Whatever the role and whoever it belongs to.
    All,
    /// None, and it is no secret that it is there: 403.
    NoneOpenly,
    /// None: 403 for what is their own, the 404 of what does not exist for the rest.
    None,
    /// None, as if it did not exist: 404.
    NoneSecretly,
    /// The agent it belongs to; 404 for the rest.
    Own,
    /// The agent the chat is assigned to; 403 for the rest, since chats are no secret.
    OwnChat,
    /// The agent who took the call; 404 for the rest.
    Took,
    /// As [`SIGHT`] says; 404 for the rest.
    Sees,
    /// The agent who wrote the note, and those who manage; 404 for the rest.
    WroteOrManages,
    /// As [`CONFIGURES`] says; 403 for the rest.
    Configures,
    /// As [`SEES_WALLET`] says; 403 for the rest.
    SeesWallet,
    /// As [`MANAGES`] says; 403 for the rest.
    Manages,
    /// As [`ASSIGNS`] says; 403 for the rest.
    Assigns,
    /// The same; for the rest 403 for what is their own and 404 for what is not.
    ManagesOthers,
    /// The same, but nobody does it to itself.
    ManagesOthersAlone,
    /// The agent it belongs to, and as [`MANAGES`] says; 404 for the rest.
    OwnOrManages,
}

/// What those who may get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// This status; also a refusal that comes after the question who may, where the cell need not do the thing itself.
    Answers(u16),
    /// 200 and exactly the calls that [`SIGHT`] lets the caller see, in a body that names their ids.
    Lists,
    /// 200 and exactly the customers of those agents whose calls [`SIGHT`] lets the caller see, in a body that names their
    /// ids; a customer of nobody's goes with the calls that reached nobody.
    ListsCustomers,
    /// 200 and a stream that does not end.
    Streams,
}

/// One route. `{id}`, `{agent}`, `{contact}` and `{number}` are filled in.
pub(super) struct Row {
    /// Method and path as the document has them.
    pub(super) route: &'static str,
    /// Query, or body with its type.
    pub(super) with: With,
    pub(super) answer: Answer,
    pub(super) agents: Agents,
    /// Scopes of which one is enough; `None`: any key at all.
    pub(super) keys: Option<&'static [Scope]>,
}

#[derive(Clone, Copy)]
pub(super) enum With {
    Nothing,
    Query(&'static str),
    Json(&'static str),
    Sdp(&'static str),
    Csv(&'static str),
}
use With::{Csv, Json, Nothing, Query, Sdp};

const fn row(route: &'static str, with: With, answer: Answer, agents: Agents, keys: &'static [Scope]) -> Row {
    Row { route, with, answer, agents, keys: Some(keys) }
}

const READERS: &[Scope] = &[CallsRead, CallsWrite, SettingsWrite];

/// What is served.
#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    Row { route: "GET /v1/session", with: Nothing, answer: Answers(200), agents: Agents::All, keys: None },
    // Keys and tokens are not signed in.
    Row { route: "DELETE /v1/session", with: Nothing, answer: Answers(409), agents: Agents::All, keys: None },
    row("PUT /v1/session/password", Json(r#"{"current":"x","new":"y"}"#), Answers(201), Agents::NoneOpenly, &[]),
    row("GET /v1/calls", Query("limit=200"), Lists, Agents::All, &[CallsRead]),
    row("GET /v1/calls.csv", Nothing, Lists, Agents::All, &[CallsRead]),
    row("GET /v1/calls.ndjson", Nothing, Lists, Agents::All, &[CallsRead]),
    row("GET /v1/calls.zip", Nothing, Lists, Agents::All, &[CallsRead]),
    row("POST /v1/calls", Json(r#"{"number_id":"{number}","to":"{contact}","agent_id":"{agent}","callback_data":"\u0007"}"#), Answers(422), Agents::Own, &[CallsWrite]),
    row("GET /v1/calls/{id}", Nothing, Answers(200), Agents::Sees, &[CallsRead]),
    row("GET /v1/calls/{id}/trace", Nothing, Answers(200), Agents::Sees, &[CallsRead]),
    row("GET /v1/calls/{id}/quality", Nothing, Answers(200), Agents::Sees, &[CallsRead]),
    row("GET /v1/calls/{id}/recording", Nothing, Answers(200), Agents::Sees, &[RecordingsRead]),
    row("POST /v1/calls/{id}/transcript", Nothing, Answers(409), Agents::Took, &[CallsWrite]),
    row("GET /v1/calls/{id}/summary", Nothing, Answers(200), Agents::Sees, &[RecordingsRead]),
    row("POST /v1/calls/{id}/summary", Nothing, Answers(409), Agents::Took, &[CallsWrite]),
    row("GET /v1/calls/{id}/transcript", Nothing, Answers(200), Agents::Sees, &[RecordingsRead]),
    row("GET /v1/calls/{id}/transcript/stream", Nothing, Answers(200), Agents::Sees, &[RecordingsRead]),
    row("GET /v1/calls/{id}/recording/details", Nothing, Answers(200), Agents::Sees, &[RecordingsRead]),
    row("GET /v1/calls/{id}/recording/manifest", Nothing, Answers(200), Agents::Sees, &[RecordingsRead]),
    row("GET /v1/calls/{id}/recording/verification", Nothing, Answers(200), Agents::Sees, &[RecordingsRead]),
    row("GET /v1/signing-key", Nothing, Answers(200), Agents::All, &[RecordingsRead]),
    row("POST /v1/calls/{id}/media", Sdp("v=0\r\n"), Answers(409), Agents::Took, &[CallsWrite]),
    row("POST /v1/calls/{id}/hangup", Nothing, Answers(409), Agents::Took, &[CallsWrite]),
    row("POST /v1/calls/{id}/hold", Nothing, Answers(409), Agents::Took, &[CallsWrite]),
    row("POST /v1/calls/{id}/resume", Nothing, Answers(409), Agents::Took, &[CallsWrite]),
    row("POST /v1/calls/{id}/recording", Json(r#"{"action":"pause"}"#), Answers(409), Agents::Took, &[CallsWrite]),
    row("PUT /v1/calls/{id}/recording/hold", Json(r#"{"held":true}"#), Answers(204), Agents::NoneSecretly, &[SettingsWrite]),
    // Held by the row before.
    row("DELETE /v1/calls/{id}/recording", Nothing, Answers(409), Agents::NoneSecretly, &[SettingsWrite]),
    row("POST /v1/calls/{id}/dtmf", Json(r#"{"digits":"1"}"#), Answers(409), Agents::Took, &[CallsWrite]),
    row("GET /v1/calls/{id}/timeline", Nothing, Answers(200), Agents::Sees, &[CallsRead]),
    row("GET /v1/calls/{id}/notes", Nothing, Answers(200), Agents::Sees, &[CallsRead]),
    row("POST /v1/calls/{id}/notes", Json(r#"{"text":"Called back."}"#), Answers(201), Agents::Sees, &[CallsWrite]),
    row("PUT /v1/calls/{id}/disposition", Json(r#"{"disposition":"Resolved"}"#), Answers(200), Agents::Sees, &[CallsWrite]),
    row("PUT /v1/calls/{id}/tags", Json(r#"{"tags":["vip"]}"#), Answers(200), Agents::Sees, &[CallsWrite]),
    row("GET /v1/dispositions", Nothing, Answers(200), Agents::All, &[CallsRead]),
    row("DELETE /v1/notes/{id}", Nothing, Answers(204), Agents::WroteOrManages, &[CallsWrite]),
    row("POST /v1/offers/{id}/media", Sdp("v=0\r\n"), Answers(409), Agents::Own, &[CallsWrite]),
    row("POST /v1/offers/{id}/accept", Nothing, Answers(409), Agents::Own, &[CallsWrite]),
    row("POST /v1/offers/{id}/reject", Nothing, Answers(409), Agents::Own, &[CallsWrite]),
    row("POST /v1/offers/{id}/receipts", Json(r#"{"kind":"shown"}"#), Answers(409), Agents::Own, &[CallsWrite]),
    row("GET /v1/agents", Nothing, Answers(200), Agents::All, READERS),
    row("GET /v1/agents/{id}", Nothing, Answers(200), Agents::All, READERS),
    row("PUT /v1/agents/{id}", Json("{}"), Answers(200), Agents::ManagesOthers, &[SettingsWrite]),
    row("POST /v1/agents/{id}/invitations", Nothing, Answers(201), Agents::ManagesOthers, &[Admin]),
    row("DELETE /v1/agents/{id}/password", Nothing, Answers(204), Agents::ManagesOthersAlone, &[Admin]),
    row("PUT /v1/agents/{id}/status", Json(r#"{"status":"offline"}"#), Answers(200), Agents::OwnOrManages, &[CallsWrite]),
    // 422: there is no such colleague, which one learns who may.
    row("DELETE /v1/agents/{id}", Query("customers_to=agt_nobody"), Answers(422), Agents::ManagesOthersAlone, &[Admin]),
    row("GET /v1/former-agents", Nothing, Answers(200), Agents::All, READERS),
    row("GET /v1/access", Nothing, Answers(200), Agents::All, READERS),
    row("GET /v1/session/devices", Nothing, Answers(200), Agents::All, &[]),
    // 404: tokens are not signed in with a browser.
    row("DELETE /v1/session/devices/{id}", Nothing, Answers(404), Agents::All, &[]),
    row("PUT /v1/agents/{id}/readiness", Json(r#"{"microphone":"passed","speaker":"passed","notifications":"unknown","sound":"passed","media":"passed"}"#), Answers(200), Agents::Own, &[CallsWrite]),
    row("POST /v1/agents/{id}/readiness/media", Sdp("v=0\r\n"), Answers(422), Agents::Own, &[CallsWrite]),
    row("GET /v1/agents/{id}/wrap-up", Nothing, Answers(200), Agents::Own, &[CallsWrite]),
    row("DELETE /v1/agents/{id}/wrap-up", Nothing, Answers(204), Agents::Own, &[CallsWrite]),
    row("POST /v1/agents/{id}/readiness/ring", Nothing, Answers(202), Agents::Own, &[CallsWrite]),
    row("GET /v1/agents/{id}/push-subscriptions", Nothing, Answers(200), Agents::Own, &[CallsWrite]),
    // Keys and tokens have no session that it could end with.
    row("PUT /v1/agents/{id}/push-subscriptions", Json(r#"{"endpoint":"https://push.example.com/x","keys":{"p256dh":"","auth":""},"device":"Phone"}"#), Answers(409), Agents::Own, &[CallsWrite]),
    row("DELETE /v1/agents/{id}/push-subscriptions", Query("subscription_id=push_1"), Answers(204), Agents::Own, &[CallsWrite]),
    row("POST /v1/agents/{id}/push-subscriptions/test", Nothing, Answers(200), Agents::Own, &[CallsWrite]),
    row("GET /v1/agents/{id}/day", Nothing, Answers(200), Agents::Own, &[CallsRead]),
    row("POST /v1/agents/{id}/tokens", Nothing, Answers(201), Agents::None, &[Admin]),
    row("GET /v1/agents/{id}/views", Nothing, Answers(200), Agents::Own, &[CallsWrite]),
    row("POST /v1/agents/{id}/views", Json(r#"{"name":"All"}"#), Answers(201), Agents::Own, &[CallsWrite]),
    row("DELETE /v1/views/{id}", Nothing, Answers(204), Agents::Own, &[CallsWrite]),
    row("GET /v1/agents/{id}/events", Nothing, Streams, Agents::Own, &[EventsRead]),
    row("GET /v1/teams", Nothing, Answers(200), Agents::All, READERS),
    row("PUT /v1/teams/{id}", Json(r#"{"name":"Team"}"#), Answers(200), Agents::Manages, &[SettingsWrite]),
    // 409: agents are in it, which one learns who may.
    row("DELETE /v1/teams/{id}", Nothing, Answers(409), Agents::Manages, &[SettingsWrite]),
    row("GET /v1/numbers", Nothing, Answers(200), Agents::All, READERS),
    row("PUT /v1/numbers/{id}", Json("{}"), Answers(200), Agents::Manages, &[SettingsWrite]),
    row("GET /v1/contacts", Nothing, Answers(200), Agents::All, READERS),
    row("GET /v1/contacts/{ref}", Nothing, Answers(200), Agents::All, READERS),
    row("PUT /v1/contacts/{ref}", Json("{}"), Answers(200), Agents::Assigns, &[CallsWrite, SettingsWrite]),
    // Those on calls that the caller does not see are left out.
    row("GET /v1/contacts/{ref}/notes", Nothing, Answers(200), Agents::All, READERS),
    row("POST /v1/contacts/{ref}/notes", Json(r#"{"text":"Called back."}"#), Answers(201), Agents::All, &[CallsWrite]),
    row("GET /v1/contacts/{ref}/callability", Query("number_id={number}&agent_id={agent}"), Answers(200), Agents::Own, READERS),
    row("GET /v1/permissions", Query("number_id={number}&limit=200"), ListsCustomers, Agents::All, &[CallsRead, PermissionsWrite]),
    row("GET /v1/permissions.csv", Query("number_id={number}"), ListsCustomers, Agents::All, &[CallsRead, PermissionsWrite]),
    row("POST /v1/routing/simulate", Json(r#"{"number_id":"{number}","contact":"{contact}"}"#), Answers(200), Agents::Configures, &[CallsRead, SettingsWrite]),
    row("GET /v1/events", Nothing, Answers(200), Agents::NoneOpenly, &[EventsRead]),
    row("GET /v1/events/stream", Nothing, Streams, Agents::NoneOpenly, &[EventsRead]),
    row("GET /v1/numbers/{id}/settings", Nothing, Answers(200), Agents::Configures, &[CallsRead, SettingsWrite]),
    row("PUT /v1/numbers/{id}/settings", Json("{}"), Answers(200), Agents::Configures, &[SettingsWrite]),
    row("GET /v1/numbers/{id}/deep-link.svg", Nothing, Answers(200), Agents::Configures, &[CallsRead, SettingsWrite]),
    row("GET /v1/numbers/{id}/permission-templates", Nothing, Answers(200), Agents::All, READERS),
    row("GET /v1/numbers/{id}/health", Nothing, Answers(200), Agents::All, READERS),
    row("POST /v1/permission-requests", Json(r#"{"number_id":"{number}","contact":"{contact}","kind":"template"}"#), Answers(422), Agents::OwnChat, &[PermissionsWrite]),
    row("GET /v1/wallet", Nothing, Answers(200), Agents::SeesWallet, &[CallsRead, SettingsWrite]),
    row("PUT /v1/wallet", Json("{}"), Answers(200), Agents::SeesWallet, &[SettingsWrite]),
    row("GET /v1/wallet/entries", Nothing, Answers(200), Agents::SeesWallet, &[CallsRead, SettingsWrite]),
    row("GET /v1/wallet/entries.csv", Nothing, Answers(200), Agents::SeesWallet, &[CallsRead, SettingsWrite]),
    row("GET /v1/wallet/reconciliations", Nothing, Answers(200), Agents::SeesWallet, &[CallsRead, SettingsWrite]),
    // 404: there is no such account, which one learns who may.
    row("POST /v1/wallet/reconciliations", Json(r#"{"waba_id":"1","day":"2026-01-01"}"#), Answers(404), Agents::SeesWallet, &[SettingsWrite]),
    row("POST /v1/wallet/top-ups", Json(r#"{"micros":-1,"currency":"USD","reference":"x"}"#), Answers(422), Agents::SeesWallet, &[SettingsWrite]),
    row("POST /v1/wallet/adjustments", Json(r#"{"micros":0,"currency":"USD","reason":"x"}"#), Answers(422), Agents::SeesWallet, &[SettingsWrite]),
    row("GET /v1/rate-card", Nothing, Answers(200), Agents::SeesWallet, &[CallsRead, SettingsWrite]),
    row("GET /v1/reports/calls", Nothing, Answers(200), Agents::All, &[CallsRead]),
    row("GET /v1/reports/agents", Nothing, Answers(200), Agents::All, &[CallsRead]),
    row("GET /v1/reports/costs", Nothing, Answers(200), Agents::SeesWallet, &[CallsRead]),
    row("GET /v1/reports/permissions", Nothing, Answers(200), Agents::All, &[CallsRead, PermissionsWrite]),
    row("PUT /v1/rate-card", Csv("market\n"), Answers(422), Agents::SeesWallet, &[SettingsWrite]),
    row("GET /v1/policy-packs", Nothing, Answers(200), Agents::NoneOpenly, &[SettingsWrite, Admin]),
    // 404: there is no such pack, which one learns who may.
    row("GET /v1/policy-packs/{id}", Nothing, Answers(404), Agents::NoneOpenly, &[SettingsWrite, Admin]),
    row("POST /v1/admin/reload", Nothing, Answers(204), Agents::NoneOpenly, &[Admin]),
    row("POST /v1/admin/drain", Nothing, Answers(202), Agents::NoneOpenly, &[Admin]),
];

/// Agreed and not served yet: a row moves up to [`ROWS`] with its route, else the test fails.
#[rustfmt::skip]
pub(super) const LATER: &[Row] = &[
];

/// Open to all: they ask for no bearer secret.
pub(super) const OPEN: &[&str] = &[
    "GET /livez",
    "GET /readyz",
    "GET /webhooks/whatsapp",
    "POST /webhooks/whatsapp",
    "POST /v1/session",
    "POST /v1/session/invitation",
    "POST /v1/session/invitation/details",
];
