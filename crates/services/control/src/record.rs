//! Objects as they lie in the store: JSON values with the revision of their last change.

use std::ops::Deref;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use univrs_ports::store::{Guard, Key, Op, Revision, StoredValue};

use crate::error::Error;

/// A decoded object and the revisions that guard its next change.
#[derive(Debug)]
pub struct Record<T> {
    /// The object.
    pub value: Arc<T>,
    /// Revision of its last change.
    pub revision: Revision,
}

// Not derived: sharing an object does not need it to be cloneable.
impl<T> Clone for Record<T> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), revision: self.revision }
    }
}

/// Two records of one key are the same when the same change wrote them.
impl<T> PartialEq for Record<T> {
    fn eq(&self, other: &Self) -> bool {
        self.revision == other.revision
    }
}

impl<T> Deref for Record<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: DeserializeOwned> Record<T> {
    /// Decodes what lies under `key`.
    ///
    /// # Errors
    /// [`Error::Unreadable`] when it was written by an incompatible version.
    pub fn decode(key: &str, stored: &StoredValue) -> Result<Self, Error> {
        let value = serde_json::from_slice(&stored.value)
            .map_err(|source| Error::Unreadable { key: key.to_owned(), source })?;
        Ok(Self { value: Arc::new(value), revision: stored.mod_revision })
    }
}

/// The key for `text`.
///
/// # Errors
/// Never for keys made by [`univrs_model::keys`] from valid names; else what the store says.
pub(crate) fn key(text: String) -> Result<Key, Error> {
    Ok(Key::new(text)?)
}

/// The write of `value` under `key`.
///
/// # Errors
/// As [`key`].
pub(crate) fn put<T: Serialize>(at: String, value: &T) -> Result<Op, Error> {
    let value = serde_json::to_vec(value).map_err(|source| Error::Unreadable { key: at.clone(), source })?;
    Ok(Op::Put { key: key(at)?, value: value.into(), lease: None })
}

/// The removal of `key`.
///
/// # Errors
/// As [`key`].
pub(crate) fn delete(at: String) -> Result<Op, Error> {
    Ok(Op::Delete(key(at)?))
}

/// The condition that `key` has not changed since `revision`, or is still absent.
///
/// # Errors
/// As [`key`].
pub(crate) fn unchanged(at: String, revision: Option<Revision>) -> Result<Guard, Error> {
    let key = key(at)?;
    Ok(match revision {
        Some(revision) => Guard::ModRevision(key, revision),
        None => Guard::Absent(key),
    })
}
