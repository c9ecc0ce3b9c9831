//! Stories over the real program: the gateway's binary, the fake WhatsApp, fake agents, real sockets, a real database.

mod crash;
mod faults;
mod inbound;
mod media;
mod outbound;
mod peers;
mod webhooks;
mod world;
