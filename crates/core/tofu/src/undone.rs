//! What the plan states and no file makes true, at any provider.

use univrs_topology::plan::{Group, Plan};
use univrs_topology::spec::{Host, Persistence, Purchase, ServiceKind};

use crate::emission::Gaps;
use crate::site::{Site, services_of};

/// Notes all of it.
pub(crate) fn note(plan: &Plan, gaps: &mut Gaps) {
    if let Some(time) = &plan.auto_shutdown {
        let why = format!("nothing switches machines off at {time}");
        let hint = "run `tofu destroy` on a schedule, or the provider's own scheduler";
        gaps.everywhere("schedule.auto_shutdown", &why, hint);
    }
    if plan.backup.as_ref().is_some_and(|backup| backup.schedule.is_some()) {
        let hint = "databases and buckets keep their own; use the provider's backup service for disks";
        gaps.everywhere("backup.schedule", "machines and their disks are not backed up", hint);
    }
    if plan.budget.as_ref().is_some_and(|budget| !budget.alert_at.is_empty()) {
        let hint = "set an alert in the provider's billing console";
        gaps.everywhere("budget.alert_at", "nobody is told when the money runs out", hint);
    }
    for region in &plan.regions {
        let site = Site { plan, region };
        for group in &region.groups {
            group_of(site, group, gaps);
        }
        for group in &region.security_groups {
            let open = group.rules.iter().filter(|rule| !rule.enforced);
            let ports: Vec<String> = open.map(|rule| rule.port.to_string()).collect();
            if !ports.is_empty() {
                let why = format!(
                    "nothing can guard its ports {}: its containers are open to all",
                    ports.join(", ")
                );
                let hint = format!(
                    "set `role.{0}.host = \"machine\"`, or `role.{0}.expose = \"private\"`",
                    group.role
                );
                gaps.add(site, group.role.as_str(), &why, &hint);
            }
        }
    }
}

fn group_of(site: Site<'_>, group: &Group, gaps: &mut Gaps) {
    let role = group.role.as_str();
    if matches!(group.purchase, Purchase::Reserved1y | Purchase::Reserved3y) {
        let hint = "buy the commitment in the provider's console; the machines fall under it by themselves";
        gaps.add(site, role, "the files make machines and buy no commitment", hint);
    }
    let shared = group.host == Host::ContainerGroup
        && group.persistence == Persistence::Files
        && services_of(site).any(|service| service.kind == ServiceKind::ObjectStorage);
    if group.container.is_some() && group.persistence != Persistence::None && !shared {
        let hint = format!(
            "use `role.{role}.host = \"container-group\"` with `persistence = \"files\"` and an `object_storage` service"
        );
        gaps.add(site, role, "nothing keeps its containers' data: it is gone with them", &hint);
    }
}
