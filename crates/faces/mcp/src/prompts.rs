//! Prompts: how an operator goes about a common task, with the tools that it takes.

use rmcp::ErrorData;
use rmcp::model::{GetPromptResult, JsonObject, Prompt, PromptArgument, PromptMessage, Role};
use serde_json::Value;

use crate::untrusted::line;

/// A prompt: name, description, arguments (name, description, whether it is needed), text.
struct Known {
    name: &'static str,
    description: &'static str,
    arguments: &'static [(&'static str, &'static str, bool)],
    /// `{argument}` stands for what was given.
    text: &'static str,
}

const PROMPTS: &[Known] = &[
    Known {
        name: "troubleshoot",
        description: "Find out what is wrong, and mend it",
        arguments: &[("workload", "Only this workload", false)],
        text: "Find out what is wrong {with workload}. Call find_problems first: it names causes and fixes. Look \
            closer with explain_placement for instances that are not placed, workload_logs for containers that end, \
            and events_timeline for what changed before. Say the cause and the evidence in two sentences, then \
            propose the smallest change. Plan it with a workload tool, show the plan, and apply it with plan_apply \
            only when I agree. Then wait until find_problems is clean.",
    },
    Known {
        name: "drain",
        description: "Empty a node for maintenance without losing service",
        arguments: &[("node", "Name of the node", true)],
        text: "Empty node {node} for maintenance. With node_get and cluster_overview check that the other nodes have \
            room for what it holds, and say which workloads would have too few instances meanwhile. Plan it with \
            node_drain and show the plan. A person has to approve it with `univrs plan approve`; then apply it with \
            plan_apply and follow it with operation_get until it has ended.",
    },
    Known {
        name: "deploy",
        description: "Bring a workload or a new version of it to the cluster",
        arguments: &[("name", "Name of the workload", true), ("image", "Image to run", true)],
        text: "Deploy {image} as workload {name}. Look with workload_get whether it exists: then use workload_update, \
            else workload_deploy. Show the plan, apply it with plan_apply and wait_seconds 120, and say whether the \
            new version runs. If it was reverted or fails, use find_problems and say why.",
    },
    Known {
        name: "cost_review",
        description: "Find out what is paid for and not used, and what would be cheaper",
        arguments: &[("workload", "Only this workload", false)],
        text: "Review what is paid for {with workload}. With cluster_overview and node_list say how much of each node is \
            asked for and how much is idle; with workload_list find workloads that ask for much, are never ready, or \
            have more instances than they need. If I give you a topology \
            file, price it with topology_cost, check cheaper ones with topology_check and topology_cost, and compare the \
            sums by region; say which prices are missing or old. Then name at most five changes, each with what it \
            saves and what it risks, the safest first. Plan one only when I ask for it, and apply it with plan_apply \
            only when I agree.",
    },
];

pub(crate) fn list() -> Vec<Prompt> {
    let argument = |(name, description, required): &(&str, &str, bool)| {
        PromptArgument::new(*name).with_description(*description).with_required(*required)
    };
    PROMPTS
        .iter()
        .map(|known| {
            let arguments = known.arguments.iter().map(argument).collect();
            Prompt::new(known.name, Some(known.description), Some(arguments))
        })
        .collect()
}

pub(crate) fn get(name: &str, given: Option<&JsonObject>) -> Result<GetPromptResult, ErrorData> {
    let invalid = |what: String| ErrorData::invalid_params(what, None);
    let known = PROMPTS.iter().find(|known| known.name == name);
    let known = known.ok_or_else(|| invalid(format!("there is no prompt `{}`", line(name, 100))))?;
    let value = |name: &str| given.and_then(|given| given.get(name)).and_then(Value::as_str);
    let mut text = known.text.to_owned();
    for (argument, _, required) in known.arguments {
        match value(argument) {
            None if *required => return Err(invalid(format!("the argument `{argument}` is missing"))),
            given => {
                let given = given.map(|given| line(given, 200));
                let with =
                    given.as_ref().map_or_else(String::new, |given| format!("with {argument} {given}"));
                text = text.replace(
                    &format!("{{with {argument}}}"),
                    if with.is_empty() { "in the cluster" } else { &with },
                );
                text = text.replace(&format!("{{{argument}}}"), given.as_deref().unwrap_or_default());
            }
        }
    }
    let message = PromptMessage::new_text(Role::User, text);
    Ok(GetPromptResult::new(vec![message]).with_description(known.description))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{get, list};

    #[test]
    fn every_prompt_takes_its_arguments() {
        let all = json!({"workload": "web", "node": "n1", "name": "web", "image": "web:2"});
        for prompt in list() {
            let got = get(&prompt.name, all.as_object()).unwrap();
            let text = serde_json::to_value(&got).unwrap()["messages"][0]["content"]["text"].to_string();
            assert!(!text.contains('{'), "{text}");
        }
        assert!(get("drain", None).is_err());
        assert!(get("none", None).is_err());
        assert!(get("troubleshoot", None).is_ok());
    }
}
