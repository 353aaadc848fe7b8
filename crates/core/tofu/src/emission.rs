//! What emission gives back, and what it could not put into files.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use univrs_topology::plan::{Group, ServiceInstance};

use crate::site::Site;

/// The files of a topology.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Emission {
    /// Path below the output folder → bytes.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Parts of the plan that no file makes true. They stand in the emitted `README.md` too.
    pub gaps: Vec<Gap>,
}

/// Something the plan has and the files do not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Gap {
    /// The region, or `*` for all.
    pub region: String,
    /// Which part of the plan.
    pub what: String,
    /// What is not done.
    pub why: String,
    /// What a person can do about it.
    pub hint: String,
}

impl fmt::Display for Gap {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}: {}; {}", self.region, self.what, self.why, self.hint)
    }
}

/// The plan cannot be emitted: something in it has no counterpart at its provider, or is not decided.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the topology cannot be emitted: {}", .problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct EmitError {
    /// What is missing, all of it.
    pub problems: Vec<Gap>,
}

/// Gaps in the making.
#[derive(Debug, Default)]
pub(crate) struct Gaps {
    gaps: Vec<Gap>,
    problems: Vec<Gap>,
}

impl Gaps {
    /// Notes a gap in a region.
    pub(crate) fn add(&mut self, site: Site<'_>, what: &str, why: &str, hint: &str) {
        self.gaps.push(gap(site.region.id.to_string(), what, why, hint));
    }

    /// Notes a gap of the whole topology.
    pub(crate) fn everywhere(&mut self, what: &str, why: &str, hint: &str) {
        self.gaps.push(gap("*".to_owned(), what, why, hint));
    }

    fn refuse(&mut self, site: Site<'_>, what: &str, why: &str, hint: &str) {
        self.problems.push(gap(site.region.id.to_string(), what, why, hint));
    }

    /// The machine type of a group. Without one nothing can be emitted.
    pub(crate) fn machine_type<'a>(&mut self, site: Site<'_>, group: &'a Group) -> Option<&'a str> {
        if group.machine.is_none() {
            let hint = format!("name one under `role.{}.machine.{}`", group.role, site.region.cloud);
            self.refuse(site, group.role.as_str(), "no machine type is known", &hint);
        }
        group.machine.as_deref()
    }

    /// Container groups where they are not emitted.
    pub(crate) fn no_container_groups(&mut self, site: Site<'_>, group: &Group) {
        let hint = format!("set `role.{}.host = \"machine\"`", group.role);
        self.refuse(site, group.role.as_str(), "container groups are emitted for Azure only", &hint);
    }

    /// A service the provider, or its schema, does not have.
    pub(crate) fn no_service(&mut self, site: Site<'_>, service: &ServiceInstance, why: &str) {
        let hint = "run it on machines of a role, or place the service in another cloud with `at`";
        self.add(site, &service.name, why, hint);
    }

    /// All gaps, in order and each once.
    ///
    /// # Errors
    /// Something stands in the way of the whole.
    pub(crate) fn settle(mut self) -> Result<Vec<Gap>, EmitError> {
        for list in [&mut self.gaps, &mut self.problems] {
            list.sort();
            list.dedup();
        }
        if self.problems.is_empty() { Ok(self.gaps) } else { Err(EmitError { problems: self.problems }) }
    }
}

fn gap(region: String, what: &str, why: &str, hint: &str) -> Gap {
    Gap { region, what: what.to_owned(), why: why.to_owned(), hint: hint.to_owned() }
}
