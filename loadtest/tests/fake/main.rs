//! The fake itself under test: a small business calls and is called, and both sides tell what they heard.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say so")]

mod agents;
mod business;
mod external;
mod faults;
mod gateway;
mod inbound;
mod outbound;
mod remote;
mod rules;
mod settings;
