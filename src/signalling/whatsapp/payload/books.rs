//! WhatsApp's own books on one customer: the answer of `GET /{phone_number_id}/call_permissions`.
//! Source: Meta's pages "Obtain user call permissions" and "API and Webhook Reference".

use serde_json::Value;

use crate::model::reason::PermissionStatus;
use crate::model::time::Timestamp;

use super::field::{list, time, truth, word};

/// What WhatsApp says a customer permits, and which of our limits it holds used up. Its maxima are not read: those of its
/// sample are outdated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Books {
    /// `None`, `Temporary` or `Permanent`.
    pub status: PermissionStatus,
    /// End of a temporary permission.
    pub expires_at: Option<Timestamp>,
    /// When there is room again for a permission request, if a limit forbids one now.
    pub no_requests_until: Option<Timestamp>,
    /// The same of a call.
    pub no_calls_until: Option<Timestamp>,
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
    Some(Books {
        status,
        expires_at: expires_at.filter(|_| status == PermissionStatus::Temporary),
        no_requests_until: refused_until(&answer, "send_call_permission_request"),
        no_calls_until: refused_until(&answer, "start_call"),
    })
}

/// Of all limits that are used up the one that lasts longest; `limit_expiration_time` is told of those alone. What a
/// missing permission forbids has no such time.
fn refused_until(answer: &Value, name: &str) -> Option<Timestamp> {
    let action = list(answer, "actions").iter().find(|action| word(action, "action_name") == name)?;
    let refused = truth(action, "can_perform_action") == Some(false);
    let ends = list(action, "limits").iter().filter_map(|limit| time(limit, "limit_expiration_time"));
    ends.max().filter(|_| refused)
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
        let refused = (books.no_requests_until, books.no_calls_until);
        assert_eq!(refused, (None, Some(Timestamp::from_secs(1_795_090_000))));
    }

    #[test]
    fn a_thing_is_refused_until_its_last_limit_has_room_and_only_if_it_is_refused() {
        #[track_caller]
        fn check(allowed: Value, ends: &[i64], until: Option<i64>) {
            let limits: Vec<_> = ends.iter().map(|end| json!({"limit_expiration_time": end})).collect();
            let action =
                |name: &str| json!({"action_name": name, "can_perform_action": allowed, "limits": limits.clone()});
            let of =
                |name: &str| read(&json!({"permission": {"status": "permanent"}, "actions": [action(name)]})).unwrap();
            let until = until.map(Timestamp::from_secs);
            let (asking, calling) = (of("send_call_permission_request"), of("start_call"));
            assert_eq!((asking.no_requests_until, asking.no_calls_until), (until, None), "{allowed} {ends:?}");
            assert_eq!((calling.no_requests_until, calling.no_calls_until), (None, until), "{allowed} {ends:?}");
        }
        check(json!(false), &[5000], Some(5000));
        check(json!(false), &[5000, 9000, 7000], Some(9000));
        check(json!(false), &[], None);
        check(json!(true), &[5000], None);
        check(json!(null), &[5000], None);
    }

    #[test]
    fn both_names_of_the_expiry_are_read_and_only_a_temporary_permission_has_one() {
        #[track_caller]
        fn check(permission: Value, status: PermissionStatus, expires_secs: Option<i64>) {
            let books = read(&json!({ "permission": permission })).unwrap();
            assert_eq!((books.status, books.expires_at), (status, expires_secs.map(Timestamp::from_secs)));
            assert_eq!((books.no_calls_until, books.no_requests_until), (None, None));
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
