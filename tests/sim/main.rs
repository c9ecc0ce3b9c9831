//! The mind floor under virtual time: two ends and a network in one struct, stepped from timer to timer.

mod call;
mod hostile;
mod keys;
mod network;
mod peer;
mod sdp;
mod watch;
mod world;
