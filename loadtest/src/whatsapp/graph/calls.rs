//! `POST /{number}/calls`: the five actions of a call.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::Inner;
use super::super::call::Call;
use super::super::config::{BusinessNumber, Customer};
use super::super::faults::Action;
use super::super::permission::Permission;
use super::super::sdp::{self, Expect};
use super::super::wire::GraphError;
use super::{refuse_unknown, text};

/// The longest `biz_opaque_callback_data`.
const CALLBACK_DATA_BYTES_MAX: usize = 512;

impl Inner {
    pub(super) async fn perform(
        self: &Arc<Self>,
        number: &BusinessNumber,
        action: Option<Action>,
        body: &Value,
    ) -> Result<Value, GraphError> {
        let action = action
            .ok_or_else(|| GraphError::new(100, "action must be connect, pre_accept, accept, reject or terminate"))?;
        only_known_fields(action, body)?;
        if body["messaging_product"] != "whatsapp" {
            return Err(GraphError::new(100, "messaging_product must be whatsapp"));
        }
        if self.exchange.settings.speaks_sip(&number.id) {
            return Err(GraphError::new(131_055, "the number takes and makes its calls by SIP"));
        }
        if action == Action::Connect {
            return self.start_business_call(number, body).await;
        }
        let wacid = text(body, "call_id")?;
        let known = self.call_by_id(&wacid).filter(|call| call.number.id == number.id);
        let call = known.ok_or_else(|| GraphError::new(100, "call_id names no call of this number"))?;
        match action {
            Action::PreAccept => call.pre_accept(&session(body, "answer")?).await?,
            Action::Accept => {
                note_callback_data(&call, body)?;
                call.accept(&session(body, "answer")?).await?;
            }
            Action::Reject => call.reject()?,
            _ => call.terminate()?,
        }
        Ok(json!({"messaging_product": "whatsapp", "success": true}))
    }

    async fn start_business_call(self: &Arc<Self>, number: &BusinessNumber, body: &Value) -> Result<Value, GraphError> {
        let offer = session(body, "offer")?;
        let refused = |reason: String| GraphError::new(138_008, &format!("SDP Validation error: {reason}"));
        let customer = self
            .customer_of(body["to"].as_str(), body["recipient"].as_str())
            .ok_or_else(|| GraphError::new(100, "to or recipient is missing, or names nobody"))?;
        self.may_call(number, &customer)?;
        let plan = self.plan_of(&customer);
        let theirs = sdp::check(&offer, Expect::Offer);
        let theirs = match (theirs, plan.options.external.is_some()) {
            (Ok(theirs), _) => theirs,
            (Err(reason), _) => return Err(refused(reason)),
        };
        let call = self
            .new_outbound(number, customer, plan)
            .map_err(|()| GraphError::new(138_003, "a call with this user is running"))?;
        note_callback_data(&call, body)?;
        call.start_business_initiated(&offer, theirs).await?;
        self.announce_outbound(&call);
        Ok(json!({"messaging_product": "whatsapp", "calls": [{"id": call.wacid}]}))
    }

    /// Whether Meta's rules allow a call to this customer; counts the attempt.
    fn may_call(&self, number: &BusinessNumber, customer: &Customer) -> Result<(), GraphError> {
        let (exchange, now) = (&self.exchange, self.exchange.clock.now());
        self.may_disturb(number)?;
        let rules = &exchange.config.rules;
        let prefix = rules.prefixes_that_cannot_call.iter().find(|prefix| number.display.starts_with(prefix.as_str()));
        if let (true, Some(prefix)) = (rules.enforce_limits, prefix) {
            return Err(GraphError::new(138_013, &format!("numbers that begin with +{prefix} cannot call customers")));
        }
        let permission = exchange.permissions.permission(&number.id, &customer.phone, now);
        if exchange.config.enforce_permission && permission == Permission::None {
            return Err(GraphError::new(138_006, "the recipient has not permitted calls"));
        }
        exchange.permissions.may_attempt(&number.id, &customer.phone, now)
    }

    /// Whether the number may call customers, or ask to, at all.
    pub(super) fn may_disturb(&self, number: &BusinessNumber) -> Result<(), GraphError> {
        if self.exchange.settings.calling_is_off(&number.id) {
            return Err(GraphError::new(138_000, "calling is not enabled for this number"));
        }
        if self.exchange.pauses.stop_business(&number.id, self.exchange.clock.now()) {
            return Err(GraphError::new(
                138_014,
                "business-initiated calling of this number is paused for low quality",
            ));
        }
        Ok(())
    }
}

fn only_known_fields(action: Action, body: &Value) -> Result<(), GraphError> {
    let object = body.as_object().ok_or_else(|| GraphError::new(100, "the body must be a JSON object"))?;
    let own: &[&str] = match action {
        Action::Connect => &["to", "recipient", "session", "biz_opaque_callback_data", "recording", "transcription"],
        // `to` beside `call_id` is in Meta's own samples and tolerated.
        Action::PreAccept => &["call_id", "to", "session"],
        Action::Accept => &["call_id", "to", "session", "biz_opaque_callback_data", "recording", "transcription"],
        _ => &["call_id"],
    };
    refuse_unknown(object, &[&["messaging_product", "action"], own].concat(), "")?;
    match object.get("session").and_then(Value::as_object) {
        Some(session) => refuse_unknown(session, &["sdp_type", "sdp"], "session"),
        None => Ok(()),
    }
}

fn session(body: &Value, sdp_type: &str) -> Result<String, GraphError> {
    let session = &body["session"];
    if session["sdp_type"] != sdp_type {
        return Err(GraphError::new(100, &format!("session.sdp_type must be {sdp_type}")));
    }
    let sdp = session["sdp"].as_str().ok_or_else(|| GraphError::new(100, "session.sdp must be a string"))?;
    Ok(sdp.to_owned())
}

fn note_callback_data(call: &Call, body: &Value) -> Result<(), GraphError> {
    match body.get("biz_opaque_callback_data").map(Value::as_str) {
        None => Ok(()),
        Some(Some(data)) if data.len() <= CALLBACK_DATA_BYTES_MAX => {
            call.set_callback_data(data);
            Ok(())
        }
        Some(_) => Err(GraphError::new(100, "biz_opaque_callback_data must be a string of at most 512 bytes")),
    }
}
