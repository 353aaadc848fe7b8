//! A node's own key, and the key together with its certificate.

use std::fmt;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use tokio_rustls::rustls::pki_types::{
    CertificateDer, CertificateSigningRequestDer, PrivateKeyDer, PrivatePkcs8KeyDer,
};
use univrs_model::Timestamp;
use zeroize::Zeroizing;

use crate::error::TrustError;
use crate::peer::Peer;

/// A node's own key. It is made on the node and stays there.
#[derive(Clone)]
pub struct NodeKey {
    pair: Arc<KeyPair>,
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("NodeKey(hidden)")
    }
}

impl NodeKey {
    /// A new key on the curve P-256, which every TLS library knows.
    ///
    /// # Errors
    /// When the operating system has no randomness.
    pub fn generate() -> Result<Self, TrustError> {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(TrustError::make("a key"))?;
        Ok(Self { pair: Arc::new(pair) })
    }

    /// The key in PKCS #8 DER, for its file.
    pub fn to_der(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.pair.serialize_der())
    }

    /// The key of a file.
    ///
    /// # Errors
    /// When it is not a key.
    pub fn from_der(der: &[u8]) -> Result<Self, TrustError> {
        let der = PrivatePkcs8KeyDer::from(der);
        let pair = KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ECDSA_P256_SHA256);
        Ok(Self { pair: Arc::new(pair.map_err(TrustError::read("the node's key"))?) })
    }

    /// A request for a certificate. It proves that whoever sends it holds the key; who they are is for the authority
    /// to say.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn request(&self) -> Result<CertificateSigningRequestDer<'static>, TrustError> {
        let params = CertificateParams::default();
        let request =
            params.serialize_request(&*self.pair).map_err(TrustError::make("a certificate request"))?;
        Ok(request.der().clone())
    }

    /// The public half, as it stands in certificates.
    pub fn public(&self) -> Vec<u8> {
        self.pair.public_key_raw().to_vec()
    }
}

/// What a node shows to others: its certificate, with the key that belongs to it, and the authority it trusts.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The node's key.
    pub key: NodeKey,
    /// The node's certificate, in DER.
    pub certificate: CertificateDer<'static>,
    /// The authority's certificate, in DER.
    pub authority: CertificateDer<'static>,
}

impl Credentials {
    /// What the certificate says of this node.
    ///
    /// # Errors
    /// When the certificate cannot be read or belongs to another key.
    pub fn peer(&self) -> Result<Peer, TrustError> {
        let peer = Peer::of(&self.certificate)?;
        if peer.public_key != self.key.public() {
            let reason = "it belongs to another key".to_owned();
            return Err(TrustError::Read { what: "the node's certificate", reason });
        }
        Ok(peer)
    }

    /// When the node should ask for the next certificate: after a third of this one's life, so that two attempts may
    /// fail before anyone notices.
    ///
    /// # Errors
    /// As [`Credentials::peer`].
    pub fn renew_at(&self) -> Result<Timestamp, TrustError> {
        let peer = self.peer()?;
        let life = peer.not_after.duration_since(peer.not_before);
        Ok(peer.not_before.saturating_add(life / 3).unwrap_or(peer.not_after))
    }

    pub(crate) fn private(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.pair.serialize_der()))
    }
}
