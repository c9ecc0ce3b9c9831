//! The words every floor speaks: identities, phone numbers, moments, reasons, events, and the record a packet becomes
//! when it is copied away from the call.
//!
//! Nothing here waits, decides or knows who uses it.

pub mod country;
pub mod day;
pub mod directory;
pub mod error;
pub mod event;
pub mod files;
pub mod id;
pub mod money;
pub mod note;
pub mod phone;
pub mod private_url;
pub mod push;
pub mod quality;
pub mod readiness;
pub mod reason;
pub mod recording;
pub mod rtp;
pub mod settings;
pub mod summary;
pub mod template;
pub mod time;
pub mod transcript;
mod words;
pub mod zone;

pub(crate) use words::words;
