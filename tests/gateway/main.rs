//! Stories over the real program: the gateway's binary, the fake WhatsApp, fake agents, real sockets, a real database.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a story fails where it cannot go on, and lives in real time"
)]

mod crash;
mod faults;
mod inbound;
mod media;
mod outbound;
mod peers;
mod webhooks;
mod world;
