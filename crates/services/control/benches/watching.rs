//! What it costs to watch 10,000 resources, and how long it takes to ask how one is doing meanwhile.
//!
//! `cargo bench --workspace --bench watching`; the floor is 20 % of a core and 5 ms at the 99th percentile.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement that cannot be made has no result"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::stream::BoxStream;
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use univrs_authz::Authorizer;
use univrs_control::{Control, Mirror, ResourceWatcher, Resources, Watching};
use univrs_model::alert::{AlertChannel, Notice};
use univrs_model::caller::Caller;
use univrs_model::field::FieldError;
use univrs_model::ids::{NodeId, OperationId, ResourceId};
use univrs_model::keys;
use univrs_model::name::Name;
use univrs_model::org::Org;
use univrs_model::secret::SecretValue;
use univrs_ports::clock::ManualClock;
use univrs_ports::node_access::{AccessError, Connection, NodeAccess};
use univrs_ports::notify::{Notifier, NotifyError};
use univrs_ports::runtime::{ContainerId, ExecSession, ExecSpec, LogLine, LogQuery, RuntimeError};
use univrs_ports::store::{Key, MemoryStore, StateStore, Txn};
use univrs_provider::simulated::{Script, SimulatedProvider};
use univrs_seal::ValidatorSealer;

const RESOURCES: u32 = 10_000;
const ORGS: u32 = 20;
const FOR: Duration = Duration::from_secs(30);
const ASKED: usize = 5000;

struct Nobody;

#[async_trait]
impl Notifier for Nobody {
    fn check(&self, _: &AlertChannel) -> Result<(), FieldError> {
        Ok(())
    }
    async fn deliver(
        &self,
        _: &AlertChannel,
        _: &Notice,
        _: Option<&SecretValue>,
    ) -> Result<(), NotifyError> {
        Ok(())
    }
}

#[async_trait]
impl NodeAccess for Nobody {
    async fn logs(
        &self,
        node: &NodeId,
        _: &ContainerId,
        _: LogQuery,
    ) -> Result<BoxStream<'static, Result<LogLine, RuntimeError>>, AccessError> {
        Err(AccessError::Unreachable { node: node.clone(), reason: String::new() })
    }
    async fn exec(&self, node: &NodeId, _: &ContainerId, _: ExecSpec) -> Result<ExecSession, AccessError> {
        Err(AccessError::Unreachable { node: node.clone(), reason: String::new() })
    }
    async fn connect(&self, node: &NodeId, _: &str, _: u16) -> Result<Box<dyn Connection>, AccessError> {
        Err(AccessError::Unreachable { node: node.clone(), reason: String::new() })
    }
}

/// Seconds of processor time that this process has used.
fn used() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_ascii_whitespace().collect();
    // In hundredths of a second, as Linux says them everywhere.
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

#[tokio::main]
async fn main() {
    let store: Arc<dyn StateStore> = Arc::new(MemoryStore::new());
    let now = "2026-11-01T12:00:00Z".parse().unwrap();
    let put = async |key: String, value: serde_json::Value| {
        store.txn(Txn::put(Key::new(key).unwrap(), value.to_string().into_bytes())).await.unwrap();
    };
    let orgs: Vec<Name> = (0..ORGS).map(|org| format!("org-{org}").parse().unwrap()).collect();
    for org in &orgs {
        let id = univrs_model::ids::OrgId::from_bits(1);
        put(keys::organisation(org), json!(Org { id, name: org.clone(), created_at: now, tier: None })).await;
    }
    for (number, org) in (0..RESOURCES).zip(orgs.iter().cycle()) {
        let name: Name = format!("r-{number}").parse().unwrap();
        let amount = json!({"cpu": "1", "memory": "1Gi", "storage": "1Gi"});
        // The simulated provider has nothing of it, and says so each time it is asked.
        let resource = json!({
            "id": ResourceId::from_bits(number.into()), "org": org, "name": name, "template": "postgres-small",
            "template_version": 1, "provider": "simulated", "status": "DEGRADED", "message": "",
            "deployment": {"workloads": [], "footprint": {"limits": amount, "requests": amount}},
            "operation": OperationId::from_bits(1), "created_at": now, "updated_at": now,
        });
        put(keys::resource(org, &name), resource).await;
    }
    let shutdown = CancellationToken::new();
    let mirror = Mirror::start(Arc::clone(&store), Vec::new(), shutdown.clone()).await.unwrap();
    let control = Control::new(
        store,
        mirror.clone(),
        Arc::new(ManualClock::new(now)),
        Arc::new(Nobody),
        Arc::new(ValidatorSealer::new(NodeId::from_bits(1), &[7; 32]).unwrap()),
        Arc::new(Authorizer::new().unwrap()),
    );
    let provider = Arc::new(SimulatedProvider::new(Script::default()));
    let control = control.with_resources(Resources::new(univrs_template::builtin(), vec![provider], None));
    let (_leads, leading) = watch::channel(true);
    tokio::spawn(ResourceWatcher::new(control.clone()).run(leading.clone(), shutdown.clone()));
    tokio::spawn(Watching::new(control.clone(), Arc::new(Nobody)).run(leading, shutdown.clone()));
    // The first look begins to count all sizes; that is once in their life.
    let counted = |state: &univrs_control::State| state.allocations.len() == RESOURCES as usize;
    drop(mirror.subscribe().wait_for(counted).await.unwrap());
    tokio::time::sleep(Duration::from_secs(2)).await;

    let (before, begun) = (used(), Instant::now());
    tokio::time::sleep(FOR).await;
    let share = (used() - before) / begun.elapsed().as_secs_f64() * 100.0;

    let caller = Caller { org: orgs[0].clone(), ..Caller::local_admin() };
    let mut took = Vec::with_capacity(ASKED);
    for number in (0..RESOURCES).step_by(ORGS as usize).cycle().take(ASKED) {
        let begun = Instant::now();
        control.get_resource(&caller, &format!("r-{number}")).unwrap();
        took.push(begun.elapsed());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    took.sort_unstable();
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    println!(
        "{RESOURCES} resources watched ({build} build): {share:.1} % of a core; status call p50 {:?}, p99 {:?}",
        took[ASKED / 2],
        took[ASKED * 99 / 100]
    );
    shutdown.cancel();
}
