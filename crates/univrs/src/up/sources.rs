//! Where this node has sealed values from: a validator opens them itself, others ask one.

use std::sync::Arc;

use univrs_control::{LocalCertificates, LocalSecrets, Mirror};
use univrs_ports::issuer::CertificateSource;
use univrs_ports::seal::Sealer;
use univrs_ports::secrets::SecretSource;

use crate::cluster::asking::{Asking, RemoteCertificates, RemoteSecrets};

/// Secrets of this node's instances, and certificates of the hosts it serves.
pub(super) struct Sources {
    pub(super) secrets: Arc<dyn SecretSource>,
    pub(super) certificates: Arc<dyn CertificateSource>,
    /// Both of them opened here, on a validator: for nodes that ask it.
    pub(super) opened: Option<(Arc<LocalSecrets>, Arc<LocalCertificates>)>,
}

/// Those of a validator, or of a node that asks one.
pub(super) fn of(
    is_validator: bool,
    mirror: &Mirror,
    sealer: Arc<dyn Sealer>,
    asking: &Arc<Asking>,
) -> Sources {
    if !is_validator {
        return Sources {
            secrets: Arc::new(RemoteSecrets(Arc::clone(asking))),
            certificates: Arc::new(RemoteCertificates(Arc::clone(asking))),
            opened: None,
        };
    }
    let secrets = Arc::new(LocalSecrets::new(mirror.clone(), Arc::clone(&sealer)));
    let certificates = Arc::new(LocalCertificates::new(mirror.clone(), sealer));
    Sources {
        secrets: Arc::clone(&secrets) as _,
        certificates: Arc::clone(&certificates) as _,
        opened: Some((secrets, certificates)),
    }
}
