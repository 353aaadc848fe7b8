//! Names that the file states and providers may refuse, and names that must be free in the whole world.
//!
//! The emitter makes every other name from the topology, the environment and the thing, cut to what the provider
//! takes, so that only stated ones can be wrong.

use univrs_topology::cloud::Cloud;
use univrs_topology::codes::Code;
use univrs_topology::finding::{Finding, Findings};
use univrs_topology::plan::Plan;
use univrs_topology::spec::{Host, ServiceKind};
use univrs_topology::topology::Topology;

/// The one key of `region.names` that is passed on.
const RESOURCE_GROUP: &str = "resource_group";

/// What a provider takes as a name.
struct Law {
    longest: usize,
    /// Whether a character may stand in it.
    takes: fn(char) -> bool,
    /// Whether one may stand at its start.
    begins: fn(char) -> bool,
    /// Whether one may stand at its end.
    ends: fn(char) -> bool,
    /// In words.
    text: &'static str,
}

/// Azure: resource groups (learn.microsoft.com, "Naming rules and restrictions for Azure resources").
const AZURE_RESOURCE_GROUP: Law = Law {
    longest: 90,
    takes: |c| c.is_alphanumeric() || "_-.()".contains(c),
    begins: |_| true,
    ends: |c| c != '.',
    text: "1 to 90 letters, digits, `_`, `-`, `.` and brackets, no `.` at the end",
};
/// Azure: rules of a network security group (the same page).
const AZURE_RULE: Law = Law {
    longest: 80,
    takes: |c| c.is_ascii_alphanumeric() || "_-.".contains(c),
    begins: |c| c.is_ascii_alphanumeric(),
    ends: |c| c.is_ascii_alphanumeric() || c == '_',
    text: "1 to 80 letters, digits, `_`, `-` and `.`, a letter or digit first and no `-` or `.` last",
};
/// AWS: description of a security group rule (EC2 API, IpRange).
const AWS_RULE: Law = Law {
    longest: 255,
    takes: |c| c.is_ascii_alphanumeric() || " ._-:/()#,@[]+=&;{}!$*".contains(c),
    begins: |_| true,
    ends: |_| true,
    text: "at most 255 letters, digits, spaces and `._-:/()#,@[]+=&;{}!$*`",
};
/// AWS: tag keys and values (EC2 user guide, "Tag restrictions").
const AWS_TAG_KEY: Law = Law {
    longest: 128,
    takes: |c| c.is_alphanumeric() || " +-=._:/@".contains(c),
    begins: |_| true,
    ends: |_| true,
    text: "1 to 128 letters, digits, spaces and `+-=._:/@`, not beginning with `aws:`",
};
const AWS_TAG_VALUE: Law =
    Law { longest: 256, text: "at most 256 letters, digits, spaces and `+-=._:/@`", ..AWS_TAG_KEY };
/// Azure: tag names and values (learn.microsoft.com, "Use tags to organize your Azure resources").
const AZURE_TAG_KEY: Law = Law {
    longest: 512,
    takes: |c| !"<>%&\\?/".contains(c) && !c.is_control(),
    begins: |_| true,
    ends: |_| true,
    text: "1 to 512 characters without `<>%&\\?/`",
};
const AZURE_TAG_VALUE: Law =
    Law { longest: 256, takes: |_| true, text: "at most 256 characters", ..AZURE_TAG_KEY };
/// Tags of one resource at AWS and Azure, those of the compiler included.
const MOST_TAGS: usize = 50;

impl Law {
    fn allows(&self, name: &str) -> bool {
        let (mut first, mut last) = (name.chars(), name.chars().rev());
        name.chars().count() <= self.longest
            && name.chars().all(self.takes)
            && first.next().is_none_or(self.begins)
            && last.next().is_none_or(self.ends)
    }

    fn judge(&self, cloud: Cloud, what: &str, name: &str, path: String, findings: &mut Findings) {
        if !self.allows(name) {
            let shown: String = name.chars().take(80).collect();
            let message = format!("{cloud} does not take `{shown}` as {what}");
            findings
                .push(Finding::new(Code::IllegalName, path, message).hint(format!("it takes {}", self.text)));
        }
    }
}

/// Checks stated names against the rules of the clouds they are for.
pub(super) fn check(topology: &Topology, plan: &Plan, findings: &mut Findings) {
    regions(topology, findings);
    rules(topology, findings);
    tags(topology, plan, findings);
    worldwide(plan, findings);
}

fn regions(topology: &Topology, findings: &mut Findings) {
    for region in &topology.regions {
        let cloud = region.id.cloud;
        let stated = topology.spec.regions.iter().find(|stated| stated.id == region.id);
        let base = stated.map_or("region", |stated| stated.path.as_str());
        for (key, name) in &region.names {
            let path = format!("{base}.names.{key}");
            if (cloud, key.as_str()) == (Cloud::Azure, RESOURCE_GROUP) {
                AZURE_RESOURCE_GROUP.judge(cloud, "a resource group", name, path.clone(), findings);
                if name.is_empty() {
                    let message = "a resource group needs a name".to_owned();
                    findings.push(Finding::new(Code::IllegalName, path, message));
                }
            } else {
                let message = format!("`{key}` of {} is passed on to no provider", region.id);
                let finding = Finding::new(Code::NotEmitted, path, message);
                findings.push(finding.hint("only `resource_group` of azure can be named"));
            }
        }
    }
}

fn rules(topology: &Topology, findings: &mut Findings) {
    for role in topology.roles.iter().filter(|role| role.spec.host == Host::Machine) {
        let has = |cloud: Cloud| {
            role.placements.iter().any(|place| topology.regions[place.region].id.cloud == cloud)
        };
        for (index, port) in role.spec.ports.iter().enumerate() {
            let Some(name) = &port.name else { continue };
            for (cloud, law) in [(Cloud::Azure, &AZURE_RULE), (Cloud::Aws, &AWS_RULE)] {
                if has(cloud) {
                    let path = format!("role.{}.ports[{index}].name", role.spec.name);
                    law.judge(cloud, "the name of a rule", name, path, findings);
                }
            }
        }
    }
}

fn tags(topology: &Topology, plan: &Plan, findings: &mut Findings) {
    for cloud in topology.clouds() {
        let (key_law, value_law) = match cloud {
            Cloud::Aws => (&AWS_TAG_KEY, &AWS_TAG_VALUE),
            Cloud::Azure => (&AZURE_TAG_KEY, &AZURE_TAG_VALUE),
            // Elsewhere tags become labels, and the emitter writes what labels can hold.
            _ => continue,
        };
        for (key, value) in &topology.spec.tags {
            let path = format!("tags.{key}");
            let reserved = cloud == Cloud::Aws && key.to_ascii_lowercase().starts_with("aws:");
            if reserved || key.is_empty() {
                let message = format!("{cloud} does not take `{key}` as the name of a tag");
                let finding = Finding::new(Code::IllegalName, path.clone(), message);
                findings.push(finding.hint(format!("it takes {}", key_law.text)));
            }
            key_law.judge(cloud, "the name of a tag", key, path.clone(), findings);
            value_law.judge(cloud, "the value of a tag", value, path, findings);
        }
        // The region and the role come on top.
        if plan.tags.len() + 2 > MOST_TAGS {
            let message =
                format!("{cloud} has at most {MOST_TAGS} tags on a resource, not {}", plan.tags.len() + 2);
            findings.push(Finding::new(Code::IllegalName, "tags", message));
        }
    }
}

/// Names this list holds at the most.
const MOST_NAMES: usize = 12;

/// Lists what must be free in the whole world.
fn worldwide(plan: &Plan, findings: &mut Findings) {
    let mut names: Vec<String> = plan.machines().filter_map(|machine| machine.dns_name.clone()).collect();
    let regional = plan.regions.iter().flat_map(|region| &region.services);
    let services = regional.chain(plan.clouds.iter().flat_map(|cloud| &cloud.services));
    names.extend(services.filter_map(|service| {
        let what = match (service.kind, service.cloud) {
            // The account's number is part of the name.
            (_, Cloud::Aws) => return None,
            (ServiceKind::ObjectStorage, Cloud::Azure) => "storage account",
            (ServiceKind::ObjectStorage, Cloud::Gcp | Cloud::DigitalOcean) => "bucket",
            (ServiceKind::Postgres, Cloud::Azure) => "database server",
            (ServiceKind::Redis, Cloud::Azure) => "cache",
            (ServiceKind::Keys, Cloud::Azure) => "key vault",
            _ => return None,
        };
        Some(format!("{what} of {}", service.name))
    }));
    if names.is_empty() {
        return;
    }
    let all = names.len();
    names.truncate(MOST_NAMES);
    let more = if all > MOST_NAMES { format!(" and {} more", all - MOST_NAMES) } else { String::new() };
    let message = format!("these names must be free in the whole world: {}{more}", names.join(", "));
    findings.push(Finding::new(Code::GlobalName, "name", message));
}

#[cfg(test)]
mod tests {
    use super::{AWS_RULE, AZURE_RESOURCE_GROUP, AZURE_RULE, AZURE_TAG_KEY};

    #[test]
    fn laws() {
        for (law, good, bad) in [
            (&AZURE_RESOURCE_GROUP, "web-prod-rg_(1)", "web-prod."),
            (&AZURE_RULE, "AllowSSH_", "Allow SSH"),
            (&AZURE_RULE, "a.b-c", "-a"),
            (&AWS_RULE, "SSH (office)", "SSH <office>"),
            (&AZURE_TAG_KEY, "cost centre", "a/b"),
        ] {
            assert!(law.allows(good) && !law.allows(bad), "{good} {bad}");
        }
        assert!(!AZURE_RULE.allows(&"a".repeat(81)));
    }
}
