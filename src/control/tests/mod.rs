//! The doors, tried over a real listener with a real store.

mod access;
mod contract;
mod files;
mod fixture;
mod once;
mod refusals;
mod streams;
