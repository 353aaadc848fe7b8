//! The provider `mesh` over a whole node whose containers are simulated: it passes the suite of its port.

use std::sync::Arc;

use tokio::sync::watch;
use univrs_agent::{Agent, AgentOptions, Guard, LocalNodeAccess, Machine, Secrets};
use univrs_authz::Authorizer;
use univrs_control::{Control, Inbox, LocalControlPlane, LocalSecrets, MeshProvider, Mirror, Reconciler};
use univrs_image::SimulatedImages;
use univrs_model::ids::NodeId;
use univrs_model::node::Node;
use univrs_network::{Range, SimulatedNetwork};
use univrs_ports::clock::SystemClock;
use univrs_ports::keepsake::OfProcess;
use univrs_ports::provider::Provider as _;
use univrs_ports::provider::conformance::{Program, Subject, check};
use univrs_ports::runtime::Runtime;
use univrs_ports::store::{MemoryStore, StateStore};
use univrs_runtime::simulated::SimulatedRuntime;
use univrs_seal::ValidatorSealer;

fn node(id: &NodeId) -> Node {
    serde_json::from_value(serde_json::json!({
        "id": id, "name": "one", "roles": ["validator", "business", "slim"],
        "location": {"cloud": "local", "region": "local", "zone": "local", "operator": "local"},
        "capacity": {"cpu": "8", "memory": "16Gi", "disk": "100Gi"}, "runtime": "simulated",
        "api_address": "127.0.0.1:8080", "version": "0", "labels": {}, "created_at": "2026-01-01T00:00:00Z",
    }))
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_mesh_provider_conforms() {
    let shutdown = tokio_util::sync::CancellationToken::new();
    let store: Arc<dyn StateStore> = Arc::new(MemoryStore::new());
    let (inbox, clock, id) = (Inbox::default(), Arc::new(SystemClock), NodeId::from_bits(1));
    let mirror = Mirror::start(Arc::clone(&store), vec![inbox.clone()], shutdown.clone()).await.unwrap();
    let runtime: Arc<dyn Runtime> = Arc::new(SimulatedRuntime::default());
    let sealer = Arc::new(ValidatorSealer::new(id.clone(), &[7; 32]).unwrap());
    let access = Arc::new(LocalNodeAccess::new(id.clone(), Some(Arc::clone(&runtime))));
    let authorizer = Arc::new(Authorizer::new().unwrap());
    let control =
        Control::new(Arc::clone(&store), mirror.clone(), clock.clone(), access, sealer.clone(), authorizer);
    let (_leads, leading) = watch::channel(true);
    let reconciler = Reconciler::new(Arc::clone(&store), mirror.clone(), inbox, clock.clone(), leading);
    tokio::spawn(reconciler.run(shutdown.clone()));
    let dir = tempfile::tempdir().unwrap();
    let range = Range::new([10, 0, 0, 0].into(), 24).unwrap();
    let source = Arc::new(LocalSecrets::new(mirror.clone(), sealer));
    let opened = Arc::clone(&runtime);
    let machine = Machine {
        runtime,
        images: Arc::new(SimulatedImages),
        network: Arc::new(SimulatedNetwork::new(range)),
        instances_dir: dir.path().join("instances"),
        volumes_dir: dir.path().join("volumes"),
        volumes: Arc::new(univrs_ports::volumes::PlainVolumes { root: dir.path().join("volumes") }),
        bind_paths: Vec::new(),
        secrets: Secrets { source, node: id.clone(), dir: None },
    };
    let agent = Agent::new(AgentOptions {
        node: node(&id),
        control: Arc::new(LocalControlPlane::new(store, mirror.clone(), clock.clone())),
        machine: Some(machine),
        clock,
        guard: Guard::begin(
            Arc::new(OfProcess::default()),
            Box::new(move || Box::pin(std::future::ready(Ok(Arc::clone(&opened))))),
        ),
        on_collected: Arc::new(|_| {}),
    });
    tokio::spawn(agent.run(shutdown.clone()));
    let mut states = mirror.subscribe();
    drop(states.wait_for(|state| !state.nodes_alive.is_empty()).await.unwrap());

    let provider = MeshProvider::new(control);
    assert!(provider.describe().await.available);
    let program = |image: &str| Program { image: image.to_owned(), command: Vec::new() };
    let subject = Subject {
        serve: program("web:1"),
        job: program("sim/exit:0"),
        failing_job: program("sim/exit:3"),
        says: None,
        reader: None,
    };
    check(&provider, &subject).await;
    // The volumes went with the resources, directories included.
    let left: Vec<_> = walk(&dir.path().join("volumes"));
    assert!(left.is_empty(), "{left:?}");
    shutdown.cancel();
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    entries.map(|entry| entry.path()).collect()
}
