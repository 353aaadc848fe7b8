//! Where objects lie in the replicated store, and who alone may write each.
//!
//! | key | holds | writer |
//! |---|---|---|
//! | `cluster` | cluster identity | bootstrap |
//! | `membership` | [`crate::member::Membership`] | bootstrap, joining |
//! | `member/<id>` | [`crate::member::Member`] | bootstrap, joining; faces mark its removal |
//! | `authority` | [`crate::member::AuthorityRecord`] | bootstrap, joining and control, for new validators |
//! | `acme-account` | [`crate::certificate::IssuerAccount`], its key sealed | control |
//! | `acme-challenge/<token>` | [`crate::certificate::Challenge`] | control |
//! | `certificate/<host>` | [`crate::certificate::Certificate`], its key sealed | control |
//! | `join-token/<id>` | [`crate::join::JoinGrant`] | faces; joining counts its uses |
//! | `node/<id>` | [`crate::node::Node`] | that node |
//! | `node-policy/<id>` | [`crate::node::NodePolicy`] | faces |
//! | `node-alive/<id>` | empty, under the node's lease | that node |
//! | `observed/<node>/<instance>` | [`crate::instance::Observation`] | that node |
//! | `organisation/<name>` | [`crate::org::Org`] | faces (`default` by bootstrap) |
//! | `token/<id>` | [`crate::token::Token`] | faces (removed by control, long after its end) |
//! | `token-use/<id>` | [`crate::token::TokenUse`] | faces, in the transaction of the write that counts; removed with the token |
//! | `cluster-event/<time>-<n>` | [`crate::event::Event`] of what belongs to no organisation | as below |
//! | `cluster-audit/<time>-<n>` | audit record of what belongs to no organisation | as below |
//! | `validator-key/<node>` | [`crate::secret::ValidatorKey`] | that node |
//! | `org/<org>/workload/<name>` | [`crate::rollout::Workload`] | faces (removed by control) |
//! | `org/<org>/rollout/<name>` | [`crate::rollout::Rollout`] | control |
//! | `org/<org>/instance/<id>` | [`crate::instance::Assignment`] | control |
//! | `org/<org>/data-key/<id>` | [`crate::secret::DataKey`] | faces, with the first secret; control, for new validators |
//! | `org/<org>/secret/<name>` | [`crate::secret::Secret`] | faces |
//! | `org/<org>/volume/<workload>.<name>.<place>` | [`crate::volume::Volume`] | control; faces mark its removal, its node carries it out |
//! | `org/<org>/event/<time>-<n>` | [`crate::event::Event`] | whoever acted, in the same transaction |
//! | `org/<org>/audit/<time>-<n>` | audit record | faces, in the same transaction |
//! | `org/<org>/request/<key>` | outcome of an `Idempotency-Key` | faces |
//! | `org/<org>/operation/<id>` | [`crate::operation::Operation`] | control |
//! | `org/<org>/plan/<id>` | a write that was planned and may be applied once | faces |
//! | `org/<org>/resource/<name>` | [`crate::resource::Resource`] | faces; control, through an operation |
//! | `org/<org>/quota/resources` | [`crate::resource::Quota`] | faces |
//! | `org/<org>/egress/spent` | [`crate::resource::EgressSpent`] | the watching loop |
//! | `deciding` | empty; its revision is the fence of the loop that decides now | control, when it takes the lead |
//! | `org/<org>/allocation/<resource id>` | [`crate::usage::Allocation`] | control |
//! | `org/<org>/usage/<time>-<resource id>-<source>` | [`crate::usage::UsageEntry`], never changed | control |
//! | `org/<org>/alert/<id>` | [`crate::alert::Alert`] | control; faces silence it |
//! | `org/<org>/alert-settings/all` | [`crate::alert::AlertSettings`] | faces |
//! | `org/<org>/delivery/<notice>.<channel>` | [`crate::alert::Delivery`] | control |
//! | `measured/<node>/<window>-<instance>` | [`crate::usage::Measured`] | that node, and control on it for what its providers measure; control takes closed ones into the log |
//! | `measured-volumes/<node>` | [`crate::usage::VolumesMeasured`] | that node |
//! | `resource-port/<port>` | the id of the resource that has this port of every host | control |

use crate::ids::{DataKeyId, InstanceId, JoinTokenId, NodeId, OperationId, PlanId, ResourceId, TokenId};
use crate::name::Name;

/// The cluster's identity.
pub const CLUSTER: &str = "cluster";
/// What all joins share.
pub const MEMBERSHIP: &str = "membership";
/// The cluster's authority, its key sealed.
pub const AUTHORITY: &str = "authority";
/// Before the id of each member.
pub const MEMBERS: &str = "member/";
/// The account with the authority that issues certificates, its key sealed.
pub const ISSUER_ACCOUNT: &str = "acme-account";
/// Before what the ingress answers authorities.
pub const CHALLENGES: &str = "acme-challenge/";
/// Before the host of each certificate, its key sealed.
pub const CERTIFICATES: &str = "certificate/";
/// Before the id of each join token.
pub const JOIN_TOKENS: &str = "join-token/";
/// Before the id of each node.
pub const NODES: &str = "node/";
/// Before the id of each node that users said something about.
pub const NODE_POLICIES: &str = "node-policy/";
/// Before the id of each node that is alive.
pub const NODES_ALIVE: &str = "node-alive/";
/// Before the id of each node that can unwrap data keys.
pub const VALIDATOR_KEYS: &str = "validator-key/";
/// Written by each control node that begins to decide; decisions are guarded by its revision.
pub const DECIDING: &str = "deciding";
/// Before every observation.
pub const OBSERVED: &str = "observed/";
/// Before what nodes measured of instances.
pub const MEASURED: &str = "measured/";
/// Before what nodes measured of their volumes.
pub const MEASURED_VOLUMES: &str = "measured-volumes/";
/// Before the name of each organisation.
pub const ORGANISATIONS: &str = "organisation/";
/// Before the id of each token.
pub const TOKENS: &str = "token/";
/// Before what each token used of its budget.
pub const TOKEN_USES: &str = "token-use/";
/// Before each port of hosts that a resource has.
pub const RESOURCE_PORTS: &str = "resource-port/";
/// Before the events of what belongs to no organisation.
pub const CLUSTER_EVENTS: &str = "cluster-event/";
/// Before the audit entries of what belongs to no organisation.
pub const CLUSTER_AUDIT: &str = "cluster-audit/";
/// Before everything that belongs to an organisation.
pub const ORGS: &str = "org/";

/// A member's record.
pub fn member(id: &NodeId) -> String {
    format!("{MEMBERS}{id}")
}

/// What the ingress answers for a token.
pub fn challenge(token: &str) -> String {
    format!("{CHALLENGES}{token}")
}

/// The certificate of a host, which is in lower case.
pub fn certificate(host: &str) -> String {
    format!("{CERTIFICATES}{host}")
}

/// A join token's record.
pub fn join_token(id: &JoinTokenId) -> String {
    format!("{JOIN_TOKENS}{id}")
}

/// A node's record.
pub fn node(id: &NodeId) -> String {
    format!("{NODES}{id}")
}

/// What users said about a node.
pub fn node_policy(id: &NodeId) -> String {
    format!("{NODE_POLICIES}{id}")
}

/// The sign that a node is alive.
pub fn node_alive(id: &NodeId) -> String {
    format!("{NODES_ALIVE}{id}")
}

/// The public half of the key that data keys are wrapped to for a validator.
pub fn validator_key(id: &NodeId) -> String {
    format!("{VALIDATOR_KEYS}{id}")
}

/// Before all observations of a node.
pub fn observed_by(node: &NodeId) -> String {
    format!("{OBSERVED}{node}/")
}

/// A node's observation of an instance.
pub fn observed(node: &NodeId, instance: &InstanceId) -> String {
    format!("{OBSERVED}{node}/{instance}")
}

/// An organisation's record.
pub fn organisation(name: &Name) -> String {
    format!("{ORGANISATIONS}{name}")
}

/// A token's record.
pub fn token(id: &TokenId) -> String {
    format!("{TOKENS}{id}")
}

/// What a token used of its budget.
pub fn token_use(id: &TokenId) -> String {
    format!("{TOKEN_USES}{id}")
}

/// Before all objects of one kind in an organisation; `kind` is a segment of the table above.
pub fn of_org(org: &Name, kind: &str) -> String {
    format!("{ORGS}{org}/{kind}/")
}

/// A workload's record.
pub fn workload(org: &Name, name: &Name) -> String {
    format!("{ORGS}{org}/workload/{name}")
}

/// What the control plane knows of a workload.
pub fn rollout(org: &Name, name: &Name) -> String {
    format!("{ORGS}{org}/rollout/{name}")
}

/// An assignment.
pub fn instance(org: &Name, id: &InstanceId) -> String {
    format!("{ORGS}{org}/instance/{id}")
}

/// An operation.
pub fn operation(org: &Name, id: &OperationId) -> String {
    format!("{ORGS}{org}/operation/{id}")
}

/// A one-click resource.
pub fn resource(org: &Name, name: &Name) -> String {
    format!("{ORGS}{org}/resource/{name}")
}

/// How much an organisation's resources may use.
pub fn resource_quota(org: &Name) -> String {
    format!("{ORGS}{org}/quota/resources")
}

/// That an organisation's resources have sent what they may.
pub fn egress_spent(org: &Name) -> String {
    format!("{ORGS}{org}/egress/spent")
}

/// Before what a node measured of instances.
pub fn measured_by(node: &NodeId) -> String {
    format!("{MEASURED}{node}/")
}

/// What a node measured of an instance within a window.
pub fn measured(node: &NodeId, window: crate::Timestamp, instance: &InstanceId) -> String {
    format!("{MEASURED}{node}/{}", crate::usage::measured_place(window, instance))
}

/// What a node measured of its volumes.
pub fn measured_volumes(node: &NodeId) -> String {
    format!("{MEASURED_VOLUMES}{node}")
}

/// Since when a resource has had its size.
pub fn allocation(org: &Name, resource: &ResourceId) -> String {
    format!("{ORGS}{org}/allocation/{resource}")
}

/// An entry of the log of usage.
pub fn usage(org: &Name, from: crate::Timestamp, resource: &ResourceId, source: &str) -> String {
    format!("{ORGS}{org}/usage/{:020}-{resource}-{source}", from.as_microsecond().max(0))
}

/// An alert.
pub fn alert(org: &Name, id: &str) -> String {
    format!("{ORGS}{org}/alert/{id}")
}

/// Where an organisation wants to be told of alerts.
pub fn alert_settings(org: &Name) -> String {
    format!("{ORGS}{org}/alert-settings/all")
}

/// A notice that a channel is to get.
pub fn delivery(org: &Name, notice: &str, channel: &Name) -> String {
    format!("{ORGS}{org}/delivery/{notice}.{channel}")
}

/// A port of hosts that a resource has.
pub fn resource_port(port: u16) -> String {
    format!("{RESOURCE_PORTS}{port}")
}

/// A planned write.
pub fn plan(org: &Name, id: &PlanId) -> String {
    format!("{ORGS}{org}/plan/{id}")
}

/// A secret, sealed.
pub fn secret(org: &Name, name: &Name) -> String {
    format!("{ORGS}{org}/secret/{name}")
}

/// A volume of one place among a workload's instances. Names have no dots, so the parts cannot run into each other.
pub fn volume(org: &Name, workload: &Name, name: &Name, place: &str) -> String {
    format!("{ORGS}{org}/volume/{workload}.{name}.{place}")
}

/// A key that secrets are sealed with, wrapped.
pub fn data_key(org: &Name, id: &DataKeyId) -> String {
    format!("{ORGS}{org}/data-key/{id}")
}

/// The place of an entry in its log: ordered by time, then by `number` within the writer.
fn place(at: crate::Timestamp, number: u64) -> String {
    format!("{:020}-{number:08x}", at.as_microsecond().max(0))
}

/// An entry of an organisation's event log.
pub fn event(org: &Name, at: crate::Timestamp, number: u64) -> String {
    format!("{ORGS}{org}/event/{}", place(at, number))
}

/// An entry of the event log of what belongs to no organisation.
pub fn cluster_event(at: crate::Timestamp, number: u64) -> String {
    format!("{CLUSTER_EVENTS}{}", place(at, number))
}

/// An entry of an organisation's audit log.
pub fn audit(org: &Name, at: crate::Timestamp, number: u64) -> String {
    format!("{ORGS}{org}/audit/{}", place(at, number))
}

/// An entry of the audit log of what belongs to no organisation.
pub fn cluster_audit(at: crate::Timestamp, number: u64) -> String {
    format!("{CLUSTER_AUDIT}{}", place(at, number))
}

/// The outcome of a request that carried an `Idempotency-Key`.
pub fn request(org: &Name, key: &str) -> String {
    format!("{ORGS}{org}/request/{key}")
}

/// The organisation and the rest of a key below [`ORGS`]: `org/acme/workload/web` → `("acme", "workload", "web")`.
pub fn split(key: &str) -> Option<(&str, &str, &str)> {
    let mut parts = key.strip_prefix(ORGS)?.splitn(3, '/');
    Some((parts.next()?, parts.next()?, parts.next()?))
}

#[cfg(test)]
mod tests {
    use super::{event, split, workload};
    use crate::name::Name;

    #[test]
    fn keys_split_as_they_were_joined() {
        let key = workload(&"acme".parse().unwrap(), &"web".parse().unwrap());
        assert_eq!(split(&key), Some(("acme", "workload", "web")));
    }

    #[test]
    fn events_sort_by_time() {
        let org = Name::default_org();
        let early = event(&org, jiff::Timestamp::from_second(999).unwrap(), 9);
        let late = event(&org, jiff::Timestamp::from_second(1000).unwrap(), 1);
        assert!(early < late);
    }
}
