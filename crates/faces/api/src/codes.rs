//! What each `code` of a problem document means and what to do about it: the pages under `docs/errors` say the same.

/// A kind of problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// As in the document.
    pub name: &'static str,
    /// The HTTP status it comes with.
    pub status: u16,
    /// What it means.
    pub meaning: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
}

const fn code(name: &'static str, status: u16, meaning: &'static str, remedy: &'static str) -> Code {
    Code { name, status, meaning, remedy }
}

/// Every kind of problem, by name.
pub const CODES: &[Code] = &[
    code(
        "ambiguous",
        409,
        "The beginning of an id stands for several objects.",
        "Write more of the id, or the name.",
    ),
    code(
        "approval_needed",
        409,
        "The plan destroys something, so a person has to agree to it first.",
        "`univrs plan approve <id>`, or the page of plans; then apply it again.",
    ),
    code(
        "bad_reference",
        400,
        "The text is not the reference of an image.",
        "Write `name:tag` or `name@sha256:…`.",
    ),
    code(
        "blob_offset",
        409,
        "The piece of a blob does not begin where the pieces before it ended.",
        "`GET /api/images/blobs/{digest}` says in `received` where the next piece begins.",
    ),
    code(
        "conflict",
        409,
        "The object's state does not allow what was asked for.",
        "The detail says what stands in the way; the hint, where there is one, what to do first.",
    ),
    code(
        "contended",
        409,
        "Others keep changing the same object, and the write lost against them.",
        "Try again.",
    ),
    code(
        "denied",
        403,
        "The policy does not allow the caller this action on this object. The detail names all three and the rule.",
        "Use a token with the grant that the detail names, or ask who administers the organisation.",
    ),
    code(
        "disk_full",
        507,
        "The disk of the data directory has no space, so nothing can be written. Containers keep running, and what was accepted before is safe.",
        "Free space; writes are taken again without a restart.",
    ),
    code("exists", 409, "The name is taken.", "Change the object that has it, or choose another name."),
    code(
        "foreign_site",
        403,
        "A page of another site made the browser send this.",
        "Open the API under its own address. Programs other than browsers do not send `Origin`.",
    ),
    code(
        "idempotency_key_reused",
        409,
        "The same `Idempotency-Key` came with another request.",
        "Send a new key with a new request; repeat the old one unchanged.",
    ),
    code(
        "image_damaged",
        502,
        "A part of the image is not what its digest says, or ended early. Nothing of it was kept.",
        "Pull again; when it stays so, the registry holds a damaged copy: push the image again.",
    ),
    code(
        "image_incomplete",
        409,
        "Layers or the configuration of the image that was sent are on no node. The detail has their digests.",
        "Send them to `PUT /api/images/blobs/{digest}`, then the manifest again; `univrs image push FILE` does both.",
    ),
    code(
        "image_malformed",
        422,
        "What was given is not an image in a known form.",
        "Export it as a docker-archive or an OCI layout.",
    ),
    code(
        "image_not_found",
        404,
        "Neither this node nor the registry has the image.",
        "Check the reference; bring the image in with `univrs image import` or `univrs image pull`.",
    ),
    code(
        "internal",
        500,
        "The server failed. Its log has the whole cause under the request's id.",
        "Look into the log for `X-Request-Id`; tell it with a report of the fault.",
    ),
    code(
        "invalid_input",
        422,
        "The input breaks a rule. `field` names where, and `errors` has all faults when there are several. With status 400 it could not be read at all.",
        "Correct the field; `GET /api/openapi.json` has the shape of every body.",
    ),
    code(
        "method_not_allowed",
        405,
        "The path exists and does not know this method.",
        "The `Allow` header has those it knows.",
    ),
    code("no_approval_needed", 409, "The plan destroys nothing and waits for nobody.", "Apply it."),
    code("no_such_path", 404, "Nothing is served at this path.", "`GET /api/openapi.json` lists what is."),
    code(
        "not_found",
        404,
        "There is no object of this name in the caller's organisation.",
        "The hint has a near name when there is one; `--org` chooses another organisation.",
    ),
    code(
        "not_plannable",
        400,
        "The write fetches or moves data, and what it would do is known only when it is done.",
        "Leave `dry_run` out.",
    ),
    code(
        "not_running",
        409,
        "The container has ended or has not started.",
        "`univrs ps` shows where it stands.",
    ),
    code(
        "outcome_unknown",
        504,
        "The node that the request was handed to went away before it answered.",
        "Look whether it was done; a request with an `Idempotency-Key` can simply be sent again.",
    ),
    code(
        "over_budget",
        403,
        "The write is more than the token may do at once or in a day, as it was made.",
        "Do less at once, wait for the next day (UTC), or ask for a token with a larger budget.",
    ),
    code(
        "plan_digest",
        412,
        "The digest is not that of the plan.",
        "Give `digest` as it was answered with the plan, or plan the change again.",
    ),
    code("plan_expired", 409, "Too much time has passed since the plan was made.", "Plan the change again."),
    code(
        "plan_foreign",
        409,
        "Someone else made the plan.",
        "Plan the change yourself: a plan is applied by who made it.",
    ),
    code(
        "plan_own",
        403,
        "The plan was made with the same token that now decides about it.",
        "A person decides, or another token.",
    ),
    code(
        "plan_stale",
        412,
        "What the plan would change has changed since it was made.",
        "Plan the change again and look at what differs.",
    ),
    code(
        "plan_used",
        409,
        "The plan was applied or rejected already.",
        "Plan the change again if it is still wanted.",
    ),
    code(
        "refused",
        422,
        "The kernel or the container refused, for example because the command does not exist in it.",
        "The detail has the reason as it was told.",
    ),
    code(
        "registry_denied",
        502,
        "The registry wants other credentials, or none may have this image.",
        "Check the user and password given for the registry.",
    ),
    code(
        "registry_failed",
        502,
        "The registry cannot be reached or failed.",
        "Check its address and certificate; try again.",
    ),
    code(
        "runtime_failed",
        502,
        "What runs containers failed.",
        "The detail and the node's log have the step that failed.",
    ),
    code(
        "stale",
        412,
        "The object changed since the revision in `If-Match`.",
        "Read it again and repeat the change on what is there now.",
    ),
    code(
        "too_large",
        413,
        "The body or the object is larger than what is accepted.",
        "Send less; images go through `/api/images/import`, which has no such limit.",
    ),
    code(
        "unauthenticated",
        401,
        "The request has no token, or one that is not valid, has ended or was revoked.",
        "Send `Authorization: Bearer …` with a token of `univrs token create`.",
    ),
    code(
        "unavailable",
        503,
        "The replicated state cannot be used now, for example while a leader is chosen, or no validator is reached.",
        "Try again after a moment; `Retry-After` says when.",
    ),
    code(
        "unreachable",
        502,
        "The node of the instance cannot be reached.",
        "`univrs node ls` shows whether it is there.",
    ),
    code(
        "unsupported_media_type",
        415,
        "The body is not JSON, or a browser did not say what it is.",
        "Send `Content-Type: application/json`.",
    ),
    code("upgrade_required", 426, "The address answers WebSocket requests only.", "Use a WebSocket client."),
    code(
        "wrong_platform",
        422,
        "The image has no variant for this node's processor.",
        "Build it for the architecture that the detail names.",
    ),
];

/// The page about a code.
pub fn page(code: &Code) -> String {
    let Code { name, status, meaning, remedy } = code;
    format!("# `{name}`\n\nStatus {status}. {meaning}\n\n**What to do:** {remedy}\n")
}
