//! `/api/images`: what is on this machine, and bringing more.

pub(crate) mod reference;
mod sent;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json as Reply};
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};
use tokio_util::io::{ReaderStream, StreamReader};
use univrs_authz::Action;
use univrs_control::Plan;
use univrs_model::Timestamp;
use univrs_model::caller::Caller;
use univrs_model::field::FieldError;
use univrs_ports::images::{ArchiveFormat, ImageError, ImageSummary, SELF_TAG};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

use crate::App;
use crate::body::{Json, Query};
use crate::image_plans;
use crate::page::{Page, PageQuery};
use crate::problem::Problem;
use crate::workloads::WriteQuery;

use reference::{ImageReference, ImageTag};

/// The routes of this module.
pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, remove))
        .routes(routes!(pull))
        .routes(routes!(push))
        .routes(routes!(pack_self))
        .routes(routes!(import).layer(axum::extract::DefaultBodyLimit::disable()))
        .routes(routes!(export))
        .merge(sent::router())
        .layer(axum::middleware::from_fn(refuse_dry_run))
}

/// Images that are sent in pieces cannot be planned: what a piece would do is nothing by itself. It must not be done
/// either when someone asks for the plan.
async fn refuse_dry_run(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let in_pieces = path.starts_with("/api/images/blobs/") || path == "/api/images/manifest";
    let query = request.uri().query().unwrap_or("");
    if !in_pieces || !query.split('&').any(|pair| pair == "dry_run=true") {
        return next.run(request).await;
    }
    let detail = "a piece of an image cannot be planned; nothing was done";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "not_plannable", "There is no plan for this", detail)
        .hint("leave out `dry_run` to do it")
        .into_response()
}

/// An image on this machine.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ImageView {
    /// Its name and tag.
    pub(crate) reference: String,
    /// Digest of its manifest.
    pub(crate) digest: String,
    /// Bytes of its blobs as stored.
    pub(crate) size: u64,
    /// When it came here.
    pub(crate) created_at: Timestamp,
}

impl From<ImageSummary> for ImageView {
    fn from(image: ImageSummary) -> Self {
        Self {
            reference: image.reference,
            digest: image.digest,
            size: image.size,
            created_at: image.created_at,
        }
    }
}

/// Either outcome of a write: the image, or with `dry_run` the plan.
#[derive(ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes a reply in the OpenAPI document")]
enum ImageOrPlan {
    /// The image as it is here now.
    Written(Box<ImageView>),
    /// What the write would do.
    Planned(Box<Plan>),
}

/// Either outcome of a write: the images, or with `dry_run` the plan.
#[derive(ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes a reply in the OpenAPI document")]
enum ImagesOrPlan {
    /// The images as they are here now.
    Written(Vec<ImageView>),
    /// What the write would do.
    Planned(Box<Plan>),
}

/// Which image.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PullBody {
    /// Its reference.
    reference: ImageReference,
}

/// Which image goes where.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PushBody {
    /// The image on this machine.
    reference: ImageReference,
    /// The reference at the registry; the same when absent.
    #[serde(default)]
    to: Option<ImageTag>,
}

/// What to call the image.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SelfBody {
    /// Its reference; `univrs/orchestrator:dev` when absent.
    #[serde(default)]
    tag: Option<ImageTag>,
}

/// Which image.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ImageQuery {
    /// Its reference.
    reference: ImageReference,
    /// Answer the plan of the write instead of doing it.
    #[serde(default)]
    dry_run: bool,
    /// The organisation; also as the header `X-Univrs-Org`.
    #[param(pattern = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    #[allow(dead_code, reason = "read by the caller's middleware; named here so that it is accepted")]
    org: Option<String>,
}

/// Which image, in which shape.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExportQuery {
    /// Its reference.
    reference: ImageReference,
    /// `docker-archive` or `oci-layout`.
    #[serde(default)]
    #[param(value_type = Option<String>, pattern = "^(docker-archive|oci-layout)$")]
    format: ArchiveFormat,
    /// The organisation; also as the header `X-Univrs-Org`.
    #[param(pattern = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    #[allow(dead_code, reason = "read by the caller's middleware; named here so that it is accepted")]
    org: Option<String>,
}

/// Changes the images: asks the policy, does the work, and leaves one audit entry.
async fn write<T>(
    app: &App,
    caller: &Caller,
    reference: Option<&str>,
    summary: String,
    work: impl Future<Output = Result<T, ImageError>> + Send,
) -> Result<T, Problem> {
    let object = reference.map_or_else(|| "image".to_owned(), |reference| format!("image/{reference}"));
    Ok(app.control.audited(caller, Action::ImageWrite, &object, summary, work).await??)
}

/// The images on this machine, by reference.
#[utoipa::path(get, path = "/api/images", tag = "images", params(PageQuery), responses((status = OK, body = Page<ImageView>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn list(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<PageQuery>,
) -> Result<Reply<Page<ImageView>>, Problem> {
    app.control.allow(&caller, Action::ImageRead, "image")?;
    let mut images: Vec<ImageView> = app.images.list().await?.into_iter().map(ImageView::from).collect();
    images.sort_by(|a, b| a.reference.cmp(&b.reference));
    let revision = app.control.mirror().state().revision.0;
    Ok(Reply(query.cut(images, revision, |image| image.reference.clone())?))
}

/// Forgets an image; running containers keep what they run.
#[utoipa::path(delete, path = "/api/images", tag = "images", params(ImageQuery), responses((status = NO_CONTENT),
    (status = OK, body = Plan, description = "The plan, with dry_run"),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn remove(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<ImageQuery>,
) -> Result<Response, Problem> {
    if query.dry_run {
        return Ok(Reply(image_plans::remove(&app, &caller, &query.reference).await?).into_response());
    }
    let summary = format!("removed image {}", query.reference);
    write(&app, &caller, Some(&query.reference), summary, app.images.remove(&query.reference)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Fetches an image from its registry.
#[utoipa::path(post, path = "/api/images/pull", tag = "images", params(WriteQuery), request_body = PullBody,
    responses((status = OK, body = inline(ImageOrPlan)),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn pull(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<WriteQuery>,
    body: Json<PullBody>,
) -> Result<Response, Problem> {
    let reference = &body.value.reference;
    if query.dry_run {
        return Ok(Reply(image_plans::pull(&app, &caller, reference).await?).into_response());
    }
    let summary = format!("pulled image {reference}");
    let pulled = write(&app, &caller, Some(reference), summary, app.images.pull(reference)).await?;
    Ok(Reply(ImageView::from(pulled)).into_response())
}

/// Sends an image to a registry.
#[utoipa::path(post, path = "/api/images/push", tag = "images", params(WriteQuery), request_body = PushBody,
    responses((status = NO_CONTENT), (status = OK, body = Plan, description = "The plan, with dry_run"),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn push(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<WriteQuery>,
    body: Json<PushBody>,
) -> Result<Response, Problem> {
    let PushBody { reference, to } = body.value;
    let to = to.map_or_else(|| ImageTag::try_from(reference.clone()), Ok).map_err(|unfit| {
        let fault = FieldError::new("to", unfit.to_string()).hint("say under which tag the registry gets it");
        Problem::invalid(StatusCode::UNPROCESSABLE_ENTITY, vec![fault])
    })?;
    let to = &*to;
    if query.dry_run {
        return Ok(Reply(image_plans::push(&app, &caller, &reference, to).await?).into_response());
    }
    let summary = format!("pushed image {reference} as {to}");
    write(&app, &caller, Some(&reference), summary, app.images.push(&reference, to)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Packs the running program as an image.
#[utoipa::path(post, path = "/api/images/self", tag = "images", params(WriteQuery), request_body = SelfBody,
    responses((status = OK, body = inline(ImageOrPlan)),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn pack_self(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<WriteQuery>,
    body: Json<SelfBody>,
) -> Result<Response, Problem> {
    let tag = body.value.tag.as_deref().unwrap_or(SELF_TAG);
    if query.dry_run {
        return Ok(Reply(image_plans::pack_self(&app, &caller, tag).await?).into_response());
    }
    let summary = format!("packed the running program as image {tag}");
    let packed = write(&app, &caller, Some(tag), summary, app.images.pack_self(tag)).await?;
    Ok(Reply(ImageView::from(packed)).into_response())
}

/// Takes in the images of an archive, in the shape of `docker save` or an OCI layout.
#[utoipa::path(post, path = "/api/images/import", tag = "images", params(WriteQuery),
    request_body(content = inline(Vec<u8>), content_type = "application/x-tar"),
    responses((status = OK, body = inline(ImagesOrPlan)),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn import(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<WriteQuery>,
    body: Body,
) -> Result<Response, Problem> {
    if query.dry_run {
        return Ok(Reply(image_plans::import(&app, &caller)?).into_response());
    }
    let bytes = body.into_data_stream().map_err(std::io::Error::other);
    let work = app.images.import(Box::new(StreamReader::new(bytes)));
    let images = write(&app, &caller, None, "imported an archive of images".to_owned(), work).await?;
    Ok(Reply(images.into_iter().map(ImageView::from).collect::<Vec<_>>()).into_response())
}

/// An archive of one image.
#[utoipa::path(get, path = "/api/images/export", tag = "images", params(ExportQuery),
    responses((status = OK, content_type = "application/x-tar", body = inline(Vec<u8>)),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn export(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<ExportQuery>,
) -> Result<Response, Problem> {
    app.control.allow(&caller, Action::ImageRead, &format!("image/{}", query.reference))?;
    let archive = app.images.export(&query.reference, query.format).await?;
    Ok(([(header::CONTENT_TYPE, "application/x-tar")], Body::from_stream(ReaderStream::new(archive)))
        .into_response())
}

impl From<ImageError> for Problem {
    fn from(error: ImageError) -> Self {
        let detail = error.to_string();
        match error {
            ImageError::BadReference { .. } => {
                Self::new(StatusCode::BAD_REQUEST, "bad_reference", "Not an image reference", detail)
            }
            ImageError::NotFound { .. } => {
                Self::new(StatusCode::NOT_FOUND, "image_not_found", "No such image", detail)
                    .hint("`univrs image ls` lists what is here; `univrs image import` and `pull` bring more")
            }
            ImageError::Denied { .. } => {
                Self::new(StatusCode::BAD_GATEWAY, "registry_denied", "The registry refused", detail)
                    .hint("give credentials for this registry")
            }
            ImageError::Registry { .. } => {
                Self::new(StatusCode::BAD_GATEWAY, "registry_failed", "The registry failed", detail)
            }
            ImageError::DigestMismatch { .. } => {
                Self::new(StatusCode::BAD_GATEWAY, "image_damaged", "The image is damaged", detail)
            }
            ImageError::WrongPlatform { .. } => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "wrong_platform",
                "The image is for other machines",
                detail,
            ),
            ImageError::Malformed { .. } => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "image_malformed",
                "The image is malformed",
                detail,
            ),
            ImageError::Offset { .. } => {
                Self::new(StatusCode::CONFLICT, "blob_offset", "The piece does not follow", detail)
                    .hint("`GET` the blob: `received` says where the next piece begins")
            }
            ImageError::Incomplete { .. } => {
                Self::new(StatusCode::CONFLICT, "image_incomplete", "Parts of the image are missing", detail)
                    .hint("send these blobs, and then the manifest again")
            }
            ImageError::Storage { ref source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "disk_full", "No space for the image", detail)
                    .hint("free space on the disk of the data directory")
            }
            ImageError::Storage { .. } => {
                tracing::error!(error = &error as &dyn std::error::Error, "the image store failed");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The image store failed", detail)
            }
        }
    }
}
