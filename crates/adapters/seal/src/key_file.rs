//! The validator's private key as a file: made once, read by its owner only.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// Bytes of a private key.
pub const LENGTH: usize = 32;
/// Read and written by its owner, seen by nobody else.
const MODE: u32 = 0o600;

/// Why the key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be read or written.
    #[error("failed to {doing} {}", path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is no key.
    #[error("{} holds no private key: it has {found} bytes instead of {LENGTH}", path.display())]
    WrongLength {
        /// The file.
        path: PathBuf,
        /// How many bytes it has.
        found: usize,
    },
    /// Others may read the file.
    #[error("{} can be read by others (mode {mode:o})", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
}

/// Reads the key, if there is one.
///
/// # Errors
/// See [`KeyFileError`].
pub fn read(path: &Path) -> Result<Option<Zeroizing<[u8; LENGTH]>>, KeyFileError> {
    let fail = |source| KeyFileError::File { doing: "read", path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fail(error)),
    };
    let mode = file.metadata().map_err(fail)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Exposed { path: path.to_owned(), mode });
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(LENGTH + 1));
    file.take(LENGTH as u64 + 1).read_to_end(&mut bytes).map_err(fail)?;
    let mut key = Zeroizing::new([0; LENGTH]);
    if bytes.len() != LENGTH {
        return Err(KeyFileError::WrongLength { path: path.to_owned(), found: bytes.len() });
    }
    key.copy_from_slice(&bytes);
    Ok(Some(key))
}

/// Makes a random key where there is none. It is on the disk when this returns.
///
/// # Errors
/// See [`KeyFileError`]; an existing file is left as it is.
pub fn create(path: &Path) -> Result<Zeroizing<[u8; LENGTH]>, KeyFileError> {
    let fail = |source| KeyFileError::File { doing: "write", path: path.to_owned(), source };
    let key = Zeroizing::new(rand::random::<[u8; LENGTH]>());
    // Written beside and linked into place: a crash leaves a whole key or none, and two makers cannot both win.
    let part = path.with_extension("new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(&part).map_err(fail)?;
    file.write_all(&*key).and_then(|()| file.sync_all()).map_err(fail)?;
    let linked = std::fs::hard_link(&part, path);
    let removed = std::fs::remove_file(&part);
    linked.and(removed).map_err(fail)?;
    if let Some(dir) = path.parent() {
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(fail)?;
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::{KeyFileError, create, read};

    #[test]
    fn a_key_is_made_once_and_is_nobody_elses() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secrets.key");
        assert!(read(&path).unwrap().is_none());
        let made = create(&path).unwrap();
        assert_eq!(read(&path).unwrap(), Some(made));
        assert!(create(&path).is_err(), "an existing key is never replaced");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(read(&path), Err(KeyFileError::Exposed { mode: 0o644, .. })));
    }

    #[test]
    fn half_a_key_is_no_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secrets.key");
        std::fs::write(&path, [7; 16]).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(read(&path), Err(KeyFileError::WrongLength { found: 16, .. })));
    }
}
