//! Decides who may call, who rings and who may see. Pure functions over facts gathered elsewhere.
//!
//! - [`admit`]: may this agent call this customer now? A [`Permit`], or a [`Denial`] with every reason at once.
//! - [`request::may_ask`]: may this customer be asked for permission now?
//! - [`permission::Ledger`]: what the customer's own words come to.
//! - [`inbound::refuse`], [`hours`]: is this customer's call let in?
//! - [`route`]: whom does this caller ring, in which order, and why?
//! - [`access::may`]: may this actor do this to that?
//! - [`pickup`]: how near is a number to being restricted?
//!
//! Every number, window, list and role comes from a [`pack::Pack`]. The same answer drives the button, the API error and
//! the tooltip. Nothing here can place a call: it only says that one may be placed.

pub mod access;
pub mod admit;
pub mod hours;
pub mod inbound;
pub mod limits;
pub mod pack;
pub mod permission;
pub mod pickup;
pub mod request;
pub mod routing;

pub use admit::{Blocker, Denial, OutboundFacts, Permit, admit};
pub use routing::{Candidate, Routing, RoutingFacts, TraceStep, route};
