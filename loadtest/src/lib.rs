//! A fake WhatsApp with real media, fake agents, and load scenarios.
//!
//! Three users: tests (a call is placed, answered, and what was *heard* is compared with what was said), the demo
//! (nobody has a Meta account at hand), and load runs. The fake speaks only the network, the way Meta and browsers
//! do: it has its own signature, its own SDP text and its own JSON, so that a misunderstanding in the gateway is not
//! tested against itself.
//!
//! - [`whatsapp`]: the Graph endpoints, signed webhooks, customers' phones, faults.
//! - [`agent`]: browser-like agents that speak the gateway's control API.
//! - [`peer`]: one WebRTC endpoint with a voice; phones and agents are made of it.
//! - [`audio`]: sounds, what was heard, and measurements.
//! - [`load`]: many calls at once, and the report.

pub mod agent;
pub mod audio;
pub mod load;
pub mod peer;
pub mod wer;
pub mod whatsapp;

pub use audio::{heard, measure, sound};
