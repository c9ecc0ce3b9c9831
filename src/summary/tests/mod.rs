//! Dialogues of our own making with planted facts, and what the rules and a language model make of them.

pub(super) mod dialogue;
mod extractive;
mod generated;
mod server;
