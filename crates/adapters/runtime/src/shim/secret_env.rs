//! Variables that must not be written down: they come to the shim through its standard input and go to the
//! container's program with its start. On the way they exist in memory only.
//!
//! The form is that of `/proc/<pid>/environ`: `NAME=value` entries, each ended by a zero byte.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use univrs_model::secret::SecretValue;
use zeroize::Zeroizing;

use crate::layout;
use crate::record::{self, Started};

/// `NAME=value` entries, wiped when dropped.
#[derive(Default)]
pub(crate) struct SecretEnv(Vec<Zeroizing<Vec<u8>>>);

/// What the daemon writes to the shim.
pub(crate) fn encode(secrets: &BTreeMap<String, SecretValue>) -> Zeroizing<Vec<u8>> {
    // Made at its full size, so that growing leaves no copies behind.
    let size = secrets.iter().map(|(name, value)| name.len() + value.expose().len() + 2).sum();
    let mut bytes = Zeroizing::new(Vec::with_capacity(size));
    for (name, value) in secrets {
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(b'=');
        bytes.extend_from_slice(value.expose());
        bytes.push(0);
    }
    bytes
}

impl SecretEnv {
    /// Reads them from this process's standard input, which is empty afterwards and for ever.
    pub(crate) fn receive() -> io::Result<Self> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(64 << 10));
        io::stdin().lock().read_to_end(&mut bytes)?;
        // The container inherits standard input.
        nix::unistd::dup2_stdin(File::open("/dev/null")?)?;
        Ok(Self::decode(&bytes, |_| true))
    }

    /// Those of the container in whose directory this process stands, as its first program got them.
    ///
    /// The program may have changed its own memory since; it harms nobody but itself.
    pub(crate) fn of_container(names: &[&String]) -> io::Result<Self> {
        if names.is_empty() {
            return Ok(Self::default());
        }
        let started = record::read::<Started>(Path::new(layout::STATE))?.ok_or(io::ErrorKind::NotFound)?;
        let mut bytes = Zeroizing::new(Vec::new());
        File::open(format!("/proc/{}/environ", started.pid))?.read_to_end(&mut bytes)?;
        Ok(Self::decode(&bytes, |name| names.iter().any(|wanted| wanted.as_bytes() == name)))
    }

    fn decode(bytes: &[u8], wanted: impl Fn(&[u8]) -> bool) -> Self {
        let entries = bytes.split(|byte| *byte == 0).filter(|entry| {
            let name = entry.iter().position(|byte| *byte == b'=').map(|end| &entry[..end]);
            name.is_some_and(|name| !name.is_empty() && wanted(name))
        });
        Self(entries.map(|entry| Zeroizing::new([entry, &[0]].concat())).collect())
    }

    /// Whether there is a variable of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        let name = name.as_bytes();
        self.0.iter().any(|entry| entry.strip_prefix(name).is_some_and(|rest| rest.first() == Some(&b'=')))
    }

    /// The entries as the kernel takes them.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &CStr> {
        self.0.iter().filter_map(|entry| CStr::from_bytes_with_nul(entry).ok())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use univrs_model::secret::SecretValue;

    use super::{SecretEnv, encode};

    #[test]
    fn what_is_said_is_heard() {
        let value = |text: &str| SecretValue::new(text.as_bytes().to_vec());
        let said = encode(&BTreeMap::from([
            ("DB".to_owned(), value("a=b")),
            ("EMPTY".to_owned(), value("")),
            ("DB_URL".to_owned(), value("two\nlines")),
        ]));
        let heard = SecretEnv::decode(&said, |_| true);
        let entries: Vec<_> = heard.entries().map(|entry| entry.to_str().unwrap()).collect();
        assert_eq!(entries, ["DB=a=b", "DB_URL=two\nlines", "EMPTY="]);
        assert!(heard.has("DB") && heard.has("EMPTY") && !heard.has("D") && !heard.has("URL"));
        let some = SecretEnv::decode(&said, |name| name == b"DB");
        assert_eq!(some.entries().count(), 1);
        assert_eq!(SecretEnv::decode(b"", |_| true).entries().count(), 0);
    }
}
