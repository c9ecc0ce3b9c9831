//! The doors, tried over a real listener with a real store.

mod access;
mod access_cells;
mod access_table;
mod checks;
mod contract;
mod files;
mod first_settings;
mod fixture;
mod keeping;
mod notes;
mod once;
mod pushes;
mod reconciliations;
mod refusals;
mod reports;
mod settings;
mod sign_in;
mod streams;
mod team;
mod transcripts;
mod wallet;
