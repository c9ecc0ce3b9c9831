//! Walks a webhook's body: entries, changes, and in each the calls, statuses, messages and errors. What concerns a number
//! rather than a call is read by `account`.

use serde_json::Value;

use crate::model::id::{NumberId, WabaId, Wacid};
use crate::model::phone::Phone;
use crate::model::reason::Direction;
use crate::model::time::Timestamp;

use super::account::{read_account_update, read_settings_update};
use super::field::{integer, list, name, payload, phone, sentence, text, time, truth, user_id, word};
use super::repair::mend;
use super::{
    CallError, CallStatus, Connect, Customer, Delivery, PermissionReply, ReplySource, SdpType, Status, Terminate,
    TerminateStatus,
};

/// A body that is no webhook at all. Answer 400; nothing in it can be used.
#[derive(Debug, thiserror::Error)]
pub enum BadPayload {
    #[error("the webhook's body is not JSON")]
    NotJson(#[source] serde_json::Error),
    #[error("the webhook's body has no list `entry`")]
    NoEntry,
}

/// Reads every report in a webhook's body, in the body's order.
///
/// # Errors
/// [`BadPayload`] only when the body as a whole is no webhook; anything smaller is a [`Delivery::Bad`] among its
/// neighbours.
pub fn parse(body: &[u8]) -> Result<Vec<Delivery>, BadPayload> {
    let root = root(body)?;
    let entries = root.get("entry").and_then(Value::as_array).ok_or(BadPayload::NoEntry)?;
    let mut deliveries = Vec::new();
    for entry in entries {
        let entry_at = time(entry, "time");
        list(entry, "changes").iter().for_each(|change| read_change(change, entry_at, &mut deliveries));
    }
    Ok(deliveries)
}

/// Which WhatsApp business account each number in a webhook belongs to: the webhook's entries carry the account's id. Empty
/// for a body that is no webhook.
pub fn owners(body: &[u8]) -> Vec<(NumberId, WabaId)> {
    let Ok(root) = root(body) else { return Vec::new() };
    let mut owners = Vec::new();
    for entry in list(&root, "entry") {
        let Some(owner) = text(entry, "id").and_then(|id| WabaId::parse(&id).ok()) else { continue };
        for value in list(entry, "changes").iter().filter_map(|change| change.get("value")) {
            let named = ["metadata", "phone_number_settings"].map(|key| value.get(key).unwrap_or(&Value::Null));
            let number = named.into_iter().find_map(|place| NumberId::parse(&text(place, "phone_number_id")?).ok());
            let owned = number.map(|number| (number, owner.clone())).filter(|owned| !owners.contains(owned));
            owners.extend(owned);
        }
    }
    owners
}

fn root(body: &[u8]) -> Result<Value, BadPayload> {
    match serde_json::from_slice(body) {
        Ok(root) => Ok(root),
        Err(error) => serde_json::from_str(&mend(body)).map_err(|_| BadPayload::NotJson(error)),
    }
}

fn read_change(change: &Value, entry_at: Option<Timestamp>, deliveries: &mut Vec<Delivery>) {
    let field = word(change, "field");
    let before = deliveries.len();
    if let Some(value) = change.get("value") {
        match field.as_str() {
            "calls" => Surroundings::of(value).read_calls(deliveries),
            "messages" => Surroundings::of(value).read_messages(deliveries),
            "account_update" => read_account_update(value, entry_at, deliveries),
            "account_settings_update" => read_settings_update(value, entry_at, deliveries),
            _ => {}
        }
    }
    if deliveries.len() == before {
        // Account updates name their event, settings their type.
        let named = |key| change.get("value").map(|value| word(value, key)).filter(|name| !name.is_empty());
        let event = named("event").or_else(|| named("type")).unwrap_or_default();
        deliveries.push(Delivery::Unknown { field, event });
    }
}

/// A change's `value`, with what all its elements share.
struct Surroundings<'a> {
    value: &'a Value,
    number_id: Option<NumberId>,
    business: Option<Phone>,
}

/// Why an element cannot be used.
type Bad = &'static str;

impl<'a> Surroundings<'a> {
    fn of(value: &'a Value) -> Self {
        let metadata = value.get("metadata").unwrap_or(&Value::Null);
        Self {
            value,
            number_id: text(metadata, "phone_number_id").and_then(|id| NumberId::parse(&id).ok()),
            business: phone(metadata, "display_phone_number"),
        }
    }

    fn read_calls(&self, deliveries: &mut Vec<Delivery>) {
        let calls = list(self.value, "calls");
        let shared_errors = read_errors(self.value);
        // Those that no ended call accounts for.
        let mut loose_errors = shared_errors.clone();
        for call in calls {
            let event = word(call, "event");
            let read = match event.as_str() {
                "connect" => self.read_connect(call, calls.len()).map(Delivery::Connect),
                "terminate" => self.read_terminate(call, calls.len()).map(|mut terminate| {
                    // With several calls in one value only a failed one without its own errors can mean the shared ones.
                    let failed_silently = terminate.status == TerminateStatus::Failed && terminate.errors.is_empty();
                    if calls.len() == 1 || failed_silently {
                        terminate.take_errors(&shared_errors);
                    }
                    loose_errors.retain(|loose| !terminate.errors.iter().any(|own| own.is_same_as(loose)));
                    Delivery::Terminate(terminate)
                }),
                _ => Ok(Delivery::Unknown { field: "calls".to_owned(), event: event.clone() }),
            };
            deliveries.push(read.unwrap_or_else(|why| Delivery::Bad { field: "calls".to_owned(), event, why }));
        }
        let statuses = list(self.value, "statuses");
        for status in statuses {
            deliveries.push(self.read_status(status, statuses.len()));
        }
        if !loose_errors.is_empty() {
            deliveries.push(Delivery::Errors { number_id: self.number_id.clone(), errors: loose_errors });
        }
    }

    fn read_messages(&self, deliveries: &mut Vec<Delivery>) {
        let messages = list(self.value, "messages");
        for message in messages {
            let kind = word(message, "type");
            let reply = message.get("interactive").and_then(|interactive| interactive.get("call_permission_reply"));
            let (event, read) = match (reply, kind.as_str()) {
                (Some(reply), _) => {
                    let read = self.read_reply(message, reply, messages.len());
                    ("call_permission_reply".to_owned(), read.map(Delivery::PermissionReply))
                }
                // WhatsApp tells of a changed number, or of somebody who merely opened the chat.
                (None, "" | "system" | "request_welcome") => {
                    (kind.clone(), Ok(Delivery::Unknown { field: "messages".to_owned(), event: kind }))
                }
                (None, _) => (kind, self.read_message(message, messages.len())),
            };
            deliveries.push(read.unwrap_or_else(|why| Delivery::Bad { field: "messages".to_owned(), event, why }));
        }
        // What became of messages is nobody's business here, but it is counted.
        for status in list(self.value, "statuses") {
            deliveries.push(Delivery::Unknown { field: "messages".to_owned(), event: word(status, "status") });
        }
    }

    fn read_connect(&self, call: &Value, neighbours: usize) -> Result<Connect, Bad> {
        let session = call.get("session").ok_or("it carries no session")?;
        // An empty one is still a call somebody waits in: it has to be refused, not forgotten.
        let sdp = text(session, "sdp").unwrap_or_default();
        let (direction, sdp_type) = match (direction(call), word(session, "sdp_type").as_str()) {
            (Some(direction), "offer") => (direction, SdpType::Offer),
            (Some(direction), "answer") => (direction, SdpType::Answer),
            (None, "offer") => (Direction::UserInitiated, SdpType::Offer),
            (None, "answer") => (Direction::BusinessInitiated, SdpType::Answer),
            (Some(direction @ Direction::UserInitiated), "") => (direction, SdpType::Offer),
            (Some(direction @ Direction::BusinessInitiated), "") => (direction, SdpType::Answer),
            (None, "") => return Err("it has neither a direction nor a session type"),
            _ => return Err("its session is neither an offer nor an answer"),
        };
        Ok(Connect {
            wacid: wacid(call)?,
            number_id: self.number_id()?,
            direction,
            customer: self.customer_of_call(call, Some(direction), neighbours),
            sdp,
            sdp_type,
            at: time(call, "timestamp"),
            cta_payload: payload(call, "cta_payload"),
            deeplink_payload: payload(call, "deeplink_payload"),
            callback_data: payload(call, "biz_opaque_callback_data"),
        })
    }

    fn read_terminate(&self, call: &Value, neighbours: usize) -> Result<Terminate, Bad> {
        let direction = direction(call).or_else(|| self.direction_by_numbers(call));
        let errors = read_errors(call);
        let status = match word(call, "status").as_str() {
            "failed" => TerminateStatus::Failed,
            "" if !errors.is_empty() => TerminateStatus::Failed,
            _ => TerminateStatus::Completed,
        };
        Ok(Terminate {
            wacid: wacid(call)?,
            number_id: self.number_id()?,
            direction,
            status,
            at: time(call, "timestamp"),
            started_at: time(call, "start_time"),
            ended_at: time(call, "end_time"),
            duration_s: integer(call, "duration").filter(|seconds| *seconds >= 0),
            errors,
            customer: self.customer_of_call(call, direction, neighbours),
            callback_data: payload(call, "biz_opaque_callback_data"),
        })
    }

    fn read_status(&self, status: &Value, neighbours: usize) -> Delivery {
        let word_of_status = word(status, "status");
        let known = match word_of_status.as_str() {
            "ringing" => Some(CallStatus::Ringing),
            "accepted" => Some(CallStatus::Accepted),
            "rejected" => Some(CallStatus::Rejected),
            _ => None,
        };
        let of_a_call = matches!(word(status, "type").as_str(), "call" | "");
        let Some(known) = known.filter(|_| of_a_call) else {
            return Delivery::Unknown { field: "calls".to_owned(), event: word_of_status };
        };
        let read = || {
            let found = Customer {
                phone: phone(status, "recipient_id"),
                user_id: user_id(status, "recipient_user_id"),
                ..Customer::default()
            };
            Ok(Status {
                wacid: wacid(status)?,
                number_id: self.number_id()?,
                status: known,
                at: time(status, "timestamp"),
                customer: self.with_contact(found, neighbours),
                callback_data: payload(status, "biz_opaque_callback_data"),
            })
        };
        match read() {
            Ok(status) => Delivery::Status(status),
            Err(why) => Delivery::Bad { field: "calls".to_owned(), event: word_of_status, why },
        }
    }

    fn read_reply(&self, message: &Value, reply: &Value, neighbours: usize) -> Result<PermissionReply, Bad> {
        let granted = match word(reply, "response").as_str() {
            "accept" => true,
            "reject" => false,
            _ => return Err("it neither accepts nor rejects"),
        };
        let customer = self.sender(message, neighbours)?;
        let permanent = granted && truth(reply, "is_permanent").unwrap_or(false);
        Ok(PermissionReply {
            id: payload(message, "id"),
            number_id: self.number_id()?,
            customer,
            granted,
            permanent,
            expires_at: time(reply, "expiration_timestamp").filter(|_| granted && !permanent),
            at: time(message, "timestamp"),
            source: match word(reply, "response_source").as_str() {
                "automatic" => ReplySource::Automatic,
                _ => ReplySource::UserAction,
            },
            context_id: message.get("context").and_then(|context| payload(context, "id")),
        })
    }

    fn read_message(&self, message: &Value, neighbours: usize) -> Result<Delivery, Bad> {
        let (customer, number_id) = (self.sender(message, neighbours)?, self.number_id()?);
        Ok(Delivery::Message { number_id, customer, at: time(message, "timestamp") })
    }

    /// The customer who sent a message.
    fn sender(&self, message: &Value, neighbours: usize) -> Result<Customer, Bad> {
        let found = Customer {
            phone: phone(message, "from").filter(|phone| Some(phone) != self.business.as_ref()),
            user_id: user_id(message, "from_user_id"),
            ..Customer::default()
        };
        let customer = self.with_contact(found, neighbours);
        if customer.is_anonymous() { Err("it names no customer") } else { Ok(customer) }
    }

    fn number_id(&self) -> Result<NumberId, Bad> {
        self.number_id.clone().ok_or("it names no phone_number_id")
    }

    /// The party of a call that is not us. Meta's own samples swap `from` and `to`, so our number counts on neither side.
    fn customer_of_call(&self, call: &Value, direction: Option<Direction>, neighbours: usize) -> Customer {
        let (near, far) = match direction {
            Some(Direction::BusinessInitiated) => ("to", "from"),
            Some(Direction::UserInitiated) | None => ("from", "to"),
        };
        let not_ours = |number: &Phone| self.business.as_ref() != Some(number);
        let phone = match (phone(call, near), phone(call, far)) {
            (Some(number), _) if not_ours(&number) => Some(number),
            // The expected side held our own number: the sides are swapped, or (without a direction) were guessed wrong.
            (Some(_), Some(number)) if not_ours(&number) => Some(number),
            _ => None,
        };
        // Businesses have no user id, so whichever side has one is the customer.
        let user_id = user_id(call, &format!("{near}_user_id")).or_else(|| user_id(call, &format!("{far}_user_id")));
        self.with_contact(Customer { phone, user_id, ..Customer::default() }, neighbours)
    }

    /// Adds what `contacts` knows about this customer. Matched by number or user id; a lone contact beside a lone element
    /// is taken on trust unless it contradicts.
    fn with_contact(&self, mut customer: Customer, neighbours: usize) -> Customer {
        let contacts = list(self.value, "contacts");
        let known = |contact: &Value| (phone(contact, "wa_id"), user_id(contact, "user_id"));
        let same = |contact: &Value| {
            let (number, user) = known(contact);
            (number.is_some() && number == customer.phone) || (user.is_some() && user == customer.user_id)
        };
        let agrees = |contact: &Value| {
            let (number, user) = known(contact);
            let fits = |theirs: bool, ours: bool, equal: bool| !theirs || !ours || equal;
            fits(number.is_some(), customer.phone.is_some(), number == customer.phone)
                && fits(user.is_some(), customer.user_id.is_some(), user == customer.user_id)
        };
        let lone = || contacts.first().filter(|contact| contacts.len() == 1 && neighbours == 1 && agrees(contact));
        let Some(contact) = contacts.iter().find(|contact| same(contact)).or_else(lone) else { return customer };
        let (number, user) = known(contact);
        customer.phone = customer.phone.or(number);
        customer.user_id = customer.user_id.or(user);
        if let Some(profile) = contact.get("profile") {
            customer.name = name(profile, "name");
            customer.username = name(profile, "username");
        }
        customer
    }

    /// Without a stated direction: we are on one side, and calls go from left to right.
    fn direction_by_numbers(&self, call: &Value) -> Option<Direction> {
        let ours = |key| self.business.is_some() && phone(call, key) == self.business;
        match (ours("from"), ours("to")) {
            (true, false) => Some(Direction::BusinessInitiated),
            (false, true) => Some(Direction::UserInitiated),
            _ => None,
        }
    }
}

impl Terminate {
    /// Meta reports one error in the call and again beside it, each time with other parts: one error comes of it.
    fn take_errors(&mut self, shared: &[CallError]) {
        for error in shared {
            let Some(own) = self.errors.iter_mut().find(|own| own.is_same_as(error)) else {
                self.errors.push(error.clone());
                continue;
            };
            own.title = own.title.take().or_else(|| error.title.clone());
            own.message = own.message.take().or_else(|| error.message.clone());
            own.details = own.details.take().or_else(|| error.details.clone());
        }
    }
}

impl CallError {
    fn is_same_as(&self, other: &Self) -> bool {
        self == other || (self.code.is_some() && self.code == other.code)
    }
}

fn read_errors(holder: &Value) -> Vec<CallError> {
    let read = |error: &Value| CallError {
        code: integer(error, "code"),
        title: sentence(error, "title"),
        message: sentence(error, "message"),
        details: error.get("error_data").and_then(|data| sentence(data, "details")),
    };
    list(holder, "errors").iter().map(read).filter(|error| *error != CallError::default()).collect()
}

fn wacid(call: &Value) -> Result<Wacid, Bad> {
    let id = text(call, "id").ok_or("it has no call id")?;
    Wacid::parse(&id).map_err(|_| "its call id is too long or no plain text")
}

fn direction(call: &Value) -> Option<Direction> {
    word(call, "direction").parse().ok()
}
