//! The life of one call, for both directions, without waiting: signals in, actions out, timers by name.
//!
//! WhatsApp's webhooks come twice, late and in any order, so nothing is decided by the order they arrive in: what is
//! known is collected in [`verdict::Facts`], and how the call ended is read from them whenever one is added.
//!
//! Use: one [`Call::handle`] or [`Call::handle_timeout`], then drain [`Call::poll_action`], store [`Call::record`] with the
//! events of [`Call::take_news`], and wake at [`Call::poll_timeout`]. Store first, act second: what was promised to
//! the outside must survive the process.

pub mod action;
pub mod documents;
pub mod record;
pub mod signal;
mod state;
pub mod timer;
mod verdict;

#[cfg(test)]
mod tests;

pub use action::Action;
pub use record::CallRecord;
pub use signal::{Candidate, Client, Receipt, Signal, Terminated, UpstreamFailure};
pub use state::{Call, Refused};
pub use timer::{OnReject, Patience};
