//! What outbound calls cost, and how it is booked. Integers only; pure functions over what the store has read.
//!
//! - [`RateCard`]: the price of a minute by the customer's country and the month's volume.
//! - [`pulses`]: talk time in the six-second steps WhatsApp bills by.
//! - [`ledger`]: which transfers a settled call needs.
//! - [`reconcile`]: whether WhatsApp counted the same day as we did.

mod card_file;
mod csv;
pub mod ledger;
mod rate;
pub mod reconcile;
#[cfg(test)]
mod tests;

pub use rate::{BUILT_IN, Customer, Price, Quote, RateCard, RateCardErrors, RateRow, pulses};
