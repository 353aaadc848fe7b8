//! What a template file says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use univrs_model::field::FieldError;
use univrs_model::resource::SecretKind;
use utoipa::ToSchema;

use crate::parameters;

/// A template as its file has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// Unique among templates.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// `DATABASE`, `STORAGE`, `COMPUTE`, `NETWORK`, `API` or `OTHER`.
    pub kind: String,
    /// Grows when the same parameters would compile to something else.
    pub version: u32,
    /// What one gets, in a sentence or two.
    pub description: String,
    /// What it costs; absent when nothing is known of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// What may be chosen.
    #[serde(default)]
    pub parameters: BTreeMap<String, Parameter>,
    /// The images it runs.
    #[serde(default)]
    pub images: BTreeMap<String, Image>,
    /// What is generated and sealed for it.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub secrets: BTreeMap<String, SecretKind>,
    /// What leads to it from outside, by name.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub ports: BTreeMap<String, Target>,
    /// Workload documents with placeholders.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    pub workloads: Vec<Value>,
    /// The compose file that its workloads come from, if they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub compose: Option<ComposeRule>,
    /// Values that follow from a parameter's, as placeholders of their own.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub values: BTreeMap<String, Derived>,
    /// What people are given to reach it, with placeholders.
    #[serde(default)]
    pub credentials: BTreeMap<String, String>,
    /// How it is backed up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub backup: Option<BackupRule>,
    /// After how long its credentials are replaced by themselves, such as `90d`, or `never`.
    #[serde(default = "never")]
    pub rotate_after: String,
    /// How its replica takes over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub promote: Option<PromoteRule>,
    /// Whether its parts write facts to their logs, as lines `univrs-facts {"name": value}`.
    #[serde(default)]
    pub facts: bool,
}

fn never() -> String {
    "never".to_owned()
}

/// A compose file in a parameter, and what it does not say itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComposeRule {
    /// The parameter that holds the file.
    pub file: String,
    /// The parameter that holds its variables, as lines `NAME=value`.
    #[serde(default)]
    pub variables: Option<String>,
    /// The parameter that names the active profiles, separated by commas.
    #[serde(default)]
    pub profiles: Option<String>,
    /// Limit of processor time of a service that states none; with placeholders.
    pub cpu: String,
    /// The same of memory.
    pub memory: String,
    /// Size of a volume without `x-size`.
    pub storage: String,
}

/// A value that follows from a parameter's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Derived {
    /// The parameter.
    pub of: String,
    /// What it is, by the parameter's value; placeholders stand for the name, the parameters and the like.
    pub by: BTreeMap<String, Value>,
}

/// What a template costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// A decimal number.
    pub amount: String,
    /// ISO 4217 code.
    pub currency: String,
    /// The time it is for.
    pub per: String,
}

/// Something that may be chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// What values it takes.
    #[serde(rename = "type")]
    pub kind: ParameterKind,
    /// What it is when nothing is given; without one it has to be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// The least, in its own form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Value>,
    /// The most, in its own form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Value>,
    /// The only values, if they are few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// Whether it can be changed later.
    #[serde(default)]
    pub scalable: bool,
    /// What it is for.
    pub description: String,
}

/// What values a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParameterKind {
    /// A whole number.
    Integer,
    /// True or false.
    Boolean,
    /// Processor time, such as `500m` or `2`.
    Cpu,
    /// Memory or disk, such as `512Mi` or `4Gi`.
    Bytes,
    /// A name of lower-case letters, digits and `_`, at most 40, beginning with a letter.
    Identifier,
    /// Any text of one line, at most 500 bytes.
    Text,
    /// A text of any number of lines, at most 32 KiB.
    Document,
}

/// An image of a template: the official one, and the one of `make images`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// What its makers publish.
    pub official: String,
    /// What `make images` builds; taken when it is on the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<String>,
    /// Whether the official one cannot take the other's place, because the template needs its scripts.
    #[serde(default)]
    pub local_only: bool,
}

/// What a port leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The workload, with placeholders.
    pub workload: String,
    /// Name of the container's port.
    pub port: String,
}

/// How a resource is backed up: jobs beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupRule {
    /// How many are kept; a number or a placeholder.
    pub keep: Value,
    /// When one is made by itself: `hourly`, `daily` or `weekly` (at a minute of its own, so that not all are made at
    /// once), five fields as of cron, or `manual`.
    #[serde(default = "manual")]
    pub schedule: String,
    /// The job that makes one.
    pub job: Value,
    /// The job that puts one back.
    pub restore: Value,
}

/// How a replica takes the place of what it follows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromoteRule {
    /// A parameter with choices, which says what leads; it goes on to its next choice.
    pub parameter: String,
    /// The job that lets the replica take over.
    pub job: Value,
}

fn manual() -> String {
    "manual".to_owned()
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// Names what is wrong with its path in the file.
    pub fn read(text: &str) -> Result<Self, FieldError> {
        let reader = toml::Deserializer::parse(text).map_err(|error| FieldError::new("", error.message()))?;
        let template: Self = serde_path_to_error::deserialize(reader).map_err(|error| {
            let path = error.path().to_string();
            FieldError::new(if path == "." { String::new() } else { path }, error.inner().message())
        })?;
        for (name, parameter) in &template.parameters {
            parameters::check_definition(name, parameter)?;
        }
        match &template.compose {
            None if template.workloads.is_empty() => {
                return Err(FieldError::new("workloads", "a template has at least one workload"));
            }
            Some(rule) if !template.parameters.contains_key(&rule.file) => {
                return Err(FieldError::new(
                    "compose.file",
                    format!("there is no parameter `{}`", rule.file),
                ));
            }
            _ => {}
        }
        Ok(template)
    }

    /// JSON Schema of its parameters.
    pub fn schema(&self) -> Value {
        parameters::schema(&self.parameters)
    }
}
