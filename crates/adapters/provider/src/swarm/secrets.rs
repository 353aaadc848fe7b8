//! Secrets of the swarm: it keeps them encrypted and gives them to containers as files in memory. They never change, so
//! a new value is another secret, and the service that uses it is started anew.

use std::collections::BTreeSet;

use base64::Engine as _;
use bollard::models::{Secret, SecretSpec};
use bollard::query_parameters::ListSecretsOptionsBuilder;
use univrs_docker::engine::{CONFLICT, Engine, NOT_FOUND, status, unless};
use univrs_model::workload::WorkloadSpec;
use univrs_ports::provider::{Order, ProviderError, ResourceRef};

use super::ID;
use super::desired::{Held, labels_of};
use crate::engine::labels;
use crate::engine::link::failed;

/// The secrets of a resource.
pub(super) async fn list(engine: &Engine, resource: &ResourceRef) -> Result<Vec<Secret>, ProviderError> {
    let options = ListSecretsOptionsBuilder::new().filters(&labels::filter(ID, resource)).build();
    engine.docker().list_secrets(Some(options)).await.map_err(failed(engine, "list secrets"))
}

/// Makes the secrets that a workload uses, each once for each value.
pub(super) async fn ensure(
    engine: &Engine,
    order: &Order,
    spec: &WorkloadSpec,
) -> Result<Vec<Held>, ProviderError> {
    let mut held = Vec::new();
    for uses in &spec.secrets {
        let Some(target) = &uses.file else { continue };
        let value = order.secrets.get(&uses.name).ok_or_else(|| {
            ProviderError::lasting(format!(
                "`{}` uses the secret `{}`, which there is none of",
                spec.name, uses.name
            ))
        })?;
        // A value cannot be read back, so its name tells whether it is the same.
        let name = format!(
            "univrs_{}",
            labels::digest(&(
                order.resource.id.as_str(),
                uses.name.as_str(),
                spec.name.as_str(),
                value.expose()
            ))
        );
        let id = match find(engine, &order.resource, &name).await? {
            Some(id) => id,
            None => {
                let wanted = SecretSpec {
                    name: Some(name.clone()),
                    labels: Some(labels_of(order, spec)),
                    data: Some(base64::engine::general_purpose::STANDARD.encode(value.expose())),
                    ..SecretSpec::default()
                };
                let made = engine.docker().create_secret(wanted).await;
                match unless(&[CONFLICT], made).map_err(failed(engine, "make a secret"))? {
                    Some(made) => made.id,
                    None => find(engine, &order.resource, &name).await?.ok_or_else(|| {
                        ProviderError::lasting(format!("the swarm has a secret `{name}` that is another's"))
                    })?,
                }
            }
        };
        held.push(Held { id, name, target: target.clone() });
    }
    Ok(held)
}

async fn find(engine: &Engine, resource: &ResourceRef, name: &str) -> Result<Option<String>, ProviderError> {
    let all = list(engine, resource).await?;
    let named = |secret: &Secret| secret.spec.as_ref().and_then(|spec| spec.name.as_deref()) == Some(name);
    Ok(all.into_iter().find(|secret| named(secret)).and_then(|secret| secret.id))
}

/// Removes the secrets of a resource, or those of one workload, that are none of `kept`. One that is in use stays.
pub(super) async fn sweep(
    engine: &Engine,
    resource: &ResourceRef,
    workload: Option<&str>,
    kept: &BTreeSet<String>,
) -> Result<(), ProviderError> {
    for secret in list(engine, resource).await? {
        let Some(id) = secret.id else { continue };
        let of = secret.spec.and_then(|spec| spec.labels).unwrap_or_default();
        if kept.contains(&id)
            || workload.is_some_and(|workload| labels::label(&of, labels::WORKLOAD) != workload)
        {
            continue;
        }
        match unless(&[NOT_FOUND], engine.docker().delete_secret(&id).await) {
            Ok(_) => {}
            Err(error) if status(&error) == Some(400) && workload.is_some() => {}
            Err(error) => return Err(failed(engine, "remove a secret")(error)),
        }
    }
    Ok(())
}
