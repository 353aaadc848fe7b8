//! `univrs up`: opens the data directory, starts the parts that this node's roles need, and keeps them until told
//! to stop. Containers stay when the daemon goes.

pub(crate) mod containers;
mod memory;
mod node;
mod parts;
mod resources;
mod sealing;
mod services;
mod stop;

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use univrs_agent::{Agent, AgentOptions, LocalNodeAccess};
use univrs_api::{App, Metrics};
use univrs_authz::Authorizer;
use univrs_cli::UpArgs;
use univrs_control::{
    Control, Inbox, LocalControlPlane, LocalSecrets, Mirror, NodeDrain, OperationRunner, Reconciler,
};
use univrs_ports::clock::{Clock, SystemClock};
use univrs_ports::store::StateStore;

use crate::failure::Failure;
use crate::identity::DataDir;
use crate::logging;

pub(crate) async fn run(args: UpArgs) -> Result<(), Failure> {
    logging::start();
    let stop = stop::Signals::new()?;
    let ingress = services::IngressSettings::read(&args)?;
    let dir = DataDir::new(args.data_dir());
    let held = dir.take()?;
    // The port is taken before anything else is touched: a clash must leave no trace.
    let listener =
        TcpListener::bind(args.api).await.map_err(|source| Failure::Listen { address: args.api, source })?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut identity = match dir.read_identity()? {
        Some(identity) => identity,
        None => dir.make_identity(clock.now())?,
    };
    let shutdown = CancellationToken::new();
    let tasks = TaskTracker::new();

    let raft = Arc::new(parts::open_store(&dir, &mut identity).await?);
    let store: Arc<dyn StateStore> = Arc::clone(&raft) as _;
    parts::write_cluster(&store, &identity).await?;
    let sealer = sealing::open(&dir, &identity, &*store).await?;
    let inbox = Inbox::default();
    let operations = Inbox::default();
    let inboxes = vec![inbox.clone(), operations.clone()];
    let mirror = Mirror::start(Arc::clone(&store), inboxes, shutdown.clone()).await?;
    let machine = parts::Machine::open(&args, &dir, &mut identity).await?;
    let node = node::describe(&args, &dir, &identity, machine.kind(), clock.now())?;

    let access = Arc::new(LocalNodeAccess::new(identity.node.clone(), machine.runtime()));
    let authorizer = Arc::new(Authorizer::new()?);
    let control = Control::new(
        Arc::clone(&store),
        mirror.clone(),
        Arc::clone(&clock),
        access,
        Arc::clone(&sealer),
        authorizer,
    )
    .with_members(raft, identity.node.clone());
    let control = resources::equip(control, &args, &machine)?;
    control.share_data_keys().await?;
    let reconciler = Reconciler::new(Arc::clone(&store), mirror.clone(), inbox, Arc::clone(&clock));
    tasks.spawn(reconciler.run(shutdown.clone()));
    let drain = NodeDrain::new(Arc::clone(&store), mirror.clone(), Arc::clone(&clock));
    let mut kinds = univrs_control::resource_kinds(&control);
    kinds.push(Arc::new(drain));
    let runner =
        OperationRunner::new(Arc::clone(&store), mirror.clone(), operations, Arc::clone(&clock), kinds);
    tasks.spawn(runner.run(shutdown.clone()));
    tasks.spawn(univrs_control::ResourceWatcher::new(control.clone()).run(shutdown.clone()));

    let control_plane =
        Arc::new(LocalControlPlane::new(Arc::clone(&store), mirror.clone(), Arc::clone(&clock)));
    let metrics = Arc::new(Metrics::default());
    let counted = Arc::clone(&metrics);
    let agent = Agent::new(AgentOptions {
        node: node.clone(),
        control: control_plane,
        machine: machine.for_agent(
            &dir,
            &identity.node,
            Arc::new(LocalSecrets::new(mirror.clone(), sealer)),
        )?,
        clock: Arc::clone(&clock),
        on_collected: Arc::new(move |collected| counted.images_collected(collected.images, collected.bytes)),
    });
    let agent = tasks.spawn(agent.run(shutdown.clone()));

    services::start(ingress, machine.gateway(), &mirror, &tasks, &shutdown).await;
    let app = App {
        control: control.clone(),
        images: machine.images(),
        clock,
        metrics,
        loopback: args.api.ip().is_loopback(),
        shutdown: shutdown.clone(),
    };
    let api = tasks.spawn(univrs_api::serve(listener, app));
    machine.pack_self_if_absent(control, &tasks);
    tasks.spawn(shutdown.clone().run_until_cancelled_owned(memory::give_back()));
    tracing::info!(node = %node.name, id = %node.id, api = %args.api, version = %node.version, "ready");

    let down = stop.wait(&args, &[agent.abort_handle(), api.abort_handle()]).await;
    tracing::info!(containers = if down { "are removed" } else { "keep running" }, "stopping");
    shutdown.cancel();
    tasks.close();
    if tokio::time::timeout(stop::PATIENCE, tasks.wait()).await.is_err() {
        tracing::warn!("some parts did not stop in time");
    }
    drop((machine, mirror));
    drop(store);
    if down {
        crate::down::remove(&dir, &identity).await?;
    }
    drop(held);
    Ok(())
}
