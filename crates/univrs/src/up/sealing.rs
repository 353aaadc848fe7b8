//! The key that opens secrets: made with the node, kept beside the store, and never made anew once it is in use.

use std::sync::Arc;

use univrs_model::keys;
use univrs_ports::seal::Sealer;
use univrs_ports::store::{Consistency, Key, StateStore, Txn};
use univrs_seal::{ValidatorSealer, key_file};

use crate::failure::Failure;
use crate::identity::{DataDir, Identity};

/// Opens the key, or makes it for a node that never had one, and makes its public half known.
///
/// # Errors
/// [`Failure::SecretsKey`] when the key that this node's secrets were sealed with is not there: with another one
/// they would be lost in silence.
pub(super) async fn open(
    dir: &DataDir,
    identity: &Identity,
    store: &dyn StateStore,
) -> Result<Arc<dyn Sealer>, Failure> {
    let path = dir.secrets_key();
    let fail = |reason: String| Failure::SecretsKey { path: path.clone(), reason };
    let at = Key::new(keys::validator_key(&identity.node))?;
    let known = store.get(&at, Consistency::Linearizable).await?;
    let private = match (key_file::read(&path).map_err(|error| fail(said(&error)))?, &known) {
        (Some(private), _) => private,
        (None, None) => key_file::create(&path).map_err(|error| fail(said(&error)))?,
        (None, Some(_)) => return Err(fail("it is not there".to_owned())),
    };
    let sealer =
        ValidatorSealer::new(identity.node.clone(), &private).map_err(|error| fail(error.to_string()))?;
    let public = serde_json::to_vec(&sealer.public_key()).map_err(|error| fail(error.to_string()))?;
    match known {
        Some(known) if known.value[..] != public[..] => {
            return Err(fail("it is another key than the one that the secrets were sealed with".to_owned()));
        }
        Some(_) => {}
        // When it came there meanwhile, the guard fails and nothing is written.
        None => drop(store.txn(Txn::create(at, public)).await?),
    }
    Ok(Arc::new(sealer))
}

/// An error with its cause.
fn said(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}
