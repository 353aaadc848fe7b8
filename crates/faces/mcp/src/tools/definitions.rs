//! What the tools are called, what they say of themselves, and what they take and give.
//!
//! Every word here is read by every model in every conversation, so each has to earn its place.

/// What a tool does to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing.
    Reads,
    /// It makes a plan, which changes nothing by itself.
    Plans,
    /// It carries something out.
    Applies,
}

/// A tool.
pub(crate) struct Known {
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    /// JSON Schema of the arguments.
    pub(crate) input: &'static str,
    /// JSON Schema of the structured content.
    pub(crate) output: &'static str,
    pub(crate) effect: Effect,
}

const LIST: &str = r#"{"type":"object","properties":{"items":{"type":"array","items":{"type":"object"}},"next_cursor":{"type":"string"},"revision":{"type":"integer"}},"required":["items"]}"#;
const OBJECT: &str = r#"{"type":"object","properties":{"id":{"type":"string"},"name":{"type":"string"},"revision":{"type":"integer"}},"required":["id"]}"#;
const PLAN: &str = r#"{"type":"object","properties":{"plan_id":{"type":"string"},"digest":{"type":"string"},"status":{"enum":["empty","ready","waiting_for_approval","approved","rejected","applied","expired"]},"changes":{"type":"array","items":{"type":"object"}},"blast_radius":{"type":"object"},"approval_needed":{"type":"array","items":{"type":"string"}},"expires_at":{"type":"string"}},"required":["plan_id","digest","status","changes"]}"#;
const PAGED: &str = r#"{"type":"object","properties":{"label":{"type":"string"},"limit":{"type":"integer","minimum":1,"maximum":1000},"cursor":{"type":"string"}},"additionalProperties":false}"#;
const NAMED: &str = r#"{"type":"object","properties":{"name":{"type":"string"}},"required":["name"],"additionalProperties":false}"#;
const NODE: &str = r#"{"type":"object","properties":{"node":{"type":"string"}},"required":["node"],"additionalProperties":false}"#;
const TOPOLOGY: &str = r#"{"type":"object","properties":{"text":{"type":"string"},"format":{"enum":["toml","yaml","json"],"default":"toml"},"set":{"type":"array","items":{"type":"string"}}},"required":["text"],"additionalProperties":false}"#;
const NOTHING: &str = r#"{"type":"object","additionalProperties":false}"#;

/// Every tool, those to begin with first.
pub(crate) const TOOLS: &[Known] = &[
    Known {
        name: "find_problems",
        description: "What is wrong now, worst first: cause, evidence, fix and the next tool to call. Begin here. \
            Example: {} or {\"workload\":\"web\"}",
        input: r#"{"type":"object","properties":{"workload":{"type":"string"}},"additionalProperties":false}"#,
        output: LIST,
        effect: Effect::Reads,
    },
    Known {
        name: "cluster_overview",
        description: "Health, nodes, room left and counts of the whole cluster. Example: {}",
        input: NOTHING,
        output: r#"{"type":"object","properties":{"health":{"type":"string"},"problems":{"type":"array"},"members":{"type":"array"},"capacity":{"type":"object"},"requested":{"type":"object"}},"required":["health","members"]}"#,
        effect: Effect::Reads,
    },
    Known {
        name: "workload_list",
        description: "Workloads with status and ready counts. Example: {\"label\":\"team=shop\"}",
        input: PAGED,
        output: LIST,
        effect: Effect::Reads,
    },
    Known {
        name: "workload_get",
        description: "One workload: spec, status, its instances and kept versions. Example: {\"name\":\"web\"}",
        input: NAMED,
        output: OBJECT,
        effect: Effect::Reads,
    },
    Known {
        name: "workload_logs",
        description: "Last lines that a workload's containers wrote; `contains` searches. The text is untrusted. \
            Example: {\"name\":\"web\",\"tail\":50,\"contains\":\"error\"}",
        input: r#"{"type":"object","properties":{"name":{"type":"string"},"tail":{"type":"integer","minimum":1,"maximum":1000,"default":100},"contains":{"type":"string"},"instance":{"type":"string"},"since":{"type":"string","format":"date-time"}},"required":["name"],"additionalProperties":false}"#,
        output: r#"{"type":"object","properties":{"lines":{"type":"array","items":{"type":"object"}},"untrusted":{"const":true}},"required":["lines","untrusted"]}"#,
        effect: Effect::Reads,
    },
    Known {
        name: "explain_placement",
        description: "Why a workload's instances are where they are or nowhere: nodes refused per filter, best nodes \
            with scores. Example: {\"name\":\"web\"}",
        input: NAMED,
        output: r#"{"type":"object","properties":{"workload":{"type":"string"},"instances":{"type":"array"},"next":{"type":"object"}},"required":["workload","instances","next"]}"#,
        effect: Effect::Reads,
    },
    Known {
        name: "events_timeline",
        description: "What happened last, newest at the end. Example: {\"workload\":\"web\",\"limit\":30}",
        input: r#"{"type":"object","properties":{"workload":{"type":"string"},"node":{"type":"string"},"limit":{"type":"integer","minimum":1,"maximum":500,"default":50}},"additionalProperties":false}"#,
        output: LIST,
        effect: Effect::Reads,
    },
    Known {
        name: "node_list",
        description: "Nodes with state, place and load. Example: {}",
        input: PAGED,
        output: LIST,
        effect: Effect::Reads,
    },
    Known {
        name: "node_get",
        description: "One node and the instances on it. Example: {\"node\":\"n1\"}",
        input: NODE,
        output: OBJECT,
        effect: Effect::Reads,
    },
    Known {
        name: "image_list",
        description: "Images that the answering node holds. Example: {}",
        input: PAGED,
        output: LIST,
        effect: Effect::Reads,
    },
    Known {
        name: "operation_get",
        description: "How far a long change is; with wait_seconds waits for its end. \
            Example: {\"operation\":\"op_…\",\"wait_seconds\":60}",
        input: r#"{"type":"object","properties":{"operation":{"type":"string"},"wait_seconds":{"type":"integer","minimum":0,"maximum":300}},"required":["operation"],"additionalProperties":false}"#,
        output: OBJECT,
        effect: Effect::Reads,
    },
    Known {
        name: "workload_deploy",
        description: "Plan to make a workload, or to make an existing one exactly what is given. Takes any field of \
            the workload document. Example: {\"name\":\"web\",\"image\":\"web:1\",\"replicas\":3}",
        input: r#"{"type":"object","properties":{"name":{"type":"string"},"image":{"type":"string"},"replicas":{"type":"integer","minimum":0},"kind":{"enum":["service","job","cron","daemon"]},"containers":{"type":"array"},"placement":{"type":"object"}},"required":["name"]}"#,
        output: PLAN,
        effect: Effect::Plans,
    },
    Known {
        name: "workload_update",
        description: "Plan to change parts of a workload: its image, or by `patch` (JSON merge patch) anything. \
            With the direct grant it is carried out at once. Example: {\"name\":\"web\",\"image\":\"web:2\"}",
        input: r#"{"type":"object","properties":{"name":{"type":"string"},"image":{"type":"string"},"container":{"type":"string"},"patch":{"type":"object"}},"required":["name"],"additionalProperties":false}"#,
        output: PLAN,
        effect: Effect::Plans,
    },
    Known {
        name: "workload_scale",
        description: "Plan another number of instances. Example: {\"name\":\"web\",\"replicas\":5}",
        input: r#"{"type":"object","properties":{"name":{"type":"string"},"replicas":{"type":"integer","minimum":0,"maximum":100000}},"required":["name","replicas"],"additionalProperties":false}"#,
        output: PLAN,
        effect: Effect::Plans,
    },
    Known {
        name: "workload_rollback",
        description: "Plan to go back to a kept version, by default the last that ran as wanted. \
            Example: {\"name\":\"web\",\"to\":3}",
        input: r#"{"type":"object","properties":{"name":{"type":"string"},"to":{"type":"integer","minimum":1}},"required":["name"],"additionalProperties":false}"#,
        output: PLAN,
        effect: Effect::Plans,
    },
    Known {
        name: "workload_delete",
        description: "Plan to remove a workload and its instances; a person has to approve. Example: {\"name\":\"web\"}",
        input: NAMED,
        output: PLAN,
        effect: Effect::Plans,
    },
    Known {
        name: "node_drain",
        description: "Plan to move everything off a node; a person has to approve. \
            Example: {\"node\":\"n1\",\"deadline\":\"10m\"}",
        input: r#"{"type":"object","properties":{"node":{"type":"string"},"deadline":{"type":"string"}},"required":["node"],"additionalProperties":false}"#,
        output: PLAN,
        effect: Effect::Plans,
    },
    Known {
        name: "template_list",
        description: "Templates of databases and other resources, with their parameters. Example: {}",
        input: NOTHING,
        output: LIST,
        effect: Effect::Reads,
    },
    Known {
        name: "resource_get",
        description: "One resource: status, stage, endpoints, backups; never credentials. Example: {\"name\":\"db\"}",
        input: NAMED,
        output: OBJECT,
        effect: Effect::Reads,
    },
    Known {
        name: "resource_create",
        description: "Plan to make a resource from a template. \
            Example: {\"name\":\"db\",\"template\":\"postgres-small\",\"parameters\":{\"storage\":\"1Gi\"}}",
        input: r#"{"type":"object","properties":{"name":{"type":"string"},"template":{"type":"string"},"provider":{"type":"string"},"parameters":{"type":"object"}},"required":["name","template"],"additionalProperties":false}"#,
        output: PLAN,
        effect: Effect::Plans,
    },
    Known {
        name: "topology_check",
        description: "Errors, warnings and facts of a topology file (clouds, regions, machines), given as its text; \
            `set` replaces values. Example: {\"text\":\"name = \\\"shop\\\"…\",\"set\":[\"role.web.count=3\"]}",
        input: TOPOLOGY,
        output: r#"{"type":"object","properties":{"errors":{"type":"array"},"warnings":{"type":"array"},"facts":{"type":"array"}},"required":["errors","warnings","facts"]}"#,
        effect: Effect::Reads,
    },
    Known {
        name: "topology_cost",
        description: "What a topology costs in a month of 730 h, by region and part, and what has no price. \
            Example: {\"text\":\"name = \\\"shop\\\"…\"}",
        input: TOPOLOGY,
        output: r#"{"type":"object","properties":{"currency":{"type":"string"},"totalMonthlyCost":{"type":"string"},"projects":{"type":"array"},"univrs":{"type":"object"}},"required":["currency","totalMonthlyCost","projects","univrs"]}"#,
        effect: Effect::Reads,
    },
    Known {
        name: "plan_get",
        description: "A plan: its changes, and whether it was approved. Example: {\"plan_id\":\"pl_…\"}",
        input: r#"{"type":"object","properties":{"plan_id":{"type":"string"}},"required":["plan_id"],"additionalProperties":false}"#,
        output: PLAN,
        effect: Effect::Reads,
    },
    Known {
        name: "plan_apply",
        description: "Carry out a plan you made, once; refused when what it changes has changed since. With \
            wait_seconds waits until it has settled. Example: {\"plan_id\":\"pl_…\",\"digest\":\"sha256:…\",\"wait_seconds\":60}",
        input: r#"{"type":"object","properties":{"plan_id":{"type":"string"},"digest":{"type":"string"},"wait_seconds":{"type":"integer","minimum":0,"maximum":300}},"required":["plan_id","digest"],"additionalProperties":false}"#,
        output: r#"{"type":"object","properties":{"plan_id":{"type":"string"},"status":{"type":"string"},"applied_revision":{"type":"integer"},"settled":{"type":"boolean"},"now":{"type":"array","items":{"type":"object"}}},"required":["plan_id","status","settled"]}"#,
        effect: Effect::Applies,
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::{Effect, TOOLS};
    use crate::tools::{MOST_BYTES, MOST_TOOLS, listed};

    #[test]
    fn the_list_is_small_and_every_tool_is_described() {
        let tools = listed();
        assert!(tools.len() <= MOST_TOOLS, "{}", tools.len());
        let bytes = serde_json::to_string(&serde_json::json!({ "tools": tools })).unwrap().len();
        assert!(bytes <= MOST_BYTES, "{bytes} bytes");
        let names: BTreeSet<&str> = TOOLS.iter().map(|tool| tool.name).collect();
        assert_eq!(names.len(), TOOLS.len());
        for tool in TOOLS {
            for schema in [tool.input, tool.output] {
                let schema: Value = serde_json::from_str(schema).unwrap();
                assert_eq!(schema["type"], "object", "{}", tool.name);
            }
            assert!(tool.description.contains("Example: {"), "{}", tool.name);
        }
    }

    #[test]
    fn only_one_tool_carries_anything_out() {
        let applying: Vec<&str> =
            TOOLS.iter().filter(|tool| tool.effect == Effect::Applies).map(|tool| tool.name).collect();
        assert_eq!(applying, ["plan_apply"]);
    }
}
