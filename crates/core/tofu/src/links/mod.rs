//! Stated connections between networks: one shared root that knows both ends.

mod peering;
mod vpn;

use univrs_topology::plan::{LinkPlan, Plan, RegionPlan};
use univrs_topology::spec::LinkKind;

use crate::emission::Gaps;
use crate::site::{Site, root_of};
use crate::tf::{Backend, Expr, Root, Section, key};

/// Folder of the root.
pub(crate) const ROOT: &str = "links";

/// A connection with both its ends.
struct Link<'a> {
    plan: &'a Plan,
    link: &'a LinkPlan,
    ends: [&'a RegionPlan; 2],
}

impl Link<'_> {
    /// Unique in the root.
    fn key(&self) -> String {
        let [first, second] = self.ends;
        format!("{}_to_{}", key(&first.id.label()), key(&second.id.label()))
    }

    /// Name at the provider.
    fn name(&self, longest: usize) -> String {
        let [first, second] = self.ends;
        Site { plan: self.plan, region: first }.name(&format!("{}-{}", first.name, second.name), longest)
    }

    /// The range at an end.
    fn range(&self, end: usize) -> String {
        let (first, second) = self.link.cidrs;
        if end == 0 { first } else { second }.to_string()
    }

    /// An output of the root of an end.
    fn output(&self, root: &mut Root, end: usize, output: &str) -> Expr {
        root.remote(Section::Links, &root_of(&self.ends[end].id), output)
    }
}

/// The root of connections, when any is stated and can be emitted.
pub(crate) fn emit(plan: &Plan, backend: Backend, gaps: &mut Gaps) -> Option<Root> {
    let mut root = Root::new(ROOT, backend);
    let mut emitted = false;
    for link in &plan.links {
        let ends = [plan.region(&link.between.0)?, plan.region(&link.between.1)?];
        let whole = Link { plan, link, ends };
        emitted |= match link.kind {
            LinkKind::Peering => peering::emit(&whole, &mut root, gaps),
            LinkKind::Vpn => vpn::emit(&whole, &mut root, gaps),
        };
    }
    emitted.then_some(root)
}
