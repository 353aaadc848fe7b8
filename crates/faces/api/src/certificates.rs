//! `/api/certificates`: which hosts of the ingress have certificates, and why others have none.

use axum::extract::State;
use axum::{Extension, Json as Reply};
use univrs_model::caller::Caller;
use univrs_model::certificate::CertificateView;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::body::Query;
use crate::page::{Page, PageQuery};
use crate::problem::Problem;

/// The routes of this module.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// The certificates of hosts that ask for them (`tls = "auto"`), by host; private keys are never shown.
#[utoipa::path(get, path = "/api/certificates", tag = "certificates", params(PageQuery), responses((status = OK, body = Page<CertificateView>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn list(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<PageQuery>,
) -> Result<Reply<Page<CertificateView>>, Problem> {
    let (views, revision) = app.control.list_certificates(&caller)?;
    Ok(Reply(query.cut(views, revision.0, |view| view.host.clone())?))
}
