//! One root module: what it declares, and the files that say so.

use std::collections::BTreeMap;

use super::block::{Object, Ref, Resource};
use super::value::{Expr, Value};

/// The oldest OpenTofu and Terraform with everything the files use: write-only arguments came with 1.11.
const REQUIRED_VERSION: &str = ">= 1.11.0";

/// A file of a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Section {
    Network,
    Machines,
    Services,
    Names,
    Links,
}

impl Section {
    const fn file(self) -> &'static str {
        match self {
            Self::Network => "network.tf.json",
            Self::Machines => "machines.tf.json",
            Self::Services => "services.tf.json",
            Self::Names => "names.tf.json",
            Self::Links => "links.tf.json",
        }
    }
}

/// A provider and the one version that is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProviderPin {
    /// Name in the configuration.
    pub(crate) name: &'static str,
    /// Address in the registry.
    pub(crate) source: &'static str,
    /// Version constraint.
    pub(crate) version: &'static str,
}

/// Where the state of the roots lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// In files beside the roots.
    #[default]
    Local,
    /// In an S3 bucket.
    S3,
    /// In a container of an Azure storage account.
    Azurerm,
    /// In a Google Cloud Storage bucket.
    Gcs,
}

impl Backend {
    /// The name in the configuration.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::S3 => "s3",
            Self::Azurerm => "azurerm",
            Self::Gcs => "gcs",
        }
    }

    /// The setting that tells one root's state from another's, and its value.
    fn place(self, root: &str) -> (&'static str, String) {
        match self {
            Self::Local => ("path", format!("../state/{root}.tfstate")),
            Self::S3 | Self::Azurerm => ("key", format!("{root}.tfstate")),
            Self::Gcs => ("prefix", root.to_owned()),
        }
    }
}

/// An input of a root.
#[derive(Clone, Debug, Default)]
pub(crate) struct Variable {
    pub(crate) description: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) sensitive: bool,
    pub(crate) default: Option<Value>,
}

/// A root module in the making.
#[derive(Debug)]
pub(crate) struct Root {
    name: String,
    backend: Backend,
    providers: BTreeMap<&'static str, ProviderPin>,
    configurations: BTreeMap<&'static str, Vec<Object>>,
    blocks: BTreeMap<(Section, bool), BTreeMap<String, BTreeMap<String, Value>>>,
    locals: BTreeMap<Section, BTreeMap<String, Value>>,
    variables: BTreeMap<&'static str, Value>,
    outputs: BTreeMap<String, Value>,
}

impl Root {
    /// An empty root; `name` is its folder.
    pub(crate) fn new(name: impl Into<String>, backend: Backend) -> Self {
        Self {
            name: name.into(),
            backend,
            providers: BTreeMap::new(),
            configurations: BTreeMap::new(),
            blocks: BTreeMap::new(),
            locals: BTreeMap::new(),
            variables: BTreeMap::new(),
            outputs: BTreeMap::new(),
        }
    }

    /// Its folder.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Requires a provider and configures it.
    pub(crate) fn provider(&mut self, pin: ProviderPin, configuration: Object) {
        self.providers.insert(pin.name, pin);
        let known = self.configurations.entry(pin.name).or_default();
        // There is one configuration without an alias; the first that comes stays.
        let plain = |one: &Object| !one.has("alias");
        let taken = plain(&configuration) && known.iter().any(plain);
        if !taken && !known.contains(&configuration) {
            known.push(configuration);
        }
    }

    /// Declares a resource or data source.
    pub(crate) fn add(&mut self, section: Section, resource: Resource) -> Ref {
        let reference = resource.reference();
        self.blocks
            .entry((section, resource.data))
            .or_default()
            .entry(resource.kind)
            .or_default()
            .insert(resource.name, resource.body.into());
        reference
    }

    /// Names a value.
    pub(crate) fn local(&mut self, section: Section, name: &str, value: impl Into<Value>) -> Expr {
        self.locals.entry(section).or_default().insert(name.to_owned(), value.into());
        Expr::local(name)
    }

    /// Asks for a value.
    pub(crate) fn variable(&mut self, name: &'static str, variable: Variable) -> Expr {
        let body = Object::new()
            .set("description", variable.description)
            .set("type", if variable.kind.is_empty() { "string" } else { variable.kind })
            .maybe("sensitive", variable.sensitive.then_some(true))
            .maybe("default", variable.default);
        self.variables.insert(name, body.into());
        Expr::var(name)
    }

    /// Shows a value to people and other roots.
    pub(crate) fn output(&mut self, name: &str, description: &str, value: impl Into<Value>) {
        let body = Object::new().set("description", description).set("value", value);
        self.outputs.insert(name.to_owned(), body.into());
    }

    /// Reads an output of another root from its state.
    pub(crate) fn remote(&mut self, section: Section, root: &str, output: &str) -> Expr {
        let config = self.variable(
            "state_config",
            Variable {
                description: "Settings of the state backend that all roots share, such as its bucket and region.",
                kind: "map(string)",
                sensitive: false,
                default: Some(Value::Map(BTreeMap::new())),
            },
        );
        let (place, value) = self.backend.place(root);
        let merged = Expr::new(format!("merge({}, {{ {place} = \"{value}\" }})", config.text()));
        let state = Resource::data("terraform_remote_state", crate::check::identifier(root))
            .set("backend", self.backend.as_str())
            .set("config", merged);
        self.add(section, state).attr(&format!("outputs.{output}"))
    }

    /// The files: path inside the root's folder → bytes.
    pub(crate) fn files(self) -> BTreeMap<&'static str, Vec<u8>> {
        let mut documents: BTreeMap<&'static str, BTreeMap<String, Value>> = BTreeMap::new();
        documents.insert("versions.tf.json", self.versions());
        for ((section, data), types) in self.blocks {
            let kind = if data { "data" } else { "resource" };
            documents.entry(section.file()).or_default().insert(
                kind.to_owned(),
                Value::map(types.into_iter().map(|(kind, resources)| (kind, Value::Map(resources)))),
            );
        }
        for (section, locals) in self.locals {
            documents.entry(section.file()).or_default().insert("locals".to_owned(), Value::Map(locals));
        }
        if !self.variables.is_empty() {
            let variables = Value::map(self.variables);
            documents.insert("variables.tf.json", BTreeMap::from([("variable".to_owned(), variables)]));
        }
        if !self.outputs.is_empty() {
            let outputs = Value::Map(self.outputs);
            documents.insert("outputs.tf.json", BTreeMap::from([("output".to_owned(), outputs)]));
        }
        documents.into_iter().map(|(file, document)| (file, written(&Value::Map(document)))).collect()
    }

    fn versions(&self) -> BTreeMap<String, Value> {
        let required = self.providers.values().map(|pin| {
            (pin.name, Value::from(Object::new().set("source", pin.source).set("version", pin.version)))
        });
        let (place, value) = self.backend.place(&self.name);
        let backend = Value::map([(self.backend.as_str(), Object::new().set(place, value))]);
        let terraform = Object::new()
            .set("required_version", REQUIRED_VERSION)
            .set("required_providers", Value::map(required))
            .set("backend", backend);
        let mut document = BTreeMap::from([("terraform".to_owned(), terraform.into())]);
        if !self.configurations.is_empty() {
            let providers = self.configurations.iter().map(|(name, list)| (*name, Value::list(list.clone())));
            document.insert("provider".to_owned(), Value::map(providers));
        }
        document
    }
}

/// Indented JSON with a final line break.
pub(crate) fn written(value: &Value) -> Vec<u8> {
    // Values are strings, finite numbers, lists and maps: none of them can fail to be written.
    let mut bytes = serde_json::to_vec_pretty(value).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}
