//! Talks to the two parties of a call about the call: [`whatsapp`] to the customer's side. It carries words and decides
//! nothing.

pub mod whatsapp;
