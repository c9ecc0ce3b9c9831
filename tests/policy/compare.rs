//! What both worlds say of the same moment.

use std::fmt::Debug;

use tandem::model::directory::ContactRef;
use tandem::model::money::Currency;
use tandem::model::reason::{BlockerCode, PermissionStatus, RequestKind};
use tandem::model::time::Timestamp;
use tandem::policy::request::may_ask;
use tandem::policy::{Blocker, Denial, admit};

use crate::steps::{customer_of, market_of, number_of};
use crate::world::{World, agent, at, number};

/// Every so many steps the service window is looked at too; each request is decided by it anyway.
const WINDOW_EVERY: usize = 4;
/// Lines of the wallet's statement that are compared after a step; none books more than one.
const NEWEST: usize = 2;

/// The first difference between the two worlds about one pair, or about the money, in words.
pub(crate) async fn compare(world: &World, pair: usize, step: usize) -> Result<(), String> {
    world.noted.clone()?;
    let (now, number, contact) = (at(world.now), number(number_of(pair)).id, &world.contacts[customer_of(pair)].id);
    let to = ContactRef::Id(contact.clone());
    let terms = world.store.terms();
    let look = world.store.look_at_dial(&number, &to, &agent().id, now).await.unwrap().unwrap();
    let want = world.reference.permission(pair, world.now);
    let view = look.facts.permission.view(&number, contact, now);
    let about = |what| format!("{what} of pair {pair}");
    same(&about("status"), view.status.as_str(), want.status)?;
    if matches!(view.status, PermissionStatus::Temporary | PermissionStatus::Permanent) {
        same(&about("end"), view.expires_at.map(Timestamp::as_millis), want.ends)?;
    }
    same(&about("unanswered"), view.unanswered_in_a_row, want.unanswered)?;
    same(&about("last connected"), view.connected_at.map(Timestamp::as_millis), want.connected)?;
    let checked = view.checked_at.map(|at| (at.as_millis(), view.drift.is_some()));
    same(&about("last checked"), checked, want.checked)?;
    same(&about("answerable"), view.request_expires_at.map(Timestamp::as_millis), want.answerable)?;
    let against = coded(admit(&look.facts, terms.rules(now)));
    same(&about("dialling"), against, world.reference.against_dialling(pair, world.now))?;
    let ringing = (look.facts.connected_number.in_flight as usize, look.facts.connected_pair.in_flight as usize);
    let want = world.reference.ringing(pair);
    let rules = crate::terms::rules(world.now);
    let want = (rules.per_number.map_or(0, |_| want.0), rules.per_pair.map_or(0, |_| want.1));
    same(&about("calls in flight"), ringing, want)?;

    if step.is_multiple_of(WINDOW_EVERY) {
        let kind = RequestKind::FreeForm;
        let facts = world.store.look_at_request(&number, &to, kind, now).await.unwrap().unwrap();
        let against = coded(may_ask(&facts, terms.rules(now)));
        same(&about("asking"), against, world.reference.against_asking(pair, true, world.now))?;
    } else {
        let against = codes(&look.facts.permission.request_blockers(terms.rules(now), now));
        same(&about("asking"), against, world.reference.against_asking(pair, false, world.now))?;
    }
    let books = world.reference.books();
    let minute = books.next_minute(market_of(pair), world.now);
    same(&about("price"), look.quote.micros_per_minute, minute)?;
    let wallet = world.store.wallet(Currency::USD).await.unwrap();
    same("balance", wallet.balance_micros, books.balance())?;
    same("held back", wallet.reserved_micros, books.held())?;
    statement(world, NEWEST).await
}

/// The newest lines of the wallet's statement.
pub(crate) async fn statement(world: &World, most: usize) -> Result<(), String> {
    let (mut cursor, mut got) = (None, Vec::new());
    loop {
        let limit = u32::try_from(most).unwrap_or(100);
        let page = world.store.entries(&tandem::store::EntryFilter::default(), limit, cursor.as_deref()).await.unwrap();
        got.extend(page.items.iter().map(|entry| (entry.kind.as_str(), entry.micros, entry.pulses)));
        cursor = page.next_cursor;
        if cursor.is_none() || got.len() >= most {
            break;
        }
    }
    let mut want = world.reference.books().entries;
    want.reverse();
    want.truncate(most);
    same("statement", got, want)
}

pub(crate) fn same<T: PartialEq<U> + Debug, U: Debug>(what: &str, got: T, want: U) -> Result<(), String> {
    if got == want { Ok(()) } else { Err(format!("{what}: {got:?}, the reference says {want:?}")) }
}

/// The blockers of a decision; none of one that says yes.
pub(crate) fn coded<T>(decided: Result<T, Denial>) -> Vec<(&'static str, Option<i64>)> {
    decided.err().map_or_else(Vec::new, |denial| codes(&denial.blockers))
}

fn codes(blockers: &[Blocker]) -> Vec<(&'static str, Option<i64>)> {
    blockers.iter().map(|b| (BlockerCode::as_str(b.code), b.clears_at.map(Timestamp::as_millis))).collect()
}
