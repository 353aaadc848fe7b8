//! How this store fills in the types of openraft, and the versioned form of what goes into the log.

use std::fmt;

use bytes::Bytes;
use openraft::impls::{BasicNode, BoxedErrorSource, InlineBatch, ProgressResponder};
use openraft::vote::RaftLeaderId;
use serde::{Deserialize, Serialize};
use univrs_ports::store::{Command, Response};

/// What goes into one log entry: encoded commands. Kept encoded, so that copying an entry to the log, the
/// cache and the followers costs nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Proposal(pub(crate) Bytes);

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes of commands", self.0.len())
    }
}

/// The answers to the commands of one log entry, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answers(pub(crate) Vec<Response>);

/// The form of a log entry's commands. Variants are only ever appended: logs live long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum VersionedCommand {
    /// Commands that are applied as one step, in order.
    V1(Vec<Command>),
}

/// [`VersionedCommand`] before it is written: the same form, of commands that stay where they are.
#[derive(Serialize)]
enum Borrowed<'a> {
    V1(Vec<&'a Command>),
}

/// The newest form of these commands, which take about `room` bytes.
pub(crate) fn encode(commands: Vec<&Command>, room: usize) -> Result<Proposal, postcard::Error> {
    let bytes = postcard::to_extend(&Borrowed::V1(commands), Vec::with_capacity(room))?;
    Ok(Proposal(bytes.into()))
}

impl VersionedCommand {
    pub(crate) fn decode(proposal: &Proposal) -> Result<Self, postcard::Error> {
        postcard::from_bytes(&proposal.0)
    }

    pub(crate) fn into_commands(self) -> Vec<Command> {
        match self {
            VersionedCommand::V1(commands) => commands,
        }
    }
}

/// The type configuration of openraft.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Types;

impl openraft::RaftTypeConfig for Types {
    type D = Proposal;
    type R = Answers;
    type NodeId = u64;
    type Node = BasicNode;
    type Term = u64;
    type LeaderId = openraft::impls::leader_id_adv::LeaderId<u64, u64>;
    type Vote = openraft::impls::Vote<Self::LeaderId>;
    type Payload = openraft::EntryPayload<Proposal, u64, BasicNode>;
    type Entry = openraft::Entry<<Self::LeaderId as RaftLeaderId>::Committed, Self::Payload>;
    type AsyncRuntime = openraft::impls::TokioRuntime;
    type Responder<T>
        = ProgressResponder<Self, T>
    where
        T: Send + 'static;
    type Batch<T>
        = InlineBatch<T>
    where
        T: Send + 'static;
    type ErrorSource = BoxedErrorSource;
}

pub(crate) type LogId = openraft::type_config::alias::LogIdOf<Types>;
pub(crate) type Vote = openraft::type_config::alias::VoteOf<Types>;
pub(crate) type Entry = openraft::type_config::alias::EntryOf<Types>;
pub(crate) type StoredMembership = openraft::type_config::alias::StoredMembershipOf<Types>;
pub(crate) type RaftSnapshotMeta = openraft::type_config::alias::SnapshotMetaOf<Types>;

#[cfg(test)]
mod tests {
    use univrs_ports::store::{Key, LeaseId, Txn};

    use super::*;

    #[test]
    fn borrowed_commands_have_the_same_form() {
        let commands = vec![
            Command::Txn(Txn::create(Key::new("a").unwrap(), "1")),
            Command::RevokeLease { lease: LeaseId(7) },
        ];
        let encoded = encode(commands.iter().collect(), 0).unwrap();
        let whole = VersionedCommand::V1(commands);
        assert_eq!(encoded.0, postcard::to_stdvec(&whole).unwrap());
        assert_eq!(VersionedCommand::decode(&encoded).unwrap(), whole);
    }
}
