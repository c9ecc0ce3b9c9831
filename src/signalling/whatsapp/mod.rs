//! WhatsApp's side of a call, in Meta's Graph mode: webhooks come in, actions go out.
//!
//! [`Webhook`] says whether a delivery is Meta's, [`parse`] what it means, [`Graph`] asks Meta to do something. Deliveries
//! are duplicated, reordered and late by Meta's own account, so a value of [`Delivery`] is a report to be folded and
//! never an order. Only `payload` knows Meta's JSON.

pub mod codes;
mod config;
mod graph;
mod payload;
pub mod settings;
mod signature;
mod webhook;

pub use config::{Config, SecretFileError, read_secret_file};
pub use graph::{Account, Graph, GraphError, GraphErrorKind, GraphSetupError, Observe};
pub use payload::{
    AccountUpdate, BadPayload, Books, CallAnalytics, CallError, CallFigures, CallStatus, Connect, Customer, Delivery,
    Icons, MetaCalling, MetaHoliday, MetaHours, MetaSpan, PermissionReply, ReplySource, RequestBody, Restricted,
    SdpType, SettingsUpdate, Status, Terminate, TerminateStatus, Violated, owners, parse,
};
pub use signature::{BadSignature, SIGNATURE_HEADER};
pub use webhook::{EmptySecret, Webhook};
