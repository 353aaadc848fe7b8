//! The key that opens secrets: made with the node, kept beside the store, and never made anew once it is in use.

use std::sync::Arc;
use std::time::{Duration, Instant};

use univrs_model::keys;
use univrs_model::node::Role;
use univrs_model::secret::ValidatorKey;
use univrs_ports::seal::Sealer;
use univrs_ports::store::{Consistency, Key, StateStore, Txn};
use univrs_seal::{ValidatorSealer, key_file};

use crate::failure::Failure;
use crate::identity::{DataDir, Identity, Standing};

/// How long a store that cannot be used holds up the start.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pause before it is tried again.
const RETRY: Duration = Duration::from_millis(200);

/// The public half of this node's key, which is made when there is none: what is sent with a request to join.
pub(super) fn prepare(dir: &DataDir, identity: &Identity) -> Result<ValidatorKey, Failure> {
    Ok(sealer(dir, identity, false)?.public_key())
}

fn sealer(dir: &DataDir, identity: &Identity, in_use: bool) -> Result<ValidatorSealer, Failure> {
    let path = dir.secrets_key();
    let fail = |reason: String| Failure::SecretsKey { path: path.clone(), reason };
    let private = match (key_file::read(&path).map_err(|error| fail(said(&error)))?, in_use) {
        (Some(private), _) => private,
        (None, false) => key_file::create(&path).map_err(|error| fail(said(&error)))?,
        (None, true) => return Err(fail("it is not there".to_owned())),
    };
    ValidatorSealer::new(identity.node.clone(), &private).map_err(|error| fail(error.to_string()))
}

/// Opens the key, or makes it for a node that never had one, and on a validator makes its public half known. On other
/// nodes it opens nothing.
///
/// # Errors
/// [`Failure::SecretsKey`] when the key that this node's secrets were sealed with is not there: with another one
/// they would be lost in silence.
pub(super) async fn open(
    dir: &DataDir,
    identity: &Identity,
    standing: &Standing,
    store: &dyn StateStore,
) -> Result<Arc<dyn Sealer>, Failure> {
    if !standing.roles.contains(&Role::Validator) && standing.joined {
        return Ok(Arc::new(sealer(dir, identity, false)?));
    }
    let at = Key::new(keys::validator_key(&identity.node))?;
    let known = store.get(&at, Consistency::LOCAL).await?;
    let sealer = sealer(dir, identity, known.is_some())?;
    let fail = |reason: String| Failure::SecretsKey { path: dir.secrets_key(), reason };
    let public = serde_json::to_vec(&sealer.public_key()).map_err(|error| fail(error.to_string()))?;
    match known {
        Some(known) if known.value[..] != public[..] => {
            return Err(fail("it is another key than the one that the secrets were sealed with".to_owned()));
        }
        Some(_) => {}
        // When it came there meanwhile, the guard fails and nothing is written.
        None => make_known(store, &Txn::create(at, public)).await?,
    }
    Ok(Arc::new(sealer))
}

/// Writes it, again for a while where the store cannot be used: a machine that stands still loses its own quorum.
async fn make_known(store: &dyn StateStore, txn: &Txn) -> Result<(), Failure> {
    let end = Instant::now() + PATIENCE;
    loop {
        match store.txn(txn.clone()).await {
            Ok(_) => return Ok(()),
            Err(error) if error.is_retryable() && Instant::now() < end => {
                tracing::warn!(%error, "the key of this validator is not known yet; trying again");
                tokio::time::sleep(RETRY).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// An error with its cause.
fn said(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}
