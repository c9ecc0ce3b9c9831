//! The mind floor under virtual time: two ends and a network in one struct, stepped from timer to timer.

mod announcement;
mod call;
mod hostile;
mod keys;
mod network;
#[allow(clippy::unwrap_used, reason = "what cannot go on in a test stops it")]
mod peer;
mod sdp;
mod watch;
#[allow(clippy::unwrap_used, reason = "what cannot go on in a test stops it")]
mod world;
