//! Asks the rules, and says in a sentence what is missing when they do not permit.

use std::collections::BTreeSet;

use cedar_policy::{
    Authorizer as Engine, Context, Decision as Verdict, Entities, Entity, EntityAttrEvaluationError,
    EntityId, EntityTypeName, EntityUid, PolicySet, Request, Response, RestrictedExpression, Schema,
};
use univrs_model::caller::{Caller, Grant, Principal};

use crate::action::Action;
use crate::error::PolicyError;
use crate::rules;

/// Every grant, the least first.
const GRANTS: [Grant; 3] = [Grant::Observe, Grant::Operate, Grant::Admin];

/// What is read or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object<'a> {
    /// What kind of thing, such as `workload`.
    pub kind: &'a str,
    /// The organisation it belongs to; none when it belongs to the cluster.
    pub org: Option<&'a str>,
    /// Its name; empty when all of the kind are meant.
    pub name: &'a str,
}

/// What the rules say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may be done.
    pub allow: bool,
    /// The id of the rule that permits or forbids it; [`DEFAULT_DENY`] when none does either.
    pub rule: String,
    /// What is missing, in a sentence; empty when it may be done.
    pub reason: String,
}

/// Stands for the rule that nothing is permitted unless a rule says so.
pub const DEFAULT_DENY: &str = "default_deny";

/// The rules, ready to be asked. Asking does not change it, so one serves all threads.
pub struct Authorizer {
    engine: Engine,
    policies: PolicySet,
    types: Types,
    /// By position in [`Action::ALL`].
    actions: Vec<EntityUid>,
    /// The least grant that permits the action of this position, for sentences.
    needs: Vec<Option<Grant>>,
}

/// The entity types of the schema, made once.
struct Types {
    grant: EntityTypeName,
    local_admin: EntityTypeName,
    token: EntityTypeName,
    assistant: EntityTypeName,
    control_loop: EntityTypeName,
    node: EntityTypeName,
    object: EntityTypeName,
}

impl Authorizer {
    /// The built-in rules.
    ///
    /// # Errors
    /// [`PolicyError`] if the rules that ship with the program are faulty.
    pub fn new() -> Result<Self, PolicyError> {
        Self::of(rules::SCHEMA, rules::POLICIES)
    }

    fn of(schema: &str, policies: &str) -> Result<Self, PolicyError> {
        let schema = rules::read_schema(schema)?;
        let policies = rules::read_policies(policies, &schema)?;
        let actions = Action::ALL.iter().map(|action| known(&schema, *action)).collect::<Result<_, _>>()?;
        let mut authorizer =
            Self { engine: Engine::new(), policies, types: Types::new()?, actions, needs: Vec::new() };
        authorizer.needs = Action::ALL.iter().map(|action| authorizer.least_grant(*action)).collect();
        Ok(authorizer)
    }

    /// Whether `caller` may do `action` with `object`. Whatever goes wrong denies.
    pub fn decide(&self, caller: &Caller, action: Action, object: &Object<'_>) -> Decision {
        let deny = |rule: &str, reason| Decision { allow: false, rule: rule.to_owned(), reason };
        let response = match self.ask(caller, action, object) {
            Ok(response) => response,
            Err(fault) => return deny(DEFAULT_DENY, format!("the policy could not be asked: {fault}")),
        };
        let diagnostics = response.diagnostics();
        // A rule that fails is skipped by the engine; a skipped `forbid` must not let anyone pass.
        if let Some(fault) = diagnostics.errors().next() {
            return deny(DEFAULT_DENY, format!("the policy could not be asked: {fault}"));
        }
        // The engine gives the rules in no fixed order.
        let rules: BTreeSet<&str> = diagnostics.reason().map(AsRef::as_ref).collect();
        match (response.decision(), rules.first()) {
            (Verdict::Allow, Some(rule)) => {
                Decision { allow: true, rule: (*rule).to_owned(), reason: String::new() }
            }
            (Verdict::Allow, None) => {
                deny(DEFAULT_DENY, "the policy names no rule that permits it".to_owned())
            }
            (Verdict::Deny, Some(rule)) => deny(rule, forbidden(rule, caller, object)),
            (Verdict::Deny, None) => deny(DEFAULT_DENY, self.missing(caller, action)),
        }
    }

    /// Asks the engine about exactly these two entities: the caller, placed in its grants, and the object.
    fn ask(&self, caller: &Caller, action: Action, object: &Object<'_>) -> Result<Response, String> {
        let action = self.actions.get(position(action)).ok_or("the action is unknown")?;
        let principal = self.principal(caller).map_err(|fault| fault.to_string())?;
        let resource = self.object(object).map_err(|fault| fault.to_string())?;
        let request = Request::new(principal.uid(), action.clone(), resource.uid(), Context::empty(), None)
            .map_err(|fault| fault.to_string())?;
        let entities =
            Entities::from_entities([principal, resource], None).map_err(|fault| fault.to_string())?;
        Ok(self.engine.is_authorized(&request, &self.policies, &entities))
    }

    fn object(&self, object: &Object<'_>) -> Result<Entity, EntityAttrEvaluationError> {
        let org = object.org.map(|org| ("org", org));
        let attributes = [("kind", object.kind), ("name", object.name)].into_iter().chain(org);
        Entity::new(
            uid(&self.types.object, &format!("{}/{}", object.kind, object.name)),
            attributes.map(|(key, value)| (key.to_owned(), text(value))).collect(),
            None.into_iter().collect(),
        )
    }

    fn principal(&self, caller: &Caller) -> Result<Entity, EntityAttrEvaluationError> {
        let types = &self.types;
        match &caller.principal {
            Principal::LocalAdmin => Ok(Entity::new_no_attrs(
                uid(&types.local_admin, "local"),
                self.grants(Grant::Admin).collect(),
            )),
            Principal::Token { id, grant, org, .. } => Entity::new(
                uid(&types.token, id.as_str()),
                org.iter().map(|org| ("org".to_owned(), text(org.as_str()))).collect(),
                self.grants(*grant).collect(),
            ),
            Principal::Assistant { grant } => {
                Ok(Entity::new_no_attrs(uid(&types.assistant, "local"), self.grants(*grant).collect()))
            }
            Principal::Control { r#loop } => Ok(Entity::with_uid(uid(&types.control_loop, r#loop))),
            Principal::Node { id } => Ok(Entity::with_uid(uid(&types.node, id.as_str()))),
        }
    }

    /// The grant and every lesser one: later grants contain earlier ones.
    fn grants(&self, most: Grant) -> impl Iterator<Item = EntityUid> {
        GRANTS
            .into_iter()
            .filter(move |grant| *grant <= most)
            .map(|grant| uid(&self.types.grant, word(grant)))
    }

    /// The least grant that permits an action, asked of the rules themselves.
    fn least_grant(&self, action: Action) -> Option<Grant> {
        let object = Object { kind: "", org: None, name: "" };
        GRANTS.into_iter().find(|grant| {
            let id = univrs_model::ids::TokenId::from_bits(0);
            let principal = Principal::Token { id, grant: *grant, direct: false, org: None };
            let caller = Caller { principal, ..Caller::local_admin() };
            self.decide(&caller, action, &object).allow
        })
    }

    /// What is missing when no rule permits and none forbids.
    fn missing(&self, caller: &Caller, action: Action) -> String {
        let needed = match self.needs.get(position(action)).copied().flatten() {
            Some(grant) => format!("{action} needs {}", word(grant)),
            None => format!("no rule permits {action}"),
        };
        match &caller.principal {
            Principal::LocalAdmin => needed,
            Principal::Token { grant, .. } => format!("token grants {}; {needed}", word(*grant)),
            Principal::Assistant { grant } => format!(
                "this AI operator works in mode {}; {needed}; a person chooses the mode where the operator is started",
                word(*grant)
            ),
            Principal::Control { r#loop } => {
                format!("control loop {loop} is not among those who may do this; {needed}", loop = r#loop)
            }
            Principal::Node { id } => format!("node {id} is not among those who may do this; {needed}"),
        }
    }
}

impl std::fmt::Debug for Authorizer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Authorizer")
            .field("rules", &self.policies.num_of_policies())
            .finish_non_exhaustive()
    }
}

impl Types {
    fn new() -> Result<Self, PolicyError> {
        let named = |name: &str| {
            name.parse().map_err(|source| PolicyError::Parse { source: std::sync::Arc::new(source) })
        };
        Ok(Self {
            grant: named("Grant")?,
            local_admin: named("LocalAdmin")?,
            token: named("Token")?,
            assistant: named("Assistant")?,
            control_loop: named("ControlLoop")?,
            node: named("Node")?,
            object: named("Object")?,
        })
    }
}

/// The entity of an action, if the schema knows it.
fn known(schema: &Schema, action: Action) -> Result<EntityUid, PolicyError> {
    schema
        .actions()
        .find(|known| known.id().unescaped() == action.as_str())
        .cloned()
        .ok_or_else(|| PolicyError::UnknownAction { action: action.to_string() })
}

/// Where an action is in [`Action::ALL`].
const fn position(action: Action) -> usize {
    action as usize
}

/// Why a rule that forbids applies.
fn forbidden(rule: &str, caller: &Caller, object: &Object<'_>) -> String {
    let Principal::Token { org: Some(own), .. } = &caller.principal else {
        return format!("forbidden by {rule}");
    };
    match object.org {
        Some(org) => format!("token is of organisation {own}; the object belongs to {org}"),
        None => format!("token is of organisation {own}; the object belongs to the cluster"),
    }
}

fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

fn text(value: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(value.to_owned())
}

const fn word(grant: Grant) -> &'static str {
    match grant {
        Grant::Observe => "observe",
        Grant::Operate => "operate",
        Grant::Admin => "admin",
    }
}

#[cfg(test)]
mod tests {
    use univrs_model::caller::Caller;

    use super::{Authorizer, Object};
    use crate::action::Action;
    use crate::error::PolicyError;
    use crate::rules;

    const OBJECT: Object<'_> = Object { kind: "workload", org: Some("default"), name: "web" };

    #[test]
    fn a_rule_that_fails_denies() {
        let overflow = r#"
            @id("all") permit (principal, action in [Action::"node_read"], resource);
            @id("never") forbid (principal, action, resource) when { 9223372036854775807 + 1 == 0 };
        "#;
        let decision = Authorizer::of(rules::SCHEMA, overflow).unwrap().decide(
            &Caller::local_admin(),
            Action::NodeRead,
            &OBJECT,
        );
        assert!(!decision.allow);
        assert!(decision.reason.starts_with("the policy could not be asked: "), "{}", decision.reason);
        assert!(decision.reason.contains("never"), "{}", decision.reason);
    }

    #[test]
    fn no_rules_deny_everything() {
        let rules = Authorizer::of(rules::SCHEMA, "").unwrap();
        for action in Action::ALL {
            let decision = rules.decide(&Caller::local_admin(), *action, &OBJECT);
            assert_eq!((decision.allow, decision.reason), (false, format!("no rule permits {action}")));
        }
    }

    #[test]
    fn every_action_has_to_be_in_the_schema() {
        let without = rules::SCHEMA.replace("metrics_read,", "");
        let fault = Authorizer::of(&without, "").expect_err("the action is gone");
        assert!(matches!(fault, PolicyError::UnknownAction { action } if action == "metrics_read"));
    }

    #[test]
    fn what_is_asked_fits_the_schema() {
        use cedar_policy::{Context, Entities, Request};
        use univrs_model::caller::{Grant, Principal};
        use univrs_model::ids::{NodeId, TokenId};
        let rules = Authorizer::new().unwrap();
        let schema = rules::read_schema(rules::SCHEMA).unwrap();
        let principals = [
            Principal::LocalAdmin,
            Principal::Token { id: TokenId::from_bits(1), grant: Grant::Admin, direct: false, org: None },
            Principal::Token {
                id: TokenId::from_bits(2),
                grant: Grant::Admin,
                direct: true,
                org: Some(univrs_model::name::Name::default_org()),
            },
            Principal::Assistant { grant: Grant::Admin },
            Principal::Control { r#loop: "rollout".to_owned() },
            Principal::Node { id: NodeId::from_bits(1) },
        ];
        for principal in principals {
            let caller = Caller { principal, ..Caller::local_admin() };
            for object in [OBJECT, Object { org: None, ..OBJECT }] {
                let (who, what) = (rules.principal(&caller).unwrap(), rules.object(&object).unwrap());
                let (subject, target) = (who.uid(), what.uid());
                Entities::from_entities([who, what], Some(&schema)).unwrap();
                for action in &rules.actions {
                    let request = (subject.clone(), action.clone(), target.clone());
                    Request::new(request.0, request.1, request.2, Context::empty(), Some(&schema)).unwrap();
                }
            }
        }
    }
}
