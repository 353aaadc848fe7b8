//! `univrs up`: opens the data directory, starts the parts that this node's roles need, and keeps them until told
//! to stop. Containers stay when the daemon goes.

mod alive;
mod api_tls;
mod changing;
pub(crate) mod containers;
mod founding;
mod ground;
mod loops;
mod member;
mod memory;
mod mesh;
mod metrics;
mod node;
mod parts;
mod resources;
mod sealing;
mod services;
mod sources;
mod standing;
pub(crate) mod state;
mod stop;

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use univrs_agent::{Agent, AgentOptions, LocalNodeAccess};
use univrs_api::App;
use univrs_authz::Authorizer;
use univrs_cli::UpArgs;
use univrs_control::{Control, Inbox, LocalControlPlane, Mirror, NODE_LEASE};
use univrs_model::node::Role;
use univrs_notify::Messenger;
use univrs_ports::clock::{Clock, SystemClock};
use univrs_ports::notify::Notifier;

use crate::cluster::port::{self, Late};
use crate::cluster::reach::ClusterAccess;
use crate::cluster::renewal;
use crate::failure::Failure;
use crate::identity::DataDir;
use crate::membership;
use crate::program::change::Change;
use crate::program::copies::Copies;

/// Why the daemon ended, when nothing failed.
pub(crate) enum Ending {
    /// It was told to stop.
    Stopped,
    /// It is to run another program.
    Change(Box<Change>),
    /// It is to start again as it is.
    Again,
}

/// Runs the daemon. `trial` is the change of the program that this process is on trial for.
pub(crate) async fn run(mut args: UpArgs, trial: Option<Change>) -> Result<Ending, Failure> {
    // A variable that is set to nothing says nothing.
    args.join.retain(|host| !host.is_empty());
    args.connect.retain(|address| !address.is_empty());
    args.join_token = args.join_token.filter(|token| !token.is_empty());
    let mut stop = stop::Signals::new()?;
    let ingress = services::IngressSettings::read(&args)?;
    let certificate = api_tls::GivenCertificate::read(&args)?;
    let issuer = services::issuer(&args)?;
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
    let copies = Arc::new(Copies::new(dir.programs(), trial));
    let shutdown = CancellationToken::new();
    let tasks = TaskTracker::new();

    let peer_key = membership::key(&dir.peer_key())?;
    if identity.standing.is_none() && !identity.founded && args.join.is_empty() && !args.connect.is_empty() {
        let asking = membership::connect::where_to_join(peer_key.clone(), &args.connect);
        args.join = tokio::select! {
            found = asking => vec![found?],
            () = stop.interrupted() => return Ok(Ending::Stopped),
        };
    }
    // What may not run alone ends in time whether or not a validator is heard, and the state is there.
    let early = match &identity.standing {
        Some(standing) => Some(ground::Ground::open(&args, &dir, &identity, standing)?),
        None => None,
    };
    let beginning = member::begin(&args, &dir, &mut identity, clock.now(), Arc::clone(&copies));
    let member::Member { standing, peers, state, address, port } = tokio::select! {
        begun = beginning => begun?,
        () = stop.interrupted() => return Ok(Ending::Stopped),
    };
    let listening = port.as_ref().and_then(|port| port.local_addr().ok());
    if let Some(port) = port {
        tasks.spawn(port::serve(port, Arc::clone(&peers), shutdown.clone()));
    }
    let store = Arc::clone(&state.store);
    tokio::select! {
        ready = state::ready(&*store, &identity, &standing) => ready?,
        () = stop.interrupted() => {
            shutdown.cancel();
            return Ok(Ending::Stopped);
        }
    }
    if let Ok(Some(last)) = alive::lease(&*store, &identity.node).await {
        let holding = alive::hold(Arc::clone(&store), identity.node.clone(), last);
        tasks.spawn(shutdown.clone().run_until_cancelled_owned(holding));
    }
    let sealer = sealing::open(&dir, &identity, &standing, &*store).await?;
    let (changes, operations) = (Inbox::default(), Inbox::default());
    let inboxes = vec![changes.clone(), operations.clone()];
    let mirror = Mirror::start(Arc::clone(&store), inboxes, shutdown.clone()).await?;
    let directory = Arc::clone(peers.trust.directory());
    let (ground, guard) = match early {
        Some(early) => early,
        None => ground::Ground::open(&args, &dir, &identity, &standing)?,
    };
    let machine = parts::Machine::open(&args, &dir, &mut identity, &standing, &ground).await?;
    machine.share_images(&peers, &mirror);
    let now = clock.now();
    let mut node = node::describe(&args, &dir, &identity, &standing, machine.kind(), address.clone(), now);
    let cluster = parts::cluster_range(&args, &standing).to_string();
    let place = mesh::open(&args, &dir, &identity, &machine, &cluster, address.as_deref()).await;
    node.wireguard = place.announced();
    node.peer = Some(peer_key.peer());
    place.follow(identity.node.clone(), mirror.clone(), &tasks, &shutdown);

    let local = Arc::new(LocalNodeAccess::new(identity.node.clone(), machine.runtime()));
    let access = ClusterAccess {
        node: identity.node.clone(),
        local: Arc::clone(&local),
        dial: Arc::clone(&peers.dial),
    };
    let authorizer = Arc::new(Authorizer::new()?);
    let control = Control::new(
        Arc::clone(&store),
        mirror.clone(),
        Arc::clone(&clock),
        Arc::new(access),
        Arc::clone(&sealer),
        authorizer,
    );
    let control = match &state.copy {
        Some(copy) => control.with_members(Arc::new(copy.clone()), identity.node.clone()),
        None => control.with_node(identity.node.clone()),
    };
    let control = control.with_programs(Arc::clone(&peers.programs) as _);
    let control = resources::equip(control, &args, &dir, &identity, &machine)?;
    if !standing.joined {
        founding::found(&args, &identity, &standing, &control, &peers.trust, address, now).await?;
    }
    let is_validator = standing.roles.contains(&Role::Validator) || !standing.joined;
    let sources::Sources { secrets, certificates, opened } =
        sources::of(is_validator, &mirror, sealer, &peers.asking);
    let notifier: Arc<dyn Notifier> = Arc::new(Messenger { allow_private: args.allow_private_webhooks });
    let (opened_secrets, opened_certificates) = opened.unzip();
    let late = Late {
        control: control.clone(),
        secrets: opened_secrets,
        certificates: opened_certificates,
        access: local,
    };
    // Set once, here.
    drop(peers.late.set(late));
    tasks.spawn(directory.follow(mirror.clone(), shutdown.clone()));
    let renewing = renewal::keep(
        Arc::clone(&peers.trust),
        Arc::clone(&peers.asking),
        control.clone(),
        Arc::clone(&clock),
    );
    tasks.spawn(shutdown.clone().run_until_cancelled_owned(renewing));
    if is_validator {
        tasks.spawn(control.clone().keep_keys_shared(shutdown.clone()));
    }
    if let Some(copy) = &state.copy {
        let parts = loops::Parts {
            node: &identity.node,
            copy,
            store: &store,
            mirror: &mirror,
            changes,
            operations,
            clock: &clock,
            control: &control,
            programs: Arc::clone(&peers.programs) as _,
            notifier: &notifier,
            issuer: issuer.filter(|_| is_validator),
        };
        loops::start(parts, &tasks, &shutdown);
    }

    let control_plane =
        Arc::new(LocalControlPlane::new(Arc::clone(&store), mirror.clone(), Arc::clone(&clock)));
    let counted = services::start(
        ingress,
        certificates,
        machine.gateway(),
        machine.network(),
        &mirror,
        &tasks,
        &shutdown,
    )
    .await;
    if let Some(counted) = &counted {
        let of_ingress = Arc::clone(counted);
        let counts =
            move || of_ingress.workloads().into_iter().map(|one| (one.workload, one.requests)).collect();
        let meter = univrs_control::ResourceMeter::of_ingress(
            control.clone(),
            identity.node.clone(),
            Box::new(counts),
        );
        // Every node for itself.
        let (_, always) = tokio::sync::watch::channel(true);
        tasks.spawn(meter.run(always, shutdown.clone()));
    }
    let metrics = Arc::new(metrics::of(state.copy.as_ref(), counted));
    let counted = Arc::clone(&metrics);
    let agent = Agent::new(AgentOptions {
        node: node.clone(),
        control: Arc::clone(&control_plane) as _,
        machine: machine.for_agent(&dir, &identity.node, secrets)?,
        clock: Arc::clone(&clock),
        guard,
        on_collected: Arc::new(move |collected| counted.images_collected(collected.images, collected.bytes)),
    });
    let agent = tasks.spawn(agent.run(shutdown.clone()));

    let parts = membership::Parts {
        args: &args,
        identity: &identity,
        node: &node,
        listening,
        trust: &peers.trust,
        dial: &peers.dial,
        mirror: &mirror,
        mesh: place.face(),
        tasks: &tasks,
        shutdown: &shutdown,
    };
    let others = membership::start(parts, peer_key).await;
    let app = App {
        control: control.clone(),
        images: machine.images(),
        mesh: place.face(),
        peers: others,
        notifier,
        clock,
        metrics,
        elsewhere: parts::elsewhere(&standing, &peers),
        loopback: args.api.ip().is_loopback(),
        shutdown: shutdown.clone(),
    };
    if is_validator {
        // Set once, here.
        drop(peers.api.set(univrs_api::router(app.clone())));
    }
    if certificate.is_none() && !app.loopback {
        tracing::warn!(
            "the API is not encrypted: who is on the way reads tokens; give --api-cert and --api-key, or put a proxy \
             with a certificate before it"
        );
    }
    let api = match certificate {
        Some(certificate) => {
            let listener = api_tls::ApiListener::new(listener, args.api, certificate)?;
            tasks.spawn(univrs_api::serve(listener, app))
        }
        None => tasks.spawn(univrs_api::serve(listener, app)),
    };
    machine.pack_self_if_absent(control, &tasks);
    tasks.spawn(shutdown.clone().run_until_cancelled_owned(memory::give_back()));
    if !univrs_api::has_dashboard() {
        tracing::info!("this program was built without the dashboard; `make build` builds it with");
    }
    tracing::info!(node = %node.name, id = %node.id, api = %args.api, version = %node.version, "ready");

    let trial = changing::Trial {
        copies: Arc::clone(&copies),
        mirror: mirror.clone(),
        runtime: machine.runtime(),
        copy: state.copy.clone(),
        node: identity.node.clone(),
    };
    let vital = stop::Vital {
        tasks: [("the agent", agent.abort_handle()), ("the API", api.abort_handle())],
        copy: state.copy.as_ref(),
    };
    let ended = tokio::select! {
        ended = stop.wait(&args, vital) => ended,
        order = copies.wanted() => changing::Ended::Ordered(order),
        worked = trial.end() => changing::Ended::Tried { worked },
    };
    let down = matches!(ended, changing::Ended::Told { down: true });
    let (change, alive_for) = changing::leave(ended, &trial, &control_plane).await;
    let alive_until = alive_for.map(|span| ground.keepsake.uptime() + span);
    if let Some(copy) = &state.copy {
        state::hand_over(copy, &mirror).await;
    }
    tracing::info!(containers = if down { "are removed" } else { "keep running" }, "stopping");
    shutdown.cancel();
    tasks.close();
    if tokio::time::timeout(stop::PATIENCE, tasks.wait()).await.is_err() {
        tracing::warn!("some parts did not stop in time");
    }
    if let Some(until) = alive_until {
        // As if it were heard until then; nothing of this process notes anything else any more.
        ground.keepsake.hear(until.saturating_sub(NODE_LEASE));
    }
    drop((machine, ground, mirror, place, trial));
    if let Some(copy) = &state.copy {
        copy.close().await;
    }
    drop((state, store));
    if down {
        crate::down::remove(&dir, &identity).await?;
    }
    drop(held);
    match change {
        changing::Next::Nothing => Ok(Ending::Stopped),
        changing::Next::Change(change) => Ok(Ending::Change(change)),
        changing::Next::Again => Ok(Ending::Again),
        changing::Next::Broken { part, reason } => Err(Failure::Broken { part, reason }),
        changing::Next::DoesNotWork(reason) => Err(Failure::DoesNotWork { reason }),
    }
}
