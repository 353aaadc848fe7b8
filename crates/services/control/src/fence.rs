//! The fence of the loop that decides.
//!
//! What a node has left is in no object of its own, so no guard on a workload keeps two decisions from taking the same
//! room. Who begins to decide therefore writes [`keys::DECIDING`], waits until the picture has that, and guards every
//! decision by its revision. So no decision can follow one that its maker has not seen: neither another loop's, nor an
//! own one whose outcome is not known.

use univrs_model::keys;
use univrs_ports::store::{Guard, Key, Revision, StateStore, Txn};

use crate::error::Error;
use crate::mirror::Mirror;
use crate::record::{key, unchanged};

/// Whether a loop may decide.
#[derive(Debug, Default)]
pub(crate) struct Fence(Option<Revision>);

impl Fence {
    /// Whether it stands, as far as its loop knows.
    pub(crate) fn stands(&self) -> bool {
        self.0.is_some()
    }

    /// It may be another's by now, or something is on its way that it does not know of.
    pub(crate) fn fall(&mut self) {
        self.0 = None;
    }

    /// Ends what others decide, and waits until the picture has all that they decided. Whether that was done.
    pub(crate) async fn raise(&mut self, store: &dyn StateStore, mirror: &Mirror) -> bool {
        let written = async {
            let txn = Txn::put(key(keys::DECIDING.to_owned())?, Vec::new());
            Ok::<_, Error>(store.txn(txn).await?.committed())
        };
        match written.await {
            Ok(Some(revision)) if mirror.at_least(revision).await.revision >= revision => {
                self.0 = Some(revision);
            }
            Ok(_) => tracing::warn!("the picture of the state lags behind; taking the lead again"),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "cannot take the lead; trying again"
                );
            }
        }
        self.stands()
    }

    /// The condition that nobody else has begun to decide.
    ///
    /// # Errors
    /// Never; the key is valid.
    pub(crate) fn guard(&self) -> Result<Guard, Error> {
        unchanged(keys::DECIDING.to_owned(), self.0)
    }

    /// Whether a guard that did not hold was this one's.
    pub(crate) fn is_of(failed: Option<&Key>) -> bool {
        failed.is_some_and(|failed| failed.as_str() == keys::DECIDING)
    }
}
