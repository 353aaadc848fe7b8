//! `/api/images/blobs` and `/api/images/manifest`: an image sent into the cluster part by part, so that only what is
//! missing travels, and what broke off goes on where it was.

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::{Extension, Json as Reply};
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};
use tokio_util::io::StreamReader;
use univrs_authz::Action;
use univrs_model::caller::Caller;
use univrs_ports::images::{BlobPlace, BlobState, ImageError};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

use super::reference::ImageTag;
use super::{ImageView, write};
use crate::App;
use crate::body::Query;
use crate::problem::Problem;

/// Largest manifest that is taken.
const LARGEST_MANIFEST: usize = 8 << 20;

/// The routes of this module.
pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(look))
        .routes(routes!(take).layer(axum::extract::DefaultBodyLimit::disable()))
        .routes(routes!(name).layer(axum::extract::DefaultBodyLimit::max(LARGEST_MANIFEST)))
}

/// A layer or configuration of images.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct BlobView {
    /// Its digest.
    digest: String,
    /// Where it is: `here` on this node, `elsewhere` on another, from which this one fetches it, or `nowhere`, so that it
    /// has to be sent.
    #[schema(value_type = String, pattern = "^(here|elsewhere|nowhere)$")]
    place: BlobPlace,
    /// Bytes of it that have come to this node; the next piece begins there.
    received: u64,
}

impl BlobView {
    fn of(digest: String, state: BlobState) -> Self {
        Self { digest, place: state.place, received: state.received }
    }
}

/// Which piece of a blob.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PieceQuery {
    /// Where it begins, in bytes: as many as have been received.
    offset: u64,
    /// Bytes of the whole blob.
    size: u64,
    /// The organisation; also as the header `X-Univrs-Org`.
    #[param(pattern = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    #[allow(dead_code, reason = "read by the caller's middleware; named here so that it is accepted")]
    org: Option<String>,
}

/// What an image is to be called.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct NameQuery {
    /// Its reference, without a digest: that is its manifest's.
    reference: ImageTag,
    /// The organisation; also as the header `X-Univrs-Org`.
    #[param(pattern = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    #[allow(dead_code, reason = "read by the caller's middleware; named here so that it is accepted")]
    org: Option<String>,
}

/// Where a blob is, and how much of it has come.
#[utoipa::path(get, path = "/api/images/blobs/{digest}", tag = "images", params(("digest" = String, Path, pattern = "^sha256:[a-f0-9]{64}$")),
    responses((status = OK, body = BlobView),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn look(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(digest): Path<String>,
) -> Result<Reply<BlobView>, Problem> {
    app.control.allow(&caller, Action::ImageRead, "image")?;
    let state = app.images.blob_state(&digest).await?;
    Ok(Reply(BlobView::of(digest, state)))
}

/// Takes in a piece of a blob. With the last piece it is checked against its digest.
#[utoipa::path(put, path = "/api/images/blobs/{digest}", tag = "images", params(("digest" = String, Path, pattern = "^sha256:[a-f0-9]{64}$"), PieceQuery),
    request_body(content = inline(Vec<u8>), content_type = "application/octet-stream"),
    responses((status = OK, body = BlobView),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn take(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(digest): Path<String>,
    Query(query): Query<PieceQuery>,
    body: Body,
) -> Result<Reply<BlobView>, Problem> {
    let bytes = StreamReader::new(body.into_data_stream().map_err(std::io::Error::other));
    let work = async {
        let taken = app.images.take_blob(&digest, query.offset, query.size, Box::new(bytes)).await;
        taken.map_err(|error| match error {
            // Here it is the sender who is wrong, and not a registry.
            ImageError::DigestMismatch { ref reference, .. } => {
                ImageError::Malformed { reference: reference.clone(), reason: error.to_string() }
            }
            error => error,
        })
    };
    let summary = format!("received blob {digest} from byte {}", query.offset);
    let state = write(&app, &caller, None, summary, work).await?;
    Ok(Reply(BlobView::of(digest, state)))
}

/// Makes an image of a manifest whose blobs have been sent, or are on nodes of the cluster, and names it.
#[utoipa::path(put, path = "/api/images/manifest", tag = "images", params(NameQuery),
    request_body(content = inline(Vec<u8>), content_type = "application/octet-stream"),
    responses((status = OK, body = ImageView),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn name(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<NameQuery>,
    manifest: Bytes,
) -> Result<Reply<ImageView>, Problem> {
    let reference = &query.reference;
    let summary = format!("received image {reference}");
    let work = app.images.take_manifest(reference, manifest.into());
    Ok(Reply(write(&app, &caller, Some(reference), summary, work).await?.into()))
}
