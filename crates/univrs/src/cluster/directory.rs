//! The members as this node knows them: where they are and which keys they have.
//!
//! A copy lies in the data directory, so that the nodes of a cluster find and believe each other when all of them
//! start at once, before any has read the replicated state.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use ipnet::Ipv4Net;
use tokio_util::sync::CancellationToken;
use univrs_control::{Mirror, State};
use univrs_model::ids::NodeId;
use univrs_model::member::Member;
use univrs_model::node::Role;
use univrs_trust::Peer;
use univrs_trust::tls::Membership;

/// The members.
pub(crate) struct Directory {
    path: PathBuf,
    members: RwLock<BTreeMap<NodeId, Member>>,
}

impl Directory {
    /// What the copy on disk says; nobody when there is none. One that cannot be read is told of, and made anew from
    /// the replicated state: nothing is lost with it but finding each other when all nodes start at once.
    pub(crate) fn open(path: PathBuf) -> Self {
        let members = copy(&path).unwrap_or_else(|error| {
            tracing::warn!(path = %path.display(), %error, "the list of members cannot be read");
            Vec::new()
        });
        let members = members.into_iter().map(|member| (member.node.clone(), member)).collect();
        Self { path, members: RwLock::new(members) }
    }

    fn read<T>(&self, read: impl FnOnce(&BTreeMap<NodeId, Member>) -> T) -> T {
        read(&self.members.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes in who the members are, those that were removed not long ago included.
    pub(crate) fn replace(&self, members: Vec<Member>) {
        let members: BTreeMap<NodeId, Member> =
            members.into_iter().map(|member| (member.node.clone(), member)).collect();
        if self.read(|known| *known == members) {
            return;
        }
        let text = serde_json::to_vec_pretty(&members.values().collect::<Vec<_>>());
        *self.members.write().unwrap_or_else(PoisonError::into_inner) = members;
        let temporary = self.path.with_extension("new");
        let written = || {
            let text = text?;
            let mut file = fs::File::create(&temporary)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&temporary, &self.path)
        };
        if let Err(error) = written() {
            tracing::warn!(path = %self.path.display(), %error, "the list of members could not be kept");
        }
    }

    /// Follows the state until `shutdown`.
    pub(crate) async fn follow(self: Arc<Self>, mirror: Mirror, shutdown: CancellationToken) {
        let mut states = mirror.subscribe();
        loop {
            let state = states.borrow_and_update().clone();
            if !state.members.is_empty() {
                self.replace(everyone(&state));
            }
            let changed = shutdown.run_until_cancelled(states.changed()).await;
            if !matches!(changed, Some(Ok(()))) {
                return;
            }
        }
    }

    /// Where a member is.
    pub(crate) fn address(&self, node: &NodeId) -> Option<String> {
        self.read(|members| members.get(node).and_then(|member| member.address.clone()))
    }

    /// Where a member's node port is inside the encrypted network: at its bridge, on the port it listens on outside.
    /// Only for those that hold no copy of the state: they may stand behind a router, and nothing that decides waits
    /// for them.
    pub(crate) fn within(&self, node: &NodeId) -> Option<SocketAddr> {
        self.read(|members| {
            let member = members.get(node).filter(|member| !member.holds_state())?;
            let block: Ipv4Net = member.block.as_deref()?.parse().ok()?;
            let (_, port) = member.address.as_deref()?.rsplit_once(':')?;
            Some(SocketAddr::new(block.hosts().next()?.into(), port.parse().ok()?))
        })
    }

    /// The validators but for `own`.
    pub(crate) fn validators(&self, own: &NodeId) -> Vec<NodeId> {
        self.read(|members| {
            let validators = members.values().filter(|member| {
                member.removed_at.is_none() && member.roles.contains(&Role::Validator) && member.node != *own
            });
            validators.map(|member| member.node.clone()).collect()
        })
    }

    /// The members that hold a copy of the state, but for `own`.
    pub(crate) fn state_holders(&self, own: &NodeId) -> Vec<NodeId> {
        self.read(|members| {
            let holders = members
                .values()
                .filter(|member| member.removed_at.is_none() && member.holds_state() && member.node != *own);
            holders.map(|member| member.node.clone()).collect()
        })
    }

    /// Whether a node was a member once, and is none any more.
    pub(crate) fn is_removed(&self, node: &NodeId) -> bool {
        self.read(|members| members.get(node).is_some_and(|member| member.removed_at.is_some()))
    }

    /// How many members there are.
    pub(crate) fn len(&self) -> usize {
        self.read(|members| members.values().filter(|member| member.removed_at.is_none()).count())
    }
}

/// All members, removed ones included, with the addresses they have now.
fn everyone(state: &State) -> Vec<Member> {
    let removed = state.members.values().filter(|member| member.removed_at.is_some());
    let mut all = state.current_members();
    all.extend(removed.map(|member| Member::clone(member)));
    all
}

impl Membership for Directory {
    fn admit(&self, peer: &Peer, expired: bool) -> Result<(), String> {
        self.read(|members| match members.get(&peer.node) {
            Some(member) if member.removed_at.is_some() => {
                Err(format!("node {} was removed from the cluster", peer.node))
            }
            // After a long sleep of the whole cluster everyone is known by the key it joined with.
            Some(member) if expired && member.public_key == hex::encode(&peer.public_key) => Ok(()),
            _ if expired => {
                Err(format!("the certificate of node {} expired at {}", peer.node, peer.not_after))
            }
            // Who joined a moment ago is not known everywhere yet.
            _ => Ok(()),
        })
    }
}

/// The members in the copy; nobody when there is none.
fn copy(path: &Path) -> io::Result<Vec<Member>> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::from),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use univrs_model::Timestamp;
    use univrs_model::ids::{ClusterId, NodeId};
    use univrs_model::member::Member;
    use univrs_model::node::{Location, Role};
    use univrs_trust::Peer;
    use univrs_trust::tls::Membership;

    use super::Directory;

    fn member(number: u128, key: &str, removed: bool) -> Member {
        Member {
            node: NodeId::from_bits(number),
            name: "one".parse().unwrap(),
            member: Some(1),
            roles: vec![Role::Validator],
            location: Location::default(),
            public_key: key.to_owned(),
            address: Some("10.0.0.1:9443".to_owned()),
            block: None,
            joined_at: Timestamp::UNIX_EPOCH,
            removed_at: removed.then_some(Timestamp::UNIX_EPOCH),
        }
    }

    #[test]
    fn expired_certificates_are_good_for_known_keys_and_none_for_removed_nodes() {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::open(dir.path().join("members.json"));
        directory.replace(vec![member(1, "0102", false), member(2, "0304", true)]);
        let peer = |number: u128, key: [u8; 2]| Peer {
            cluster: ClusterId::from_bits(9),
            node: NodeId::from_bits(number),
            roles: vec![Role::Validator],
            not_before: Timestamp::UNIX_EPOCH,
            not_after: Timestamp::UNIX_EPOCH,
            public_key: key.to_vec(),
        };
        assert!(directory.admit(&peer(1, [1, 2]), true).is_ok());
        assert!(directory.admit(&peer(1, [9, 9]), true).is_err(), "another key");
        assert!(directory.admit(&peer(2, [3, 4]), false).is_err(), "removed");
        assert!(directory.admit(&peer(3, [5, 6]), false).is_ok(), "joined a moment ago");
        assert!(directory.admit(&peer(3, [5, 6]), true).is_err(), "unknown and expired");
        let (validator, slim) = (member(4, "00", false), member(5, "00", false));
        let slim = Member { roles: vec![Role::Slim], block: Some("100.64.3.0/24".to_owned()), ..slim };
        directory.replace(vec![
            Member { block: slim.block.clone(), ..validator },
            slim,
            member(1, "0102", false),
        ]);
        assert_eq!(directory.within(&NodeId::from_bits(4)), None);
        assert_eq!(directory.within(&NodeId::from_bits(5)), Some("100.64.3.1:9443".parse().unwrap()));
        directory.replace(vec![member(1, "0102", false), member(2, "0304", true)]);
        let again = Directory::open(dir.path().join("members.json"));
        assert_eq!(again.address(&NodeId::from_bits(1)).as_deref(), Some("10.0.0.1:9443"));
        assert_eq!(again.len(), 1);
    }

    #[test]
    fn a_damaged_list_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("members.json");
        std::fs::write(&path, "{ half of").unwrap();
        let directory = Directory::open(path.clone());
        assert_eq!(directory.len(), 0);
        directory.replace(vec![member(1, "0102", false)]);
        assert_eq!(Directory::open(path).address(&NodeId::from_bits(1)).as_deref(), Some("10.0.0.1:9443"));
    }
}
