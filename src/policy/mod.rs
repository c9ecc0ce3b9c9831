//! Decides who may call, who rings and who may see. Pure functions over facts gathered elsewhere.
//!
//! - [`admit`]: may this agent call this customer now? A [`Permit`], or a [`Denial`] with every reason at once.
//! - [`route`]: whom does this caller ring, in which order, and why?
//! - [`read_permission`], [`fold_reply`]: what the customer's own words come to.
//! - [`access::may`]: may this actor do this to that?
//!
//! The same answer drives the button, the API error and the tooltip. Nothing here can place a call: it only says that
//! one may be placed.

pub mod access;
pub mod admit;
pub mod permission;
pub mod routing;

pub use admit::{Blocker, Denial, OutboundFacts, Permit, admit};
pub use permission::{Reply, fold_reply, read_permission};
pub use routing::{Candidate, Routing, RoutingFacts, TraceStep, route};
