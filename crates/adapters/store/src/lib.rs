//! The replicated state store: one binary, one to many nodes, the same code.
//!
//! [`RaftStore`] fulfils the ports [`StateStore`](univrs_ports::store::StateStore) and
//! [`ClusterAdmin`](univrs_ports::store::ClusterAdmin). It replicates with openraft, keeps the state in
//! memory, the log in files of its own, and snapshots in files. A single node is a cluster of one voter:
//!
//! ```no_run
//! # async fn open() -> Result<(), univrs_ports::store::Error> {
//! use univrs_ports::store::{Consistency, Key, MemberId, StateStore, Txn};
//! use univrs_store::{Options, RaftStore};
//!
//! let options = Options { bootstrap: true, ..Options::new("/var/lib/univrs/store", MemberId(1)) };
//! let store = RaftStore::open(options).await?;
//! let key = Key::new("default/workloads/web")?;
//! store.txn(Txn::create(key.clone(), "…")).await?;
//! let value = store.get(&key, Consistency::LOCAL).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # The way of a write
//!
//! ```text
//! txn ─► batch ─► openraft ─► wal (one fdatasync for all that waits) ─► machine ─► answer
//!                    └──────► network ─► followers: wal ─► machine
//! ```
//!
//! `batch` merges concurrent commands into one log entry; `wal` writes and syncs; `machine` applies and
//! feeds the watchers; `snapshot` writes the state when the log has grown by bytes, and the log before it
//! is let go of. Followers forward to the leader. `leases` run on the leader's clock and end by log
//! entries.
//!
//! # To other members
//!
//! The store opens no listener. [`Transport`] sends frames and [`PeerHandler`] answers them. Over a network that is
//! [`wire::WireTransport`] and [`wire::MemberService`], which leave names and certificates to who connects them;
//! [`Loopback`] joins members in one process.
//!
//! # To clients
//!
//! [`wire::StoreService`] serves the store to nodes that do not replicate it, and [`wire::RemoteStore`] is the same
//! port there.
//!
//! # What it keeps
//!
//! The invariants STORE-1 to STORE-6 of the port and WAL-1 to WAL-4 of `wal`.

mod admin;
mod batch;
mod broken;
mod directory;
mod disk;
mod figures;
mod leases;
mod machine;
mod message;
mod network;
mod node;
mod serve;
mod snapshot;
mod store;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a failed unwrap is a failed test")]
mod suite;
mod ticking;
mod transport;
mod types;
mod wal;
pub mod wire;

pub use disk::{FileSystemSpace, Space};
pub use figures::Figures;
pub use store::{Options, RaftStore, exists, read_snapshot, restore};
pub use transport::{Loopback, NoTransport, PeerHandler, Transport, TransportError};
