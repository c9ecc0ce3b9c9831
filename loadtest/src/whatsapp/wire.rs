//! Small things of Meta's wire format: call ids and errors.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::payload::Direction;

/// A refusal in Meta's shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GraphError {
    pub(super) code: u32,
    pub(super) details: String,
}

impl GraphError {
    pub(super) fn new(code: u32, details: &str) -> Self {
        Self { code, details: details.to_owned() }
    }

    pub(super) fn status(&self) -> u16 {
        match self.code {
            190 | 138_000 | 138_006 => 401,
            613 | 130_429 | 138_002 | 138_005 => 429,
            1 | 2 | 131_000 | 131_016 | 138_004 | 138_007 => 500,
            _ => 400,
        }
    }

    fn message(&self) -> &'static str {
        match self.code {
            100 => "Invalid parameter",
            190 => "Invalid OAuth access token",
            613 => "Calls to this API have exceeded the rate limit",
            131_000 => "Something went wrong",
            131_016 => "Service unavailable",
            131_009 => "Parameter value is not valid",
            131_044 => "Business eligibility payment issue",
            131_047 => "Re-engagement message",
            131_055 => "Method not allowed",
            138_000 => "Calling not enabled",
            138_001 => "Receiver uncallable",
            138_002 => "Concurrent calls limit reached",
            138_003 => "Duplicate call",
            138_004 => "Connection error",
            138_005 => "Call rate limit exceeded",
            138_006 => "No approved call permission from the recipient",
            138_007 => "Connection timeout error",
            138_008 => "SDP Validation error",
            138_009 => "Call permission request limit hit",
            138_012 => "Business initiated calls limit hit",
            138_013 => "Business initiated calling is not available in this country",
            138_014 => "Calling is paused",
            138_017 => "Permanent permission already granted",
            _ => "The request failed",
        }
    }
}

impl IntoResponse for GraphError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status()).unwrap_or(StatusCode::BAD_REQUEST);
        let body = json!({"error": {
            "message": format!("(#{}) {}", self.code, self.message()),
            "type": "OAuthException",
            "code": self.code,
            "error_data": {"messaging_product": "whatsapp", "details": self.details},
            "fbtrace_id": base64(&rand::random::<[u8; 12]>()),
        }});
        (status, Json(body)).into_response()
    }
}

/// A call id like Meta's: base64 of a few length-prefixed parts, the customer's number among them.
pub(super) fn wacid(direction: Direction, customer: &str, business: &str) -> String {
    let mark = match direction {
        Direction::UserInitiated => 0x12,
        Direction::BusinessInitiated => 0x11,
    };
    let mut bytes = vec![0x1c, 0x18, customer.len() as u8];
    bytes.extend(customer.as_bytes());
    bytes.extend([0x15, 0x02, 0x00, mark, 0x18, 0x20]);
    bytes.extend(hex::encode_upper(rand::random::<[u8; 16]>()).into_bytes());
    bytes.extend([0x1c, 0x18, business.len() as u8]);
    bytes.extend(business.as_bytes());
    bytes.extend([0x15, 0x02, 0x00]);
    format!("wacid.{}", base64(&bytes))
}

/// Standard base64 with padding (RFC 4648 §4).
pub(super) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = [chunk[0], chunk.get(1).copied().unwrap_or(0), chunk.get(2).copied().unwrap_or(0)];
        let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        for position in 0..4 {
            if position <= chunk.len() {
                let index = (bits >> (18 - 6 * position)) & 0x3f;
                text.push(char::from(ALPHABET[index as usize]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_the_standard_one() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn a_call_id_names_the_customer_and_is_unique() {
        let first = wacid(Direction::UserInitiated, "995555010203", "995322000111");
        let second = wacid(Direction::UserInitiated, "995555010203", "995322000111");
        assert!(first.starts_with("wacid.HBg") && first != second && first.len() <= 255, "{first}");
    }
}
