//! A machine: its runtime and network, which outlive the agent's process, and that process.

use std::net::Ipv4Addr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use univrs_agent::{Agent, AgentOptions, Guard, Machine, Secrets};
use univrs_control::{LocalControlPlane, LocalSecrets, Mirror};
use univrs_image::SimulatedImages;
use univrs_model::ids::{InstanceId, NodeId};
use univrs_model::instance::Observation;
use univrs_model::node::{Capacity, Location, Node, Role, RuntimeKind};
use univrs_model::quantity::{Bytes, Cpu};
use univrs_model::span::Span;
use univrs_model::volume::Volume;
use univrs_network::SimulatedNetwork;
use univrs_ports::clock::Clock;
use univrs_ports::control_plane::{ControlPlane, ControlPlaneError, OrderChanges, Report};
use univrs_ports::network::{AttachRequest, Attachment, Network, NetworkError};
use univrs_ports::runtime::{
    ContainerId, ContainerPhase, ContainerSpec, ContainerState, ContainerUsage, ExecSession, ExecSpec, Exit,
    LogLine, LogQuery, Runtime, RuntimeError, RuntimeInventory, Sandbox,
};
use univrs_ports::store::StateStore;
use univrs_ports::volumes::PlainVolumes;
use univrs_runtime::SimulatedRuntime;
use univrs_seal::ValidatorSealer;

use super::chance::{Chance, SkewedClock, dawn};
use super::gossip::Gossip;
use super::hub::Hub;
use super::keepsake::Memory;
use super::link::{Life, Line, Link, Linked, Plant};

/// What every machine has to give: millicores and mebibytes.
pub(crate) const CAPACITY: (u64, u64) = (300, 1024);

/// How often a runtime looks whether a container has ended.
const LOOK: Duration = Duration::from_millis(50);

/// How hard the machines are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Terrain {
    /// As it was when the older seeds were written down: every machine has a copy of the state, and containers end when
    /// they are asked to.
    Mild,
    /// Machines without a copy, containers that take all of their grace or more, agents that are killed again and again
    /// while they are cut off.
    Harsh,
}

/// A simulated machine.
pub(crate) struct Host {
    pub(crate) id: NodeId,
    pub(crate) name: String,
    pub(crate) line: Arc<Line>,
    pub(crate) runtime: SimulatedRuntime,
    network: Arc<SimulatedNetwork>,
    memory: Memory,
    clock: Arc<SkewedClock>,
    skew_millis: i64,
    process: Option<(Arc<Life>, CancellationToken)>,
    gossip: Gossip,
    hub: Hub,
    chance: Chance,
    plant: Plant,
    terrain: Terrain,
    files: std::path::PathBuf,
}

impl Host {
    pub(crate) fn new(
        number: u64,
        hub: &Hub,
        gossip: &Gossip,
        chance: &Chance,
        (plant, terrain): (Plant, Terrain),
        files: &std::path::Path,
    ) -> Self {
        let skew_millis = i64::try_from(chance.below(20_000)).unwrap() - 10_000;
        let mut host = Self {
            id: NodeId::from_bits(u128::from(number)),
            name: format!("node-{number}"),
            line: Arc::default(),
            runtime: SimulatedRuntime::at(dawn()),
            network: Arc::new(SimulatedNetwork::new("100.64.0.0/24".parse().unwrap())),
            memory: Memory::fresh(),
            clock: SkewedClock::new(tokio::time::Instant::now(), skew_millis),
            skew_millis,
            process: None,
            gossip: gossip.clone(),
            hub: hub.clone(),
            chance: chance.clone(),
            plant,
            terrain,
            files: files.join(number.to_string()),
        };
        gossip.seat(&host.id, &host.line);
        host.boot();
        host
    }

    fn node(&self) -> Node {
        Node {
            id: self.id.clone(),
            name: self.name.parse().unwrap(),
            roles: vec![Role::Business],
            location: Location::default(),
            capacity: Capacity {
                cpu: Cpu::millicores(CAPACITY.0),
                memory: Bytes::mebibytes(CAPACITY.1),
                disk: Bytes::mebibytes(10_000),
            },
            runtime: Some(RuntimeKind::Simulated),
            api_address: String::new(),
            address: None,
            block: None,
            wireguard: None,
            peer: None,
            version: "simulated".to_owned(),
            bind_paths: Vec::new(),
            labels: std::collections::BTreeMap::new(),
            created_at: self.clock.now(),
        }
    }

    pub(crate) fn runs(&self) -> bool {
        self.process.is_some()
    }

    /// Starts the agent.
    pub(crate) fn start(&mut self) {
        if self.process.is_some() {
            return;
        }
        let (life, shutdown) = (Arc::new(Life::default()), CancellationToken::new());
        self.process = Some((Arc::clone(&life), shutdown.clone()));
        self.hub.lock().promises.process(&self.id, &self.line, true);
        self.gossip.start(&self.id, &shutdown);
        let link = Link::new(&self.hub, &self.line, &life, &self.chance, self.plant);
        let edge = Edge {
            node: self.id.clone(),
            life,
            hub: self.hub.clone(),
            chance: self.chance.clone(),
            link: Arc::clone(&link),
            runtime: self.runtime.clone(),
            network: Arc::clone(&self.network),
            harsh: self.terrain == Terrain::Harsh,
        };
        let (node, clock, files) =
            (self.node(), Arc::clone(&self.clock) as Arc<dyn Clock>, self.files.clone());
        let keepsake = self.memory.open(&edge.life, self.plant);
        tokio::spawn(shutdown.clone().run_until_cancelled_owned(async move {
            let runtime: Arc<dyn Runtime> = Arc::new(edge.clone());
            let open =
                move || -> BoxFuture<'static, _> { Box::pin(std::future::ready(Ok(Arc::clone(&runtime)))) };
            let guard = Guard::begin(keepsake, Box::new(open));
            let store: Arc<dyn StateStore> = Arc::new(Linked(link));
            let mirror = loop {
                match Mirror::start(Arc::clone(&store), Vec::new(), shutdown.clone()).await {
                    Ok(mirror) => break mirror,
                    Err(_) => tokio::time::sleep(Duration::from_millis(300)).await,
                }
            };
            let plant = edge.link.plant;
            let plane = LocalControlPlane::new(store, mirror.clone(), Arc::clone(&clock));
            let control: Arc<dyn ControlPlane> = match plant {
                Plant::EternalLease => Arc::new(EternalLease(plane)),
                _ => Arc::new(plane),
            };
            let sealer = ValidatorSealer::new(node.id.clone(), &[7; 32]).unwrap();
            let source = Arc::new(LocalSecrets::new(mirror, Arc::new(sealer)));
            let machine = Machine {
                runtime: Arc::new(edge.clone()),
                images: Arc::new(SimulatedImages),
                network: Arc::new(edge),
                instances_dir: files.join("instances"),
                volumes_dir: files.join("volumes"),
                volumes: Arc::new(PlainVolumes { root: files.join("volumes") }),
                bind_paths: Vec::new(),
                secrets: Secrets { source, node: node.id.clone(), dir: None },
            };
            let (machine, on_collected) = (Some(machine), Arc::new(|_| {}));
            let options = AgentOptions { node, control, machine, clock, guard, on_collected };
            Agent::new(options).run(shutdown).await;
        }));
    }

    /// `kill -9` of the agent; containers run on.
    pub(crate) fn kill(&mut self) {
        if let Some((life, shutdown)) = self.process.take() {
            life.end();
            shutdown.cancel();
            self.hub.lock().promises.process(&self.id, &self.line, false);
            self.gossip.stop(&self.id);
        }
    }

    /// The machine loses its power, and all that ran with it.
    pub(crate) fn power_off(&mut self) {
        self.kill();
        let lost: Vec<InstanceId> = running(&self.runtime);
        let mut inner = self.hub.lock();
        lost.iter().for_each(|id| inner.promises.ended(&self.id, id));
        drop(inner);
        self.boot();
    }

    /// A runtime and network as after the machine's start.
    fn boot(&mut self) {
        let now = dawn() + self.clock.now().duration_since(dawn());
        self.runtime = SimulatedRuntime::at(now);
        self.network = Arc::new(SimulatedNetwork::new("100.64.0.0/24".parse().unwrap()));
        self.memory = Memory::fresh();
        *self.line.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        let (hub, node, runtime) = (self.hub.clone(), self.id.clone(), self.runtime.clone());
        let mut endings = runtime.endings();
        tokio::spawn(async move {
            while let Some(ended) = endings.next().await {
                hub.lock().promises.ended(&node, &ended.instance);
            }
        });
    }

    /// Ends a container as if it had crashed.
    pub(crate) async fn crash_one(&self) {
        let ids = running(&self.runtime);
        if ids.is_empty() {
            return;
        }
        let at = usize::try_from(self.chance.below(ids.len() as u64)).unwrap();
        let id = ContainerId { instance: ids[at].clone(), container: "app".parse().unwrap() };
        drop(self.runtime.signal(&id, "SIGKILL").await);
    }

    pub(crate) fn skew(&self) -> i64 {
        self.skew_millis
    }
}

/// The instances whose container runs.
pub(crate) fn running(runtime: &SimulatedRuntime) -> Vec<InstanceId> {
    let listed = futures::FutureExt::now_or_never(runtime.list()).unwrap().unwrap();
    let runs = listed.containers.into_iter().filter(|c| matches!(c.phase, ContainerPhase::Running));
    runs.map(|container| container.id.instance).collect()
}

/// Planted: the agent's view of a control plane that always hears it.
struct EternalLease(LocalControlPlane);

#[async_trait]
impl ControlPlane for EternalLease {
    async fn register(&self, node: &Node) -> Result<(), ControlPlaneError> {
        self.0.register(node).await
    }

    async fn keep_alive(&self, node: &NodeId) -> Result<(), ControlPlaneError> {
        let asked = tokio::time::timeout(Duration::from_secs(1), self.0.keep_alive(node)).await;
        if let Ok(refused @ Err(ControlPlaneError::Refused { .. })) = asked {
            return refused;
        }
        Ok(())
    }

    fn orders(&self, node: &NodeId) -> BoxStream<'static, OrderChanges> {
        self.0.orders(node)
    }

    async fn images_named(&self) -> Result<std::collections::BTreeSet<String>, ControlPlaneError> {
        self.0.images_named().await
    }

    fn unwanted_volumes(&self, node: &NodeId) -> BoxStream<'static, Vec<Volume>> {
        self.0.unwanted_volumes(node)
    }

    async fn volume_removed(&self, node: &NodeId, volume: &Volume) -> Result<(), ControlPlaneError> {
        self.0.volume_removed(node, volume).await
    }

    async fn reported(&self, node: &NodeId) -> Result<Vec<Observation>, ControlPlaneError> {
        self.0.reported(node).await
    }

    async fn report(&self, node: &NodeId, report: Report) -> Result<(), ControlPlaneError> {
        self.0.report(node, report).await
    }
}

/// Runtime and network as the agent's process reaches them: slowly at times, and not at all once it is dead.
#[derive(Clone)]
struct Edge {
    node: NodeId,
    life: Arc<Life>,
    hub: Hub,
    chance: Chance,
    link: Arc<Link>,
    runtime: SimulatedRuntime,
    network: Arc<SimulatedNetwork>,
    harsh: bool,
}

impl Edge {
    async fn reach(&self) {
        self.life.goes_on().await;
    }

    async fn take_time(&self) {
        let time = if self.chance.percent(6) { 500..4000 } else { 0..40 };
        tokio::time::sleep(self.chance.millis(time)).await;
        self.reach().await;
    }
}

#[async_trait]
impl Runtime for Edge {
    fn kind(&self) -> RuntimeKind {
        RuntimeKind::Simulated
    }

    async fn open_sandbox(&self, instance: &InstanceId, hostname: &str) -> Result<Sandbox, RuntimeError> {
        self.reach().await;
        self.take_time().await;
        self.runtime.open_sandbox(instance, hostname).await
    }

    async fn close_sandbox(&self, instance: &InstanceId) -> Result<(), RuntimeError> {
        self.reach().await;
        self.take_time().await;
        self.runtime.close_sandbox(instance).await
    }

    async fn start(&self, spec: &ContainerSpec) -> Result<ContainerState, RuntimeError> {
        self.reach().await;
        self.hub.lock().promises.starting(&self.node, &spec.id.instance, spec.attempt);
        self.take_time().await;
        if self.chance.percent(3) {
            let (id, step) = (spec.id.to_string(), "start");
            return Err(RuntimeError::Failed { id, step, reason: "it failed as drawn".to_owned() });
        }
        let state = self.runtime.start(spec).await?;
        if state.phase == ContainerPhase::Running {
            self.hub.lock().promises.started(&self.node, &spec.id.instance);
        }
        self.reach().await;
        Ok(state)
    }

    async fn stop(&self, id: &ContainerId, grace: Span) -> Result<Exit, RuntimeError> {
        self.reach().await;
        let heard = self.link.line.heard.lock().unwrap_or_else(PoisonError::into_inner).unwrap();
        self.hub.lock().promises.stopping(&self.node, &id.instance, heard.elapsed());
        if self.harsh {
            // What is asked to end is not killed unless this process lives.
            self.runtime.signal(id, "SIGTERM").await?;
            let patience = Instant::now() + grace.duration();
            while self.runtime.inspect(id).await?.is_some_and(|seen| seen.phase == ContainerPhase::Running)
                && Instant::now() < patience
            {
                tokio::time::sleep(LOOK).await;
                self.reach().await;
            }
        }
        let grace = if self.harsh { Span::ZERO } else { grace };
        let exit = self.runtime.stop(id, grace).await;
        self.reach().await;
        exit
    }

    async fn signal(&self, id: &ContainerId, signal: &str) -> Result<(), RuntimeError> {
        self.reach().await;
        self.runtime.signal(id, signal).await
    }

    async fn inspect(&self, id: &ContainerId) -> Result<Option<ContainerState>, RuntimeError> {
        self.reach().await;
        self.runtime.inspect(id).await
    }

    async fn list(&self) -> Result<RuntimeInventory, RuntimeError> {
        self.reach().await;
        self.runtime.list().await
    }

    fn endings(&self) -> BoxStream<'static, ContainerId> {
        self.runtime.endings()
    }

    async fn logs(
        &self,
        id: &ContainerId,
        query: LogQuery,
    ) -> Result<BoxStream<'static, Result<LogLine, RuntimeError>>, RuntimeError> {
        self.runtime.logs(id, query).await
    }

    async fn exec(&self, id: &ContainerId, spec: ExecSpec) -> Result<ExecSession, RuntimeError> {
        self.reach().await;
        self.runtime.exec(id, spec).await
    }

    async fn usage(&self, id: &ContainerId) -> Result<ContainerUsage, RuntimeError> {
        self.runtime.usage(id).await
    }

    async fn purge(&self) -> Result<(), RuntimeError> {
        self.runtime.purge().await
    }
}

#[async_trait]
impl Network for Edge {
    async fn attach(&self, request: &AttachRequest) -> Result<Attachment, NetworkError> {
        self.reach().await;
        self.network.attach(request).await
    }

    async fn detach(&self, instance: &InstanceId) -> Result<(), NetworkError> {
        self.reach().await;
        self.network.detach(instance).await
    }

    async fn attached(&self) -> Result<Vec<Attachment>, NetworkError> {
        self.reach().await;
        self.network.attached().await
    }

    fn gateway(&self) -> Option<Ipv4Addr> {
        None
    }

    async fn purge(&self) -> Result<(), NetworkError> {
        self.network.purge().await
    }
}
