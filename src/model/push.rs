//! Web Push: where a browser takes messages while no page of ours is open, and what becomes of one (RFC 8030).

use std::fmt;

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde::Serialize;
use utoipa::ToSchema;

use super::id::{AgentId, PushId};
use super::private_url::PrivateUrl;
use super::time::Timestamp;
use super::words::words;

/// Base64 for URLs; browsers write no padding, some programs do.
pub const BASE64_URL: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_encode_padding(false).with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

words! {
    /// What a message tells a browser.
    PushKind {
        /// A call rings.
        Offer = "offer",
        /// It rings no more.
        Over = "over",
        /// Somebody tries whether it arrives.
        Test = "test",
    }
}

words! {
    /// What a push service did with a message.
    PushOutcome {
        /// It has it, and passes it on.
        Taken = "taken",
        /// The browser takes no more: the subscription is forgotten.
        Gone = "gone",
        /// Turned away: too many, or not signed as it wants.
        Refused = "refused",
        /// Not reached, or broken.
        Failed = "failed",
        TimedOut = "timed_out",
        /// Never sent: too many are on their way.
        Crowded = "crowded",
    }
}

/// One browser's subscription.
#[derive(Clone, Debug)]
pub struct PushSubscription {
    pub id: PushId,
    pub agent_id: AgentId,
    /// What its user knows it by.
    pub device: String,
    pub endpoint: PrivateUrl,
    pub keys: PushKeys,
    pub created_at: Timestamp,
    /// Whether it belongs to the session that was asked with.
    pub current: bool,
}

/// What a message is encrypted with, so that nobody on the way reads it (RFC 8291).
#[derive(Clone, PartialEq, Eq)]
pub struct PushKeys {
    /// The browser's point on P-256, uncompressed.
    pub p256dh: [u8; 65],
    pub auth: [u8; 16],
}

impl PushKeys {
    /// From what `PushSubscription.toJSON()` tells.
    ///
    /// # Errors
    /// Which of the two is wrong, and how.
    pub fn parse(p256dh: &str, auth: &str) -> Result<Self, BadPushKey> {
        let bytes = |text: &str| BASE64_URL.decode(text).unwrap_or_default();
        let p256dh = bytes(p256dh).try_into().map_err(|_| BadPushKey::P256dh)?;
        let auth = bytes(auth).try_into().map_err(|_| BadPushKey::Auth)?;
        Ok(Self { p256dh, auth })
    }
}

/// A key that no browser made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPushKey {
    #[error("must be a point on P-256: 65 bytes in base64url, as the browser gives it")]
    P256dh,
    #[error("must be 16 bytes in base64url, as the browser gives it")]
    Auth,
}

impl fmt::Debug for PushKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PushKeys([redacted])")
    }
}

/// A subscription as its owner may see it: without what a message could be sent with.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PushSubscriptionView {
    pub id: PushId,
    /// What its user knows it by.
    pub device: String,
    /// The push service its messages go through.
    #[schema(example = "https://updates.push.services.mozilla.com")]
    pub service: String,
    pub created_at: Timestamp,
    /// Whether it is the one of the browser that asks.
    pub current: bool,
}

impl From<&PushSubscription> for PushSubscriptionView {
    fn from(of: &PushSubscription) -> Self {
        Self {
            id: of.id.clone(),
            device: of.device.clone(),
            service: of.endpoint.place(),
            created_at: of.created_at,
            current: of.current,
        }
    }
}
