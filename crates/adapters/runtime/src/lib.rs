//! Runtimes: OCI containers without a daemon, containers of a Docker Engine that is there already, and a simulated
//! runtime for tests and rehearsals.
//!
//! A container's processes are made and watched by a **shim**, a single-threaded process of its own that runs the
//! same program under a hidden command (see [`shim`]). Rules that hold throughout:
//!
//! - **RUN-1** The library that makes containers forks without exec and changes its process; it is called in shims
//!   only, never in a process with threads.
//! - **RUN-2** What is true of a container stands in its directory (plan, state, exit). The daemon keeps nothing
//!   else, so that starting, restarting and running on read the same way.
//! - **RUN-3** A container's first process is a child of its shim until its end has been recorded: its pid cannot
//!   be reused while anyone may still signal it.
//! - **RUN-4** Whatever is made carries the node's id in its path, and [`Runtime::purge`] finds it without memory.
//!
//! [`Runtime::purge`]: univrs_ports::runtime::Runtime::purge

pub mod allocator;
mod calls;
mod cgroup;
pub mod docker;
pub mod keepsake;
mod layout;
mod logfile;
pub mod memory;
mod netns;
pub mod oci;
mod overlay;
mod record;
mod seccomp;
pub mod shim;
mod signals;
pub mod simulated;
mod spec;
mod sys;
mod teardown;
pub mod volumes;

pub use docker::{DockerOptions, DockerRuntime};
pub use oci::{OciOptions, OciRuntime};
pub use simulated::SimulatedRuntime;
