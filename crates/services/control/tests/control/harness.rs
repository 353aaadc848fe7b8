//! A control plane of its own for each test.

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use tokio_util::sync::CancellationToken;
use univrs_authz::Authorizer;
use univrs_control::{AuditEntry, Control, Mirror, WriteOptions};
use univrs_model::Timestamp;
use univrs_model::caller::{Caller, Grant, Principal};
use univrs_model::ids::{NodeId, TokenId};
use univrs_model::name::Name;
use univrs_model::workload::WorkloadSpec;
use univrs_ports::clock::ManualClock;
use univrs_ports::node_access::{AccessError, Connection, NodeAccess};
use univrs_ports::runtime::{ContainerId, ExecSession, ExecSpec, LogLine, LogQuery, RuntimeError};
use univrs_ports::store::{MemoryStore, StateStore};
use univrs_seal::ValidatorSealer;

/// There is no node, so none can be reached.
pub(crate) struct Nowhere;

fn unreachable(node: &NodeId) -> AccessError {
    AccessError::Unreachable { node: node.clone(), reason: "there are no nodes in this test".to_owned() }
}

#[async_trait]
impl NodeAccess for Nowhere {
    async fn logs(
        &self,
        node: &NodeId,
        _id: &ContainerId,
        _query: LogQuery,
    ) -> Result<BoxStream<'static, Result<LogLine, RuntimeError>>, AccessError> {
        Err(unreachable(node))
    }

    async fn exec(
        &self,
        node: &NodeId,
        _id: &ContainerId,
        _spec: ExecSpec,
    ) -> Result<ExecSession, AccessError> {
        Err(unreachable(node))
    }

    async fn connect(
        &self,
        node: &NodeId,
        _address: &str,
        _port: u16,
    ) -> Result<Box<dyn Connection>, AccessError> {
        Err(unreachable(node))
    }
}

pub(crate) struct World {
    pub(crate) control: Control,
    clock: Arc<ManualClock>,
    shutdown: CancellationToken,
}

fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

impl World {
    pub(crate) async fn new() -> Self {
        let store: Arc<dyn StateStore> = Arc::new(MemoryStore::new());
        let clock = Arc::new(ManualClock::new(start()));
        let shutdown = CancellationToken::new();
        let mirror = Mirror::start(Arc::clone(&store), Vec::new(), shutdown.clone()).await.unwrap();
        let sealer = ValidatorSealer::new(NodeId::from_bits(1), &[7; 32]).unwrap();
        let authorizer = Arc::new(Authorizer::new().unwrap());
        let control = Control::new(
            store,
            mirror,
            Arc::clone(&clock) as _,
            Arc::new(Nowhere),
            Arc::new(sealer),
            authorizer,
        );
        Self { control, clock, shutdown }
    }

    /// Sets the clock to so many minutes after the start.
    pub(crate) fn minutes_later(&self, minutes: i64) {
        self.clock.set(start() + jiff::SignedDuration::from_mins(minutes));
    }

    pub(crate) async fn create(&self, name: &str, replicas: u32) {
        let options = WriteOptions::default();
        self.control.create_workload(&Caller::local_admin(), spec(name, replicas), &options).await.unwrap();
    }

    pub(crate) async fn audit(&self) -> Vec<AuditEntry> {
        let page = self.control.list_audit(&Caller::local_admin(), None, 1000).await.unwrap();
        page.items.into_iter().map(|view| view.entry).collect()
    }

    pub(crate) fn replicas(&self, name: &str) -> u32 {
        self.control.get_workload(&Caller::local_admin(), name).unwrap().spec.replicas
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

pub(crate) fn spec(name: &str, replicas: u32) -> WorkloadSpec {
    let document = format!(r#"{{"name":"{name}","image":"web:1","replicas":{replicas}}}"#);
    univrs_model::decode::from_json(document.as_bytes()).unwrap()
}

pub(crate) fn token(number: u128, grant: Grant) -> Caller {
    let id = TokenId::from_bits(number);
    let principal = Principal::Token { id, grant, direct: false, org: Some(Name::default_org()) };
    Caller { principal, ..Caller::local_admin() }
}

pub(crate) fn assistant(grant: Grant) -> Caller {
    Caller { principal: Principal::Assistant { grant }, ..Caller::local_admin() }
}
