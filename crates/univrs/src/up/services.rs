//! Name server and ingress of this node, fed from the state. A port that is taken degrades with a warning.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use univrs_cli::UpArgs;
use univrs_control::{Mirror, view};
use univrs_network::dns::{DnsOptions, DnsServer};
use univrs_network::ingress::{
    Ingress, IngressListener, IngressMetrics, IngressOptions, ServerConfig, server_config,
};
use univrs_ports::network::{Network, ServiceTable};

use crate::failure::Failure;

/// The port of the name server, on the bridge.
const DNS_PORT: u16 = 53;

/// Starts what the node serves beside its API: names for its containers, and the ingress. Returns what that counts.
pub(super) async fn start(
    ingress: IngressSettings,
    gateway: Option<Ipv4Addr>,
    network: Arc<dyn Network>,
    mirror: &Mirror,
    tasks: &TaskTracker,
    shutdown: &CancellationToken,
) -> Option<Arc<IngressMetrics>> {
    let gateway = gateway?;
    let (sender, table) = watch::channel(Arc::new(ServiceTable::default()));
    tasks.spawn(shutdown.clone().run_until_cancelled_owned(feed(mirror.clone(), network, sender)));
    match DnsServer::bind(DnsOptions::new(SocketAddr::from((gateway, DNS_PORT))), table.clone()).await {
        Ok(server) => drop(tasks.spawn(server.run(shutdown.clone()))),
        Err(error) => tracing::warn!(%error, "containers will not find each other by name"),
    }
    let mut listeners = Vec::new();
    match IngressListener::bind(ingress.plain, None).await {
        Ok(listener) => listeners.push(listener),
        Err(error) => {
            tracing::warn!(address = %ingress.plain, %error, "no HTTP ingress on this node; stop what has the port or give another --ingress");
        }
    }
    if let Some((address, tls)) = ingress.encrypted {
        match IngressListener::bind(address, Some(tls)).await {
            Ok(listener) => listeners.push(listener),
            Err(error) => {
                tracing::warn!(%address, %error, "no HTTPS ingress on this node; stop what has the port or give another --ingress-tls");
            }
        }
    }
    if listeners.is_empty() {
        return None;
    }
    let ingress = Ingress::new(IngressOptions::default(), table);
    let metrics = ingress.metrics();
    drop(tasks.spawn(ingress.serve(listeners, shutdown.clone())));
    Some(metrics)
}

/// Where the ingress listens.
pub(super) struct IngressSettings {
    plain: SocketAddr,
    encrypted: Option<(SocketAddr, Arc<ServerConfig>)>,
}

impl IngressSettings {
    /// What the flags say. A certificate that cannot be used stops the start: nobody should serve without the
    /// encryption that was asked for.
    pub(super) fn read(args: &UpArgs) -> Result<Self, Failure> {
        let encrypted = match (&args.ingress_cert, &args.ingress_key) {
            (Some(cert), Some(key)) => {
                let read = |path: &PathBuf| {
                    std::fs::read(path).map_err(|source| Failure::File {
                        doing: "read",
                        path: path.clone(),
                        source,
                    })
                };
                let config = server_config(&read(cert)?, &read(key)?)
                    .map_err(|source| Failure::Certificate { path: cert.clone(), source })?;
                Some((args.ingress_tls, config))
            }
            _ => None,
        };
        Ok(Self { plain: args.ingress, encrypted })
    }
}

/// Keeps the table in step with the state; it is sent on only when it differs.
async fn feed(mirror: Mirror, network: Arc<dyn Network>, table: watch::Sender<Arc<ServiceTable>>) {
    let mut states = mirror.subscribe();
    let (mut separated, mut restrained) = (None, None);
    loop {
        let state = states.borrow_and_update().clone();
        let next = view::service_table(&state);
        // Before names are known by which they could be reached.
        if separated.as_ref() != Some(&next.homes) {
            match network.separate(&next.homes).await {
                Ok(()) => separated = Some(next.homes.clone()),
                Err(error) => tracing::warn!(%error, "organisations cannot be kept apart as they are now"),
            }
        }
        let spent = view::spent(&state);
        if restrained.as_ref() != Some(&spent) {
            match network.restrain(&spent).await {
                Ok(()) => restrained = Some(spent),
                Err(error) => {
                    tracing::warn!(%error, "what may not leave the cluster cannot be kept in it now")
                }
            }
        }
        table.send_if_modified(|known| {
            let differs = **known != next;
            if differs {
                *known = Arc::new(next);
            }
            differs
        });
        if states.changed().await.is_err() {
            return;
        }
    }
}
