//! Name server and ingress of this node, fed from the state. A port that is taken degrades with a warning.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use univrs_control::{Mirror, view};
use univrs_network::dns::{DnsOptions, DnsServer};
use univrs_network::ingress::{Ingress, IngressListener, IngressOptions};
use univrs_ports::network::ServiceTable;

/// The port of the name server, on the bridge.
const DNS_PORT: u16 = 53;

/// Starts what the node serves beside its API: names for its containers, and the ingress.
pub(super) async fn start(
    ingress: SocketAddr,
    gateway: Option<Ipv4Addr>,
    mirror: &Mirror,
    tasks: &TaskTracker,
    shutdown: &CancellationToken,
) {
    let Some(gateway) = gateway else { return };
    let (sender, table) = watch::channel(Arc::new(ServiceTable::default()));
    tasks.spawn(shutdown.clone().run_until_cancelled_owned(feed(mirror.clone(), sender)));
    match DnsServer::bind(DnsOptions::new(SocketAddr::from((gateway, DNS_PORT))), table.clone()).await {
        Ok(server) => drop(tasks.spawn(server.run(shutdown.clone()))),
        Err(error) => tracing::warn!(%error, "containers will not find each other by name"),
    }
    match IngressListener::bind(ingress, None).await {
        Ok(listener) => {
            drop(tasks.spawn(
                Ingress::new(IngressOptions::default(), table).serve(vec![listener], shutdown.clone()),
            ));
        }
        Err(error) => {
            tracing::warn!(address = %ingress, %error, "no ingress on this node; stop what has the port or give another --ingress");
        }
    }
}

/// Keeps the table in step with the state; it is sent on only when it differs.
async fn feed(mirror: Mirror, table: watch::Sender<Arc<ServiceTable>>) {
    let mut states = mirror.subscribe();
    loop {
        let state = states.borrow_and_update().clone();
        let next = view::service_table(&state);
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
