//! May this agent call this customer from this number now?
//!
//! The rules, in the order in which their blockers are listed: first what only an administrator or the customer can
//! change, then what passes by itself.
//!
//! | Code | Blocks when | Cleared by |
//! |---|---|---|
//! | `not_cloud_api` | the number lives in the Business App | moving the number to Cloud API |
//! | `not_assigned` | the chat has no assignee | assigning it |
//! | `not_assignee` | it is somebody else's, whatever the caller's role | assigning it to the caller |
//! | `no_permission` | the customer never granted, refused or revoked | the customer |
//! | `permission_expired` | a temporary grant has run out by our clock | the customer |
//! | `call_in_progress` | number and customer are in a call already (Meta allows one per pair) | its end |
//! | `agent_busy` | the agent dials, rings or talks | the end of that call |
//! | `draining` | this gateway is shutting down | its restart |
//!
//! Presence does not matter: an offline agent takes no calls but may place them.

use crate::model::directory::{Agent, Contact, Number, Permission, Platform};
use crate::model::id::{AgentId, ContactId, NumberId};
use crate::model::reason::{BlockerCode, PermissionStatus};
use crate::model::time::Timestamp;

use super::permission::read_permission;

/// Everything that bears on one outbound call, read at one moment.
#[derive(Clone, Debug)]
pub struct OutboundFacts {
    pub now: Timestamp,
    pub number: Number,
    pub contact: Contact,
    pub agent: Agent,
    pub permission: Option<Permission>,
    /// A call between this number and this contact is running or ringing.
    pub pair_busy: bool,
    /// The agent is dialling, ringing or talking.
    pub agent_busy: bool,
    pub draining: bool,
}

/// The right to place this one call. Only [`admit`] makes one, and it cannot be copied: one permit, one call.
#[derive(Debug)]
pub struct Permit {
    number_id: NumberId,
    contact_id: ContactId,
    agent_id: AgentId,
}

impl Permit {
    pub fn number_id(&self) -> &NumberId {
        &self.number_id
    }

    pub fn contact_id(&self) -> &ContactId {
        &self.contact_id
    }

    pub fn agent_id(&self) -> &AgentId {
        &self.agent_id
    }
}

/// One reason against a call.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Blocker {
    pub code: BlockerCode,
    /// What is wrong and what clears it, for people.
    pub message: String,
    pub clears_at: Option<Timestamp>,
}

/// Why the call may not be placed: every reason at once, never only the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    pub blockers: Vec<Blocker>,
}

/// Decides about one outbound call; see the table at the top of this module.
///
/// # Errors
/// [`Denial`] with every blocker that applies.
pub fn admit(facts: &OutboundFacts) -> Result<Permit, Denial> {
    let blockers: Vec<Blocker> = [not_cloud_api, not_mine, no_permission, pair_busy, agent_busy, draining]
        .iter()
        .filter_map(|rule| rule(facts))
        .collect();
    if !blockers.is_empty() {
        return Err(Denial { blockers });
    }
    Ok(Permit {
        number_id: facts.number.id.clone(),
        contact_id: facts.contact.id.clone(),
        agent_id: facts.agent.id.clone(),
    })
}

fn not_cloud_api(facts: &OutboundFacts) -> Option<Blocker> {
    match facts.number.platform {
        Platform::CloudApi => None,
        Platform::BusinessApp => Some(block(
            BlockerCode::NotCloudApi,
            "This number lives in the WhatsApp Business App, which cannot place calls for you. Move it to Cloud API first.",
        )),
    }
}

fn not_mine(facts: &OutboundFacts) -> Option<Blocker> {
    match &facts.contact.assignee_id {
        Some(assignee) if *assignee == facts.agent.id => None,
        Some(_) => Some(block(
            BlockerCode::NotAssignee,
            "This chat is assigned to somebody else, and only its assignee may call. Have it assigned to you first.",
        )),
        None => Some(block(
            BlockerCode::NotAssigned,
            "This chat is assigned to nobody, and only its assignee may call. Have it assigned to you first.",
        )),
    }
}

fn no_permission(facts: &OutboundFacts) -> Option<Blocker> {
    let (code, message) = match read_permission(facts.permission.as_ref(), facts.now) {
        PermissionStatus::Temporary | PermissionStatus::Permanent => return None,
        PermissionStatus::Expired => (
            BlockerCode::PermissionExpired,
            "The customer's permission has run out. Ask for a new one; only the customer can grant it.",
        ),
        PermissionStatus::None => (
            BlockerCode::NoPermission,
            "The customer has not permitted calls. Ask for permission; only the customer can grant it.",
        ),
        PermissionStatus::Requested => (
            BlockerCode::NoPermission,
            "The customer has been asked for permission and has not answered yet. It clears when the customer agrees.",
        ),
        PermissionStatus::Rejected => (
            BlockerCode::NoPermission,
            "The customer declined calls. It clears when the customer agrees, to this request or to a new one.",
        ),
        PermissionStatus::Revoked => (
            BlockerCode::NoPermission,
            "WhatsApp revoked the permission after several unanswered calls. Ask again; only the customer can grant it.",
        ),
    };
    Some(block(code, message))
}

fn pair_busy(facts: &OutboundFacts) -> Option<Blocker> {
    facts.pair_busy.then(|| {
        block(
            BlockerCode::CallInProgress,
            "This number and this customer are already in a call. It clears when that call ends.",
        )
    })
}

fn agent_busy(facts: &OutboundFacts) -> Option<Blocker> {
    facts.agent_busy.then(|| {
        block(
            BlockerCode::AgentBusy,
            "You are ringing, dialling or talking on another call. It clears when that call ends.",
        )
    })
}

fn draining(facts: &OutboundFacts) -> Option<Blocker> {
    facts.draining.then(|| {
        block(BlockerCode::Draining, "The gateway is shutting down and starts no new calls. Try again when it is back.")
    })
}

/// No rule of this table knows when it will clear: each waits for a person or for the end of a call.
fn block(code: BlockerCode, message: &str) -> Blocker {
    Blocker { code, message: message.to_owned(), clears_at: None }
}

#[cfg(test)]
mod tests {
    use super::super::routing::tests::{agent, contact, number};
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

    fn callable() -> OutboundFacts {
        OutboundFacts {
            now: NOW,
            number: number(),
            contact: Contact { assignee_id: Some(agent("agt_a").id), ..contact() },
            agent: agent("agt_a"),
            permission: Some(permission(PermissionStatus::Permanent, None)),
            pair_busy: false,
            agent_busy: false,
            draining: false,
        }
    }

    fn permission(status: PermissionStatus, expires_at: Option<Timestamp>) -> Permission {
        Permission {
            number_id: number().id,
            contact_id: contact().id,
            status,
            expires_at,
            decided_at: Timestamp::from_secs(1_794_000_000),
        }
    }

    fn codes(facts: &OutboundFacts) -> Vec<BlockerCode> {
        admit(facts).err().map_or_else(Vec::new, |denial| denial.blockers.into_iter().map(|b| b.code).collect())
    }

    #[test]
    fn the_assignee_with_a_permission_gets_a_permit_for_exactly_this_call() {
        let facts = callable();
        let permit = admit(&facts).unwrap();
        assert_eq!(
            (permit.number_id(), permit.contact_id(), permit.agent_id()),
            (&facts.number.id, &facts.contact.id, &facts.agent.id)
        );
    }

    #[test]
    fn permission_and_assignment_are_judged_independently() {
        #[track_caller]
        fn check(assignee: Option<&str>, status: Option<PermissionStatus>, want: &[BlockerCode]) {
            let mut facts = callable();
            facts.contact.assignee_id = assignee.map(|id| AgentId::parse(id).unwrap());
            facts.permission = status.map(|s| permission(s, Some(NOW.plus(std::time::Duration::from_secs(1)))));
            assert_eq!(codes(&facts), want, "{assignee:?} {status:?}");
        }
        use BlockerCode::{NoPermission, NotAssigned, NotAssignee};
        use PermissionStatus::{Permanent, Rejected, Requested, Revoked, Temporary};
        for granted in [Temporary, Permanent] {
            check(Some("agt_a"), Some(granted), &[]);
            check(Some("agt_b"), Some(granted), &[NotAssignee]);
            check(None, Some(granted), &[NotAssigned]);
        }
        for refused in [None, Some(Requested), Some(Rejected), Some(Revoked), Some(PermissionStatus::None)] {
            check(Some("agt_a"), refused, &[NoPermission]);
            check(Some("agt_b"), refused, &[NotAssignee, NoPermission]);
            check(None, refused, &[NotAssigned, NoPermission]);
        }
        check(Some("agt_a"), Some(PermissionStatus::Expired), &[BlockerCode::PermissionExpired]);
    }

    #[test]
    fn an_owner_who_is_not_the_assignee_may_not_call_either() {
        for role in crate::model::reason::Role::ALL {
            let mut facts = callable();
            facts.agent = Agent { role: *role, ..agent("agt_b") };
            assert_eq!(codes(&facts), [BlockerCode::NotAssignee], "{role}");
        }
    }

    #[test]
    fn a_temporary_permission_ends_exactly_at_its_end() {
        for (now, want) in [
            (Timestamp::from_millis(NOW.as_millis() - 1), &[][..]),
            (NOW, &[BlockerCode::PermissionExpired][..]),
            (Timestamp::from_millis(NOW.as_millis() + 1), &[BlockerCode::PermissionExpired][..]),
        ] {
            let permission = Some(permission(PermissionStatus::Temporary, Some(NOW)));
            assert_eq!(codes(&OutboundFacts { now, permission, ..callable() }), want, "{now}");
        }
    }

    #[test]
    fn every_combination_of_reasons_is_reported_whole_and_with_a_sentence() {
        let assignments = [None, Some(BlockerCode::NotAssigned), Some(BlockerCode::NotAssignee)];
        let permissions = [None, Some(BlockerCode::NoPermission), Some(BlockerCode::PermissionExpired)];
        let mut seen = 0;
        for assignment in assignments {
            for refused in permissions {
                for bits in 0..16_u8 {
                    let mut facts = callable();
                    let mut want = Vec::new();
                    if bits & 1 != 0 {
                        facts.number.platform = Platform::BusinessApp;
                        want.push(BlockerCode::NotCloudApi);
                    }
                    match assignment {
                        Some(BlockerCode::NotAssigned) => facts.contact.assignee_id = None,
                        Some(_) => facts.contact.assignee_id = Some(AgentId::parse("agt_b").unwrap()),
                        None => {}
                    }
                    want.extend(assignment);
                    match refused {
                        Some(BlockerCode::NoPermission) => facts.permission = None,
                        Some(_) => facts.permission = Some(permission(PermissionStatus::Temporary, Some(NOW))),
                        None => {}
                    }
                    want.extend(refused);
                    facts.pair_busy = bits & 2 != 0;
                    want.extend(facts.pair_busy.then_some(BlockerCode::CallInProgress));
                    facts.agent_busy = bits & 4 != 0;
                    want.extend(facts.agent_busy.then_some(BlockerCode::AgentBusy));
                    facts.draining = bits & 8 != 0;
                    want.extend(facts.draining.then_some(BlockerCode::Draining));
                    assert_eq!(codes(&facts), want);
                    if let Err(denial) = admit(&facts) {
                        assert!(
                            denial
                                .blockers
                                .iter()
                                .all(|b| b.message.len() > 40 && b.message.ends_with('.') && b.clears_at.is_none())
                        );
                    }
                    seen += 1;
                }
            }
        }
        assert_eq!(seen, 144);
    }
}
