//! What a write of images would do. It happens on this machine's disk and at registries and not in one transaction, so
//! these plans are for looking only: they are not kept, and only the write itself can carry them out.

use serde_json::{Value, json};
use univrs_authz::Action;
use univrs_control::{Change, ChangeAction, Plan};
use univrs_model::caller::Caller;
use univrs_ports::images::ImageError;

use crate::App;
use crate::images::ImageView;
use crate::problem::Problem;

/// Fetching `reference` from its registry, which is not asked.
pub(crate) async fn pull(app: &App, caller: &Caller, reference: &str) -> Result<Plan, Problem> {
    let change = taken_in(app, reference).await?;
    show(app, caller, reference, format!("pulls image {reference}"), change)
}

/// Packing the running program as `tag`.
pub(crate) async fn pack_self(app: &App, caller: &Caller, tag: &str) -> Result<Plan, Problem> {
    let change = taken_in(app, tag).await?;
    show(app, caller, tag, format!("packs the running program as image {tag}"), change)
}

/// Sending `reference`, which must be here, to a registry as `to`. What the registry has is not asked.
pub(crate) async fn push(app: &App, caller: &Caller, reference: &str, to: &str) -> Result<Plan, Problem> {
    // That it can be the name of an image is asked where names are known.
    app.images.is_here(to).await?;
    let image = present(app, reference).await?;
    let change = Change {
        action: ChangeAction::Create,
        kind: "image".to_owned(),
        name: to.to_owned(),
        before: Value::Null,
        after: json!({"reference": to, "digest": image.digest, "size": image.size}),
    };
    show(app, caller, reference, format!("pushes image {reference} as {to}"), change)
}

/// Forgetting `reference`, which must be here.
pub(crate) async fn remove(app: &App, caller: &Caller, reference: &str) -> Result<Plan, Problem> {
    let image = present(app, reference).await?;
    let change = Change {
        action: ChangeAction::Delete,
        kind: "image".to_owned(),
        name: image.reference.clone(),
        before: json!(image),
        after: Value::Null,
    };
    show(app, caller, reference, format!("removes image {reference}"), change)
}

/// Taking in an archive. It is not read for this, so its images are not named.
pub(crate) fn import(app: &App, caller: &Caller) -> Result<Plan, Problem> {
    let summary = "takes in the images of an archive; their names are known when it is read".to_owned();
    Ok(app.control.show(caller, Action::ImageWrite, "image", summary, Vec::new())?)
}

/// An image that would be here under `reference`, in place of one that may be.
async fn taken_in(app: &App, reference: &str) -> Result<Change, Problem> {
    let before = known(app, reference).await?;
    Ok(Change {
        action: if before.is_some() { ChangeAction::Update } else { ChangeAction::Create },
        kind: "image".to_owned(),
        name: app.images.listed_as(reference),
        before: json!(before),
        after: json!({"reference": app.images.listed_as(reference)}),
    })
}

async fn present(app: &App, reference: &str) -> Result<ImageView, Problem> {
    let absent =
        || ImageError::NotFound { reference: reference.to_owned(), place: "on this machine".to_owned() };
    Ok(known(app, reference).await?.ok_or_else(absent)?)
}

async fn known(app: &App, reference: &str) -> Result<Option<ImageView>, Problem> {
    if !app.images.is_here(reference).await? {
        return Ok(None);
    }
    let name = app.images.listed_as(reference);
    let mut here = app.images.list().await?.into_iter().map(ImageView::from);
    Ok(here.find(|image| image.reference == name))
}

fn show(
    app: &App,
    caller: &Caller,
    reference: &str,
    summary: String,
    change: Change,
) -> Result<Plan, Problem> {
    let object = format!("image/{reference}");
    Ok(app.control.show(caller, Action::ImageWrite, &object, summary, vec![change])?)
}
