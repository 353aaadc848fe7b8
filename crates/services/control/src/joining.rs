//! Letting machines in: one transaction counts the token, and takes the name, the number and the block.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use jiff::SignedDuration;
use sha2::{Digest, Sha256};
use univrs_authz::Action;
use univrs_model::Timestamp;
use univrs_model::caller::Caller;
use univrs_model::event::{Event, EventKind, Severity};
use univrs_model::join::{JoinGrant, JoinRefusal};
use univrs_model::keys;
use univrs_model::member::{JoinReply, JoinRequest, Member, Membership, Welcome, holds_state};
use univrs_model::name::Name;
use univrs_model::node::Role;
use univrs_ports::authority::Signer;
use univrs_ports::store::{Consistency, Guard, Op, TxnOutcome};

use crate::error::Error;
use crate::handle::{Control, Write};
use crate::record::{Record, key, put, unchanged};
use crate::state::State;

/// How often a join is tried against others.
const ATTEMPTS: usize = 16;
/// How far the clocks of two machines may be apart: certificates and leases go by them.
const MOST_SKEW: SignedDuration = SignedDuration::from_secs(300);
/// How many bits of a node's block are fixed: 254 addresses for instances.
const BLOCK_PREFIX: u8 = 24;

/// Why a machine is not let in.
enum Refusal {
    /// For good.
    Never(String),
    /// The cluster cannot decide now.
    Later(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            Error::Store(ref store) if store.is_retryable() => Self::Later(error),
            Error::Contended { .. } | Error::Seal(_) => Self::Later(error),
            other => Self::Never(other.to_string()),
        }
    }
}

impl From<JoinRefusal> for Refusal {
    fn from(refusal: JoinRefusal) -> Self {
        Self::Never(refusal.to_string())
    }
}

impl Control {
    /// Lets a machine in, or says why not. Asked again with the same id and key, the answer is the same.
    pub async fn join(&self, signer: &dyn Signer, request: &JoinRequest) -> JoinReply {
        match self.admit(signer, request).await {
            Ok(welcome) => JoinReply::Welcome(Box::new(welcome)),
            Err(Refusal::Never(reason)) => {
                tracing::warn!(node = %request.node, name = %request.name, token = %request.token, reason, "refused a machine that wanted to join");
                JoinReply::Refused { reason }
            }
            Err(Refusal::Later(error)) => {
                tracing::warn!(node = %request.node, error = &error as &dyn std::error::Error, "cannot let a machine in now");
                JoinReply::Later { reason: error.to_string() }
            }
        }
    }

    async fn admit(&self, signer: &dyn Signer, request: &JoinRequest) -> Result<Welcome, Refusal> {
        // What was acknowledged anywhere is looked at: a token that was just made is good here too.
        let at = key(keys::MEMBERSHIP.to_owned())?;
        let stored = self.store.get(&at, Consistency::Linearizable).await.map_err(Error::from)?;
        let stored = stored.ok_or_else(|| Refusal::Never("this cluster has no authority".to_owned()))?;
        let mut state = self.mirror.at_least(self.store.revision().max(stored.mod_revision)).await;
        for _ in 0..ATTEMPTS {
            let grant = state.join_grants.get(&request.token).cloned();
            if let Some(known) = state.members.get(&request.node).filter(|known| known.removed_at.is_none()) {
                return self.welcome_again(&state, signer, request, grant.as_deref(), known);
            }
            match self.attempt(&state, signer, request, grant).await? {
                Ok(welcome) => return Ok(welcome),
                Err(revision) => state = self.mirror.at_least(revision).await,
            }
        }
        Err(Refusal::Later(Error::Contended { kind: "member", name: request.name.to_string() }))
    }

    /// Answers a machine whose first answer was lost on the way.
    fn welcome_again(
        &self,
        state: &State,
        signer: &dyn Signer,
        request: &JoinRequest,
        grant: Option<&JoinGrant>,
        known: &Record<Member>,
    ) -> Result<Welcome, Refusal> {
        let proven = grant.is_some_and(|grant| grant.secret_sha256 == digest(&request.secret));
        if !proven {
            return Err(JoinRefusal::Unknown.into());
        }
        let (issued, authority) =
            self.issue(state, signer, &certificate_request(request)?, &known.node, &known.roles)?;
        if hex::encode(&issued.public_key) != known.public_key {
            let reason = format!(
                "node {} is a member with another key; give this machine an empty data directory",
                known.node
            );
            return Err(Refusal::Never(reason));
        }
        welcome(state, Member::clone(known), &issued.certificate, &authority)
    }

    /// One attempt; the inner error says up to where to look again.
    async fn attempt(
        &self,
        state: &State,
        signer: &dyn Signer,
        request: &JoinRequest,
        grant: Option<Record<JoinGrant>>,
    ) -> Result<Result<Welcome, univrs_ports::store::Revision>, Refusal> {
        let now = self.clock.now();
        let grant = grant.ok_or(JoinRefusal::Unknown)?;
        check_clock(request.now, now)?;
        grant.admit(&digest(&request.secret), &request.roles, now)?;
        check(state, request)?;
        let membership = state.membership.as_ref();
        let membership =
            membership.ok_or_else(|| Refusal::Never("this cluster has no authority".to_owned()))?;
        let member = holds_state(&request.roles).then_some(membership.next_member);
        let block = free_block(state, &membership.cluster_cidr).ok_or_else(|| {
            Refusal::Never(format!(
                "every block of the cluster's range {} is taken; remove nodes that are gone (`univrs node rm`)",
                membership.cluster_cidr
            ))
        })?;
        let (issued, authority) =
            self.issue(state, signer, &certificate_request(request)?, &request.node, &request.roles)?;
        let joined = Member {
            node: request.node.clone(),
            name: request.name.clone(),
            member,
            roles: request.roles.clone(),
            location: request.location.clone(),
            public_key: hex::encode(&issued.public_key),
            address: Some(request.address.clone()),
            block: Some(block),
            joined_at: now,
            removed_at: None,
        };
        let used = JoinGrant { uses_left: grant.uses_left.saturating_sub(1), ..JoinGrant::clone(&grant) };
        let next = Membership {
            next_member: membership.next_member + u64::from(member.is_some()),
            ..Membership::clone(membership)
        };
        let at = |text: &str| text.to_owned();
        let known = state.members.get(&request.node).map(|known| known.revision);
        let mut guards = vec![
            unchanged(at(keys::MEMBERSHIP), Some(membership.revision))?,
            unchanged(keys::join_token(&grant.id), Some(grant.revision))?,
            unchanged(keys::member(&request.node), known)?,
        ];
        let mut ops = vec![
            put(at(keys::MEMBERSHIP), &next)?,
            put(keys::join_token(&grant.id), &used)?,
            put(keys::member(&request.node), &joined)?,
        ];
        self.take_in_validator(state, request, &mut guards, &mut ops)?;
        let roles: Vec<&str> = request.roles.iter().map(|role| role.as_str()).collect();
        let message = format!("node {} joined as {}", request.name, roles.join(", "));
        let outcome = self
            .commit_for(
                None,
                Write {
                    caller: Caller::control("joining", Name::default_org()),
                    allowed_by: format!("join token {}", grant.id),
                    action: Action::NodeWrite,
                    object: format!("node/{}", request.name),
                    summary: format!("{message} with token {}", grant.id),
                    guards,
                    ops,
                    event: Some(Event {
                        at: now,
                        kind: EventKind::NodeJoined,
                        severity: Severity::Info,
                        workload: None,
                        instance: None,
                        node: Some(request.node.clone()),
                        message,
                    }),
                },
            )
            .await?;
        match outcome {
            TxnOutcome::Committed { revision } => {
                let state = self.mirror.at_least(revision).await;
                tracing::info!(node = %joined.node, name = %joined.name, roles = roles.join(","), block = joined.block, "a machine joined");
                welcome(&state, joined, &issued.certificate, &authority).map(Ok)
            }
            TxnOutcome::GuardFailed { actual_mod_revision, .. } => {
                Ok(Err(actual_mod_revision.unwrap_or(univrs_ports::store::Revision(state.revision.0 + 1))))
            }
        }
    }

    /// Lets a new validator open the authority's key, in the same transaction.
    fn take_in_validator(
        &self,
        state: &State,
        request: &JoinRequest,
        guards: &mut Vec<Guard>,
        ops: &mut Vec<Op>,
    ) -> Result<(), Refusal> {
        if !request.roles.contains(&Role::Validator) {
            return Ok(());
        }
        let Some(sealing) = &request.sealing_key else {
            return Err(Refusal::Never("a validator needs a key for secrets, and none was sent".to_owned()));
        };
        ops.push(put(keys::validator_key(&request.node), sealing)?);
        let mut validators = state.validator_keys();
        validators.insert(request.node.clone(), sealing.clone());
        if let Some((guard, op)) = self.shared_authority(state, &validators)? {
            guards.push(guard);
            ops.push(op);
        }
        Ok(())
    }
}

fn digest(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}

fn certificate_request(request: &JoinRequest) -> Result<Vec<u8>, Refusal> {
    hex::decode(&request.certificate_request)
        .map_err(|_| Refusal::Never("the request for a certificate is not hexadecimal".to_owned()))
}

fn check_clock(theirs: Timestamp, ours: Timestamp) -> Result<(), Refusal> {
    let ahead = theirs.duration_since(ours);
    if ahead.abs() <= MOST_SKEW {
        return Ok(());
    }
    let (seconds, way) = (ahead.abs().as_secs(), if ahead.is_positive() { "ahead of" } else { "behind" });
    Err(Refusal::Never(format!(
        "the clock of this machine is {seconds} seconds {way} the cluster's; set it (for example with `timedatectl set-ntp true`) and join again"
    )))
}

fn check(state: &State, request: &JoinRequest) -> Result<(), Refusal> {
    if request.roles.is_empty() {
        return Err(Refusal::Never("a node needs a role; give --role".to_owned()));
    }
    if state.members.contains_key(&request.node) {
        let reason = "this node was removed from the cluster; to come back it needs an empty data directory";
        return Err(Refusal::Never(reason.to_owned()));
    }
    let holder =
        state.members.values().find(|member| member.removed_at.is_none() && member.name == request.name);
    let registered = state.nodes.values().find(|node| node.name == request.name && node.id != request.node);
    if let Some(id) = holder.map(|member| &member.node).or_else(|| registered.map(|node| &node.id)) {
        return Err(Refusal::Never(format!(
            "the name `{}` is taken by node {id}; start this machine with another --name",
            request.name
        )));
    }
    if request.address.len() > 255
        || request.address.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_err())
    {
        return Err(Refusal::Never(format!("`{}` is not HOST:PORT; give --advertise", request.address)));
    }
    Ok(())
}

fn welcome(state: &State, me: Member, certificate: &[u8], authority: &[u8]) -> Result<Welcome, Refusal> {
    let broken = || Refusal::Never("this cluster has no identity".to_owned());
    Ok(Welcome {
        cluster: state.cluster.as_ref().ok_or_else(broken)?.id.clone(),
        certificate: hex::encode(certificate),
        authority: hex::encode(authority),
        cluster_cidr: state.membership.as_ref().ok_or_else(broken)?.cluster_cidr.clone(),
        members: state.current_members(),
        me,
    })
}

impl State {
    /// Members that were not removed, with the addresses they have now.
    pub fn current_members(&self) -> Vec<Member> {
        let current = self.members.values().filter(|member| member.removed_at.is_none());
        current
            .map(|member| {
                let newest = self.nodes.get(&member.node).and_then(|node| node.address.clone());
                Member { address: newest.or_else(|| member.address.clone()), ..Member::clone(member) }
            })
            .collect()
    }
}

/// The first block of the range that nobody has. The blocks of removed members are free again.
fn free_block(state: &State, range: &str) -> Option<String> {
    let members = state.members.values().filter(|member| member.removed_at.is_none());
    let blocks = members.filter_map(|member| member.block.as_deref());
    let nodes = state.nodes.values().filter_map(|node| node.block.as_deref());
    let taken: BTreeSet<u32> = blocks.chain(nodes).filter_map(|block| Some(parse(block)?.0)).collect();
    first_free(range, &taken)
}

fn parse(range: &str) -> Option<(u32, u8)> {
    let (address, prefix) = range.split_once('/')?;
    Some((address.parse::<Ipv4Addr>().ok()?.to_bits(), prefix.parse().ok().filter(|prefix| *prefix <= 32)?))
}

fn first_free(range: &str, taken: &BTreeSet<u32>) -> Option<String> {
    let (first, prefix) = parse(range)?;
    let block = BLOCK_PREFIX.max(prefix);
    let size = 1_u32.checked_shl(u32::from(32 - block)).unwrap_or(0);
    let count = 1_u32.checked_shl(u32::from(block - prefix)).unwrap_or(0);
    let starts = (0..count).map(|number| first.wrapping_add(number.wrapping_mul(size)));
    starts
        .into_iter()
        .find(|start| !taken.contains(start))
        .map(|start| format!("{}/{block}", Ipv4Addr::from_bits(start)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::Ipv4Addr;

    use univrs_model::Timestamp;

    use super::{check_clock, first_free};

    #[test]
    fn blocks_are_taken_in_order_and_run_out() {
        let taken =
            |blocks: &[[u8; 4]]| blocks.iter().map(|b| Ipv4Addr::from(*b).to_bits()).collect::<BTreeSet<_>>();
        let none = taken(&[]);
        assert_eq!(first_free("100.64.0.0/10", &none).as_deref(), Some("100.64.0.0/24"));
        let two = taken(&[[100, 64, 0, 0], [100, 64, 1, 0]]);
        assert_eq!(first_free("100.64.0.0/10", &two).as_deref(), Some("100.64.2.0/24"));
        assert_eq!(first_free("10.0.0.0/25", &none).as_deref(), Some("10.0.0.0/25"));
        assert_eq!(first_free("10.0.0.0/25", &taken(&[[10, 0, 0, 0]])), None);
        assert_eq!(first_free("10.0.0.0/23", &taken(&[[10, 0, 0, 0], [10, 0, 1, 0]])), None);
    }

    #[test]
    fn clocks_may_differ_by_five_minutes() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        assert!(check_clock(at(1300), at(1000)).is_ok() && check_clock(at(700), at(1000)).is_ok());
        assert!(check_clock(at(1600), at(1000)).is_err() && check_clock(at(400), at(1000)).is_err());
    }
}
