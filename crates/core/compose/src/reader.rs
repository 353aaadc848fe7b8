//! Walks a compose file and gathers every fault and difference on the way.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use univrs_model::decode::nearest;
use univrs_model::field::FieldError;
use univrs_model::name::Name;
use univrs_model::workload::{Dependency, DependencyCondition, WorkloadKind, WorkloadSpec};

use crate::interpolate::interpolate;
use crate::keys::{HARMLESS, READ, REFUSED, TOP};
use crate::values::scalar;
use crate::{Note, Surroundings};

/// What was found so far.
pub(crate) struct Reader<'a> {
    pub(crate) around: &'a Surroundings<'a>,
    pub(crate) errors: Vec<FieldError>,
    pub(crate) notes: Vec<Note>,
    /// The volumes that the file declares.
    pub(crate) volumes: BTreeMap<String, Value>,
    /// The secrets that the file declares.
    pub(crate) secrets: BTreeMap<String, Value>,
    /// The names that services have as workloads.
    pub(crate) names: BTreeMap<String, Name>,
    /// Which service has each volume that was mounted so far.
    pub(crate) mounted: BTreeMap<String, String>,
    /// What of a resource leads to it from outside.
    pub(crate) published: Vec<(Name, Name)>,
    /// The secrets of a resource that are generated.
    pub(crate) generated: BTreeSet<Name>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(around: &'a Surroundings<'a>) -> Self {
        Self {
            around,
            errors: Vec::new(),
            notes: Vec::new(),
            volumes: BTreeMap::new(),
            secrets: BTreeMap::new(),
            names: BTreeMap::new(),
            mounted: BTreeMap::new(),
            published: Vec::new(),
            generated: BTreeSet::new(),
        }
    }

    pub(crate) fn fault(&mut self, field: impl Into<String>, detail: impl Into<String>) {
        self.errors.push(FieldError::new(field, detail));
    }

    pub(crate) fn refuse(&mut self, field: impl Into<String>, detail: impl Into<String>, hint: &str) {
        self.errors.push(FieldError::new(field, detail).hint(hint));
    }

    pub(crate) fn note(&mut self, field: impl Into<String>, detail: impl Into<String>) {
        self.notes.push(Note { field: field.into(), detail: detail.into() });
    }

    /// The value, or nothing and a fault at `field`.
    pub(crate) fn take<T>(&mut self, field: &str, outcome: Result<T, String>) -> Option<T> {
        outcome.map_err(|detail| self.fault(field, detail)).ok()
    }

    /// The document with variables replaced in every text.
    pub(crate) fn interpolated(&mut self, field: &str, value: Value) -> Value {
        match value {
            Value::String(text) => match interpolate(&text, self.around.env) {
                Ok((text, absent)) => {
                    for name in absent {
                        self.note(
                            field,
                            format!("the variable {name} is not set; nothing stands in its place"),
                        );
                    }
                    Value::String(text)
                }
                Err(detail) => {
                    self.fault(field, detail);
                    Value::Null
                }
            },
            Value::Array(items) => {
                let items = items.into_iter().enumerate();
                Value::Array(
                    items.map(|(at, item)| self.interpolated(&format!("{field}[{at}]"), item)).collect(),
                )
            }
            Value::Object(fields) => {
                let path =
                    |key: &str| if field.is_empty() { key.to_owned() } else { format!("{field}.{key}") };
                let fields = fields.into_iter();
                Value::Object(
                    fields
                        .map(|(key, item)| {
                            let at = path(&key);
                            (key, self.interpolated(&at, item))
                        })
                        .collect(),
                )
            }
            other => other,
        }
    }

    /// The whole file.
    pub(crate) fn file(&mut self, document: &Value) -> Vec<WorkloadSpec> {
        let Some(top) = document.as_object() else {
            self.fault("", "a compose file is a map with `services`");
            return Vec::new();
        };
        for key in top.keys().filter(|key| !key.starts_with("x-")) {
            match key.as_str() {
                "include" => {
                    self.refuse("include", "other files are not included", "give all files to the command")
                }
                "models" => self.refuse("models", "models are not supported", "run the model as a service"),
                key if TOP.contains(&key) => {}
                key => self.unknown("", key, TOP.iter().copied()),
            }
        }
        self.volumes = self.declared(top, "volumes");
        self.secrets = self.declared(top, "secrets");
        if let Some(networks) = top.get("networks").and_then(Value::as_object)
            && networks.keys().any(|name| name != "default")
        {
            self.note("networks", "all services of an organisation share one network");
        }
        let Some(services) = top.get("services").and_then(Value::as_object) else {
            self.fault("services", "a compose file has a map of services");
            return Vec::new();
        };
        let active: Vec<(&String, &Value)> =
            services.iter().filter(|(_, service)| self.is_active(service)).collect();
        // Names that are labels as they stand first: no other may become one of them.
        let (labels, others): (Vec<_>, Vec<_>) =
            active.iter().partition(|(service, _)| service.parse::<Name>().is_ok());
        for (service, _) in labels.into_iter().chain(others) {
            if let Some(name) = self.workload_name(service) {
                self.names.insert((*service).clone(), name);
            }
        }
        let mut workloads: Vec<WorkloadSpec> =
            active.into_iter().filter_map(|(name, service)| self.service(name, service)).collect();
        // What others wait for the end of is a job, whatever it says of its restarts.
        let completes = |dependency: &&Dependency| dependency.condition == DependencyCondition::Completed;
        let jobs: BTreeSet<Name> = workloads
            .iter()
            .flat_map(|workload| &workload.depends_on)
            .filter(completes)
            .map(|dependency| dependency.workload.clone())
            .collect();
        for workload in workloads.iter_mut().filter(|workload| jobs.contains(&workload.name)) {
            workload.kind = WorkloadKind::Job;
        }
        workloads
    }

    fn declared(&mut self, top: &Map<String, Value>, key: &str) -> BTreeMap<String, Value> {
        match top.get(key) {
            None | Some(Value::Null) => BTreeMap::new(),
            Some(Value::Object(map)) => map.clone().into_iter().collect(),
            Some(_) => {
                self.fault(key, "it is a map of names");
                BTreeMap::new()
            }
        }
    }

    fn is_active(&self, service: &Value) -> bool {
        let profiles = service.get("profiles").and_then(Value::as_array);
        profiles.is_none_or(|profiles| {
            profiles.is_empty()
                || profiles
                    .iter()
                    .filter_map(Value::as_str)
                    .any(|profile| self.around.profiles.contains(profile))
        })
    }

    /// The DNS label for a service: as it is when it is one, else with `_` and `.` as `-` and in lower case.
    fn workload_name(&mut self, service: &str) -> Option<Name> {
        if let Ok(name) = service.parse::<Name>() {
            return Some(name);
        }
        let label = service.to_ascii_lowercase().replace(['_', '.'], "-");
        match label.trim_matches('-').parse::<Name>() {
            Ok(name) if !self.names.values().any(|other| *other == name) => {
                self.note(
                    format!("services.{service}"),
                    format!("it is named `{name}`, since names are DNS labels"),
                );
                Some(name)
            }
            Ok(name) => {
                self.fault(
                    format!("services.{service}"),
                    format!("as a DNS label it is `{name}`, and another service is that already"),
                );
                None
            }
            Err(error) => {
                self.fault(format!("services.{service}"), error.to_string());
                None
            }
        }
    }

    /// Notes, faults and slips among the keys of a service.
    pub(crate) fn service_keys(&mut self, field: &str, service: &Map<String, Value>) {
        for (key, value) in service.iter().filter(|(key, _)| !key.starts_with("x-")) {
            let at = format!("{field}.{key}");
            // What is switched off or empty asks for nothing.
            let idle = match value {
                Value::Null | Value::Bool(false) => true,
                Value::Array(items) => items.is_empty(),
                Value::Object(fields) => fields.is_empty(),
                Value::String(_) | Value::Number(_) | Value::Bool(true) => false,
            };
            if READ.contains(&key.as_str()) {
            } else if let Some((_, why)) = HARMLESS.iter().find(|(name, _)| name == key) {
                if !idle {
                    self.note(at, *why);
                }
            } else if let Some((_, instead)) = REFUSED.iter().find(|(name, _)| name == key) {
                if !idle {
                    self.refuse(at, format!("`{key}` cannot be had here"), instead);
                }
            } else {
                let known = READ.iter().copied();
                let known = known.chain(HARMLESS.iter().map(|(name, _)| *name));
                self.unknown(field, key, known.chain(REFUSED.iter().map(|(name, _)| *name)));
            }
        }
    }

    /// Slips and what is left out among the keys of a map inside a service: `known` are read, `left_out` are not and say
    /// why that does no harm.
    pub(crate) fn inner_keys(
        &mut self,
        field: &str,
        map: Option<&Value>,
        known: &[&str],
        left_out: &[(&str, &str)],
    ) {
        if map.is_some_and(|map| !map.is_null() && !map.is_object()) {
            self.fault(field, "it is a map");
        }
        for key in map.and_then(Value::as_object).into_iter().flat_map(Map::keys) {
            if known.contains(&key.as_str()) || key.starts_with("x-") {
            } else if let Some((_, why)) = left_out.iter().find(|(name, _)| name == key) {
                self.note(format!("{field}.{key}"), *why);
            } else {
                let all = known.iter().copied().chain(left_out.iter().map(|(name, _)| *name));
                self.unknown(field, key, all);
            }
        }
    }

    pub(crate) fn unknown<'k>(&mut self, field: &str, key: &str, known: impl Iterator<Item = &'k str>) {
        let at = if field.is_empty() { key.to_owned() } else { format!("{field}.{key}") };
        let fault = FieldError::new(at, format!("compose files have no `{key}` here"));
        self.errors.push(match nearest(key, known) {
            Some(near) => fault.hint(format!("did you mean `{near}`?")),
            None => fault.hint("keys of your own begin with `x-`"),
        });
    }

    /// A list of texts, or one text that is split as a shell does.
    pub(crate) fn command(&mut self, field: &str, value: &Value) -> Vec<String> {
        match value {
            Value::Null => Vec::new(),
            Value::String(text) => self.take(field, crate::values::words(text)).unwrap_or_default(),
            Value::Array(items) => self.texts(field, items),
            _ => {
                self.fault(field, "a command is a text or a list of texts");
                Vec::new()
            }
        }
    }

    /// A list of scalars as texts.
    pub(crate) fn texts(&mut self, field: &str, items: &[Value]) -> Vec<String> {
        let mut texts = Vec::new();
        for (at, item) in items.iter().enumerate() {
            match scalar(item) {
                Some(text) => texts.push(text),
                None => self.fault(format!("{field}[{at}]"), "it is a text"),
            }
        }
        texts
    }

    /// `KEY: value` or `- KEY=value`; a key without a value is `None`.
    pub(crate) fn pairs(&mut self, field: &str, value: &Value) -> Vec<(String, Option<String>)> {
        match value {
            Value::Null => Vec::new(),
            Value::Object(fields) => fields
                .iter()
                .filter_map(|(key, value)| match value {
                    Value::Null => Some((key.clone(), None)),
                    value => match scalar(value) {
                        Some(text) => Some((key.clone(), Some(text))),
                        None => {
                            self.fault(format!("{field}.{key}"), "it is a text, a number or true or false");
                            None
                        }
                    },
                })
                .collect(),
            Value::Array(items) => {
                let split = |text: String| match text.split_once('=') {
                    Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                    None => (text, None),
                };
                self.texts(field, items).into_iter().map(split).collect()
            }
            _ => {
                self.fault(field, "it is a map, or a list of `KEY=value`");
                Vec::new()
            }
        }
    }
}
