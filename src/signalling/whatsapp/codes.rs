//! Meta's error codes of calling, and what they are in our words. Source: Meta's page "Troubleshoot calling errors".

use crate::model::reason::{BlockerCode, EndReason};

struct Row(i64, EndReason, Option<BlockerCode>, &'static str);

/// The end reason for a call that ends because of this code; `None` for a code that is not of calling.
pub fn end_reason(code: i64) -> Option<EndReason> {
    find(code).map(|row| row.1)
}

/// The blocker that Meta's refusal to place a call amounts to.
pub fn blocker(code: i64) -> Option<BlockerCode> {
    find(code).and_then(|row| row.2)
}

/// What the code means and what helps, for people.
pub fn meaning(code: i64) -> Option<&'static str> {
    find(code).map(|row| row.3)
}

fn find(code: i64) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.0 == code)
}

/// Media time-outs are named from our side: what the customer's app did not receive is what we failed to send.
#[rustfmt::skip]
const TABLE: &[Row] = &[
    Row(100, EndReason::SetupFailed, None, "WhatsApp did not understand the request; for a call this is most often the SDP."),
    Row(613, EndReason::LimitReached, None, "Too many requests for this number; try again in a moment."),
    Row(130_429, EndReason::LimitReached, None, "The number sends messages too fast; try again in a moment."),
    Row(131_026, EndReason::SetupFailed, None, "The customer cannot be written to: not on WhatsApp, an old app, or terms not accepted."),
    Row(131_030, EndReason::PermissionDenied, None, "A test number may only call the recipients on its list; add the customer to it."),
    Row(131_044, EndReason::UpstreamError, None, "The WhatsApp account has no valid payment method; add one in Meta's Business Manager."),
    Row(131_047, EndReason::UpstreamError, Some(BlockerCode::WindowClosed), "More than 24 hours have passed since the customer's last message or call; ask with a template."),
    Row(131_055, EndReason::UpstreamError, Some(BlockerCode::CallingDisabled), "The number is in SIP mode; switch SIP off in its call settings."),
    Row(131_056, EndReason::LimitReached, None, "Too many messages to this one customer; try again in a moment."),
    Row(138_000, EndReason::UpstreamError, Some(BlockerCode::CallingDisabled), "Calling is not enabled on this number; enable it in its call settings."),
    Row(138_001, EndReason::SetupFailed, None, "The customer cannot be called: not on WhatsApp, an old app, or terms not accepted."),
    Row(138_002, EndReason::LimitReached, None, "The number has as many calls at once as WhatsApp allows; try again when some have ended."),
    Row(138_003, EndReason::UpstreamError, Some(BlockerCode::CallInProgress), "WhatsApp is already running a call between this number and this customer."),
    Row(138_004, EndReason::SetupFailed, None, "WhatsApp failed to connect the call; try again."),
    Row(138_005, EndReason::LimitReached, Some(BlockerCode::AttemptsLimit), "The number has started as many calls today as WhatsApp allows."),
    Row(138_006, EndReason::PermissionDenied, Some(BlockerCode::NoPermission), "The customer has not permitted calls from this number."),
    Row(138_007, EndReason::SetupFailed, None, "The call description did not reach WhatsApp in time."),
    Row(138_008, EndReason::SetupFailed, None, "WhatsApp refused the call description (SDP)."),
    Row(138_009, EndReason::LimitReached, Some(BlockerCode::RequestLimit24h), "The customer has been asked for permission as often as WhatsApp allows."),
    Row(138_012, EndReason::LimitReached, Some(BlockerCode::ConnectedLimit), "As many calls were connected in 24 hours as WhatsApp allows."),
    Row(138_013, EndReason::UpstreamError, Some(BlockerCode::BicNotAvailable), "WhatsApp does not let numbers of this country place calls."),
    Row(138_014, EndReason::UpstreamError, Some(BlockerCode::QualityRestricted), "WhatsApp paused this number's calls because of their quality."),
    Row(138_015, EndReason::UpstreamError, Some(BlockerCode::MessagingLimit), "Calling needs a messaging limit of at least 2,000."),
    Row(138_017, EndReason::UpstreamError, Some(BlockerCode::AlreadyPermanent), "The customer has permitted calls permanently; no request is needed."),
    Row(138_018, EndReason::UpstreamError, Some(BlockerCode::CallingDisabled), "Calling cannot be enabled yet: subscribe the app to the `calls` webhook first."),
    Row(138_019, EndReason::SetupFailed, None, "The customer's app failed to set the call up."),
    Row(138_020, EndReason::SetupFailed, None, "The customer's app could not reach WhatsApp's relay."),
    Row(138_021, EndReason::MediaTimeoutTx, None, "The customer's app received no media from us for too long."),
    Row(138_022, EndReason::MediaTimeoutRx, None, "The customer's app sent no media for too long."),
    Row(138_023, EndReason::SetupFailed, None, "The call was accepted but no media was ever seen."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_one_call_map_to_one_reason_and_to_the_blocker_that_the_button_shows() {
        #[track_caller]
        fn check(code: i64, reason: Option<EndReason>, blocked_by: Option<BlockerCode>) {
            assert_eq!((end_reason(code), blocker(code)), (reason, blocked_by), "{code}");
        }
        check(138_006, Some(EndReason::PermissionDenied), Some(BlockerCode::NoPermission));
        check(138_012, Some(EndReason::LimitReached), Some(BlockerCode::ConnectedLimit));
        check(138_013, Some(EndReason::UpstreamError), Some(BlockerCode::BicNotAvailable));
        check(138_021, Some(EndReason::MediaTimeoutTx), None);
        check(138_022, Some(EndReason::MediaTimeoutRx), None);
        check(190, None, None);
        check(0, None, None);
    }

    #[test]
    fn the_table_is_sorted_and_every_row_has_a_sentence() {
        assert!(TABLE.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(TABLE.iter().all(|row| row.3.ends_with('.')));
    }
}
