//! Stories over the real program: the gateway's binary, the fake WhatsApp, fake agents, real sockets, a real database.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a story fails where it cannot go on, and lives in real time"
)]

/// Makes two tests of `async fn name(world: World)`: `name::sqlite` and `name::postgres`.
macro_rules! on_both {
    ($name:ident) => {
        mod $name {
            #[tokio::test]
            async fn sqlite() {
                super::$name($crate::world::World::start().await).await;
            }

            #[tokio::test]
            async fn postgres() {
                super::$name($crate::world::World::on_postgres().await).await;
            }
        }
    };
}

/// How calls ring, where a story does not say so: as they do by default.
const CALLS: &str = "";

mod archive;
mod consent;
mod crash;
mod disk;
mod documents;
mod faults;
mod forks;
mod inbound;
mod invite;
mod keeping;
mod media;
mod money;
mod outages;
mod outbound;
mod peers;
mod policy;
#[path = "../fork/program.rs"]
mod program;
mod reach;
#[allow(dead_code, reason = "these stories need less of it than those of the forks alone")]
#[path = "../fork/receiver.rs"]
mod receiver;
mod recognisers;
mod reconcile;
mod recording;
mod ring;
mod s3;
mod sealed;
mod transcripts;
mod webhooks;
mod world;
