//! Files of secrets, in memory: no disk holds them, and the engine knows their paths only.
//!
//! ```text
//! <dir>/<resource>/<workload>/<index>/<container>/<number>     one file per secret, its owner the container's user
//! ```
//!
//! Containers see the files themselves, so a new value is written into the same file.

use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};

use univrs_docker::users::User;
use univrs_model::name::Name;
use univrs_model::workload::WorkloadSpec;
use univrs_ports::provider::{Order, ProviderError, ResourceRef};

/// A file of the host, and where the container sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SecretFile {
    pub(crate) host: PathBuf,
    pub(crate) target: String,
}

/// The files of one resource.
pub(crate) fn of_resource(dir: &Path, resource: &ResourceRef) -> PathBuf {
    dir.join(resource.id.as_str())
}

/// Refuses secrets that would have to be variables: the engine writes a container's environment to its disk and shows
/// it to everyone who may look at containers.
pub(crate) fn refuse_variables(spec: &WorkloadSpec) -> Result<(), ProviderError> {
    match spec.secrets.iter().find_map(|uses| uses.env.as_ref()) {
        None => Ok(()),
        Some(variable) => Err(ProviderError::lasting(format!(
            "Docker would write the secret variable {variable} of `{}` to its disk; deliver the secret as a `file`, or \
             choose the provider `mesh`",
            spec.name
        ))),
    }
}

/// Writes the secrets of one container of a replica.
pub(crate) fn write(
    dir: &Path,
    order: &Order,
    spec: &WorkloadSpec,
    index: u32,
    container: &Name,
    user: &User,
) -> Result<Vec<SecretFile>, ProviderError> {
    let folder = of_resource(dir, &order.resource)
        .join(spec.name.as_str())
        .join(index.to_string())
        .join(container.as_str());
    let mut files = Vec::new();
    for (number, uses) in spec.secrets.iter().enumerate() {
        let Some(target) = &uses.file else { continue };
        let value = order.secrets.get(&uses.name).ok_or_else(|| {
            ProviderError::lasting(format!(
                "`{}` uses the secret `{}`, which there is none of",
                spec.name, uses.name
            ))
        })?;
        let host = folder.join(number.to_string());
        put(&folder, &host, value.expose(), user).map_err(|error| {
            ProviderError::temporary(format!(
                "the file of a secret, {}, cannot be written: {error}",
                host.display()
            ))
        })?;
        files.push(SecretFile { host, target: target.clone() });
    }
    Ok(files)
}

fn put(folder: &Path, path: &Path, value: &[u8], user: &User) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    // Where a path was missing, Docker may have made a directory of it.
    if path.is_dir() {
        std::fs::remove_dir(path)?;
    }
    if std::fs::read(path).is_ok_and(|known| known == value) {
        return Ok(());
    }
    if path.exists() {
        // Longer first: someone who reads meanwhile must not find a value cut short.
        let file = std::fs::OpenOptions::new().write(true).open(path)?;
        file.write_all_at(value, 0)?;
        return file.set_len(value.len() as u64);
    }
    // Under another name until it is whole.
    let part = path.with_extension("part");
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o400).open(&part)?;
    file.write_all(value)?;
    chown(&part, Some(user.uid), Some(user.gid))?;
    std::fs::rename(part, path)
}

/// Removes the files of a workload, or of the whole resource.
pub(crate) fn remove(
    dir: &Path,
    resource: &ResourceRef,
    workload: Option<&Name>,
) -> Result<(), ProviderError> {
    let mut path = of_resource(dir, resource);
    if let Some(workload) = workload {
        path.push(workload.as_str());
    }
    match std::fs::remove_dir_all(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(ProviderError::temporary(format!(
            "the files of secrets in {} cannot be removed: {error}",
            path.display()
        ))),
        _ => Ok(()),
    }
}
