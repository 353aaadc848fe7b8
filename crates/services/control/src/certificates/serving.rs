//! Opens the private keys of certificates for the ingresses of nodes that may have them.

use std::sync::Arc;

use async_trait::async_trait;
use univrs_model::secret::Binding;
use univrs_ports::issuer::{CertificateSource, ServedCertificate};
use univrs_ports::seal::Sealer;

use crate::mirror::Mirror;
use crate::view;

/// Certificates out of the picture of this process, opened when asked for and kept nowhere.
pub struct LocalCertificates {
    mirror: Mirror,
    sealer: Arc<dyn Sealer>,
}

impl LocalCertificates {
    /// Those of the state that `mirror` shows.
    pub fn new(mirror: Mirror, sealer: Arc<dyn Sealer>) -> Self {
        Self { mirror, sealer }
    }
}

#[async_trait]
impl CertificateSource for LocalCertificates {
    async fn certificates(&self) -> Result<Vec<ServedCertificate>, String> {
        let state = self.mirror.state();
        let name = super::name(super::CERTIFICATE).map_err(|error| error.to_string())?;
        let mut served = Vec::new();
        for host in view::served_certificates(&state).into_keys() {
            let known = state.certificates.get(&host);
            let Some((org, issued)) = known.and_then(|known| Some((&known.org, known.issued.as_ref()?)))
            else {
                continue;
            };
            let binding = Binding { org, name: &name, version: &issued.version };
            let Some(key) = state.data_keys.get(&issued.key) else { continue };
            match self.sealer.open(key, &binding, &issued.sealed) {
                Ok(key) => served.push(ServedCertificate { chain: issued.chain.clone(), key, host }),
                // The others are served all the same.
                Err(error) => tracing::warn!(host, %error, "a certificate's key does not open"),
            }
        }
        Ok(served)
    }
}
