//! `univrs topology plan`: everything that will exist, with its addresses.

use clap::Args;
use univrs_compiler::Plan;
use univrs_topology::plan::RecordTarget;

use super::report;
use super::source::{Source, print_document};
use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::table::{Row, Table, column};

/// Show everything that will exist, with its addresses.
#[derive(Args, Debug)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    source: Source,
}

impl PlanArgs {
    pub(crate) fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        let read = self.source.read(context)?;
        let planned = read.with_options(univrs_compiler::plan);
        if report::talk(context, read.file(), &planned.report)? {
            return Ok(Exit::CheckFailed);
        }
        if let Some(document) = planned.document() {
            if context.for_programs() {
                print_document(context, &document)?;
            } else {
                tables(context, document.plan)?;
            }
        }
        Ok(Exit::Ok)
    }
}

fn tables(context: &mut Context<'_>, plan: &Plan) -> Result<(), Fault> {
    regions(plan).print(context, b"")?;
    if context.quiet || context.format == crate::args::Format::Name {
        return Ok(());
    }
    let more = [subnets(plan), tunnels(plan), records(plan), resources(plan)];
    for table in more.iter().filter(|table| !table.rows.is_empty()) {
        context.io.data("")?;
        table.print(context, b"")?;
    }
    Ok(())
}

fn row<const N: usize>(name: &str, cells: [String; N]) -> Row {
    Row { id: name.to_owned(), name: name.to_owned(), cells: cells.map(Into::into).to_vec() }
}

fn regions(plan: &Plan) -> Table {
    let columns =
        ["REGION", "RANGE", "ZONES", "SUBNETS", "MACHINES", "GATEWAY", "LOAD BALANCERS", "SERVICES"];
    let rows = plan.regions.iter().map(|region| {
        let gateway = region.machines.iter().find(|machine| machine.gateway);
        row(
            &region.id.to_string(),
            [
                region.id.to_string(),
                region.cidr.to_string(),
                region.zones.len().to_string(),
                region.subnets.len().to_string(),
                region.machines.len().to_string(),
                gateway.map(|machine| format!("{} {}", machine.name, machine.address)).unwrap_or_default(),
                region.load_balancers.len().to_string(),
                region.services.len().to_string(),
            ],
        )
    });
    Table { columns: columns.map(column).to_vec(), rows: rows.collect() }
}

fn subnets(plan: &Plan) -> Table {
    let columns = ["SUBNET", "REGION", "RANGE", "PUBLIC", "USED", "USABLE"].map(column).to_vec();
    let rows = plan.regions.iter().flat_map(|region| {
        region.subnets.iter().map(|subnet| {
            let public = if subnet.public { "yes" } else { "no" };
            row(
                &subnet.name,
                [
                    subnet.name.clone(),
                    region.id.to_string(),
                    subnet.cidr.to_string(),
                    public.to_owned(),
                    subnet.needed.to_string(),
                    subnet.usable.to_string(),
                ],
            )
        })
    });
    Table { columns, rows: rows.collect() }
}

fn tunnels(plan: &Plan) -> Table {
    let columns = ["TUNNEL", "FROM", "TO"].map(column).to_vec();
    let rows = plan.tunnels.iter().map(|tunnel| {
        row(&tunnel.name, [tunnel.name.clone(), tunnel.machines.0.clone(), tunnel.machines.1.clone()])
    });
    Table { columns, rows: rows.collect() }
}

fn records(plan: &Plan) -> Table {
    let columns = ["DNS RECORD", "KIND", "REGION", "TARGET", "WEIGHT"].map(column).to_vec();
    let records = plan.dns.iter().flat_map(|dns| dns.records.iter().map(move |record| (dns, record)));
    let rows = records.map(|(dns, record)| {
        let (RecordTarget::LoadBalancer(target) | RecordTarget::Machine(target)) = &record.target;
        row(
            &dns.fqdn,
            [
                dns.fqdn.clone(),
                record.kind.clone(),
                record.region.to_string(),
                target.clone(),
                format!("{}%", record.weight),
            ],
        )
    });
    Table { columns, rows: rows.collect() }
}

fn resources(plan: &Plan) -> Table {
    let columns = ["PROVIDER", "RESOURCE", "COUNT"].map(column).to_vec();
    let rows = plan.resources.iter().flat_map(|(cloud, kinds)| {
        kinds.iter().map(move |(kind, count)| row(kind, [cloud.to_string(), kind.clone(), count.to_string()]))
    });
    Table { columns, rows: rows.collect() }
}
