//! A lab as a table, or as the object that programs read.

use univrs_lab::state::Lab;
use univrs_lab::status;

use crate::context::Context;
use crate::fault::Fault;
use crate::table::{Cell, Row, Table, column, wide};

/// Prints the nodes of a lab.
pub(super) fn print(context: &mut Context<'_>, lab: &Lab) -> Result<(), Fault> {
    let view = status::view(lab);
    let rows = view.nodes.iter().map(|node| Row {
        id: node.id.clone().unwrap_or_default(),
        name: node.name.clone(),
        cells: vec![
            node.name.as_str().into(),
            Cell::State(node.state.to_owned()),
            node.cloud.as_str().into(),
            node.region.as_str().into(),
            node.zone.as_str().into(),
            node.role.as_str().into(),
            node.address.to_string().into(),
            node.pid.map_or(String::new(), |pid| pid.to_string()).into(),
            node.id.clone().unwrap_or_default().into(),
        ],
    });
    let columns = vec![
        column("NAME"),
        column("STATE"),
        column("CLOUD"),
        column("REGION"),
        column("ZONE"),
        column("ROLE"),
        column("ADDRESS"),
        wide("PID"),
        wide("ID"),
    ];
    let table = Table { columns, rows: rows.collect() };
    let body = serde_json::to_vec_pretty(&view).map_err(|error| Fault::failed(error.to_string(), None))?;
    table.print(context, &body)?;
    if !context.for_programs() {
        match &view.api {
            Some(api) => context.talk(&format!("API: {api}"))?,
            None => context.talk("API: its forwarder does not run; `univrs lab heal` starts it")?,
        }
        for cut in &view.cuts {
            context.talk(&format!("cut: nothing comes from {} to {}", cut.from, cut.to))?;
        }
    }
    Ok(())
}

/// Says how far regions are apart and what makes them so.
pub(super) fn talk_distances(context: &mut Context<'_>, lab: &Lab) -> Result<(), Fault> {
    let view = status::view(lab);
    if view.delay == "none" {
        return context.talk("packets between regions are not delayed");
    }
    for distance in &view.distances {
        let (from, to, ms, basis) = (&distance.from, &distance.to, distance.rtt_ms, &distance.basis);
        context.talk(&format!("{from} - {to}: {ms} ms round trip ({basis}), held by a user-space relay"))?;
    }
    Ok(())
}
