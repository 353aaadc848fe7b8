//! Name server and ingress of this node, fed from the state. A port that is taken degrades with a warning.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use univrs_acme::Acme;
use univrs_cli::UpArgs;
use univrs_control::{Mirror, view};
use univrs_network::dns::{DnsOptions, DnsServer};
use univrs_network::ingress::{
    Certificates, Certified, Ingress, IngressListener, IngressMetrics, IngressOptions, ServerConfig,
    server_config,
};
use univrs_ports::issuer::{CertificateSource, Issuer};
use univrs_ports::network::{Network, ServiceTable};

use crate::failure::Failure;

/// Pause before certificates are asked for again.
const AGAIN: Duration = Duration::from_secs(2);
/// The port of the name server, on the bridge.
const DNS_PORT: u16 = 53;

/// Starts what the node serves beside its API: names for its containers, and the ingress. Returns what that counts.
pub(super) async fn start(
    ingress: IngressSettings,
    certificates: Arc<dyn CertificateSource>,
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
    // The port is left alone until there is a certificate to serve.
    let IngressSettings { encrypted, tls, held, .. } = ingress;
    listeners.push(IngressListener::later(encrypted, tls, held.any()));
    let keeping = keep_certificates(mirror.clone(), certificates, held);
    tasks.spawn(shutdown.clone().run_until_cancelled_owned(keeping));
    let ingress = Ingress::new(IngressOptions::default(), table);
    let metrics = ingress.metrics();
    drop(tasks.spawn(ingress.serve(listeners, shutdown.clone())));
    Some(metrics)
}

/// Where the ingress listens.
pub(super) struct IngressSettings {
    plain: SocketAddr,
    encrypted: SocketAddr,
    tls: Arc<ServerConfig>,
    held: Arc<Certificates>,
}

impl IngressSettings {
    /// What the flags say. A certificate that cannot be used stops the start: nobody should serve without the
    /// encryption that was asked for.
    pub(super) fn read(args: &UpArgs) -> Result<Self, Failure> {
        let unusable = |path: &PathBuf| {
            let path = path.clone();
            move |source| Failure::Certificate { path, source }
        };
        let given = match (&args.ingress_cert, &args.ingress_key) {
            (Some(cert), Some(key)) => {
                let read = |path: &PathBuf| {
                    std::fs::read(path).map_err(|source| Failure::File {
                        doing: "read",
                        path: path.clone(),
                        source,
                    })
                };
                Some(Certified::read(&read(cert)?, &read(key)?).map_err(unusable(cert))?)
            }
            _ => None,
        };
        let held = Certificates::new(given);
        let path = args.ingress_cert.clone().unwrap_or_default();
        let tls = server_config(Arc::clone(&held)).map_err(unusable(&path))?;
        Ok(Self { plain: args.ingress, encrypted: args.ingress_tls, tls, held })
    }
}

/// Who issues certificates for hosts, if anybody was named.
pub(super) fn issuer(args: &UpArgs) -> Result<Option<Arc<dyn Issuer>>, Failure> {
    let Some(directory) = args.acme_directory.clone() else { return Ok(None) };
    let acme = Acme::new(directory, args.acme_contact.as_deref(), args.acme_ca.as_deref())?;
    Ok(Some(Arc::new(acme)))
}

/// Keeps the certificates that are served in step with the state.
async fn keep_certificates(mirror: Mirror, source: Arc<dyn CertificateSource>, held: Arc<Certificates>) {
    let mut states = mirror.subscribe();
    let mut done = BTreeMap::new();
    let mut told = false;
    loop {
        let wanted = view::served_certificates(&states.borrow_and_update());
        if done != wanted {
            match source.certificates().await {
                Ok(served) => {
                    let mut hosts = BTreeMap::new();
                    for one in served {
                        match Certified::read(one.chain.as_bytes(), one.key.expose()) {
                            Ok(certified) => drop(hosts.insert(one.host, certified)),
                            Err(error) => {
                                tracing::warn!(host = one.host, %error, "a certificate cannot be served");
                            }
                        }
                    }
                    held.replace(hosts);
                    (done, told) = (wanted, false);
                }
                Err(reason) => {
                    if !std::mem::replace(&mut told, true) {
                        tracing::warn!(reason, "certificates of hosts cannot be had; trying again");
                    }
                    tokio::time::sleep(AGAIN).await;
                    states.mark_changed();
                }
            }
        }
        if states.changed().await.is_err() {
            return;
        }
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
