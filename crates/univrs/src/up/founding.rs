//! The first member of a cluster makes its authority, and gives itself its first certificate.

use std::time::{Duration, Instant};

use tokio_rustls::rustls::pki_types::CertificateDer;
use univrs_cli::UpArgs;
use univrs_control::{Control, Founding};
use univrs_model::Timestamp;
use univrs_model::member::{Member, Membership};
use univrs_model::secret::SecretValue;
use univrs_trust::{Authority, CertificateSigner, Credentials};

use crate::cluster::trust::Trust;
use crate::failure::Failure;
use crate::identity::{Identity, Standing};
use crate::up::node;

/// How long a store that cannot be used holds up the start.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pause before it is tried again.
const RETRY: Duration = Duration::from_millis(200);

/// Makes the authority unless there is one, and this node's certificate unless it has one.
pub(super) async fn found(
    args: &UpArgs,
    identity: &Identity,
    standing: &Standing,
    control: &Control,
    trust: &Trust,
    address: Option<String>,
    now: Timestamp,
) -> Result<(), Failure> {
    let key = trust.key()?;
    let end = Instant::now() + PATIENCE;
    while !control.has_authority() {
        let authority = Authority::create(&identity.cluster, now)?;
        let founder = Member {
            node: identity.node.clone(),
            name: standing.name.clone(),
            member: standing.member,
            roles: standing.roles.clone(),
            location: node::location(args),
            public_key: hex::encode(key.public()),
            address: address.clone(),
            block: identity.range.clone(),
            joined_at: now,
            removed_at: None,
        };
        let membership = Membership {
            next_member: standing.member.unwrap_or(0) + 1,
            cluster_cidr: standing.cluster_cidr.clone(),
            voters: args.voters,
        };
        let founding = Founding {
            cluster: identity.cluster.clone(),
            certificate: authority.certificate().to_vec(),
            key: SecretValue::new(authority.key().to_vec()),
            founder,
            membership,
        };
        // Once it is there, further attempts write nothing.
        match control.found(founding).await {
            Ok(()) => {
                tracing::info!(authority = %authority.fingerprint(), "made the authority of this cluster")
            }
            Err(univrs_control::Error::Store(error)) if error.is_retryable() && Instant::now() < end => {
                tracing::warn!(%error, "the authority of this cluster is not there yet; trying again");
            }
            Err(error) => return Err(error.into()),
        }
        if !control.has_authority() {
            tokio::time::sleep(RETRY).await;
        }
    }
    if trust.credentials().is_some() {
        return Ok(());
    }
    let certificate = control.renew(&CertificateSigner, &identity.node, &key.request()?)?;
    let authority = control.authority_certificate()?;
    trust.replace(Credentials {
        key,
        certificate: CertificateDer::from(certificate),
        authority: CertificateDer::from(authority),
    })
}
