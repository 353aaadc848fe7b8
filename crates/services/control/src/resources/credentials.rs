//! Showing the credentials of a resource: with permission, and never without a record of it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use univrs_authz::Action;
use univrs_model::caller::Caller;
use univrs_model::resource::{Resource, ResourceStatus, SecretKind};
use univrs_model::secret::SecretValue;

use super::{find, generated};
use crate::error::Error;
use crate::handle::{Control, Write};

/// What someone needs to reach a resource. Printing it shows the names of its fields only.
#[derive(Clone)]
pub struct Credentials(Map<String, Value>);

impl Credentials {
    /// The fields, in the template's words.
    pub fn expose(&self) -> &Map<String, Value> {
        &self.0
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_set().entries(self.0.keys()).finish()
    }
}

impl Control {
    /// The credentials of a resource. That they were shown is recorded before they are.
    ///
    /// # Errors
    /// When it does not exist, has none yet, or the caller may not.
    pub async fn resource_credentials(&self, caller: &Caller, wanted: &str) -> Result<Credentials, Error> {
        let allowed_by = self.allow(caller, Action::ResourceCredentials, &format!("resource/{wanted}"))?;
        let resource = find(&self.mirror.state(), caller, wanted)?;
        if matches!(resource.status, ResourceStatus::Provisioning | ResourceStatus::Failed)
            || resource.host.is_empty()
        {
            return Err(Error::Conflict {
                what: format!("resource `{}` has no credentials", resource.name),
                reason: "it has not been active yet".to_owned(),
                hint: Some(format!("see `univrs operation get {}`", resource.operation)),
            });
        }
        let credentials = Credentials(filled(&resource, &self.open_secrets(&resource)?)?);
        self.commit(Write {
            caller: caller.clone(),
            allowed_by,
            action: Action::ResourceCredentials,
            object: format!("resource/{}", resource.name),
            summary: format!("showed the credentials of resource {}", resource.name),
            guards: Vec::new(),
            ops: Vec::new(),
            event: None,
        })
        .await?;
        Ok(credentials)
    }
}

fn filled(
    resource: &Resource,
    secrets: &BTreeMap<univrs_model::name::Name, SecretValue>,
) -> Result<Map<String, Value>, Error> {
    let mut values = BTreeMap::from([("host".to_owned(), json!(resource.host))]);
    for (name, port) in &resource.ports {
        values.insert(format!("port.{name}"), json!(port));
        let host = resource.hosts.get(name).unwrap_or(&resource.host);
        values.insert(format!("host.{name}"), json!(host));
    }
    let text = |value: &SecretValue| String::from_utf8_lossy(value.expose()).into_owned();
    for wanted in &resource.deployment.secrets {
        let Some(value) = secrets.get(&wanted.name) else { continue };
        let key = &wanted.key;
        match wanted.kind {
            // The newest is the one to use.
            SecretKind::Logins { .. } => {
                if let Some(login) = generated::logins(value).last() {
                    values.insert(format!("secret.{key}.user"), json!(login.user));
                    values.insert(format!("secret.{key}.password"), json!(text(&login.password)));
                }
            }
            SecretKind::Password | SecretKind::HexKey => {
                values.insert(format!("secret.{key}"), json!(text(value)));
            }
        }
    }
    let filled = resource.deployment.credentials.iter().map(|(key, line)| {
        let value = univrs_template::value_of(line, &values).map_err(|reason| Error::Conflict {
            what: format!("the credentials of resource `{}` cannot be told", resource.name),
            reason,
            hint: None,
        })?;
        Ok((key.clone(), value))
    });
    filled.collect()
}
