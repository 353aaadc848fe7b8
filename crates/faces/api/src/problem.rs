//! Refusals and failures as RFC 9457 problem documents: the one place where errors become HTTP.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use univrs_control::{Error, PlanRefusal};
use univrs_model::field::FieldError;
use univrs_ports::node_access::AccessError;
use univrs_ports::runtime::RuntimeError;
use univrs_ports::seal::SealError;
use univrs_ports::store;
use utoipa::ToSchema;

/// What went wrong, for programs (`code`, `status`) and people (the rest).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Address of the page about `code`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind of problem in a few words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What went wrong this time.
    pub detail: String,
    /// Stable name of the kind of problem.
    pub code: String,
    /// The field at fault, if one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The next step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// All faults of the input, when there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// For the header `Allow`.
    #[serde(skip)]
    methods: Vec<&'static str>,
}

impl Problem {
    /// A problem of this kind.
    pub fn new(status: StatusCode, code: &str, title: &str, detail: impl Into<String>) -> Self {
        debug_assert!(
            crate::codes::CODES.iter().any(|known| known.name == code),
            "the code {code} has no entry in codes.rs, and so no page"
        );
        Self {
            kind: format!("https://univrs.dev/errors/{code}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            code: code.to_owned(),
            field: None,
            hint: None,
            errors: Vec::new(),
            methods: Vec::new(),
        }
    }

    /// Adds the next step.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The problem of a method that a path does not have, which has only `methods`.
    pub(crate) fn no_such_method(methods: Vec<&'static str>) -> Self {
        let detail = "this path does not know that method";
        let mut problem = Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "Not possible with this path",
            detail,
        )
        .hint("GET /api/openapi.json lists what each path knows");
        problem.methods = methods;
        problem
    }

    /// The problem of an input with these faults.
    pub fn invalid(status: StatusCode, faults: Vec<FieldError>) -> Self {
        let first = faults.first().cloned();
        let detail =
            first.as_ref().map_or_else(|| "the input is not valid".to_owned(), |fault| fault.detail.clone());
        let mut problem = Self::new(status, "invalid_input", "The input is not valid", detail);
        problem.field = first.as_ref().map(|fault| fault.field.clone()).filter(|field| !field.is_empty());
        problem.hint = first.and_then(|fault| fault.hint);
        problem.errors = faults;
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let allowed = HeaderValue::from_str(&self.methods.join(", ")).ok();
        let mut response = (status, Json(self)).into_response();
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::METHOD_NOT_ALLOWED
            && let Some(allowed) = allowed.filter(|allowed| !allowed.is_empty())
        {
            response.headers_mut().insert(header::ALLOW, allowed);
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE || status == StatusCode::INSUFFICIENT_STORAGE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl From<FieldError> for Problem {
    fn from(fault: FieldError) -> Self {
        Self::invalid(StatusCode::BAD_REQUEST, vec![fault])
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        match error {
            Error::Unauthenticated { .. } => {
                Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "The token is not good", detail)
                    .hint("make another with `univrs token create`")
            }
            Error::Denied { .. } => Self::new(StatusCode::FORBIDDEN, "denied", "Not allowed", detail),
            Error::OverBudget { .. } => {
                Self::new(StatusCode::FORBIDDEN, "over_budget", "More than the token's budget", detail).hint(
                    "do less at once, wait for the next day (UTC), or ask for a token with a larger budget",
                )
            }
            Error::NotFound { near, .. } => {
                let problem = Self::new(StatusCode::NOT_FOUND, "not_found", "No such object", detail);
                match near {
                    Some(near) => problem.hint(format!("did you mean `{near}`?")),
                    None => problem,
                }
            }
            Error::Ambiguous { .. } => {
                Self::new(StatusCode::CONFLICT, "ambiguous", "The name stands for several objects", detail)
                    .hint("write more of the id")
            }
            Error::Exists { kind: "workload", name } => {
                Self::new(StatusCode::CONFLICT, "exists", "The name is taken", detail)
                    .hint(format!("change it with PUT /api/workloads/{name}, or choose another name"))
            }
            Error::Exists { .. } => Self::new(StatusCode::CONFLICT, "exists", "The name is taken", detail)
                .hint("choose another name"),
            Error::Stale { .. } => {
                Self::new(StatusCode::PRECONDITION_FAILED, "stale", "The object has changed", detail)
                    .hint("read it again and repeat the change on what you find")
            }
            Error::Invalid(faults) => Self::invalid(StatusCode::UNPROCESSABLE_ENTITY, faults),
            Error::Conflict { hint, .. } => {
                let mut problem = Self::new(StatusCode::CONFLICT, "conflict", "Not possible now", detail);
                problem.hint = hint;
                problem
            }
            Error::KeyReused { .. } => Self::new(
                StatusCode::CONFLICT,
                "idempotency_key_reused",
                "The Idempotency-Key is in use",
                detail,
            )
            .hint("send a new key with a new request"),
            Error::Contended { .. } => {
                Self::new(StatusCode::CONFLICT, "contended", "Others change the same object", detail)
            }
            Error::PlanRefused { refusal, .. } => of_plan(&refusal, detail),
            // A planning call that was not asked for its plan: a fault of ours.
            Error::Seal(SealError::NotShared { .. }) => Problem::new(
                StatusCode::CONFLICT,
                "conflict",
                "That is not possible on this node",
                error.to_string(),
            )
            .hint("only validators can seal and open secrets; ask the API of one (`univrs node ls`)"),
            Error::Planned(_) | Error::Unreadable { .. } | Error::Seal(_) => internal(&error),
            Error::Authority(_) => {
                Problem::new(StatusCode::CONFLICT, "conflict", "That is not possible now", error.to_string())
                    .hint("ask a validator of the cluster that is reachable by others (`univrs node ls`)")
            }
            Error::Store(ref source) => of_store(source).unwrap_or_else(|| internal(&error)),
            Error::Access(access) => of_access(&access),
        }
    }
}

fn of_store(error: &store::Error) -> Option<Problem> {
    let detail = error.to_string();
    Some(match error {
        store::Error::Denied { .. } => {
            Problem::new(StatusCode::FORBIDDEN, "denied", "That is not allowed on this node", detail)
                .hint("ask the API of a validator or business node (`univrs node ls`)")
        }
        store::Error::DiskFull => {
            Problem::new(StatusCode::INSUFFICIENT_STORAGE, "disk_full", "No space for writes", detail)
                .hint("free space on the disk of the data directory; running containers are not affected")
        }
        store::Error::NotLeader { .. } | store::Error::Unavailable { .. } | store::Error::Closed => {
            Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "The store cannot be used now",
                detail,
            )
        }
        store::Error::TooLarge { .. } => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "The object is too large", detail)
        }
        store::Error::InvalidKey { .. } => {
            Problem::new(StatusCode::BAD_REQUEST, "invalid_input", "The input is not valid", detail)
        }
        _ => return None,
    })
}

fn of_access(error: &AccessError) -> Problem {
    let detail = error.to_string();
    match error {
        AccessError::Unreachable { .. } => {
            Problem::new(StatusCode::BAD_GATEWAY, "unreachable", "The instance cannot be reached", detail)
        }
        AccessError::Runtime(RuntimeError::NotFound { .. }) => {
            Problem::new(StatusCode::NOT_FOUND, "not_found", "No such container", detail)
        }
        AccessError::Runtime(RuntimeError::NotRunning { .. }) => {
            Problem::new(StatusCode::CONFLICT, "not_running", "The container does not run", detail)
        }
        AccessError::Runtime(RuntimeError::Refused { .. }) => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "refused", "The container refused", detail)
        }
        AccessError::Runtime(RuntimeError::Failed { .. } | RuntimeError::Unusable { .. }) => {
            Problem::new(StatusCode::BAD_GATEWAY, "runtime_failed", "The runtime failed", detail)
        }
    }
}

fn of_plan(refusal: &PlanRefusal, detail: String) -> Problem {
    let (status, code, hint) = match refusal {
        PlanRefusal::Foreign => (
            StatusCode::CONFLICT,
            "plan_foreign",
            "plan the change yourself; a plan is applied by who made it",
        ),
        PlanRefusal::Expired { .. } => (StatusCode::CONFLICT, "plan_expired", "plan the change again"),
        PlanRefusal::Status { .. } => {
            (StatusCode::CONFLICT, "plan_used", "plan the change again if it is still wanted")
        }
        PlanRefusal::NeedsApproval { .. } => (
            StatusCode::CONFLICT,
            "approval_needed",
            "a person decides with `univrs plan approve <id>`; then apply it again",
        ),
        PlanRefusal::OtherDigest => {
            (StatusCode::PRECONDITION_FAILED, "plan_digest", "give the plan's digest as it was answered")
        }
        PlanRefusal::Moved { .. } => (StatusCode::PRECONDITION_FAILED, "plan_stale", "plan the change again"),
        PlanRefusal::OwnPlan => {
            (StatusCode::FORBIDDEN, "plan_own", "someone else has to approve it: a person, or another token")
        }
        PlanRefusal::NoApprovalNeeded => {
            (StatusCode::CONFLICT, "no_approval_needed", "it can be applied as it is")
        }
    };
    Problem::new(status, code, "The plan cannot be used", detail).hint(hint)
}

/// A failure of ours: the log gets the whole, the caller a sentence.
fn internal(error: &(dyn std::error::Error + 'static)) -> Problem {
    tracing::error!(error, "request failed");
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "The server failed",
        "the server could not complete the request; its log says why",
    )
}
