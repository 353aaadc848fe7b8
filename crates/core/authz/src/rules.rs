//! The built-in rules: parsed, named by their `@id`, and checked against the schema.

use std::sync::Arc;

use cedar_policy::{PolicyId, PolicySet, Schema, ValidationMode, Validator};

use crate::error::PolicyError;

/// What the rules may speak of.
pub(crate) const SCHEMA: &str = include_str!("schema.cedarschema");
/// The rules.
pub(crate) const POLICIES: &str = include_str!("policies.cedar");

/// Reads a schema.
pub(crate) fn read_schema(text: &str) -> Result<Schema, PolicyError> {
    match Schema::from_cedarschema_str(text) {
        Ok((schema, _warnings)) => Ok(schema),
        Err(source) => Err(PolicyError::Schema { source: Arc::new(source) }),
    }
}

/// Reads rules, so that each goes by its `@id` and all fit `schema`. Warnings, such as a rule that can never
/// apply, count as faults.
pub(crate) fn read_policies(text: &str, schema: &Schema) -> Result<PolicySet, PolicyError> {
    let parsed: PolicySet = text.parse().map_err(|source| PolicyError::Parse { source: Arc::new(source) })?;
    let mut named = PolicySet::new();
    for policy in parsed.policies() {
        let Some(id) = policy.annotation("id").filter(|id| !id.is_empty()).map(str::to_owned) else {
            return Err(PolicyError::Unnamed { position: policy.id().to_string() });
        };
        named
            .add(policy.new_id(PolicyId::new(&id)))
            .map_err(|source| PolicyError::Repeated { id, source: Arc::new(source) })?;
    }
    let result = Validator::new(schema.clone()).validate(&named, ValidationMode::Strict);
    if result.validation_passed_without_warnings() {
        return Ok(named);
    }
    let errors = result.validation_errors().map(ToString::to_string);
    let warnings = result.validation_warnings().map(ToString::to_string);
    let mut faults: Vec<String> = errors.chain(warnings).collect();
    faults.sort();
    Err(PolicyError::Invalid { faults: faults.join("; ") })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use cedar_policy::{ActionConstraint, Effect, EntityUid};

    use super::{POLICIES, SCHEMA, read_policies, read_schema};
    use crate::action::Action;
    use crate::error::PolicyError;

    fn read(text: &str) -> Result<cedar_policy::PolicySet, PolicyError> {
        read_policies(text, &read_schema(SCHEMA).unwrap())
    }

    #[test]
    fn the_built_in_rules_fit_and_go_by_their_ids() {
        let rules = read(POLICIES).unwrap();
        let mut ids: Vec<String> = rules.policies().map(|policy| policy.id().to_string()).collect();
        ids.sort();
        assert_eq!(
            ids,
            [
                "admin",
                "approval_by_people",
                "cluster_objects",
                "control_loop",
                "node",
                "observe",
                "operate",
                "own_organisation"
            ]
        );
    }

    #[test]
    fn faulty_rules_are_refused() {
        let fault = |text: &str| read(text).expect_err(text);
        assert!(matches!(fault("permit (principal"), PolicyError::Parse { .. }));
        assert!(matches!(fault("permit (principal, action, resource);"), PolicyError::Unnamed { .. }));
        let rule = r#"@id("a") permit (principal is Node, action, resource);"#;
        assert!(matches!(fault(&format!("{rule}{rule}")), PolicyError::Repeated { .. }));
        let unknown = r#"@id("a") permit (principal, action == Action::"fly", resource);"#;
        assert!(matches!(fault(unknown), PolicyError::Invalid { .. }));
        let attribute =
            r#"@id("a") permit (principal is Node, action, resource) when { resource.size > 1 };"#;
        assert!(matches!(fault(attribute), PolicyError::Invalid { .. }));
        let never =
            r#"@id("a") permit (principal is Node, action, resource) when { resource.kind == principal };"#;
        assert!(matches!(fault(never), PolicyError::Invalid { .. }));
        assert!(matches!(read_schema("entity"), Err(PolicyError::Schema { .. })));
    }

    /// AUT-3: a new action needs a line in the schema and in a rule that permits it, and neither knows others.
    #[test]
    fn every_action_is_in_the_schema_and_in_a_rule() {
        let ours: BTreeSet<&str> = Action::ALL.iter().map(|action| action.as_str()).collect();
        let text = |uid: &EntityUid| uid.id().unescaped().to_owned();
        let schema: BTreeSet<String> = read_schema(SCHEMA).unwrap().actions().map(text).collect();
        assert_eq!(schema.iter().map(String::as_str).collect::<BTreeSet<_>>(), ours);
        let rules = read(POLICIES).unwrap();
        let permits = rules.policies().filter(|policy| policy.effect() == Effect::Permit);
        let named: BTreeSet<String> = permits
            .flat_map(|policy| match policy.action_constraint() {
                ActionConstraint::In(actions) => actions,
                ActionConstraint::Eq(action) => vec![action],
                ActionConstraint::Any => panic!("{} permits whatever is added later", policy.id()),
            })
            .map(|uid| text(&uid))
            .collect();
        assert_eq!(named.iter().map(String::as_str).collect::<BTreeSet<_>>(), ours);
    }
}
