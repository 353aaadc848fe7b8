//! How the objects of the model look in tables.

use univrs_model::instance::InstanceView;
use univrs_model::node::{NodeState, NodeView};
use univrs_model::rollout::WorkloadView;
use univrs_model::workload::WorkloadSpec;

use crate::context::Context;
use crate::fault::Fault;
use crate::table::{Cell, Row, Table, column, print_body, size, wide, word};

/// The images of a workload, separated by commas.
pub(crate) fn images(spec: &WorkloadSpec) -> String {
    let containers = spec.containers();
    let images: Vec<&str> = containers.iter().map(|container| container.image.as_str()).collect();
    images.join(", ")
}

/// Workloads as a table.
pub(crate) fn workloads(views: &[WorkloadView]) -> Table {
    let columns = vec![
        column("NAME"),
        column("KIND"),
        column("STATUS"),
        column("READY"),
        column("VERSION"),
        column("IMAGE"),
        column("AGE"),
        wide("UPDATED"),
        wide("ID"),
        wide("MESSAGE"),
    ];
    let row = |view: &WorkloadView| Row {
        id: view.id.to_string(),
        name: view.name.to_string(),
        cells: vec![
            view.name.as_str().into(),
            word(&view.spec.kind).into(),
            Cell::State(word(&view.status)),
            format!("{}/{}", view.ready, view.replicas).into(),
            view.version.to_string().into(),
            images(&view.spec).into(),
            Cell::Time(Some(view.created_at)),
            Cell::Time(Some(view.updated_at)),
            view.id.as_str().into(),
            view.message.as_str().into(),
        ],
    };
    Table { columns, rows: views.iter().map(row).collect() }
}

/// Instances as a table.
pub(crate) fn instances(views: &[InstanceView]) -> Table {
    let columns = vec![
        column("ID"),
        column("WORKLOAD"),
        column("VERSION"),
        column("NODE"),
        column("PHASE"),
        column("HEALTH"),
        column("RESTARTS"),
        column("STARTED"),
        wide("EXIT"),
        wide("ADDRESS"),
        wide("CLOUD"),
        wide("REGION"),
        wide("IMAGE"),
        wide("MESSAGE"),
    ];
    let row = |view: &InstanceView| {
        let phase = word(&view.phase);
        let phase =
            if view.reachable || view.node.is_none() { phase } else { format!("{phase}, unreachable") };
        let node = view.node_name.as_ref().map(ToString::to_string);
        let node = node.or_else(|| view.node.as_ref().map(ToString::to_string));
        Row {
            id: view.id.to_string(),
            name: view.id.to_string(),
            cells: vec![
                view.id.as_str().into(),
                view.workload.as_str().into(),
                view.workload_revision.to_string().into(),
                node.unwrap_or_default().into(),
                Cell::State(phase),
                Cell::State(word(&view.health)),
                view.restarts.to_string().into(),
                Cell::Time(view.started_at),
                view.exit_code.map(|code| code.to_string()).unwrap_or_default().into(),
                view.address.clone().unwrap_or_default().into(),
                view.cloud.clone().unwrap_or_default().into(),
                view.region.clone().unwrap_or_default().into(),
                view.image.as_str().into(),
                view.message.as_str().into(),
            ],
        }
    };
    Table { columns, rows: views.iter().map(row).collect() }
}

/// What can be done with a node, in words.
pub(crate) fn node_state(view: &NodeView) -> String {
    let mut words = vec![word(&view.state)];
    if view.draining {
        words.push("draining".to_owned());
    } else if view.cordoned && view.state == NodeState::Ready {
        words.push("cordoned".to_owned());
    }
    words.join(", ")
}

/// Nodes as a table.
pub(crate) fn nodes(views: &[NodeView]) -> Table {
    let columns = vec![
        column("NAME"),
        column("STATE"),
        column("ROLES"),
        column("VOTE"),
        column("CLOUD"),
        column("REGION"),
        column("CPU"),
        column("MEMORY"),
        column("INSTANCES"),
        column("VERSION"),
        column("AGE"),
        wide("ZONE"),
        wide("RUNTIME"),
        wide("API"),
        wide("ADDRESS"),
        wide("BLOCK"),
        wide("ID"),
    ];
    let row = |view: &NodeView| {
        let node = &view.node;
        let roles: Vec<String> = node.roles.iter().map(word).collect();
        Row {
            id: node.id.to_string(),
            name: node.name.to_string(),
            cells: vec![
                node.name.as_str().into(),
                Cell::State(node_state(view)),
                roles.join(",").into(),
                view.state_part.as_ref().map(word).unwrap_or_default().into(),
                node.location.cloud.as_str().into(),
                node.location.region.as_str().into(),
                format!("{}/{}", view.requested.cpu, node.capacity.cpu).into(),
                format!("{}/{}", size(view.requested.memory.get()), size(node.capacity.memory.get())).into(),
                view.instances.to_string().into(),
                node.version.as_str().into(),
                Cell::Time(Some(node.created_at)),
                node.location.zone.as_str().into(),
                node.runtime.as_ref().map(word).unwrap_or_default().into(),
                node.api_address.as_str().into(),
                node.address.as_deref().unwrap_or_default().into(),
                node.block.as_deref().unwrap_or_default().into(),
                node.id.as_str().into(),
            ],
        }
    };
    Table { columns, rows: views.iter().map(row).collect() }
}

/// One object as `key: value` lines; its own form and its name in the other formats.
pub(crate) fn details(
    context: &mut Context<'_>,
    body: &[u8],
    (id, name): (&str, &str),
    facts: &[(&str, String)],
) -> Result<(), Fault> {
    if context.for_programs() {
        return print_body(context, body);
    }
    if context.quiet {
        return Ok(context.io.data(id)?);
    }
    if context.format == crate::args::Format::Name {
        return Ok(context.io.data(name)?);
    }
    let said = || facts.iter().filter(|(_, value)| !value.is_empty());
    let width = said().map(|(key, _)| key.len()).max().unwrap_or(0) + 1;
    for (key, value) in said() {
        context.io.data(&format!("{:width$} {value}", format!("{key}:")))?;
    }
    Ok(())
}

/// What a write prints on standard output: nothing for people, who were told on the side.
pub(crate) fn written(context: &mut Context<'_>, body: &[u8], id: &str, name: &str) -> Result<(), Fault> {
    if context.for_programs() {
        // Some writes are answered without a body.
        return if body.is_empty() { Ok(()) } else { print_body(context, body) };
    }
    if context.quiet {
        context.io.data(id)?;
    } else if context.format == crate::args::Format::Name {
        context.io.data(name)?;
    }
    Ok(())
}
