//! The program of this node: what its file says of itself, other copies of it, and changing from one to another.
//!
//! - [`release`]: version and feature level, as they stand in the file.
//! - [`copies`]: the copies in the data directory.
//! - [`change`]: which of them runs, and how the last change went, on disk.
//! - [`guard`]: the process as it stands by while another program is tried.

pub(crate) mod change;
pub(crate) mod copies;
pub(crate) mod guard;
pub(crate) mod release;
