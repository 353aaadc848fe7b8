//! What a certificate says of its node.

use tokio_rustls::rustls::pki_types::CertificateDer;
use univrs_model::Timestamp;
use univrs_model::ids::{ClusterId, NodeId};
use univrs_model::node::Role;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::error::TrustError;

/// The node that a certificate names. Says nothing about who signed it: that is for [`crate::tls`] to check first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its cluster.
    pub cluster: ClusterId,
    /// Its id.
    pub node: NodeId,
    /// What it may be.
    pub roles: Vec<Role>,
    /// From when the certificate is valid.
    pub not_before: Timestamp,
    /// Until when the certificate is valid.
    pub not_after: Timestamp,
    /// Its public key, as it stands in the certificate.
    pub public_key: Vec<u8>,
}

impl Peer {
    /// The node that a certificate names.
    ///
    /// # Errors
    /// [`TrustError::Stranger`] when it names none.
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Self, TrustError> {
        let stranger = |reason: &str| TrustError::Stranger { reason: reason.to_owned() };
        let (_, parsed) =
            X509Certificate::from_der(certificate).map_err(|_| stranger("it is not a certificate"))?;
        let names = parsed.subject_alternative_name().ok().flatten();
        let names = names.map(|names| names.value.general_names.as_slice()).unwrap_or_default();
        let [GeneralName::URI(uri)] = names else { return Err(stranger("it has not exactly one name")) };
        let path = uri.strip_prefix("spiffe://").and_then(|rest| rest.split_once("/node/"));
        let (cluster, node) = path.ok_or_else(|| stranger("its name is not that of a node"))?;
        let unit = parsed.subject().iter_organizational_unit().next().and_then(|unit| unit.as_str().ok());
        let roles = unit.unwrap_or_default().split('+').filter(|role| !role.is_empty());
        let roles = roles.map(str::parse::<Role>).collect::<Result<Vec<_>, _>>();
        let roles = roles.map_err(|_| stranger("it names a role that does not exist"))?;
        let time = |time: &x509_parser::time::ASN1Time| {
            Timestamp::from_second(time.timestamp()).map_err(|_| stranger("its time is out of range"))
        };
        Ok(Self {
            cluster: cluster.parse().map_err(|_| stranger("its cluster is not named as ours are"))?,
            node: node.parse().map_err(|_| stranger("its node is not named as ours are"))?,
            roles,
            not_before: time(&parsed.validity().not_before)?,
            not_after: time(&parsed.validity().not_after)?,
            public_key: parsed.public_key().subject_public_key.data.to_vec(),
        })
    }
}
