//! What a number needs before anybody may call from it, whoever asks and whomever they call.

use crate::model::country::Country;
use crate::model::directory::{AddOn, Number, Plan, Platform};
use crate::model::reason::BlockerCode;

use super::super::pack::Rules;
use super::{Blocker, block};

/// One thing a number needs before it may call.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Prerequisite {
    /// The blocker it is as long as it is not met.
    pub code: BlockerCode,
    pub met: bool,
    /// What there is; if not met, also what to do. For people.
    pub message: String,
    /// Only placing calls needs it: customers may call without it, and calling may be switched on.
    pub outbound_only: bool,
    /// While it is not met, customers' calls are turned away as `business_unavailable`. The messaging limit turns nobody
    /// away: WhatsApp asks it of whoever switches calling on, and lets calls through that are on.
    pub needed_inbound: bool,
}

/// Everything a number needs, met or not, in the order of the blockers.
pub fn prerequisites(number: &Number, rules: &Rules) -> Vec<Prerequisite> {
    let of = |code, blocker: Option<Blocker>, met: String| Prerequisite {
        code,
        met: blocker.is_none(),
        message: blocker.map_or(met, |blocker| blocker.message),
        outbound_only: code == BlockerCode::BicNotAvailable,
        needed_inbound: matches!(code, BlockerCode::NotCloudApi | BlockerCode::PlanRequired),
    };
    let country = Country::of_phone(&number.display_phone_number)
        .map_or_else(|| "Numbers of no country".to_owned(), |country| format!("Numbers of {country}"));
    vec![
        of(BlockerCode::NotCloudApi, not_cloud_api(number), "The number is on Cloud API.".to_owned()),
        of(
            BlockerCode::MessagingLimit,
            messaging_limit(number, rules),
            format!("The number may message {} customers in 24 h.", number.messaging_limit),
        ),
        of(BlockerCode::PlanRequired, plan_required(number, rules), "The plan includes calls.".to_owned()),
        of(BlockerCode::BicNotAvailable, country_blocked(number, rules), format!("{country} may place calls.")),
    ]
}

pub(super) fn not_cloud_api(number: &Number) -> Option<Blocker> {
    match number.platform {
        Platform::CloudApi => None,
        Platform::BusinessApp => Some(block(
            BlockerCode::NotCloudApi,
            "This number lives in the WhatsApp Business App, which cannot place calls for you. Move it to Cloud API first.",
        )),
    }
}

pub(super) fn messaging_limit(number: &Number, rules: &Rules) -> Option<Blocker> {
    let (has, needs) = (number.messaging_limit, rules.prerequisites.messaging_limit_min);
    (has < needs).then(|| {
        block(
            BlockerCode::MessagingLimit,
            format!(
                "This number may message {has} customers in 24 h, and calls need {needs}. It clears when WhatsApp raises \
                 the limit and the number's record is updated."
            ),
        )
    })
}

pub(super) fn plan_required(number: &Number, rules: &Rules) -> Option<Blocker> {
    let needs = &rules.prerequisites;
    if needs.plans.contains(&number.plan) || number.add_ons.iter().any(|add_on| needs.add_ons.contains(add_on)) {
        return None;
    }
    let plans = needs.plans.iter().map(|plan| format!("the {} plan", plan_name(*plan)));
    let add_ons = needs.add_ons.iter().map(|add_on| format!("the {} add-on", add_on_name(*add_on)));
    let ways: Vec<String> = plans.chain(add_ons).collect();
    let plan = plan_name(number.plan);
    Some(block(
        BlockerCode::PlanRequired,
        format!("The {plan} plan of this number does not include calls. Calls come with {}.", ways.join(" or ")),
    ))
}

/// By the business's number: its customers may be anywhere. A number of no country is left to WhatsApp's own judgement.
pub(super) fn country_blocked(number: &Number, rules: &Rules) -> Option<Blocker> {
    let country = Country::of_phone(&number.display_phone_number)?;
    rules.countries.outbound_blocked.contains(&country).then(|| {
        block(
            BlockerCode::BicNotAvailable,
            format!(
                "WhatsApp lets no business number of {country} place calls, though customers may call it. Call from a \
                 number of another country."
            ),
        )
    })
}

/// As the price list calls it.
fn plan_name(plan: Plan) -> &'static str {
    match plan {
        Plan::Starter => "Starter",
        Plan::Growth => "Growth",
        Plan::Advanced => "Advanced",
        Plan::SalesCrm => "Sales CRM",
    }
}

fn add_on_name(add_on: AddOn) -> &'static str {
    match add_on {
        AddOn::SalesCrm => "Sales CRM",
    }
}
