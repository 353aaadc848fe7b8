//! The secrets of this node's instances, on their way into containers.
//!
//! Values are asked for at each start and kept nowhere but in the files that containers read, which lie in memory:
//!
//! ```text
//! <dir>/<instance>/<container>/<number>        one file per secret, its owner the container's user
//! <dir>/<instance>/<container>/delivered.json  which values they are (not the values)
//! ```

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use univrs_model::ids::{InstanceId, NodeId};
use univrs_model::instance::InstanceOrder;
use univrs_model::name::Name;
use univrs_model::secret::{SecretValue, SecretVersion};
use univrs_ports::secrets::{DeliveredSecret, SecretError, SecretSource};

/// Which values a container was given.
const DELIVERED: &str = "delivered.json";

/// Values by the name of their secret.
pub(crate) type Values = BTreeMap<Name, DeliveredSecret>;
/// The values that containers were given, by the container's name.
pub(crate) type Delivered = BTreeMap<Name, BTreeMap<Name, SecretVersion>>;

/// Where secrets come from and where their files go.
#[derive(Clone)]
pub struct Secrets {
    /// Hands out the values.
    pub source: Arc<dyn SecretSource>,
    /// The node they are for.
    pub node: NodeId,
    /// A directory in memory; absent where containers are not real.
    pub dir: Option<PathBuf>,
}

/// What a container gets.
#[derive(Debug, Default)]
pub(crate) struct ForContainer {
    /// Variables.
    pub(crate) env: BTreeMap<String, SecretValue>,
    /// Files, as (file of the host, path in the container).
    pub(crate) files: Vec<(PathBuf, PathBuf)>,
    /// Which values these are.
    pub(crate) versions: BTreeMap<Name, SecretVersion>,
}

impl Secrets {
    /// The values that an instance uses; nobody is asked when it uses none.
    pub(crate) async fn values(&self, order: &InstanceOrder) -> Result<Values, SecretError> {
        if order.spec.secrets.is_empty() {
            return Ok(Values::new());
        }
        self.source.secrets(&self.node, &order.assignment.id).await
    }

    /// Writes a container's files anew and answers all it gets.
    pub(crate) fn deliver(
        &self,
        order: &InstanceOrder,
        container: &Name,
        values: &Values,
    ) -> io::Result<ForContainer> {
        let mut made = ForContainer::default();
        for (number, uses) in order.spec.secrets.iter().enumerate() {
            let Some(delivered) = values.get(&uses.name) else { continue };
            made.versions.insert(uses.name.clone(), delivered.version.clone());
            if let Some(env) = &uses.env {
                made.env.insert(env.clone(), delivered.value.clone());
            }
            if let (Some(file), Some(dir)) = (&uses.file, self.dir_of(&order.assignment.id, container)) {
                let path = dir.join(number.to_string());
                write_anew(&path, delivered.value.expose())?;
                made.files.push((path, PathBuf::from(file)));
            }
        }
        self.note(order, container, &made.versions)?;
        Ok(made)
    }

    /// Puts new values into the files of a running container, in place: it sees the same files. To be noted once
    /// the container has been told.
    pub(crate) fn renew(
        &self,
        order: &InstanceOrder,
        container: &Name,
        values: &Values,
    ) -> io::Result<BTreeMap<Name, SecretVersion>> {
        let mut versions = BTreeMap::new();
        for (number, uses) in order.spec.secrets.iter().enumerate() {
            let Some(delivered) = values.get(&uses.name) else { continue };
            versions.insert(uses.name.clone(), delivered.version.clone());
            if let (Some(_), Some(dir)) = (&uses.file, self.dir_of(&order.assignment.id, container)) {
                let value = delivered.value.expose();
                let file = OpenOptions::new().write(true).open(dir.join(number.to_string()))?;
                file.write_all_at(value, 0)?;
                file.set_len(value.len() as u64)?;
            }
        }
        Ok(versions)
    }

    /// Which values the containers of an instance were given before this process began.
    pub(crate) fn delivered(&self, instance: &InstanceId) -> Delivered {
        let Some(dir) = self.dir.as_ref().map(|dir| dir.join(instance.as_str())) else {
            return Delivered::new();
        };
        let read = |container: String| {
            let bytes = std::fs::read(dir.join(&container).join(DELIVERED)).ok()?;
            Some((container.parse().ok()?, serde_json::from_slice(&bytes).ok()?))
        };
        names(&dir).into_iter().filter_map(read).collect()
    }

    /// Removes everything of an instance.
    pub(crate) fn forget(&self, instance: &InstanceId) -> io::Result<()> {
        let Some(dir) = &self.dir else { return Ok(()) };
        match std::fs::remove_dir_all(dir.join(instance.as_str())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes everything of instances that are not here any more.
    pub(crate) fn keep_only(&self, is_here: impl Fn(&InstanceId) -> bool) {
        let Some(dir) = &self.dir else { return };
        for instance in names(dir).into_iter().filter_map(|name| name.parse::<InstanceId>().ok()) {
            if !is_here(&instance)
                && let Err(error) = self.forget(&instance)
            {
                tracing::warn!(%instance, %error, "the secrets of an instance that is gone could not be removed");
            }
        }
    }

    fn dir_of(&self, instance: &InstanceId, container: &Name) -> Option<PathBuf> {
        Some(self.dir.as_ref()?.join(instance.as_str()).join(container.as_str()))
    }

    /// Notes which values a container has, for the time after this process.
    pub(crate) fn note(
        &self,
        order: &InstanceOrder,
        container: &Name,
        versions: &BTreeMap<Name, SecretVersion>,
    ) -> io::Result<()> {
        match self.dir_of(&order.assignment.id, container) {
            Some(dir) if !versions.is_empty() => {
                write_anew(&dir.join(DELIVERED), &serde_json::to_vec(versions)?)
            }
            _ => Ok(()),
        }
    }
}

/// Writes a file that only root reads until it is handed over. A former one is another file: a container that
/// still has it keeps what it has.
fn write_anew(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(0o400).open(path)?.write_all(bytes)
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    use std::sync::Arc;

    use async_trait::async_trait;
    use univrs_model::ids::{InstanceId, NodeId, SecretId};
    use univrs_model::instance::InstanceOrder;
    use univrs_model::secret::{SecretValue, SecretVersion};
    use univrs_ports::secrets::{DeliveredSecret, SecretError, SecretSource};

    use super::{Secrets, Values};
    use crate::container::tests::order;

    struct Nobody;

    #[async_trait]
    impl SecretSource for Nobody {
        async fn secrets(&self, _: &NodeId, instance: &InstanceId) -> Result<Values, SecretError> {
            Err(SecretError::NotAssigned { instance: instance.clone() })
        }
    }

    fn values(version: u64, text: &str) -> Values {
        let version = SecretVersion { secret: SecretId::from_bits(1), version };
        let value = SecretValue::new(text.as_bytes().to_vec());
        BTreeMap::from([("db".parse().unwrap(), DeliveredSecret { version, value })])
    }

    fn subject(dir: &tempfile::TempDir) -> (Secrets, InstanceOrder) {
        let secrets = Secrets {
            source: Arc::new(Nobody),
            node: NodeId::from_bits(1),
            dir: Some(dir.path().to_owned()),
        };
        let order =
            order(r#"{"name":"web","image":"web","secrets":[{"name":"db","env":"DB","file":"/run/db"}]}"#);
        (secrets, order)
    }

    #[test]
    fn files_are_renewed_in_place_and_forgotten_whole() {
        let dir = tempfile::tempdir().unwrap();
        let (secrets, order) = subject(&dir);
        let app = "app".parse().unwrap();
        let made = secrets.deliver(&order, &app, &values(1, "a long first value")).unwrap();
        assert_eq!(made.env["DB"].expose(), b"a long first value");
        let (path, target) = &made.files[0];
        let before = path.metadata().unwrap();
        assert_eq!((target.to_str(), before.permissions().mode() & 0o777), (Some("/run/db"), 0o400));

        let renewed = secrets.renew(&order, &app, &values(2, "short")).unwrap();
        assert_eq!(std::fs::read(path).unwrap(), b"short");
        assert_eq!(path.metadata().unwrap().ino(), before.ino(), "a container holds this very file");
        secrets.note(&order, &app, &renewed).unwrap();
        assert_eq!(secrets.delivered(&order.assignment.id), BTreeMap::from([(app.clone(), renewed)]));

        let held = std::fs::File::open(path).unwrap();
        secrets.deliver(&order, &app, &values(3, "third")).unwrap();
        assert_eq!(std::fs::read(path).unwrap(), b"third");
        assert_eq!(std::io::read_to_string(held).unwrap(), "short", "what has the former file keeps it");
        secrets.keep_only(|id| *id == order.assignment.id);
        assert!(path.exists());
        secrets.keep_only(|_| false);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        secrets.forget(&order.assignment.id).unwrap();
    }

    #[tokio::test]
    async fn nobody_is_asked_for_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (secrets, with) = subject(&dir);
        assert!(secrets.values(&with).await.is_err());
        assert_eq!(secrets.values(&order(r#"{"name":"web","image":"web"}"#)).await.unwrap(), Values::new());
    }
}
