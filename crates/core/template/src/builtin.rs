//! The templates that come with the program.

use crate::source::Template;

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        const FILES: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../../../templates/", $name, ".toml")))),*];
    };
}

files![
    "postgres-small",
    "postgres-medium",
    "redis-small",
    "small-storage",
    "medium-storage",
    "large-storage",
    "ipfs-cluster-small",
    "object-storage-small",
    "univrs-node",
    "compose",
];

/// All of them, by id.
///
/// # Panics
/// Never in a build that passed its tests: every file is read there.
pub fn builtin() -> Vec<Template> {
    let read = |(name, text): &(&str, &str)| match Template::read(text) {
        Ok(template) => template,
        Err(fault) => panic!("templates/{name}.toml: {fault}"),
    };
    FILES.iter().map(read).collect()
}
