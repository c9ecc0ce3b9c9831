//! What the calling endpoint answers: the id of a new call, or an error.

use serde_json::Value;

use crate::model::id::Wacid;

use super::field::{integer, list, sentence, text};

/// Meta's account of what went wrong. Every part may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct MetaError {
    pub code: Option<i64>,
    pub message: Option<String>,
    pub details: Option<String>,
    pub fbtrace_id: Option<String>,
}

/// The id of the call that a `connect` started.
pub(in super::super) fn read_call_id(body: &[u8]) -> Option<Wacid> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    list(&answer, "calls").iter().find_map(|call| Wacid::parse(&text(call, "id")?).ok())
}

/// The error in an answer; `None` when it is not Meta's JSON or reports none. `"success": false` is one without words.
pub(in super::super) fn read_error(body: &[u8]) -> Option<MetaError> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    if answer.get("success") == Some(&Value::Bool(false)) {
        return Some(MetaError { message: Some("WhatsApp reported no success".to_owned()), ..MetaError::default() });
    }
    let error = answer.get("error")?;
    if error.is_string() {
        return Some(MetaError { message: sentence(&answer, "error"), ..MetaError::default() });
    }
    let details = match error.get("error_data") {
        Some(Value::String(_)) => sentence(error, "error_data"),
        Some(data) => sentence(data, "details"),
        None => sentence(error, "error_user_msg"),
    };
    Some(MetaError {
        code: integer(error, "code"),
        message: sentence(error, "message"),
        details,
        fbtrace_id: sentence(error, "fbtrace_id"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_new_call_is_found() {
        let id = |body: &str| read_call_id(body.as_bytes()).map(|id| id.as_str().to_owned());
        assert_eq!(id(r#"{"messaging_product":"whatsapp","calls":[{"id":"wacid.A="}]}"#).as_deref(), Some("wacid.A="));
        for nothing in
            ["", "{}", r#"{"success":true}"#, r#"{"calls":[]}"#, r#"{"calls":[{"id":""}]}"#, r#"{"calls":{"id":"x"}}"#]
        {
            assert_eq!(id(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn errors_are_read_in_every_shape_meta_gives_them() {
        #[track_caller]
        fn check(body: &str, code: Option<i64>, message: Option<&str>, details: Option<&str>) {
            let error = read_error(body.as_bytes()).expect("there is an error");
            assert_eq!(
                (error.code, error.message.as_deref(), error.details.as_deref()),
                (code, message, details),
                "{body}"
            );
        }
        check(
            r#"{"error":{"message":"(#138006) No approved call permission","type":"OAuthException","code":138006,"error_data":{"messaging_product":"whatsapp","details":"ask first"},"fbtrace_id":"Axyz"}}"#,
            Some(138_006),
            Some("(#138006) No approved call permission"),
            Some("ask first"),
        );
        check(r#"{"error":{"code":"190","message":"expired"}}"#, Some(190), Some("expired"), None);
        check(r#"{"error":{"code":100,"error_data":"sdp"}}"#, Some(100), None, Some("sdp"));
        check(r#"{"error":"invalid_token"}"#, None, Some("invalid_token"), None);
        check(r#"{"error":{}}"#, None, None, None);
        check(r#"{"success":false}"#, None, Some("WhatsApp reported no success"), None);
        for fine in ["", "<html>", "{}", r#"{"success":true}"#, r#"{"messaging_product":"whatsapp","calls":[]}"#] {
            assert_eq!(read_error(fine.as_bytes()), None, "{fine}");
        }
    }
}
