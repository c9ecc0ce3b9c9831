//! Decides who may call, who rings and who may see. Pure functions over facts gathered elsewhere.

pub mod access;
pub mod admit;
pub mod routing;

pub use admit::{Blocker, Denial, OutboundFacts, Permit, admit};
pub use routing::{Candidate, Routing, RoutingFacts, TraceStep, route};
