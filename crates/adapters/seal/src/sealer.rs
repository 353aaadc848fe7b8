//! Sealing and opening. See the crate's table for the ciphers.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hpke::{Deserializable as _, Kem as _, OpModeR, OpModeS, Serializable as _};
use univrs_model::Timestamp;
use univrs_model::ids::{DataKeyId, NodeId};
use univrs_model::name::Name;
use univrs_model::secret::{Binding, DataKey, SecretValue, ValidatorKey};
use univrs_ports::seal::{SealError, Sealer};
use zeroize::Zeroizing;

use crate::key_file::LENGTH;

type Kem = hpke::kem::X25519HkdfSha256;
type Kdf = hpke::kdf::HkdfSha256;
type Aead = hpke::aead::ChaCha20Poly1305;

/// Tells these keys from others that the same validator may use one day.
const INFO: &[u8] = b"univrs data key v1";
/// First part of what a value is bound to.
const CONTEXT: &[u8] = b"univrs secret v1";
/// Bytes of a nonce of XChaCha20-Poly1305.
const NONCE: usize = 24;
/// Bytes of an encapsulated X25519 key.
const ENCAPSULATED: usize = 32;

/// Seals with one validator's private key.
pub struct ValidatorSealer {
    node: NodeId,
    private: <Kem as hpke::Kem>::PrivateKey,
    public: ValidatorKey,
}

impl ValidatorSealer {
    /// Seals as `node`, whose private key this is.
    ///
    /// # Errors
    /// When the bytes are no X25519 key.
    pub fn new(node: NodeId, private: &[u8; LENGTH]) -> Result<Self, SealError> {
        let private = <Kem as hpke::Kem>::PrivateKey::from_bytes(private)
            .map_err(|_| SealError::BadKey { node: node.clone() })?;
        let public = ValidatorKey { public: BASE64.encode(Kem::sk_to_pk(&private).to_bytes()) };
        Ok(Self { node, private, public })
    }

    fn unwrap_key(&self, key: &DataKey) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let wrapped =
            key.wrapped.get(&self.node).ok_or_else(|| SealError::NotShared { key: key.id.to_string() })?;
        let altered = || SealError::Altered { what: format!("data key {}", key.id) };
        let bytes = BASE64.decode(wrapped).map_err(|_| altered())?;
        let (encapsulated, sealed) = bytes.split_at_checked(ENCAPSULATED).ok_or_else(altered)?;
        let encapsulated =
            <Kem as hpke::Kem>::EncappedKey::from_bytes(encapsulated).map_err(|_| altered())?;
        let bound = bound_key(key, &self.node);
        hpke::single_shot_open::<Aead, Kdf, Kem>(
            &OpModeR::Base,
            &self.private,
            &encapsulated,
            INFO,
            sealed,
            &bound,
        )
        .map(Zeroizing::new)
        .map_err(|_| altered())
    }

    fn cipher(&self, key: &DataKey) -> Result<XChaCha20Poly1305, SealError> {
        let bytes = self.unwrap_key(key)?;
        XChaCha20Poly1305::new_from_slice(&bytes)
            .map_err(|_| SealError::Altered { what: format!("data key {}", key.id) })
    }
}

/// Wraps `plain` to each validator.
fn wrap(
    key: &DataKey,
    plain: &[u8],
    validators: &BTreeMap<NodeId, ValidatorKey>,
) -> Result<BTreeMap<NodeId, String>, SealError> {
    validators
        .iter()
        .map(|(node, validator)| {
            let bad = || SealError::BadKey { node: node.clone() };
            let public = BASE64.decode(&validator.public).map_err(|_| bad())?;
            let public = <Kem as hpke::Kem>::PublicKey::from_bytes(&public).map_err(|_| bad())?;
            let bound = bound_key(key, node);
            let (encapsulated, sealed) =
                hpke::single_shot_seal::<Aead, Kdf, Kem>(&OpModeS::Base, &public, INFO, plain, &bound)
                    .map_err(|_| bad())?;
            let bytes = [&encapsulated.to_bytes()[..], &sealed].concat();
            Ok((node.clone(), BASE64.encode(bytes)))
        })
        .collect()
}

impl Sealer for ValidatorSealer {
    fn public_key(&self) -> ValidatorKey {
        self.public.clone()
    }

    fn new_data_key(
        &self,
        org: &Name,
        validators: &BTreeMap<NodeId, ValidatorKey>,
        now: Timestamp,
    ) -> Result<DataKey, SealError> {
        let id = DataKeyId::from_bits(rand::random());
        let empty = DataKey { id, org: org.clone(), created_at: now, wrapped: BTreeMap::new() };
        let plain = Zeroizing::new(rand::random::<[u8; 32]>());
        Ok(DataKey { wrapped: wrap(&empty, &*plain, validators)?, ..empty })
    }

    fn share(
        &self,
        key: &DataKey,
        validators: &BTreeMap<NodeId, ValidatorKey>,
    ) -> Result<DataKey, SealError> {
        let plain = self.unwrap_key(key)?;
        Ok(DataKey { wrapped: wrap(key, &plain, validators)?, ..key.clone() })
    }

    fn seal(&self, key: &DataKey, binding: &Binding<'_>, value: &SecretValue) -> Result<String, SealError> {
        let nonce = rand::random::<[u8; NONCE]>();
        let bound = bound_value(key, binding);
        let payload = Payload { msg: value.expose(), aad: &bound };
        let sealed = self
            .cipher(key)?
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| SealError::Failed { step: "seal a value" })?;
        Ok(BASE64.encode([&nonce[..], &sealed].concat()))
    }

    fn open(&self, key: &DataKey, binding: &Binding<'_>, sealed: &str) -> Result<SecretValue, SealError> {
        let altered = || SealError::Altered { what: format!("secret {}", binding.name) };
        let bytes = BASE64.decode(sealed).map_err(|_| altered())?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE>().ok_or_else(altered)?;
        let bound = bound_value(key, binding);
        let payload = Payload { msg: sealed, aad: &bound };
        let plain = self.cipher(key)?.decrypt(&XNonce::from(*nonce), payload).map_err(|_| altered())?;
        Ok(SecretValue::new(plain))
    }
}

/// What a wrapped key is bound to: organisation, key and validator.
fn bound_key(key: &DataKey, node: &NodeId) -> Vec<u8> {
    joined(&[key.org.as_str(), key.id.as_str(), node.as_str()])
}

/// What a value is bound to: organisation, key, name, id and version.
fn bound_value(key: &DataKey, binding: &Binding<'_>) -> Vec<u8> {
    let version = binding.version.to_string();
    let parts = [binding.org.as_str(), key.id.as_str(), binding.name.as_str(), version.as_str()];
    [CONTEXT, &joined(&parts)].concat()
}

/// Parts after their lengths, so that no two lists of parts give the same bytes.
fn joined(parts: &[&str]) -> Vec<u8> {
    let lengths = parts.iter().map(|part| (part.len() as u64).to_be_bytes());
    lengths.zip(parts).flat_map(|(length, part)| [&length[..], part.as_bytes()].concat()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use univrs_model::Timestamp;
    use univrs_model::ids::{NodeId, SecretId};
    use univrs_model::name::Name;
    use univrs_model::secret::{Binding, DataKey, SecretValue, SecretVersion, ValidatorKey};
    use univrs_ports::seal::{SealError, Sealer as _};

    use super::ValidatorSealer;

    fn validator(number: u8) -> (NodeId, ValidatorSealer) {
        let node = NodeId::from_bits(u128::from(number));
        let sealer = ValidatorSealer::new(node.clone(), &[number; 32]).unwrap();
        (node, sealer)
    }

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn version(number: u64) -> SecretVersion {
        SecretVersion { secret: SecretId::from_bits(5), version: number }
    }

    fn key_for(members: &[&(NodeId, ValidatorSealer)]) -> (DataKey, BTreeMap<NodeId, ValidatorKey>) {
        let keys: BTreeMap<_, _> =
            members.iter().map(|(node, sealer)| (node.clone(), sealer.public_key())).collect();
        (members[0].1.new_data_key(&name("acme"), &keys, Timestamp::UNIX_EPOCH).unwrap(), keys)
    }

    #[test]
    fn every_validator_opens_and_no_other() {
        let (first, second, stranger) = (validator(1), validator(2), validator(3));
        let (key, mut keys) = key_for(&[&first, &second]);
        let (org, secret, version) = (name("acme"), name("db"), version(1));
        let binding = Binding { org: &org, name: &secret, version: &version };
        let value = SecretValue::new(b"canary".to_vec());
        let sealed = first.1.seal(&key, &binding, &value).unwrap();
        assert_eq!(second.1.open(&key, &binding, &sealed).unwrap(), value);
        assert!(matches!(stranger.1.open(&key, &binding, &sealed), Err(SealError::NotShared { .. })));
        keys.insert(stranger.0.clone(), stranger.1.public_key());
        let shared = second.1.share(&key, &keys).unwrap();
        assert_eq!(stranger.1.open(&shared, &binding, &sealed).unwrap(), value);
    }

    #[test]
    fn a_sealed_value_opens_in_its_own_place_only() {
        let me = validator(1);
        let (key, _) = key_for(&[&me]);
        let (acme, umbrella, db, api) = (name("acme"), name("umbrella"), name("db"), name("api"));
        let (one, two) = (version(1), version(2));
        let at = |org, name, version| Binding { org, name, version };
        let sealed = me.1.seal(&key, &at(&acme, &db, &one), &SecretValue::new(b"x".to_vec())).unwrap();
        for elsewhere in [at(&umbrella, &db, &one), at(&acme, &api, &one), at(&acme, &db, &two)] {
            assert!(matches!(me.1.open(&key, &elsewhere, &sealed), Err(SealError::Altered { .. })));
        }
        let (other, _) = key_for(&[&me]);
        assert!(me.1.open(&other, &at(&acme, &db, &one), &sealed).is_err(), "another data key");
        let moved = DataKey { org: umbrella.clone(), ..key.clone() };
        assert!(me.1.open(&moved, &at(&acme, &db, &one), &sealed).is_err(), "another organisation's key");
    }

    #[test]
    fn the_same_value_never_looks_the_same() {
        let me = validator(1);
        let (key, _) = key_for(&[&me]);
        let (org, secret, version) = (name("acme"), name("db"), version(1));
        let binding = Binding { org: &org, name: &secret, version: &version };
        let seal = || me.1.seal(&key, &binding, &SecretValue::new(b"x".to_vec())).unwrap();
        assert_ne!(seal(), seal());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_change_is_noticed(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in any::<usize>(), bit in 0_u8..6) {
            let me = validator(1);
            let (key, _) = key_for(&[&me]);
            let (org, secret, version) = (name("acme"), name("db"), version(1));
            let binding = Binding { org: &org, name: &secret, version: &version };
            let value = SecretValue::new(bytes);
            let sealed = me.1.seal(&key, &binding, &value).unwrap();
            prop_assert_eq!(me.1.open(&key, &binding, &sealed).unwrap(), value);
            let mut changed = sealed.into_bytes();
            let at = at % changed.len();
            changed[at] ^= 1 << bit;
            let changed = String::from_utf8(changed).unwrap();
            let is_altered = matches!(me.1.open(&key, &binding, &changed), Err(SealError::Altered { .. }));
            prop_assert!(is_altered);
        }
    }
}
