//! What the calling endpoint is told: five actions, each with the documented fields and no other, since Meta refuses
//! unknown ones with error 100.

use serde::Serialize;

use crate::model::id::Wacid;
use crate::model::phone::Phone;

use super::Customer;

/// Meta's limit for `biz_opaque_callback_data`.
pub(in super::super) const CALLBACK_DATA_LEN_MAX: usize = 512;

/// One request to `POST /{phone_number_id}/calls`.
#[derive(Clone, Copy)]
pub(in super::super) enum Action<'a> {
    Connect { to: &'a Customer, sdp: &'a str, callback_data: Option<&'a str> },
    PreAccept { call: &'a Wacid, sdp: &'a str },
    Accept { call: &'a Wacid, sdp: &'a str, callback_data: Option<&'a str> },
    Reject { call: &'a Wacid },
    Terminate { call: &'a Wacid },
}

#[derive(Serialize)]
struct Body<'a> {
    messaging_product: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    call_id: Option<&'a str>,
    action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<Session>,
    #[serde(skip_serializing_if = "Option::is_none")]
    biz_opaque_callback_data: Option<&'a str>,
}

#[derive(Serialize)]
struct Session {
    sdp_type: &'static str,
    sdp: String,
}

impl Action<'_> {
    /// Meta's name of the action; also the metric's label.
    pub(in super::super) fn name(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "connect",
            Self::PreAccept { .. } => "pre_accept",
            Self::Accept { .. } => "accept",
            Self::Reject { .. } => "reject",
            Self::Terminate { .. } => "terminate",
        }
    }

    pub(in super::super) fn callback_data(&self) -> Option<&str> {
        match self {
            Self::Connect { callback_data, .. } | Self::Accept { callback_data, .. } => *callback_data,
            Self::PreAccept { .. } | Self::Reject { .. } | Self::Terminate { .. } => None,
        }
    }

    /// The request's body. The same action always gives the same bytes, so that a second try can have no other effect.
    pub(in super::super) fn to_json(self) -> Vec<u8> {
        let mut body = Body {
            messaging_product: "whatsapp",
            to: None,
            recipient: None,
            call_id: None,
            action: self.name(),
            session: None,
            biz_opaque_callback_data: self.callback_data(),
        };
        match self {
            Self::Connect { to, sdp, .. } => {
                body.to = to.phone.as_ref().map(Phone::wa_id);
                body.recipient = to.user_id.as_deref();
                body.session = Some(Session { sdp_type: "offer", sdp: with_crlf(sdp) });
            }
            Self::PreAccept { call, sdp } | Self::Accept { call, sdp, .. } => {
                body.call_id = Some(call.as_str());
                body.session = Some(Session { sdp_type: "answer", sdp: with_crlf(sdp) });
            }
            Self::Reject { call } | Self::Terminate { call } => body.call_id = Some(call.as_str()),
        }
        serde_json::to_vec(&body).expect("a struct of texts always serialises")
    }
}

/// RFC 8866 section 5: lines end with CRLF. Meta refuses a description whose lines end with LF alone.
fn with_crlf(sdp: &str) -> String {
    let mut lines = String::with_capacity(sdp.len() + 64);
    for line in sdp.lines() {
        lines.push_str(line);
        lines.push_str("\r\n");
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_sends_its_documented_fields_and_no_other() {
        #[track_caller]
        fn check(action: Action<'_>, want: serde_json::Value) {
            assert_eq!(serde_json::from_slice::<serde_json::Value>(&action.to_json()).unwrap(), want);
        }
        let call = Wacid::parse("wacid.AbC+/=").unwrap();
        let customer = Customer {
            phone: Some(Phone::parse("+995555010203").unwrap()),
            user_id: Some("GE.1000000000000000001".to_owned()),
            name: Some("Nino".to_owned()),
            username: None,
        };
        check(
            Action::Connect { to: &customer, sdp: "v=0\r\ns=-\r\n", callback_data: Some("lead-42") },
            serde_json::json!({"messaging_product": "whatsapp", "to": "995555010203", "recipient": "GE.1000000000000000001",
                "action": "connect", "session": {"sdp_type": "offer", "sdp": "v=0\r\ns=-\r\n"}, "biz_opaque_callback_data": "lead-42"}),
        );
        check(
            Action::Connect { to: &Customer { phone: None, ..customer }, sdp: "v=0\r\n", callback_data: None },
            serde_json::json!({"messaging_product": "whatsapp", "recipient": "GE.1000000000000000001",
                "action": "connect", "session": {"sdp_type": "offer", "sdp": "v=0\r\n"}}),
        );
        check(
            Action::PreAccept { call: &call, sdp: "v=0\ns=-\r\n" },
            serde_json::json!({"messaging_product": "whatsapp", "call_id": "wacid.AbC+/=",
                "action": "pre_accept", "session": {"sdp_type": "answer", "sdp": "v=0\r\ns=-\r\n"}}),
        );
        check(
            Action::Accept { call: &call, sdp: "v=0\ns=-", callback_data: Some("acc-9") },
            serde_json::json!({"messaging_product": "whatsapp", "call_id": "wacid.AbC+/=",
                "action": "accept", "session": {"sdp_type": "answer", "sdp": "v=0\r\ns=-\r\n"}, "biz_opaque_callback_data": "acc-9"}),
        );
        for (action, name) in
            [(Action::Reject { call: &call }, "reject"), (Action::Terminate { call: &call }, "terminate")]
        {
            check(
                action,
                serde_json::json!({"messaging_product": "whatsapp", "call_id": "wacid.AbC+/=", "action": name}),
            );
        }
    }
}
