//! The node's private key: one file that only its owner may read.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gotatun::x25519::{PublicKey, StaticSecret};

use crate::error::OverlayError;

/// The private key in a file, made there if there is none.
///
/// # Errors
/// When the file cannot be read or written, or holds something else.
pub fn read_or_make(path: &Path) -> Result<StaticSecret, OverlayError> {
    let bad = |reason: String| OverlayError::Key { path: path.to_owned(), reason };
    match fs::read_to_string(path) {
        Ok(text) => {
            let bytes = decode(text.trim()).ok_or_else(|| bad("it is not 32 bytes in base64".to_owned()))?;
            Ok(StaticSecret::from(bytes))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let bytes: [u8; 32] = rand::random();
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)
                .map_err(|error| bad(error.to_string()))?;
            let write = file.write_all(STANDARD.encode(bytes).as_bytes()).and_then(|()| file.sync_all());
            write.map_err(|error| bad(error.to_string()))?;
            Ok(StaticSecret::from(bytes))
        }
        Err(error) => Err(bad(error.to_string())),
    }
}

/// A public key as the state has it.
pub(crate) fn public_text(key: &PublicKey) -> String {
    STANDARD.encode(key.as_bytes())
}

/// A public key from the state.
pub(crate) fn public_from(text: &str) -> Option<PublicKey> {
    decode(text).map(PublicKey::from)
}

fn decode(text: &str) -> Option<[u8; 32]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use gotatun::x25519::PublicKey;

    use super::{public_from, public_text, read_or_make};

    #[test]
    fn a_key_is_made_once_and_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let made = PublicKey::from(&read_or_make(&path).unwrap());
        assert_eq!(made, PublicKey::from(&read_or_make(&path).unwrap()));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(public_from(&public_text(&made)), Some(made));
        std::fs::write(&path, "not a key").unwrap();
        assert!(read_or_make(&path).is_err_and(|error| error.to_string().contains("32 bytes")));
    }
}
