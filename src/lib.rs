//! Tandem: a self-hosted gateway for WhatsApp Business calls. This page is the map.
//!
//! Five floors and a roof. Commands go down as values, events come up as values; **a module names only modules of lower
//! floors, never a neighbour**. Neighbours meet in [`app`], which hands one the sender and the other the receiver of a channel.
//! `tests/architecture.rs` reads the floors from this list, lowest first:
//!
//! - **words**: `model` — identities, moments, reasons, events: what every floor speaks
//! - **ground**: `audio`, `metrics` — tools; know nothing of the rest
//! - **mind**: `media`, `call`, `policy`, `billing` — pure: takes `now`, returns values
//! - **hands**: `shard`, `tap`, `record`, `archive`, `asr`, `summary`, `fork`, `signalling`, `webpush`, `store`, `bus` — one
//!   resource each: sockets, CPU, disk, object store, model, push services, database, peers
//! - **desk**: `switchboard` — the only place that decides *when*
//! - **doors**: `control`, `console` — programs and people come in
//! - **roof**: `config`, `app`, `worker`, `offline`, `sandbox`, `main` — knows everybody, and does nothing else
//!
//! Each thinker has one runner: `media` → `shard`, `audio` → `tap`, `call` → `switchboard`; `policy` and `billing` are asked by
//! the switchboard, the doors and, inside a transaction, the store.
//!
//! # A call as data
//!
//! ```text
//!  WhatsApp ─POST─▶ control::webhooks   signature over the raw bytes, stored, 200; then switchboard::inbox works it off
//!    policy::route(facts)               → candidates + trace       call::Call → Action::Ring → event log → agent's stream
//!    media::Leg::answer_customer(offer) → (leg, SDP)               shard ◀ Command::Open: the leg moves in for good
//!    call::Call                         → Action::PreAccept → signalling::whatsapp::Graph
//!  Agent's browser, while it rings: SDP offer → a second leg on the same shard (ICE and DTLS are done before the click)
//!  Agent accepts → Action::Accept → 200 → the gate opens
//!  packet:  socket ▶ demux ▶ Bridge::handle_datagram ▶ poll_output ▶ Transmit ▶ socket          (one thread)
//!                                           └▶ TapRecord ▶ ring ▶ tap worker ▶ recorder, recogniser
//!  end: terminate webhook | hang-up | dead media → Signal → record + events in one transaction → Actions
//! ```
//!
//! # What is absent on purpose
//!
//! `media` does not know WhatsApp from SIP. `call` never sees a packet. `policy` cannot dial, and only it can make a
//! `Permit`. `signalling` does not decide. `shard` does not know a phone number. Only `signalling::whatsapp::payload` knows
//! Meta's JSON. Only `control` speaks HTTP to the outside; the call object and the directory serialise themselves, because the
//! event log carries them too. Only `metrics` spells a metric's name. The console can do nothing that the API cannot.

pub mod app;
pub mod archive;
pub mod asr;
pub mod audio;
pub mod billing;
pub mod bus;
pub mod call;
pub mod config;
pub mod console;
pub mod control;
pub mod fork;
pub mod media;
pub mod metrics;
pub mod model;
pub mod offline;
pub mod policy;
pub mod record;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod shard;
pub mod signalling;
pub mod store;
pub mod summary;
pub mod switchboard;
pub mod tap;
pub mod webpush;
pub mod worker;
