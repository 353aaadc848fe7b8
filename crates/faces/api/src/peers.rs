//! `/api/peers`: the other nodes, as the node that answers hears and reaches them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json as Reply};
use univrs_authz::Action;
use univrs_model::caller::Caller;
use univrs_model::ids::NodeId;
use univrs_model::peer::{Link, PeerStatus, Standing};
use univrs_ports::discovery::Discovery;
use univrs_ports::membership::Membership;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::body::Query;
use crate::page::{Page, PageQuery};
use crate::problem::Problem;

/// Other nodes, as far as this one takes part in gossip and discovery.
#[derive(Clone, Default)]
pub struct Peers {
    /// This node, which is not its own peer.
    pub own: Option<NodeId>,
    /// Who is heard of.
    pub membership: Option<Arc<dyn Membership>>,
    /// Who is connected, and what they call out.
    pub discovery: Option<Arc<dyn Discovery>>,
}

/// The routes of this module.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// The other nodes as the node that answers sees them, by id.
#[utoipa::path(get, path = "/api/peers", tag = "nodes", params(PageQuery), responses((status = OK, body = Page<PeerStatus>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn list(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<PageQuery>,
) -> Result<Reply<Page<PeerStatus>>, Problem> {
    app.control.allow(&caller, Action::NodeRead, "node")?;
    let revision = app.control.mirror().state().revision.0;
    Ok(Reply(query.cut(seen(&app).await, revision, |peer| peer.node.to_string())?))
}

/// All views as one list, by node. A node that none knows of is not in it.
pub(crate) async fn seen(app: &App) -> Vec<PeerStatus> {
    let mut peers: BTreeMap<NodeId, PeerStatus> = BTreeMap::new();
    let unknown = |node: &NodeId| PeerStatus {
        node: node.clone(),
        name: None,
        standing: None,
        peer: None,
        connected: false,
        address: None,
        path: None,
        rtt_us: None,
        version: None,
        cloud: None,
        region: None,
        roles: Vec::new(),
        capacity: None,
        load: None,
        overlay: None,
    };
    if let Some(membership) = &app.peers.membership {
        for member in membership.members().borrow().values() {
            let facts = &member.facts;
            let said = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
            let status = PeerStatus {
                standing: Some(member.standing),
                peer: facts.peer.clone(),
                version: said(&facts.version),
                cloud: said(&facts.cloud),
                region: said(&facts.region),
                roles: facts.roles.clone(),
                capacity: Some(facts.capacity),
                load: Some(facts.load),
                ..unknown(&member.node)
            };
            peers.insert(member.node.clone(), status);
        }
    }
    if let Some(discovery) = &app.peers.discovery {
        for view in discovery.peers().borrow().iter() {
            let status = peers.entry(view.node.clone()).or_insert_with(|| unknown(&view.node));
            status.peer = Some(view.peer.clone());
            status.connected = view.connected;
            status.address.clone_from(&view.address);
            status.path = view.path;
            status.rtt_us = view.rtt_us;
            status.version.get_or_insert_with(|| view.record.version.clone());
        }
    }
    for peer in &app.mesh.look().await.peers {
        let status = peers.entry(peer.node.clone()).or_insert_with(|| unknown(&peer.node));
        status.overlay = Some(peer.into());
    }
    let state = app.control.mirror().state();
    peers.retain(|node, _| Some(node) != app.peers.own.as_ref());
    let named = peers.into_values().map(|status| {
        let name = state.nodes.get(&status.node).map(|record| record.value.name.to_string());
        PeerStatus { name, ..status }
    });
    named.collect()
}

/// Connections that other nodes tell of.
pub(crate) fn links(app: &App) -> Vec<Link> {
    let Some(membership) = &app.peers.membership else { return Vec::new() };
    let members = membership.members();
    let members = members.borrow();
    let live = members.values().filter(|member| member.standing == Standing::Live);
    let links = live.flat_map(|member| {
        member.facts.links.iter().map(|reach| Link {
            from: member.node.clone(),
            to: reach.to.clone(),
            path: Some(reach.path),
            rtt_us: reach.rtt_us,
            overlay: None,
        })
    });
    links.collect()
}
