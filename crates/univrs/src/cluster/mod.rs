//! This machine among others: who they are and where, the port at which nodes speak to each other, and what is said
//! there. Trust is in certificates of the cluster's authority, never in addresses.
//!
//! - [`directory`]: the members as this node knows them, kept on disk for a cold start.
//! - [`trust`]: this node's key and certificates, and what they make of a connection.
//! - [`dial`] and [`port`]: both ends of connections between nodes.
//! - [`joining`] and [`strangers`]: both ends of a join.
//! - [`service`] and [`asking`]: what nodes ask validators for.
//! - [`forward`]: requests of people that only a validator can answer.
//! - [`images`]: what one node has of images, for the others.
//! - [`programs`]: which program nodes run, and giving it to each other.
//! - [`reach`] and [`serve_reach`]: logs, commands and connections in instances of other nodes.

pub(crate) mod address;
pub(crate) mod asking;
pub(crate) mod dial;
pub(crate) mod directory;
pub(crate) mod forward;
mod frames;
pub(crate) mod images;
pub(crate) mod joining;
pub(crate) mod port;
pub(crate) mod programs;
pub(crate) mod reach;
mod reach_words;
pub(crate) mod renewal;
mod serve_reach;
pub(crate) mod service;
mod strangers;
pub(crate) mod trust;
