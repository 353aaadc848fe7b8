//! Volumes, mounts and secrets of a service.

use serde_json::{Map, Value};
use univrs_model::name::Name;
use univrs_model::workload::{MountSpec, OnChange, SecretUse, VolumeSpec};

use crate::reader::Reader;
use crate::values::{scalar, size};

/// Where Docker puts secrets.
const SECRETS: &str = "/run/secrets";

/// What a service mounts.
#[derive(Default)]
pub(crate) struct Storage {
    pub(crate) volumes: Vec<VolumeSpec>,
    pub(crate) mounts: Vec<MountSpec>,
}

impl Storage {
    fn add(&mut self, volume: VolumeSpec, path: &str, read_only: bool) {
        self.mounts.push(MountSpec { volume: volume.name.clone(), path: path.to_owned(), read_only });
        if !self.volumes.iter().any(|known| known.name == volume.name) {
            self.volumes.push(volume);
        }
    }
}

impl Reader<'_> {
    /// What a service mounts. A volume belongs to one service: two that name one would not see each other's files.
    pub(crate) fn storage(
        &mut self,
        field: &str,
        service_name: &str,
        service: &Map<String, Value>,
    ) -> Storage {
        let mut storage = Storage::default();
        if service.get("tmpfs").is_some_and(|value| !value.is_null()) {
            self.note(
                format!("{field}.tmpfs"),
                "the path lies in the instance's own layer, which goes with it",
            );
        }
        let Some(items) = service.get("volumes").filter(|value| !value.is_null()) else { return storage };
        let Some(items) = items.as_array() else {
            self.fault(format!("{field}.volumes"), "it is a list");
            return storage;
        };
        for (at, item) in items.iter().enumerate() {
            let at = format!("{field}.volumes[{at}]");
            match item {
                Value::String(text) => self.short_mount(&at, text, &mut storage),
                Value::Object(long) => self.long_mount(&at, long, &mut storage),
                _ => self.fault(at, "a mount is a text such as `data:/data`, or a map"),
            }
        }
        for volume in storage.volumes.iter().filter(|volume| volume.host_path.is_none()) {
            match self.mounted.get(volume.name.as_str()) {
                Some(other) if other != service_name => {
                    let detail = format!("the volume `{}` is mounted by `{other}` too", volume.name);
                    let hint = "a volume belongs to one service; let the other one ask over the network";
                    self.refuse(format!("{field}.volumes"), detail, hint);
                }
                _ => drop(self.mounted.insert(volume.name.to_string(), service_name.to_owned())),
            }
        }
        storage
    }

    /// `source:target[:options]`, or a target alone.
    fn short_mount(&mut self, field: &str, text: &str, storage: &mut Storage) {
        let mut parts = text.splitn(3, ':');
        match (parts.next().unwrap_or_default(), parts.next(), parts.next().unwrap_or_default()) {
            (target, None, _) => self.anonymous(field, target, storage),
            (source, Some(target), options) => {
                let read_only = options.split(',').any(|option| option == "ro");
                if source.starts_with(['/', '.', '~']) {
                    self.bind(field, source, target, read_only, storage);
                } else {
                    self.named(field, source, target, read_only, storage);
                }
            }
        }
    }

    fn long_mount(&mut self, field: &str, long: &Map<String, Value>, storage: &mut Storage) {
        let text = |key: &str| long.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let known = ["type", "source", "target", "read_only", "volume", "bind", "tmpfs", "consistency"];
        for key in long.keys().filter(|key| !known.contains(&key.as_str())) {
            self.unknown(field, key, known.into_iter());
        }
        for key in
            ["volume", "bind", "tmpfs", "consistency"].into_iter().filter(|key| long.contains_key(*key))
        {
            self.note(
                format!("{field}.{key}"),
                "volumes have no options here: they begin empty, the user's own",
            );
        }
        let (source, target) = (text("source"), text("target"));
        let read_only = long.get("read_only").and_then(Value::as_bool).unwrap_or_default();
        if target.is_empty() {
            self.fault(format!("{field}.target"), "a mount has a target");
            return;
        }
        match text("type").as_str() {
            "volume" if source.is_empty() => self.anonymous(field, &target, storage),
            "volume" => self.named(field, &source, &target, read_only, storage),
            "bind" => self.bind(field, &source, &target, read_only, storage),
            "tmpfs" => self.note(field, "the path lies in the instance's own layer, which goes with it"),
            other => self.refuse(
                format!("{field}.type"),
                format!("`{other}` is not a kind of mount that can be had here"),
                "write volume, bind or tmpfs",
            ),
        }
    }

    fn anonymous(&mut self, field: &str, target: &str, _storage: &mut Storage) {
        self.note(
            field,
            format!("a volume without a name does not outlive its instance, so {target} lies in the instance's own layer"),
        );
    }

    fn named(&mut self, field: &str, source: &str, target: &str, read_only: bool, storage: &mut Storage) {
        let Some(declared) = self.volumes.get(source).cloned() else {
            self.refuse(field, format!("the file declares no volume `{source}`"), "add it under `volumes`");
            return;
        };
        let Some(name) = self.label(field, source) else { return };
        let at = |key: &str| format!("volumes.{source}.{key}");
        if declared.get("external").is_some_and(|external| *external != Value::Bool(false)) {
            self.note(at("external"), "the volume is made when it does not exist");
        }
        if let Some(driver) =
            declared.get("driver").and_then(Value::as_str).filter(|driver| *driver != "local")
        {
            self.refuse(at("driver"), format!("there is no volume driver `{driver}`"), "use the local one");
        }
        if declared.get("driver_opts").and_then(Value::as_object).is_some_and(|options| !options.is_empty()) {
            self.refuse(at("driver_opts"), "the local volume driver has no options", "leave them out");
        }
        for key in ["name", "labels"].into_iter().filter(|key| declared.get(*key).is_some()) {
            self.note(at(key), "a volume is named by its service and its name in the file");
        }
        // Not of the specification: the place where a size can be said without breaking other tools.
        let bytes = declared.get("x-size").map(|value| self.take(&at("x-size"), size(value)));
        storage.add(
            VolumeSpec { name, size: bytes.flatten(), limit: None, host_path: None },
            target,
            read_only,
        );
    }

    fn bind(&mut self, field: &str, source: &str, target: &str, read_only: bool, storage: &mut Storage) {
        if self.around.as_resource {
            self.refuse(
                field,
                format!("`{source}` is a directory of one machine, and a resource may be on any"),
                "put the files into the image, or use a volume",
            );
            return;
        }
        if !source.starts_with('/') {
            self.refuse(
                field,
                format!("`{source}` is relative to this file, which the nodes do not have"),
                "put the files into the image, or write an absolute path that every node has",
            );
            return;
        }
        let label =
            format!("bind{}", source.trim_end_matches('/').replace(['/', '_', '.'], "-").to_lowercase());
        let label: String = label.chars().take(63).collect();
        let Some(name) = self.label(field, label.trim_end_matches('-')) else { return };
        storage.add(
            VolumeSpec { name, size: None, limit: None, host_path: Some(source.to_owned()) },
            target,
            read_only,
        );
    }

    fn label(&mut self, field: &str, text: &str) -> Option<Name> {
        let label = text.to_ascii_lowercase().replace(['_', '.'], "-");
        self.take(field, label.parse::<Name>().map_err(|error| error.to_string()))
    }

    pub(crate) fn secret_uses(&mut self, field: &str, service: &Map<String, Value>) -> Vec<SecretUse> {
        let Some(items) = service.get("secrets").and_then(Value::as_array) else { return Vec::new() };
        let mut uses = Vec::new();
        for (at, item) in items.iter().enumerate() {
            let at = format!("{field}.secrets[{at}]");
            let source = match item {
                Value::Object(long) => long.get("source").and_then(scalar),
                item => scalar(item),
            };
            let Some(source) = source else {
                self.fault(at, "it names no secret");
                continue;
            };
            let Some(declared) = self.secrets.get(&source).cloned() else {
                self.refuse(at, format!("the file declares no secret `{source}`"), "add it under `secrets`");
                continue;
            };
            let Some(name) = self.label(&at, &source) else { continue };
            for key in ["mode", "uid", "gid"].into_iter().filter(|key| item.get(*key).is_some()) {
                self.note(format!("{at}.{key}"), "the file is the container's user's, who alone may read it");
            }
            let external = declared.get("external").is_some_and(|external| *external != Value::Bool(false));
            if self.around.as_resource && !external {
                self.note(
                    format!("secrets.{source}"),
                    "the value is generated and sealed, not read from a file or a variable; the credentials of the \
                     resource show it. One of your own is `external` and set with `univrs secret set`",
                );
                self.generated.insert(name.clone());
                uses.push(self.used(&source, name, item));
                continue;
            }
            let from = match declared.get("file").and_then(Value::as_str) {
                Some(file) => format!("`univrs secret set {name} --from-file {file}`"),
                None => format!("`univrs secret set {name}`"),
            };
            self.note(
                format!("secrets.{source}"),
                format!("the value is not read from here; set it once with {from}"),
            );
            uses.push(self.used(&source, name, item));
        }
        uses
    }

    fn used(&self, source: &str, name: Name, item: &Value) -> SecretUse {
        let target = item.get("target").and_then(Value::as_str).unwrap_or(source);
        let file = if target.starts_with('/') { target.to_owned() } else { format!("{SECRETS}/{target}") };
        SecretUse { name, env: None, file: Some(file), on_change: OnChange::default() }
    }
}
