//! What one-click resources are made of: templates of the program and of a folder, and the providers of this node.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use univrs_cli::UpArgs;
use univrs_control::{Control, MeshProvider, Resources};
use univrs_ports::provider::Provider;
use univrs_provider::docker::{DockerProvider, EngineOptions, Places};
use univrs_provider::swarm::SwarmProvider;
use univrs_runtime::docker::DEFAULT_SOCKET;
use univrs_runtime::volumes::SizedVolumes;
use univrs_template::{Template, builtin};

use crate::failure::Failure;
use crate::identity::{DataDir, Identity};
use crate::up::containers;
use crate::up::parts::Machine;

/// The control plane with what it needs to make resources.
pub(super) fn equip(
    control: Control,
    args: &UpArgs,
    dir: &DataDir,
    identity: &Identity,
    machine: &Machine,
) -> Result<Control, Failure> {
    let mut templates = builtin();
    if let Some(dir) = &args.template_dir {
        templates.extend(read(dir)?);
    }
    let engine = engine(args, dir, identity, machine);
    let providers: Vec<Arc<dyn Provider>> = vec![
        Arc::new(MeshProvider::new(control.clone()).with_taken_ports(taken_ports)),
        Arc::new(DockerProvider::new(engine.clone())),
        Arc::new(SwarmProvider::new(engine)),
    ];
    let resources = Resources::new(templates, providers, Some(machine.images_of_containers()));
    Ok(control.with_resources(resources))
}

/// Ports of this machine that programs listen at or that other daemons' packet rules lead away.
fn taken_ports() -> BTreeSet<u16> {
    let mut taken = univrs_provider::listening();
    taken.extend(univrs_network::published());
    taken
}

/// The Docker Engine of this machine, which may be away now and there later.
fn engine(args: &UpArgs, dir: &DataDir, identity: &Identity, machine: &Machine) -> EngineOptions {
    let (socket, misnamed) = match containers::engine_of_resources(identity) {
        Ok(socket) => (socket, None),
        Err(failure) => (DEFAULT_SOCKET.into(), Some(failure.explain())),
    };
    let powerless = (!nix::unistd::geteuid().is_root())
        .then(|| "the daemon has to be run as root, to give containers their secrets and volumes".to_owned());
    let host = match args.api.ip() {
        ip if ip.is_unspecified() => "127.0.0.1".to_owned(),
        ip => ip.to_string(),
    };
    EngineOptions {
        socket,
        images: machine.images(),
        secrets: dir.secrets(&identity.node),
        open_secrets: univrs_runtime::memory::open,
        host,
        places: Places::new(dir.engine_volumes(), Arc::new(SizedVolumes::new(dir.engine_volumes()))),
        obstacle: misnamed.or(powerless),
    }
}

/// The templates in a folder, by the names of their files. A faulty one stops the start: a template that is silently
/// missing would be looked for elsewhere.
fn read(dir: &Path) -> Result<Vec<Template>, Failure> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| Failure::File { doing: "read", path, source }
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(unreadable(dir))? {
        let path = entry.map_err(unreadable(dir))?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    let one = |path: std::path::PathBuf| {
        let text = std::fs::read_to_string(&path).map_err(unreadable(&path))?;
        Template::read(&text).map_err(|fault| Failure::Template { path, reason: fault.to_string() })
    };
    paths.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn a_folder_of_templates_is_read_and_faults_name_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let text = include_str!("../../../../templates/redis-small.toml");
        std::fs::write(dir.path().join("b.toml"), text.replace("redis-small", "mine")).unwrap();
        std::fs::write(dir.path().join("notes.txt"), "no template").unwrap();
        let read_now = || read(dir.path()).map(|all| all.into_iter().map(|one| one.id).collect::<Vec<_>>());
        assert_eq!(read_now().unwrap(), ["mine"]);
        std::fs::write(dir.path().join("a.toml"), "id = 5").unwrap();
        let told = read_now().unwrap_err().explain();
        assert!(told.contains("a.toml"), "{told}");
    }
}
