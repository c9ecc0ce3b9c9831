//! A phone whose media is somebody else's WebRTC stack.

use anyhow::Result;
use futures_util::future::BoxFuture;

/// Gives the SDP of a call from outside, so that another WebRTC implementation plays the WhatsApp phone.
/// The fake still does all signalling; it knows nothing of the media and applies no silence rule.
pub trait ExternalPhone: Send + Sync {
    /// User-initiated: the offer that goes into the `connect` webhook.
    fn offer(&self) -> BoxFuture<'_, Result<String>>;

    /// User-initiated: the business's answer, from `pre_accept` or `accept`, whichever comes first.
    fn take_answer(&self, sdp: String) -> BoxFuture<'_, Result<()>>;

    /// Business-initiated: answers the business's offer.
    fn answer(&self, offer: String) -> BoxFuture<'_, Result<String>>;

    /// The call was picked up: media may flow.
    fn accepted(&self) {}

    /// The call is over.
    fn ended(&self) {}
}
