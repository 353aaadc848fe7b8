//! Programs of other nodes, both ends: a validator asks how a node stands and tells it what to run; the file itself
//! travels as blobs of images do, named by its digest.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use univrs_model::ids::NodeId;
use univrs_model::node::Role;
use univrs_ports::images::Archive;
use univrs_ports::programs::{Order, Program, ProgramError, ProgramStanding, Programs};
use univrs_trust::Peer;

use crate::cluster::asking::Asking;
use crate::cluster::dial::NodeDial;
use crate::cluster::images;
use crate::cluster::service::{Answer, Ask};
use crate::program::copies::Copies;

/// How long a node may take to answer: the first time it reads its own program.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a validator asks of a node.
#[derive(Serialize, Deserialize)]
pub(crate) enum AskProgram {
    /// How it stands.
    Standing,
    /// To fetch a copy.
    Fetch {
        /// Of this digest.
        digest: String,
        /// From one of these.
        from: Vec<NodeId>,
    },
    /// To run another.
    Change(Order),
}

/// Both ends.
pub(crate) struct NodePrograms {
    own: NodeId,
    copies: Arc<Copies>,
    dial: Arc<NodeDial>,
    asking: Arc<Asking>,
}

impl NodePrograms {
    pub(crate) fn new(own: NodeId, copies: Arc<Copies>, dial: Arc<NodeDial>, asking: Arc<Asking>) -> Self {
        Self { own, copies, dial, asking }
    }

    /// The copies of this node.
    pub(crate) fn copies(&self) -> &Arc<Copies> {
        &self.copies
    }

    /// Answers a member.
    pub(super) async fn answer(self: &Arc<Self>, peer: &Peer, asked: AskProgram) -> Answer {
        // Who may change the program of a node may do everything there.
        if !peer.roles.contains(&Role::Validator) {
            return Answer::Failed("only validators may ask for that".to_owned());
        }
        match asked {
            AskProgram::Standing => match self.copies.standing().await {
                Ok(standing) => Answer::Program(Some(Box::new(standing))),
                Err(error) => Answer::Failed(error.to_string()),
            },
            AskProgram::Fetch { digest, from } => {
                self.begin_fetch(&digest, from);
                Answer::Program(None)
            }
            AskProgram::Change(order) => match self.copies.order(order).await {
                Ok(()) => Answer::Program(None),
                Err(reason) => Answer::Failed(reason),
            },
        }
    }

    fn begin_fetch(&self, digest: &str, from: Vec<NodeId>) {
        if self.copies.known(digest).is_ok() || !self.copies.begin_fetch(digest) {
            return;
        }
        let (copies, dial, own, digest) =
            (Arc::clone(&self.copies), Arc::clone(&self.dial), self.own.clone(), digest.to_owned());
        tokio::spawn(async move {
            let mut outcome = Err("nobody was named to fetch it from".to_owned());
            for node in from.iter().filter(|node| **node != own) {
                let fetched = async {
                    let file =
                        images::program(&dial, node, &digest).await.map_err(|error| error.to_string())?;
                    copies.take_in(file, Some(&digest)).await.map(drop).map_err(|error| error.to_string())
                };
                outcome = fetched.await.map_err(|reason| format!("from node {node}: {reason}"));
                if outcome.is_ok() {
                    break;
                }
            }
            copies.end_fetch(&digest, outcome);
        });
    }

    async fn ask(&self, node: &NodeId, asked: AskProgram) -> Result<Answer, ProgramError> {
        let unreachable = |reason: String| ProgramError::Unreachable { node: node.clone(), reason };
        match self.asking.ask_node(node, &Ask::Program(asked), PATIENCE).await.map_err(unreachable)? {
            Answer::Failed(reason) => Err(ProgramError::Refused { node: node.clone(), reason }),
            answer => Ok(answer),
        }
    }

    fn refused(&self, reason: String) -> ProgramError {
        ProgramError::Refused { node: self.own.clone(), reason }
    }
}

#[async_trait]
impl Programs for NodePrograms {
    async fn take_in(&self, file: Archive) -> Result<Program, ProgramError> {
        self.copies.take_in(file, None).await
    }

    async fn check(&self, file: Archive) -> Result<Program, ProgramError> {
        self.copies.check(file).await
    }

    async fn standing(&self, node: &NodeId) -> Result<ProgramStanding, ProgramError> {
        if *node == self.own {
            return self.copies.standing().await;
        }
        match self.ask(node, AskProgram::Standing).await? {
            Answer::Program(Some(standing)) => Ok(*standing),
            _ => Err(ProgramError::Unreachable {
                node: node.clone(),
                reason: "it answered something else".to_owned(),
            }),
        }
    }

    async fn fetch(&self, node: &NodeId, digest: &str, from: &[NodeId]) -> Result<(), ProgramError> {
        if *node == self.own {
            self.begin_fetch(digest, from.to_vec());
            return Ok(());
        }
        let asked = AskProgram::Fetch { digest: digest.to_owned(), from: from.to_vec() };
        self.ask(node, asked).await.map(drop)
    }

    async fn change(&self, node: &NodeId, order: &Order) -> Result<(), ProgramError> {
        if *node == self.own {
            return self.copies.order(order.clone()).await.map_err(|reason| self.refused(reason));
        }
        self.ask(node, AskProgram::Change(order.clone())).await.map(drop)
    }
}

/// The file of a copy, for whoever asks for it by its digest.
pub(super) async fn offered(copies: &Copies, digest: &str) -> io::Result<Option<(tokio::fs::File, u64)>> {
    if copies.known(digest).is_err() {
        return Ok(None);
    }
    let path = copies.path(digest).map_err(io::Error::other)?;
    let file = tokio::fs::File::open(path).await?;
    let length = file.metadata().await?.len();
    Ok(Some((file, length)))
}
