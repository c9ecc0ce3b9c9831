//! WhatsApp's own books on one customer: the answer of `GET /{phone_number_id}/call_permissions`.
//! Source: Meta's pages "Obtain user call permissions" and "API and Webhook Reference".

use serde_json::Value;

use crate::model::reason::PermissionStatus;
use crate::model::time::Timestamp;

use super::field::{integer, list, time, truth, word};

/// What WhatsApp says a customer permits, and what it would let us do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Books {
    /// `None`, `Temporary` or `Permanent`.
    pub status: PermissionStatus,
    /// End of a temporary permission.
    pub expires_at: Option<Timestamp>,
    pub can_request: Allowed,
    pub can_call: Allowed,
}

/// Whether WhatsApp would let us do one thing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// `None`: not told.
    pub now: Option<bool>,
    /// When the limit that forbids it now has room again; told only while it is used up.
    pub again_at: Option<Timestamp>,
    pub limits: Vec<BookedLimit>,
}

/// A limit as WhatsApp counts it. Its sample shows outdated maxima, so they are for people only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookedLimit {
    /// An ISO 8601 duration, e.g. `pt24h`.
    pub period: String,
    pub max_allowed: Option<i64>,
    pub current_usage: Option<i64>,
}

/// `None` when the answer does not tell the permission.
pub(in super::super) fn read_books(body: &[u8]) -> Option<Books> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let permission = answer.get("permission")?;
    let status = match word(permission, "status").as_str() {
        "no_permission" => PermissionStatus::None,
        "temporary" => PermissionStatus::Temporary,
        "permanent" => PermissionStatus::Permanent,
        _ => return None,
    };
    // The table names the field `expiration`, the sample `expiration_time`.
    let expires_at = time(permission, "expiration_time").or_else(|| time(permission, "expiration"));
    let action = |name: &str| {
        let action = list(&answer, "actions").iter().find(|action| word(action, "action_name") == name);
        action.map(read_action).unwrap_or_default()
    };
    Some(Books {
        status,
        expires_at: expires_at.filter(|_| status == PermissionStatus::Temporary),
        can_request: action("send_call_permission_request"),
        can_call: action("start_call"),
    })
}

fn read_action(action: &Value) -> Allowed {
    let limits = list(action, "limits");
    Allowed {
        now: truth(action, "can_perform_action"),
        again_at: limits.iter().filter_map(|limit| time(limit, "limit_expiration_time")).max(),
        limits: limits
            .iter()
            .map(|limit| BookedLimit {
                period: word(limit, "time_period"),
                max_allowed: integer(limit, "max_allowed"),
                current_usage: integer(limit, "current_usage"),
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(answer: &Value) -> Option<Books> {
        read_books(answer.to_string().as_bytes())
    }

    #[test]
    fn the_documented_answer_is_read_whole() {
        let books = read(&json!({"messaging_product": "whatsapp", "permission": {"status": "temporary", "expiration_time": 1_795_604_800},
            "actions": [
                {"action_name": "send_call_permission_request", "can_perform_action": true, "limits": [
                    {"time_period": "PT24H", "max_allowed": 1, "current_usage": 0},
                    {"time_period": "P7D", "max_allowed": 2, "current_usage": 1}]},
                {"action_name": "start_call", "can_perform_action": false, "limits": [
                    {"time_period": "PT24H", "max_allowed": 100, "current_usage": 100, "limit_expiration_time": 1_795_090_000}]}]}))
        .unwrap();
        assert_eq!(
            (books.status, books.expires_at),
            (PermissionStatus::Temporary, Some(Timestamp::from_secs(1_795_604_800)))
        );
        assert_eq!((books.can_request.now, books.can_request.again_at), (Some(true), None));
        assert_eq!(
            (books.can_call.now, books.can_call.again_at),
            (Some(false), Some(Timestamp::from_secs(1_795_090_000)))
        );
        let week = BookedLimit { period: "p7d".to_owned(), max_allowed: Some(2), current_usage: Some(1) };
        assert_eq!(books.can_request.limits[1], week);
    }

    #[test]
    fn both_names_of_the_expiry_are_read_and_only_a_temporary_permission_has_one() {
        #[track_caller]
        fn check(permission: Value, status: PermissionStatus, expires_secs: Option<i64>) {
            let books = read(&json!({ "permission": permission })).unwrap();
            assert_eq!((books.status, books.expires_at), (status, expires_secs.map(Timestamp::from_secs)));
            assert_eq!((books.can_call, books.can_request), (Allowed::default(), Allowed::default()));
        }
        check(json!({"status": "temporary", "expiration": "5000"}), PermissionStatus::Temporary, Some(5000));
        check(json!({"status": "TEMPORARY", "expiration_time": 5000}), PermissionStatus::Temporary, Some(5000));
        check(json!({"status": "temporary"}), PermissionStatus::Temporary, None);
        check(json!({"status": "permanent", "expiration_time": 5000}), PermissionStatus::Permanent, None);
        check(json!({"status": "no_permission"}), PermissionStatus::None, None);
    }

    #[test]
    fn an_answer_that_does_not_tell_is_none() {
        for answer in
            [json!({}), json!([]), json!({"permission": null}), json!({"permission": {"status": "perhaps"}}), json!(7)]
        {
            assert_eq!(read(&answer), None, "{answer}");
        }
        let odd = json!({"permission": {"status": "permanent"}, "actions": {"start_call": true}});
        assert!(read(&odd).is_some());
    }
}
