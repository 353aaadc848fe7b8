//! Secrets that are generated for resources: made here, sealed at once, and opened for providers and for who may see
//! credentials.

use std::collections::BTreeMap;

use univrs_model::keys;
use univrs_model::name::Name;
use univrs_model::resource::{GeneratedSecret, Resource, SecretKind};
use univrs_model::secret::{Binding, Secret, SecretValue};
use univrs_ports::store::{Consistency, Txn, TxnOutcome};

use crate::error::Error;
use crate::handle::Control;
use crate::record::{Record, delete, key, put, unchanged};
use crate::state::OrgName;

/// How long passwords are: 62^32 is about 2^190.
const PASSWORD_LENGTH: usize = 32;
const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// One login of a resource.
#[derive(Clone, Debug)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: SecretValue,
}

fn password() -> String {
    // Bytes beyond the last whole multiple would favour some letters.
    let fair = (256 / LETTERS.len() * LETTERS.len()) as u8;
    let mut text = String::with_capacity(PASSWORD_LENGTH);
    while text.len() < PASSWORD_LENGTH {
        let byte: u8 = rand::random();
        if byte < fair {
            text.push(char::from(LETTERS[usize::from(byte) % LETTERS.len()]));
        }
    }
    text
}

/// A first value.
fn first(kind: &SecretKind) -> SecretValue {
    SecretValue::new(match kind {
        SecretKind::Logins { user } => format!("{user}1:{}\n", password()).into_bytes(),
        SecretKind::Password => password().into_bytes(),
        SecretKind::HexKey => hex::encode(rand::random::<[u8; 32]>()).into_bytes(),
    })
}

/// The logins of a secret, oldest first.
pub(super) fn logins(value: &SecretValue) -> Vec<Login> {
    let text = String::from_utf8_lossy(value.expose());
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    lines
        .map(|(user, password)| Login { user: user.to_owned(), password: SecretValue::new(password.into()) })
        .collect()
}

fn written(logins: &[Login]) -> SecretValue {
    let mut bytes = Vec::new();
    for login in logins {
        bytes.extend_from_slice(login.user.as_bytes());
        bytes.push(b':');
        bytes.extend_from_slice(login.password.expose());
        bytes.push(b'\n');
    }
    SecretValue::new(bytes)
}

/// What becomes of a generated secret when it is rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// A new login beside the old one; other kinds get their new value.
    Add {
        /// Counts the rotation's logins, so that the same turn again adds nothing.
        number: u64,
    },
    /// Only the newest login is left.
    Retire,
    /// Only the oldest login is left: the rotation is taken back.
    TakeBack,
}

/// The number at the end of a login's name.
pub(super) fn number(login: &Login) -> u64 {
    let digits = login.user.trim_start_matches(|c: char| !c.is_ascii_digit());
    digits.parse().unwrap_or(0)
}

fn turned(kind: &SecretKind, value: &SecretValue, turn: Turn) -> Option<SecretValue> {
    let SecretKind::Logins { user } = kind else {
        return matches!(turn, Turn::Add { .. }).then(|| first(kind));
    };
    let mut known = logins(value);
    match turn {
        Turn::Add { number: wanted } => {
            if known.iter().any(|login| number(login) >= wanted) {
                return None;
            }
            known.push(Login {
                user: format!("{user}{wanted}"),
                password: SecretValue::new(password().into()),
            });
        }
        Turn::Retire if known.len() > 1 => drop(known.drain(..known.len() - 1)),
        Turn::TakeBack if known.len() > 1 => known.truncate(1),
        Turn::Retire | Turn::TakeBack => return None,
    }
    Some(written(&known))
}

impl Control {
    /// Makes the resource's secrets that are not there yet.
    pub(super) async fn generate_secrets(&self, resource: &Resource) -> Result<(), Error> {
        for wanted in &resource.deployment.secrets {
            self.keep_secret(resource, wanted, |known| known.is_none().then(|| first(&wanted.kind))).await?;
        }
        Ok(())
    }

    /// Turns the resource's secrets.
    pub(super) async fn turn_secrets(&self, resource: &Resource, turn: Turn) -> Result<(), Error> {
        for wanted in &resource.deployment.secrets {
            self.keep_secret(resource, wanted, |known| turned(&wanted.kind, known?, turn)).await?;
        }
        Ok(())
    }

    /// Writes what `next` says of a secret's present value, if it says anything.
    async fn keep_secret(
        &self,
        resource: &Resource,
        wanted: &GeneratedSecret,
        next: impl Fn(Option<&SecretValue>) -> Option<SecretValue> + Send + Sync,
    ) -> Result<(), Error> {
        let at = OrgName { org: resource.org.clone(), name: wanted.name.clone() };
        let path = keys::secret(&at.org, &at.name);
        loop {
            let stored = self.store.get(&key(path.clone())?, Consistency::Linearizable).await?;
            let known = stored.map(|stored| Record::<Secret>::decode(&path, &stored)).transpose()?;
            if known.as_ref().is_some_and(|known| known.resource.as_ref() != Some(&resource.id)) {
                return Err(taken(&wanted.name));
            }
            let value = known.as_ref().map(|known| self.open_newest(known)).transpose()?;
            let Some(value) = next(value.as_ref()) else { return Ok(()) };
            let mut guards = vec![unchanged(path.clone(), known.as_ref().map(|known| known.revision))?];
            let mut ops = Vec::new();
            let data_key = self.data_key(&self.mirror.state(), &at.org, &mut guards, &mut ops)?;
            let mut secret = self.with_value(known.as_ref(), &at, &data_key, &value)?;
            secret.resource = Some(resource.id.clone());
            ops.push(put(path.clone(), &secret)?);
            match self.store.txn(Txn { request: None, guards, ops }).await? {
                TxnOutcome::Committed { revision } => {
                    self.mirror.at_least(revision).await;
                    return Ok(());
                }
                TxnOutcome::GuardFailed { actual_mod_revision, .. } => {
                    self.mirror.at_least(actual_mod_revision.unwrap_or_default()).await;
                }
            }
        }
    }

    /// Removes every secret that was generated for the resource.
    pub(super) async fn remove_secrets(&self, resource: &Resource) -> Result<(), Error> {
        loop {
            let state = self.mirror.state();
            let own = state.secrets.iter().filter(|(at, secret)| {
                at.org == resource.org && secret.resource.as_ref() == Some(&resource.id)
            });
            let mut guards = Vec::new();
            let mut ops = Vec::new();
            for (at, secret) in own {
                let path = keys::secret(&at.org, &at.name);
                guards.push(unchanged(path.clone(), Some(secret.revision))?);
                ops.push(delete(path)?);
            }
            if ops.is_empty() {
                return Ok(());
            }
            match self.store.txn(Txn { request: None, guards, ops }).await? {
                TxnOutcome::Committed { revision } => drop(self.mirror.at_least(revision).await),
                TxnOutcome::GuardFailed { actual_mod_revision, .. } => {
                    drop(self.mirror.at_least(actual_mod_revision.unwrap_or_default()).await);
                }
            }
        }
    }

    /// The values of the resource's secrets.
    pub(super) fn open_secrets(&self, resource: &Resource) -> Result<BTreeMap<Name, SecretValue>, Error> {
        let state = self.mirror.state();
        let open = |wanted: &GeneratedSecret| {
            let at = OrgName { org: resource.org.clone(), name: wanted.name.clone() };
            let known = state.secrets.get(&at).filter(|known| known.resource.as_ref() == Some(&resource.id));
            let known = known.ok_or_else(|| Error::NotFound {
                kind: "secret",
                name: wanted.name.to_string(),
                near: None,
            })?;
            Ok((wanted.name.clone(), self.open_newest(known)?))
        };
        resource.deployment.secrets.iter().map(open).collect()
    }

    /// The newest value of an organisation's secret; nothing where there is none that can be opened.
    pub(crate) fn newest_of(&self, org: &Name, name: &Name) -> Option<SecretValue> {
        let state = self.mirror.state();
        let known = state.secrets.get(&OrgName { org: org.clone(), name: name.clone() })?;
        self.open_newest(known).ok()
    }

    fn open_newest(&self, secret: &Record<Secret>) -> Result<SecretValue, Error> {
        let version = secret.newest();
        let missing = || Error::NotFound { kind: "secret", name: secret.name.to_string(), near: None };
        let sealed = secret.versions.last().ok_or_else(missing)?;
        let state = self.mirror.state();
        let data_key = state.data_keys.get(&sealed.key).ok_or_else(missing)?;
        let binding = Binding { org: &secret.org, name: &secret.name, version: &version };
        Ok(self.sealer.open(data_key, &binding, &sealed.sealed)?)
    }
}

/// Someone else's secret has the name.
pub(super) fn taken(name: &Name) -> Error {
    Error::Conflict {
        what: format!("secret `{name}` cannot be generated"),
        reason: "there is one of that name already".to_owned(),
        hint: Some("choose another name for the resource, or remove the secret".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use univrs_model::resource::SecretKind;

    use super::{Turn, first, logins, password, turned};

    #[test]
    fn passwords_differ_and_are_long() {
        let (one, two) = (password(), password());
        assert_eq!(one.len(), 32);
        assert!(one.bytes().all(|b| b.is_ascii_alphanumeric()));
        assert_ne!(one, two);
    }

    #[test]
    fn old_and_new_logins_are_good_during_a_rotation() {
        let kind = SecretKind::Logins { user: "app".into() };
        let users = |value: &_| logins(value).into_iter().map(|login| login.user).collect::<Vec<_>>();
        let begun = first(&kind);
        assert_eq!(users(&begun), ["app1"]);
        let both = turned(&kind, &begun, Turn::Add { number: 2 }).unwrap();
        assert_eq!(users(&both), ["app1", "app2"]);
        assert_eq!(turned(&kind, &both, Turn::Add { number: 2 }), None);
        let after = turned(&kind, &both, Turn::Retire).unwrap();
        assert_eq!(users(&after), ["app2"]);
        assert_eq!(turned(&kind, &after, Turn::Retire), None);
        assert_eq!(users(&turned(&kind, &both, Turn::TakeBack).unwrap()), ["app1"]);
    }
}
