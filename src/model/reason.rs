//! Why things are as they are: states, end reasons, outcomes and blockers, each a closed list.

use super::words::words;

/// A word that is not in its closed list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is not one of the words of {list}")]
pub struct UnknownWord {
    pub list: &'static str,
    pub word: String,
}

words! {
    /// Who started the call, in Meta's words.
    Direction { UserInitiated = "user_initiated", BusinessInitiated = "business_initiated" }
}

words! {
    /// Where a call stands.
    CallState {
        New = "new",
        Checking = "checking",
        Offering = "offering",
        Ringing = "ringing",
        Answering = "answering",
        Active = "active",
        Held = "held",
        WrapUp = "wrap_up",
        Ended = "ended",
    }
}

words! {
    /// Why a call ended.
    EndReason {
        Completed = "completed",
        MissedByAgent = "missed_by_agent",
        MissedByCustomer = "missed_by_customer",
        RejectedByCustomer = "rejected_by_customer",
        CallerCancelled = "caller_cancelled",
        OutsideHours = "outside_hours",
        BusinessUnavailable = "business_unavailable",
        NoAgentAvailable = "no_agent_available",
        PermissionDenied = "permission_denied",
        LimitReached = "limit_reached",
        WalletNegative = "wallet_negative",
        MediaTimeoutRx = "media_timeout_rx",
        MediaTimeoutTx = "media_timeout_tx",
        SetupFailed = "setup_failed",
        UpstreamError = "upstream_error",
        Drained = "drained",
        AgentLost = "agent_lost",
        PolicyPstnBlocked = "policy_pstn_blocked",
    }
}

words! {
    /// Who ended the call.
    EndedBy { Customer = "customer", Agent = "agent", System = "system", Upstream = "upstream" }
}

words! {
    /// How an offer to an agent stands.
    OfferOutcome { Pending = "pending", Accepted = "accepted", MissedByAgent = "missed_by_agent", Withdrawn = "withdrawn" }
}

words! {
    /// Why an offer ended as it did.
    OfferCause {
        Rejected = "rejected",
        RingTimeout = "ring_timeout",
        NotShown = "not_shown",
        CallerCancelled = "caller_cancelled",
        AnsweredElsewhere = "answered_elsewhere",
        AgentLeft = "agent_left",
        /// The call came to nothing for a reason on our side or WhatsApp's.
        CallFailed = "call_failed",
    }
}

words! {
    /// What an agent's client says of an offer.
    ReceiptKind {
        /// It is on the screen.
        Shown = "shown",
        /// It is heard.
        Audible = "audible",
        /// This client can neither show nor sound it.
        Failed = "failed",
    }
}

words! {
    /// What kept an agent's client from showing or sounding an offer in time.
    RingTrouble {
        TabAsleep = "tab_asleep",
        AutoplayBlocked = "autoplay_blocked",
        SocketDead = "socket_dead",
        /// No console was open, and no push service took the offer.
        PushFailed = "push_failed",
    }
}

words! {
    /// Why an outbound call may not be placed.
    BlockerCode {
        NoPermission = "no_permission",
        PermissionExpired = "permission_expired",
        RequestLimit24h = "request_limit_24h",
        RequestLimit7d = "request_limit_7d",
        ConnectedLimit = "connected_limit",
        AttemptsLimit = "attempts_limit",
        BicNotAvailable = "bic_not_available",
        NotAssignee = "not_assignee",
        NotAssigned = "not_assigned",
        PlanRequired = "plan_required",
        MessagingLimit = "messaging_limit",
        NotCloudApi = "not_cloud_api",
        CallingDisabled = "calling_disabled",
        WalletNegative = "wallet_negative",
        CallInProgress = "call_in_progress",
        QualityRestricted = "quality_restricted",
        /// The pickup guard holds outbound calls back before WhatsApp does.
        PickupHold = "pickup_hold",
        AgentBusy = "agent_busy",
        Draining = "draining",
        /// A free-form request outside the 24 hours after the customer's last word.
        WindowClosed = "window_closed",
        /// A request to somebody who has permitted calls for good.
        AlreadyPermanent = "already_permanent",
    }
}

words! {
    /// How a customer is asked for permission.
    RequestKind { FreeForm = "free_form", Template = "template" }
}

words! {
    /// How a permission came about.
    GrantSource {
        /// The customer answered a request.
        Request = "request",
        /// The customer called, and callback permission was on.
        Callback = "callback",
        /// The customer gave it in the business profile.
        Profile = "profile",
        /// WhatsApp's own books say so.
        WhatsApp = "whatsapp",
    }
}

words! {
    /// What WhatsApp took from a number for bad quality (Meta: Configure call settings).
    RestrictionKind {
        Outbound = "outbound",
        Inbound = "inbound",
        OutboundAndInbound = "outbound_and_inbound",
        ButtonsHidden = "buttons_hidden",
    }
}

words! {
    /// What WhatsApp warns a number of before it takes anything (Meta: Configure call settings).
    ViolationKind {
        /// Customers complain about, or do not take, the number's calls.
        OutboundQuality = "outbound_quality",
        /// Customers complain about the calls they placed.
        InboundQuality = "inbound_quality",
        /// Customers' calls are not answered.
        InboundPickup = "inbound_pickup",
    }
}

words! {
    /// What an entry of the ledger is.
    EntryKind { TopUp = "top_up", CallCharge = "call_charge", Adjustment = "adjustment" }
}

words! {
    /// How near a number is to being restricted for its pickup.
    PickupStage { Fine = "fine", Notice = "notice", Warning = "warning", Critical = "critical", Held = "held" }
}

words! {
    /// What a role may be called.
    Role { Owner = "owner", SalesLead = "sales_lead", Admin = "admin", Teammate = "teammate" }
}

words! {
    /// Whether an agent takes calls.
    Presence { Online = "online", Offline = "offline" }
}

words! {
    /// Where a customer's permission to be called stands.
    PermissionStatus {
        None = "none",
        Requested = "requested",
        Temporary = "temporary",
        Permanent = "permanent",
        Rejected = "rejected",
        Expired = "expired",
        Revoked = "revoked",
    }
}

words! {
    /// How a recording stands.
    RecordingState {
        None = "none",
        Recording = "recording",
        /// Somebody asked that what is said now is not kept; time runs on in the file, as silence.
        Paused = "paused",
        Ready = "ready",
        Failed = "failed",
        /// It was kept as long as it should be, or somebody deleted it; its files are gone.
        Deleted = "deleted",
    }
}

impl RecordingState {
    /// The file is still being written, also while it is paused.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Recording | Self::Paused)
    }
}

words! {
    /// The two ends of a bridged call.
    LegKind { WhatsApp = "whatsapp", Agent = "agent" }
}

words! {
    /// What the media watchdog noticed on a leg.
    MediaAlarm {
        /// No RTP from the peer for the alarm time.
        NoRtp = "no_rtp",
        /// No RTCP from the peer for the alarm time.
        NoRtcp = "no_rtcp",
        /// Packets arrive but carry no voice while the other side speaks, or one direction is empty.
        OneWay = "one_way",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_back_as_itself() {
        for reason in EndReason::ALL {
            assert_eq!(reason.as_str().parse::<EndReason>().unwrap(), *reason);
        }
        assert_eq!(serde_json::to_string(&BlockerCode::RequestLimit24h).unwrap(), "\"request_limit_24h\"");
        assert_eq!(
            "hung_up".parse::<EndReason>().unwrap_err().to_string(),
            "`hung_up` is not one of the words of EndReason"
        );
    }
}
