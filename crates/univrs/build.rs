//! Links the program to a fixed address.
//!
//! Every container has a small process of this program beside it. Of a program that can be loaded anywhere, each
//! process has to write the addresses into its own copy of all tables of functions: 1.5 MB that no two processes
//! share (`docs/adr/0018-fixed-address.md`).

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-link-arg-bin=univrs=-no-pie");
}
