//! Certificates as the control plane asks for them.

use tokio_rustls::rustls::pki_types::{CertificateDer, CertificateSigningRequestDer};
use univrs_ports::authority::{self, AuthorityError, Issued, Signer};

use crate::authority::{Authority, LEAF_LIFETIME, Subject};
use crate::peer::Peer;

/// Issues certificates that live for [`LEAF_LIFETIME`].
#[derive(Clone, Copy, Debug, Default)]
pub struct CertificateSigner;

impl Signer for CertificateSigner {
    fn issue(
        &self,
        authority: &authority::Authority<'_>,
        request: &[u8],
        subject: &authority::Subject<'_>,
    ) -> Result<Issued, AuthorityError> {
        let certificate = CertificateDer::from(authority.certificate.to_vec());
        let opened = Authority::open(authority.cluster.clone(), certificate, authority.key);
        let opened = opened.map_err(|error| AuthorityError::Unusable { reason: error.to_string() })?;
        let whom = Subject { node: subject.node.clone(), roles: subject.roles.to_vec() };
        let request = CertificateSigningRequestDer::from(request);
        let refused = |reason: String| AuthorityError::Request { reason };
        let issued = opened.issue(&request, &whom, subject.now, LEAF_LIFETIME);
        let issued = issued.map_err(|error| refused(error.to_string()))?;
        let peer = Peer::of(&issued).map_err(|error| refused(error.to_string()))?;
        Ok(Issued { certificate: issued.to_vec(), public_key: peer.public_key })
    }
}
