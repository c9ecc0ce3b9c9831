//! Dialogues of our own making with planted facts, and what is found in them.

mod dialogue;
mod extractive;
