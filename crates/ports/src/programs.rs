//! The program that nodes run: what other copies of it they have, and how one of them takes the place of another.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use univrs_model::ids::NodeId;
use utoipa::ToSchema;

use crate::images::Archive;

/// A copy of the program, as its file says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Program {
    /// SHA-256 of the file, `sha256:…`.
    pub digest: String,
    /// Its version.
    pub version: String,
    /// The highest feature level of the state that it understands.
    pub feature_level: u32,
    /// Bytes of the file.
    pub size: u64,
}

/// How the last change of a node's program went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The node has yet to show that it works with it.
    Trying,
    /// It works.
    Good,
    /// It did not, and the node runs what it ran before.
    Returned {
        /// Why.
        reason: String,
    },
}

/// The last change of a node's program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// Who asked for it: the same words as in [`Order::by`].
    pub by: String,
    /// Digest of the program that it was changed to.
    pub to: String,
    /// How it went.
    pub outcome: Outcome,
}

/// A node and its program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramStanding {
    /// What it runs.
    pub running: Program,
    /// Whether that is on trial: the node goes back by itself unless it works.
    pub on_trial: bool,
    /// The last change.
    pub tried: Option<Tried>,
    /// The copies that it has whole.
    pub held: Vec<Program>,
    /// Why the last copy could not be fetched.
    pub fetch_failed: Option<String>,
}

/// What a node is told to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Who asks; an order that was carried out is not carried out again.
    pub by: String,
    /// Digest of a copy that the node has.
    pub to: String,
    /// How long it has to show that it works, in seconds.
    pub seconds: u64,
}

/// Why a program could not be taken in, fetched or changed.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// The file is not a program of this kind, or not for this machine.
    #[error("this is no univrs for this machine: {reason}")]
    NotAProgram {
        /// What is wrong with it.
        reason: String,
    },
    /// No copy of it is there.
    #[error("no program {digest} is here")]
    Absent {
        /// What was asked for.
        digest: String,
    },
    /// The node does not answer, or not now.
    #[error("node {node} does not answer: {reason}")]
    Unreachable {
        /// Which node.
        node: NodeId,
        /// What happened.
        reason: String,
    },
    /// The node refused.
    #[error("node {node} refused: {reason}")]
    Refused {
        /// Which node.
        node: NodeId,
        /// Why.
        reason: String,
    },
    /// The disk failed.
    #[error("cannot {doing} the program")]
    Storage {
        /// What was being done.
        doing: &'static str,
        /// What failed.
        #[source]
        source: std::io::Error,
    },
}

/// Programs of the nodes.
#[async_trait]
pub trait Programs: Send + Sync + 'static {
    /// Takes a program in on this machine.
    ///
    /// # Errors
    /// See [`ProgramError`]; nothing is kept then.
    async fn take_in(&self, file: Archive) -> Result<Program, ProgramError>;

    /// Reads a program as [`Programs::take_in`] does, but does not run it and keeps nothing of it.
    ///
    /// # Errors
    /// See [`ProgramError`].
    async fn check(&self, file: Archive) -> Result<Program, ProgramError>;

    /// How a node stands.
    ///
    /// # Errors
    /// See [`ProgramError`].
    async fn standing(&self, node: &NodeId) -> Result<ProgramStanding, ProgramError>;

    /// Tells a node to fetch a copy from one of these. Returns at once; [`ProgramStanding::held`] says when it is there.
    ///
    /// # Errors
    /// See [`ProgramError`].
    async fn fetch(&self, node: &NodeId, digest: &str, from: &[NodeId]) -> Result<(), ProgramError>;

    /// Tells a node to run another program. Returns at once; [`ProgramStanding::tried`] says how it went.
    ///
    /// # Errors
    /// See [`ProgramError`].
    async fn change(&self, node: &NodeId, order: &Order) -> Result<(), ProgramError>;
}
